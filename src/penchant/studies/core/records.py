"""Reads what stages wrote, however they ended.

What is missing or damaged is empty. Imports no torch.
"""

from __future__ import annotations

from pathlib import Path

from penchant.files import parse_object, read_file, read_json
from penchant.typed_json import JsonObject


def read_object(path: Path) -> JsonObject:
    """Read a JSON object; empty where there is none."""
    try:
        value = read_json(path, errors="replace")
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def read_lines(path: Path) -> list[JsonObject]:
    """Read the objects of a JSONL file up to the first damaged line."""
    try:
        # a byte that is no UTF-8 damages one text, and must not cost the rows after it
        lines = read_file(path).decode("utf-8", errors="replace").split("\n")
    except OSError:
        return []
    rows = []
    for line in lines:
        if not line.strip():
            continue
        row = parse_object(line)
        if row is None:
            break  # a run that was killed may have written half of its last line
        rows.append(row)
    return rows
