"""A task from a file of one's own: what is read, how it is divided, and what is refused or named."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from penchant.errors import InputError
from penchant.tasks.own_file import OwnFile, is_data_file, load_own, own_spec

ROWS = [
    {"review": f"film number {n}", "stars": "bad" if n % 2 else "good", "who": f"author {n // 4}"} for n in range(80)
]
COLUMNS = (("text", "review"), ("label", "stars"))


def _write(folder: Path, rows: Sequence[Mapping[str, object]], name: str = "mine.jsonl") -> str:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_the_classes_are_the_labels_and_every_row_is_on_one_side(tmp_path: Path) -> None:
    file = OwnFile(_write(tmp_path, ROWS), columns=COLUMNS)
    data = load_own(file)
    assert data.spec.classes == ("bad", "good")
    assert (data.source, data.spec.title) == ("mine.jsonl", "mine.jsonl")
    assert len(data.train) + len(data.test) == 80
    assert {example.label for example in data.test} == {0, 1}
    assert not {example.text for example in data.train} & {example.text for example in data.test}


def test_a_file_that_grows_keeps_the_sides_that_its_rows_had(tmp_path: Path) -> None:
    before = load_own(OwnFile(_write(tmp_path, ROWS[:60]), columns=COLUMNS))
    after = load_own(OwnFile(_write(tmp_path, ROWS[::-1]), columns=COLUMNS))
    assert {example.text for example in before.test} < {example.text for example in after.test}
    most = load_own(OwnFile(_write(tmp_path, ROWS), columns=COLUMNS, test_share=0.6))
    assert {example.text for example in after.test} < {example.text for example in most.test}


def test_a_group_stays_on_one_side(tmp_path: Path) -> None:
    data = load_own(OwnFile(_write(tmp_path, ROWS), columns=(*COLUMNS, ("group", "who"))))
    assert {example.group for example in data.train}.isdisjoint(example.group for example in data.test)
    assert len(data.train) % 4 == 0


def test_how_hard_rows_are_is_read_where_a_column_is_named(tmp_path: Path) -> None:
    rows = [{**row, "difficulty": f"{n / 2}"} for n, row in enumerate(ROWS)]
    path = _write(tmp_path, rows)
    assert load_own(OwnFile(path, columns=COLUMNS)).difficulty == {}
    data = load_own(OwnFile(path, columns=(*COLUMNS, ("difficulty", "difficulty"))))
    assert {data.difficulty[row.text] for row in (*data.train, *data.test)} == {n / 2 for n in range(80)}
    with pytest.raises(InputError, match="difficulty is to be 'grade', but the row has"):
        load_own(OwnFile(path, columns=(*COLUMNS, ("difficulty", "grade"))))
    broken = _write(tmp_path, [*rows[:-1], {**rows[-1], "difficulty": "nan"}], "broken.jsonl")
    with pytest.raises(InputError, match=r"broken\.jsonl:80: column 'difficulty': expected how hard the row is"):
        load_own(OwnFile(broken, columns=(*COLUMNS, ("difficulty", "difficulty"))))


def test_a_test_file_and_a_column_of_splits_say_which_rows_to_test_on(tmp_path: Path) -> None:
    train, test = _write(tmp_path, ROWS[:60]), _write(tmp_path, ROWS[60:], "test.jsonl")
    data = load_own(OwnFile(train, test, COLUMNS))
    assert [len(data.train), len(data.test)] == [60, 20]
    assert data.source == "mine.jsonl and test.jsonl"
    names = ["train"] * 50 + ["Test"] * 20 + ["validation"] * 10
    rows = [{**row, "split": name} for row, name in zip(ROWS, names, strict=True)]
    data = load_own(OwnFile(_write(tmp_path, rows, "split.jsonl"), columns=COLUMNS))
    assert [len(data.train), len(data.test), data.dropped["of other splits"]] == [50, 20, 10]
    divided = load_own(OwnFile(_write(tmp_path, rows, "split.jsonl"), columns=(*COLUMNS, ("split", None))))
    assert len(divided.train) + len(divided.test) == 80


def test_labels_are_names_whatever_their_type_and_numbers_are_sorted_by_value(tmp_path: Path) -> None:
    rows = [{"text": f"film {n}", "label": (10, 9.0, True, "9")[n % 4]} for n in range(80)]
    data = load_own(OwnFile(_write(tmp_path, [*rows, {"text": "no label", "label": None}])))
    assert data.spec.classes == ("9", "10", "true")
    assert data.dropped["without a label"] == 1


def test_spaces_and_texts_with_two_labels_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [*ROWS, {"review": " Film number 0!", "stars": " bad "}]
    with caplog.at_level(logging.WARNING):
        data = load_own(OwnFile(_write(tmp_path, rows), columns=COLUMNS))
    assert data.dropped["with two labels"] == 1
    assert not any(example.text == "film number 0" for example in (*data.train, *data.test))
    assert "1 rows have spaces around their label or group (the first is" in caplog.text
    assert "1 texts have two labels" in caplog.text
    assert "mine.jsonl:1 (good) and" in caplog.text
    assert "mine.jsonl:81 (bad)" in caplog.text


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        (ROWS, (), "there is no column 'text', and the row has review, stars, who: say which one it is"),
        (ROWS, (("text", "revue"),), r"columns: text is to be 'revue', but .* did you mean 'review'\?"),
        (ROWS[::2], COLUMNS, "all 40 rows have the class good"),
        (ROWS, (("text", "stars"), ("label", "review")), "has 80 different values in 80 rows, such as film number 0"),
        ([*ROWS, {"review": "x", "stars": "Good"}], COLUMNS, r"'Good' .*:81\) and 'good' .*:1\) differ in case alone"),
        ([*ROWS, {"review": 3, "stars": "bad"}], COLUMNS, r"1 rows cannot be used:\n.*:81: field 'review'|'text': exp"),
        ([{"text": "a", "label": ""}], (), "no row has a label"),
        ([{**row, "split": "dev"} for row in ROWS], COLUMNS, "no row to train on: the column of splits has 'dev'"),
    ],
)
def test_what_makes_no_task_is_refused_with_what_to_do(
    tmp_path: Path, rows: list[dict[str, object]], columns: tuple[tuple[str, str], ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load_own(OwnFile(_write(tmp_path, rows), columns=columns))


def test_a_file_that_is_edited_is_read_anew(tmp_path: Path) -> None:
    file = OwnFile(_write(tmp_path, ROWS), columns=COLUMNS)
    assert own_spec(file).classes == ("bad", "good")
    _write(tmp_path, [{**row, "stars": f"so {row['stars']}"} for row in ROWS])
    assert own_spec(file).classes == ("so bad", "so good")


def test_a_file_is_known_by_its_ending() -> None:
    assert all(map(is_data_file, ("a.csv", "b/c.jsonl.gz", "d.XLSX", "session:rows-0123456789abcdef.jsonl")))
    assert not any(map(is_data_file, ("sst2", "mine.py:reviews", "mine.py", "session:reviews_0123456789abcdef")))
