"""A file is read as what it is, and refused as what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penchant.data.settings import DataConfig
from penchant.errors import InputError
from penchant.train.inputs.kinds import Kind, read_rows

DEMONSTRATIONS = [{"prompt": f"Film {number}?", "completion": " Good."} for number in range(3)]
COMPARISONS = [{"prompt": f"Film {number}?", "chosen": " Good.", "rejected": " Dull."} for number in range(3)]


def read(folder: Path, rows: list[dict[str, Any]], kind: Kind = "auto") -> int:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return len(read_rows(DataConfig(path=str(folder / "rows.jsonl")), kind).groups)


def test_a_file_is_read_as_what_it_is(tmp_path: Path) -> None:
    assert read(tmp_path, DEMONSTRATIONS) == read(tmp_path, COMPARISONS) == 3
    with pytest.raises(InputError, match="has the layout completion, which is for demonstrations"):
        read(tmp_path, DEMONSTRATIONS, "preferences")


@pytest.mark.parametrize("first", [True, False])
def test_a_bad_row_among_demonstrations_is_named(tmp_path: Path, first: bool) -> None:
    bad = [{"prompt": "Film 3?", "completion": None}]
    rows, line = (bad + DEMONSTRATIONS, 1) if first else (DEMONSTRATIONS + bad, 4)
    with pytest.raises(InputError, match=rf"1 of 4 rows cannot be used:\n  rows.jsonl:{line}: field 'completion' "):
        read(tmp_path, rows)


def test_what_is_neither_is_refused_as_comparisons(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1 of 4 rows cannot be used:\n  rows.jsonl:4: field 'chosen' is null"):
        read(tmp_path, [*COMPARISONS, {"prompt": "Film 3?", "chosen": None, "rejected": " Dull."}])
    with pytest.raises(InputError, match=r"rows.jsonl:1: unknown layout. The rows have words"):
        read(tmp_path, [{"words": 3}])
