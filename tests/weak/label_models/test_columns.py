"""Columns of a file of votes: what they keep of each cell, and what they only count."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from penchant.errors import InputError
from penchant.weak.label_models.columns import Column, column_of, read_columns
from penchant.weak.label_models.read import read_votes
from penchant.weak.label_models.settings import WeakSources


def cells(column: Column, rows: int) -> list[str | None]:
    texts: list[str | None] = [None] * rows
    for row, code in zip(column.rows.tolist(), column.codes.tolist(), strict=True):
        texts[row] = column.values[code]
    return texts


def test_a_column_keeps_what_cells_say_and_counts_those_that_say_nothing() -> None:
    values = ["spam", None, " ham ", "", 1, 1.0, "1.0", True, "true", float("nan"), -1.0, "  ", ["x"], "spam"]
    column = column_of(values)
    expected = ["spam", None, "ham", None, "1", "1", "1", "true", "true", "nan", "-1", None, "['x']", "spam"]
    assert cells(column, len(values)) == expected
    assert (column.null, column.empty) == (1, 2)
    assert column.values == ("spam", "ham", "1", "true", "nan", "-1", "['x']")
    assert column.counts == [2, 1, 3, 2, 1, 1, 1]


def test_rows_that_lack_a_field_and_columns_that_nobody_asks_for(tmp_path: Path) -> None:
    file = tmp_path / "votes.jsonl"
    rows = [{"a": "x"}, {"b": "y", "content": "first", "id": 3}, {"a": "y", "content": None, "text": 1.0}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = read_columns(str(file), texts=("text", "content"), ignored=("id",))
    assert (table.rows, table.names) == (3, ("a", "b", "content", "id", "text"))
    # of two columns that may be the text, the second is one like any other
    assert table.texts == {"text": ("", "", "1.0")}
    assert {name: cells(column, 3) for name, column in table.columns.items()} == {
        "a": ["x", None, "y"],
        "b": [None, "y", None],
        "content": [None, "first", None],
    }
    assert table.columns["a"].null == 1
    file.write_text('{"a": 1}\n{broken\n[2]\n')
    with pytest.raises(InputError, match=r"2 rows cannot be read:\n.*votes.jsonl:2"):
        read_columns(str(file), texts=(), ignored=())


def test_votes_by_columns_are_those_of_a_full_table(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    answers = np.where(random.random((400, 12)) < 0.1, random.integers(3, size=(400, 12)), -1)
    file = tmp_path / "votes.csv"
    lines = [",".join("" if k < 0 else "pqr"[k] for k in row) for row in answers.tolist()]
    file.write_text("\n".join([",".join(f"s{number}" for number in range(12)), *lines]) + "\n")
    read = read_votes(WeakSources(votes=str(file), classes=["p", "q", "r"]))
    np.testing.assert_array_equal(read.votes.answers, answers)
    assert read.abstentions == {"empty": int((answers < 0).sum())}


def test_the_first_vote_outside_of_the_classes_is_named_by_its_row(tmp_path: Path) -> None:
    file = tmp_path / "votes.csv"
    file.write_text("a,b\nx,y\n,x\nz,y\ny,x\nw,\nz,y\nx,x\nx,x\n")
    with pytest.raises(
        InputError, match=r"3 votes of the column a are none of the classes x, y; the first is 'z' in row 3"
    ):
        read_votes(WeakSources(votes=str(file), classes=["x", "y"]))


def test_a_truth_that_is_called_as_a_text_may_be(tmp_path: Path) -> None:
    file = tmp_path / "votes.csv"
    file.write_text("a,b,content\nx,y,x\ny,y,y\n")
    votes = read_votes(WeakSources(votes=str(file), truth="content")).votes
    assert votes.texts is None
    assert votes.truth is not None
    assert votes.truth.tolist() == [0, 1]
