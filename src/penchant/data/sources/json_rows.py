"""Find the rows of a JSON document: an array, an array under a name, or a table by columns as pandas writes it."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from penchant.data.sources.lines import parsed_json
from penchant.data.sources.values import RowError, RowValues, cut, describe
from penchant.errors import InputError

ROW_KEYS = ("data", "rows", "examples", "instances", "items", "records")  # fields of a document that hold its rows
# Fields of rows: a list of objects with one of these holds rows, whatever its own name is.
ROW_FIELDS = ("prompt", "chosen", "messages", "conversations", "instruction", "question", "completion")
ROW_NUMBER = re.compile(r"\d+")
Item = TypeVar("Item")
logger = logging.getLogger("penchant.data")


def rows_of_document(path: Path, document: object, split: str) -> Sequence[object]:
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
    # the order matters: a split that was asked for by name wins over every guess
    if split in tables:
        return tables[split]
    if (table := _pandas_table(document) or _promptfoo_results(document)) is not None:
        return table
    rows = [name for name in ROW_KEYS if name in tables and tables[name] and isinstance(tables[name][0], dict)]
    # {"data": [...], "tags": [...]}: the name says which of the two holds rows; two such names do not
    if len(tables) == 1 or len(rows) == 1:
        name = rows[0] if rows else next(iter(tables))
        if len(document) > 1:
            logger.info("%s: the rows are read from the field %r", path, cut(name))
        return _unwrapped(tables[name])
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
    if _pandas_table(values) is not None or _promptfoo_results(values) is not None:
        return True
    tables = [value for value in values.values() if isinstance(value, list) and value and isinstance(value[0], dict)]
    if len(tables) == len(values) or (len(tables) == 1 and any(values.get(name) is tables[0] for name in ROW_KEYS)):
        return True
    # {"version": 1, "preferences": [{"prompt": ...}]}: the only list, whose objects look like rows
    return len(tables) == 1 and not _has_row_field(values) and all(map(_has_row_field, _items_of(tables[0], dict)))


def _has_row_field(values: RowValues) -> bool:
    return any(name in values for name in ROW_FIELDS)


def _pandas_table(document: RowValues) -> list[RowValues] | None:
    """Return the rows of what `DataFrame.to_json` or `to_dict` writes (orient columns, index, split or list).

    None for any other object. Turns are objects too, so row numbers alone tell a column from them.
    """
    # split: {"columns": ["prompt"], "data": [["a"], ["b"]]}
    names = _items_of(document.get("columns"), str)
    cells = _items_of(document.get("data"), list)
    if names and cells and all(len(row) == len(names) for row in cells):
        return [dict(zip(names, row, strict=True)) for row in cells]
    values = list(document.values())
    objects = _items_of(values, dict)
    if objects and all(objects):
        # columns: {"prompt": {"0": "a", "1": "b"}}; index: {"0": {"prompt": "a"}, "1": {"prompt": "b"}}
        if all(table.keys() == objects[0].keys() for table in objects) and _are_row_numbers(objects[0]):
            return [dict(zip(document, (column[row] for column in objects), strict=True)) for row in objects[0]]
        return objects if _are_row_numbers(document) else None
    # list: {"prompt": ["a", "b"]}
    columns = _items_of(values, list)
    if columns and all(map(_is_column, columns)) and len(set(map(len, columns))) == 1:
        return [dict(zip(document, row, strict=True)) for row in zip(*columns, strict=True)]
    return None


def _promptfoo_results(document: RowValues) -> list[RowValues] | None:
    """Return the results in what promptfoo writes: `{"results": {"results": [...], ...}, ...}`; None for others."""
    results = document.get("results")
    items = _items_of(results.get("results"), dict) if isinstance(results, dict) else []
    return items or None


def _items_of(value: object, kind: type[Item]) -> list[Item]:
    """Return the items of a list that are all of a kind; nothing for any other value."""
    items = value if isinstance(value, list) else []
    return items if all(isinstance(item, kind) for item in items) else []


def _are_row_numbers(table: RowValues) -> bool:
    return all(map(ROW_NUMBER.fullmatch, table))


def _is_column(items: list[object]) -> bool:
    """Return whether a list can only be a column; a list of objects may be the turns of one row."""
    return bool(items) and not any(isinstance(item, dict) for item in items)


def _unwrapped(rows: Sequence[object]) -> Sequence[object]:
    """Return rows without the envelope that the data set viewer of the hub puts around each."""
    inner = [row.get("row") for row in rows if isinstance(row, dict) and "row_idx" in row]
    return inner if len(inner) == len(rows) and all(isinstance(row, dict) for row in inner) else rows
