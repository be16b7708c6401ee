"""JSON documents that are tables: as pandas and the hub's viewer write them, and rows that only look like it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penchant.data.load import load_demonstrations, load_preferences
from penchant.errors import InputError

ROWS = [
    {"prompt": "Name a river.", "chosen": "The Po.", "rejected": "The moon."},
    {"prompt": "Name a hill.", "chosen": "The Etna.", "rejected": "The sea."},
]
NAMES = list(ROWS[0])


def save(folder: Path, document: Any, indent: int | None = None) -> Path:
    path = folder / "a.json"
    path.write_text(json.dumps(document, indent=indent), encoding="utf-8")
    return path


TABLES: dict[str, Any] = {
    "columns": {name: {"7": ROWS[0][name], "12": ROWS[1][name]} for name in NAMES},  # after a filter
    "index": {str(number): row for number, row in enumerate(ROWS)},
    "split": {"columns": NAMES, "index": [0, 1], "data": [list(row.values()) for row in ROWS]},
    "table": {"schema": {"fields": []}, "data": ROWS},
    "list": {name: [row[name] for row in ROWS] for name in NAMES},
    "viewer": {"features": [{"name": "prompt"}], "rows": [{"row_idx": n, "row": row} for n, row in enumerate(ROWS)]},
}


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("orient", TABLES)
def test_tables_that_programs_write(tmp_path: Path, orient: str, indent: int | None) -> None:
    groups = load_preferences(save(tmp_path, TABLES[orient], indent))
    assert [group.prompt for group in groups] == ["Name a river.", "Name a hill."]
    assert [response.text for response in groups[1].responses] == ["The Etna.", "The sea."]
    assert [group.source for group in groups] == ["a.json row 1", "a.json row 2"]


def test_conversations_by_columns(tmp_path: Path) -> None:
    turns = [[{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": f"a{n}"}] for n in range(2)]
    for document in ({"messages": {"0": turns[0], "1": turns[1]}}, {"messages": turns}):
        groups = load_demonstrations(save(tmp_path, document))
        assert [group.responses[0].text for group in groups] == ["a0", "a1"]


@pytest.mark.parametrize("indent", [None, 1])
def test_turns_of_one_row_are_no_columns(tmp_path: Path, indent: int | None) -> None:
    turn = {"role": "user", "content": "q"}
    answers = [{"role": "assistant", "content": text} for text in "ab"]
    row = {"prompt": [turn], "chosen": [answers[0]], "rejected": [answers[1]]}
    (group,) = load_preferences(save(tmp_path, [row], indent))
    assert [response.text for response in group.responses] == ["a", "b"]
    with_text = row | {"prompt": "q"}
    if indent is None:  # one line with an object is a row
        (alone,) = load_preferences(save(tmp_path, with_text))
        assert alone.responses == group.responses


def test_columns_of_different_rows_are_refused(tmp_path: Path) -> None:
    document = {"prompt": {"0": "a", "1": "b"}, "chosen": {"0": "c"}, "rejected": {"0": "d", "1": "e"}}
    with pytest.raises(InputError, match=r"a\.json"):
        load_preferences(save(tmp_path, document))
