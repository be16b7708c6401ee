"""Labelled texts from files: what is understood, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penchant.errors import InputError
from penchant.weak.rows import overlap, read_labelled, write_labels


def _file(folder: Path, *rows: dict[str, Any], name: str = "rows.jsonl") -> str:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_classes_by_name_number_and_probability(tmp_path: Path) -> None:
    named = read_labelled(_file(tmp_path, {"text": "a", "label": "yes"}, {"sentence": "b", "label": "no"}))
    assert named.names == ("no", "yes")
    np.testing.assert_array_equal(named.targets, [[0, 1], [1, 0]])
    numbers = read_labelled(_file(tmp_path, *({"text": str(n), "label": n} for n in (10, 9, 2))))
    assert numbers.names == ("2", "9", "10")
    soft = read_labelled(
        _file(tmp_path, {"text": "a", "probabilities": {"x": 0.2, "y": 0.8}}, {"text": "b", "probabilities": {"y": 1}})
    )
    assert soft.names == ("x", "y")
    np.testing.assert_allclose(soft.targets, [[0.2, 0.8], [0, 1]])
    listed = read_labelled(_file(tmp_path, {"text": "a", "probabilities": [0.3, 0.7]}), names=["x", "y"])
    np.testing.assert_allclose(listed.targets, [[0.3, 0.7]])
    table = tmp_path / "rows.csv"
    table.write_text("text,label\ngood one,1\nbad one,0\n")
    assert read_labelled(str(table)).names == ("0", "1")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"label": 1}, "no text: expected a field text"),
        ({"text": "  ", "label": 1}, "is empty"),
        ({"text": "a"}, "no label"),
        ({"text": "a", "label": " "}, "the field `label` is blank"),
        ({"text": "a", "label": 0.5}, "a class's name or number"),
        ({"text": "a", "label": "maybe"}, "'maybe' is none of no, yes"),
        ({"text": "a", "probabilities": {"no": 0.5, "yes": 0.6}}, "sum to 1"),
        ({"text": "a", "probabilities": {"no": -0.5, "yes": 1.5}}, "at least 0"),
        ({"text": "a", "probabilities": [0.1, 0.2, 0.7]}, "3 probabilities for 2 classes"),
        ({"text": "a", "probabilities": {"no": "much"}}, "expected a number"),
        ({"text": "a", "probabilities": {"no": float("nan"), "yes": 1.0}}, "expected a finite number"),
    ],
)
def test_rows_that_cannot_be_are_named_with_their_lines(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    file = _file(tmp_path, {"text": "good", "label": "yes"}, row)
    with pytest.raises(InputError, match=message) as caught:
        read_labelled(file, names=["no", "yes"])
    assert "rows.jsonl:2" in str(caught.value)
    assert "1 rows cannot be used" in str(caught.value)


def test_an_order_of_classes_that_nobody_said_one_class_and_no_rows(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="whose order of classes nobody said"):
        read_labelled(_file(tmp_path, {"text": "a", "probabilities": [0.3, 0.7]}))
    with pytest.raises(InputError, match="all rows have the class 1"):
        read_labelled(_file(tmp_path, {"text": "a", "label": 1}))
    with pytest.raises(InputError, match="has no rows"):
        read_labelled(_file(tmp_path))


def test_what_is_written_is_read_again_and_overlaps_are_found(tmp_path: Path) -> None:
    rows = read_labelled(
        _file(tmp_path, {"text": "A  cat!", "label": "no", "group": "g"}, {"text": "b", "label": "yes"})
    )
    found = np.array([[0.25, 0.75], [1.0, 0.0]])
    write_labels(rows, found, tmp_path / "weak.jsonl")
    again = read_labelled(str(tmp_path / "weak.jsonl"))
    np.testing.assert_allclose(again.targets, found)
    assert (again.texts, again.groups, again.names) == (rows.texts, rows.groups, rows.names)
    other = read_labelled(
        _file(tmp_path, {"text": "a cat"}, {"text": "new", "group": "g"}, {"text": "c"}), labels=False
    )
    assert overlap(rows, other) == [0, 1]


def test_a_number_is_a_place_where_the_order_was_said(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": 1}, {"text": "b", "label": 0}, {"text": "c", "label": "bad"}]
    found = read_labelled(_file(tmp_path, *rows), names=["bad", "good"])
    assert found.targets is not None
    assert found.targets.argmax(-1).tolist() == [1, 0, 0]
    with pytest.raises(InputError, match=r"the class '1' is none of bad, good"):  # found out: in whose order?
        read_labelled(_file(tmp_path, *rows), names=["bad", "good"], order_known=False)
    with pytest.raises(InputError, match=r"the class '7' is none of"):
        read_labelled(_file(tmp_path, *rows, {"text": "d", "label": 7}), names=["bad", "good"])
    named = read_labelled(_file(tmp_path, *rows[:2]), names=["1", "0"])
    assert named.targets is not None
    assert named.targets.argmax(-1).tolist() == [0, 1]  # a name before a place


def test_an_abstention_of_snorkel_s_is_no_class_unless_it_is_named(tmp_path: Path) -> None:
    rows = [
        {"text": "a", "label": 0},
        {"text": "b", "label": -1},
        {"text": "c", "label": 1},
        {"text": "d", "label": -1},
    ]
    with pytest.raises(
        InputError, match=r"2 rows have the label -1 \(rows.jsonl:2, rows.jsonl:4\).*Leave these rows out"
    ):
        read_labelled(_file(tmp_path, *rows))
    with pytest.raises(InputError, match="1 rows have the label -1"):
        read_labelled(_file(tmp_path, rows[0], rows[2], {"text": "b", "label": "-1"}), names=["0", "1"])
    with pytest.raises(InputError, match="1 rows have the label -1"):
        read_labelled(_file(tmp_path, {"text": "a", "probabilities": {"-1": 0.5, "0": 0.25, "1": 0.25}}))
    named = read_labelled(_file(tmp_path, *rows[1:]), names=["-1", "1"])
    np.testing.assert_array_equal(named.targets, [[1, 0], [0, 1], [1, 0]])
    assert len(read_labelled(_file(tmp_path, *rows), labels=False).texts) == 4


def test_columns_of_other_names_are_said_once(tmp_path: Path) -> None:
    table = tmp_path / "reviews.csv"
    table.write_text("review,sentiment\n" + "good,yes\n" * 30)
    with pytest.raises(InputError, match=r"row 1: no text.*\(columns='{text: \.\.\., label: .*\(and 29 more rows\)"):
        read_labelled(str(table))


def test_columns_of_other_names(tmp_path: Path) -> None:
    rows = [{"review": "fine", "text": "an id", "sentiment": "yes"}, {"review": "dull", "text": "x", "sentiment": "no"}]
    columns = {"text": "review", "label": "sentiment"}
    read = read_labelled(_file(tmp_path, *rows), columns=columns)
    assert (read.texts, read.names) == (("fine", "dull"), ("no", "yes"))
    np.testing.assert_array_equal(read.targets, [[0, 1], [1, 0]])
    # what `penchant weak label` writes has fields of its own; rows to label may lack the column of the label
    written = {"text": "fine", "label": "yes"}, {"text": "dull", "label": "no"}
    np.testing.assert_array_equal(read_labelled(_file(tmp_path, *written), columns=columns).targets, read.targets)
    assert read_labelled(_file(tmp_path, {"review": "fine"}), labels=False, columns=columns).texts == ("fine",)
    # null leaves a column out
    both = [{**row, "probabilities": {"yes": 0.5, "no": 0.5}} for row in written]
    hard = read_labelled(_file(tmp_path, *both), columns={"probabilities": None})
    np.testing.assert_array_equal(hard.targets, read.targets)


def test_columns_that_are_not_there_are_refused(tmp_path: Path) -> None:
    file = _file(tmp_path, {"review": "fine", "sentiment": "yes"}, {"review": "dull", "sentiment": "no"})
    with pytest.raises(InputError, match=r"rows.jsonl:1: columns: text is to be 'reveiw', .* did you mean 'review'"):
        read_labelled(file, columns={"text": "reveiw", "label": "sentiment"})
    with pytest.raises(
        InputError, match=r"'review' is no field of labelled rows .*did you mean columns={text: review}"
    ):
        read_labelled(file, columns={"review": "text"})


def test_weights_are_read_and_kept_with_their_rows(tmp_path: Path) -> None:
    file = _file(tmp_path, {"text": "a", "label": "x", "weight": 0}, {"text": "b", "label": "y"})
    rows = read_labelled(file)
    assert rows.weights is not None
    np.testing.assert_array_equal(rows.weights, [0, 1])
    picked = rows.pick([1]).weights
    assert picked is not None
    np.testing.assert_array_equal(picked, [1])
    table = tmp_path / "rows.csv"
    table.write_text("text,label,weight\na,x,0.5\nb,y,\n")
    in_table = read_labelled(str(table)).weights
    assert in_table is not None
    np.testing.assert_array_equal(in_table, [0.5, 1])
    assert read_labelled(_file(tmp_path, {"text": "a", "label": "x"}, {"text": "b", "label": "y"})).weights is None


@pytest.mark.parametrize(
    ("weight", "message"),
    [(-1, "expected a number of at least 0, got -1"), ("much", "weight"), (float("nan"), "finite number")],
)
def test_weights_that_cannot_be(tmp_path: Path, weight: Any, message: str) -> None:
    good = ({"text": "a", "label": "x"}, {"text": "b", "label": "y"})
    file = _file(tmp_path, *good, {"text": "c", "label": "y", "weight": weight})
    with pytest.raises(InputError, match=message):
        read_labelled(file)
