"""Columns that nobody reads, named where they are likely to be the responses."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from penchant.data.load import load_preferences
from penchant.errors import InputError

Rows = list[dict[str, object]]


def refusal(folder: Path, rows: Rows) -> str:
    file = folder / "prefs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError) as refused:
        load_preferences(file)
    return str(refused.value)


@pytest.mark.parametrize("value", [1, "1"])
def test_two_columns_of_texts_beside_the_same_number_twice_are_offered_as_the_responses(
    value: object, tmp_path: Path
) -> None:
    rows: Rows = [
        {"prompt": f"Film {n}?", "good": f"Fine: {n}.", "bad": f"Dull: {n}.", "chosen": value, "rejected": value}
        for n in range(4)
    ]
    message = refusal(tmp_path, rows)
    assert "The columns 'good' and 'bad' hold texts that nobody reads" in message
    # the words to copy are read as they stand
    setting = shlex.split(message[message.index("set ") + 4 :])[0]
    assert setting == 'data.columns={chosen: "good", rejected: "bad"}'
    groups = load_preferences(tmp_path / "prefs.jsonl", columns={"chosen": "good", "rejected": "bad"})
    assert [response.text for response in groups[0].responses] == ["Fine: 0.", "Dull: 0."]


def test_without_two_such_columns_the_layout_is_asked_for(tmp_path: Path) -> None:
    rows: Rows = [{"prompt": "Why?", "chosen": n, "rejected": n, "good": "One text alone."} for n in range(3)]
    assert "No row is left. Are they of another layout than trl?" in refusal(tmp_path, rows)
    # a column that some rows lack is none of the responses
    mixed: Rows = [{**row, **({"bad": "Another text."} if n else {})} for n, row in enumerate(rows)]
    assert "Are they of another layout than trl?" in refusal(tmp_path, mixed)
