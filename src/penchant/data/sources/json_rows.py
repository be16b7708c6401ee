"""Rows of a JSON document: an array of them, one under a name, or a table by columns as pandas writes it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from penchant.data.sources.lines import parsed_json
from penchant.data.sources.values import RowError, cut, describe
from penchant.errors import InputError

ROW_KEYS = ("data", "rows", "examples", "instances", "items", "records")  # fields of a document that hold its rows
ROW_NUMBER = re.compile(r"\d+")


def rows_of_document(path: Path, document: Any, split: str) -> list[Any]:
    """Return the rows of a whole JSON document.

    Args:
        path: for messages. split: which of several named arrays to take.

    Raises:
        InputError: a document that is no table of rows.
    """
    if isinstance(document, list):
        return document
    if not isinstance(document, dict):
        raise InputError(f"{path}: expected a JSON array of rows, got {describe(document)}")
    tables = {name: value for name, value in document.items() if isinstance(value, list)}
    if split in tables:
        return tables[split]
    table = _pandas_table(document)
    if table is not None:
        return table
    rows = [name for name in ROW_KEYS if name in tables and tables[name] and isinstance(tables[name][0], dict)]
    if len(tables) == 1 or len(rows) == 1:
        return _unwrapped(tables[rows[0]] if rows else next(iter(tables.values())))
    names = ", ".join(map(cut, list(document)[:8]))
    raise InputError(
        f"{path}: expected a JSON array of rows, got an object with the fields {names}; "
        f"make the array the whole document, or name it {split!r}"
    )


def is_document(line: bytes) -> bool:
    """Return whether an object of one line is a whole table rather than a row.

    Such are `{"train": [{...}, ...]}`, `{"version": 1, "data": [{...}, ...]}` and `{"prompt": {"0": ...}, ...}`.
    """
    try:
        values = parsed_json(line.decode("utf-8"))
    except (RowError, UnicodeDecodeError):
        return False  # the reader of lines names what is broken
    if not isinstance(values, dict):
        return False
    if _pandas_table(values) is not None:
        return True
    tables = [value for value in values.values() if isinstance(value, list) and value and isinstance(value[0], dict)]
    return len(tables) == len(values) or (len(tables) == 1 and any(values.get(name) is tables[0] for name in ROW_KEYS))


def _pandas_table(document: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return the rows of what `DataFrame.to_json` or `to_dict` writes (orient columns, index, split or list).

    None for any other object. Turns are objects too, so row numbers alone tell a column from them.
    """
    columns: Any = document.get("columns")
    data: Any = document.get("data")
    if _is_list_of(columns, str) and _is_list_of(data, list) and all(len(row) == len(columns) for row in data):
        return [dict(zip(columns, row, strict=True)) for row in data]
    values = list(document.values())
    if values and all(isinstance(value, dict) and value for value in values):
        if all(value.keys() == values[0].keys() for value in values) and _are_row_numbers(values[0]):
            return [{name: column[row] for name, column in document.items()} for row in values[0]]
        return values if _are_row_numbers(document) else None
    if values and all(_is_column(value) and len(value) == len(values[0]) for value in values):
        return [dict(zip(document, row, strict=True)) for row in zip(*values, strict=True)]
    return None


def _is_list_of(value: Any, kind: type) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, kind) for item in value)


def _are_row_numbers(table: dict[str, Any]) -> bool:
    return all(map(ROW_NUMBER.fullmatch, table))


def _is_column(value: Any) -> bool:
    """Return whether a list can only be a column; a list of objects may be the turns of one row."""
    return isinstance(value, list) and bool(value) and not any(isinstance(item, dict) for item in value)


def _unwrapped(rows: list[Any]) -> list[Any]:
    """Return rows without the envelope that the data set viewer of the hub puts around each."""
    if rows and all(isinstance(row, dict) and "row_idx" in row and isinstance(row.get("row"), dict) for row in rows):
        return [row["row"] for row in rows]
    return rows
