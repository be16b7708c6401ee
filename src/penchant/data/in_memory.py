"""Rows that a Python session holds, as a file: prompt groups, mappings, a DataFrame, a data set.

Groups are written in Penchant's own layout. Other rows are written as they are, so that `data.columns`, `data.ties` and
the like mean what they mean for a file.
"""

from __future__ import annotations

import base64
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import BeforeValidator

from penchant.errors import InputError
from penchant.row_names import STEMS, note_rows
from penchant.session.store import PREFIX, store_file
from penchant.types import PromptGroup

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

Source = str | PurePath | Iterable[object]
"""What loaders read: a path or hub id, or rows of the session."""
KINDS = "a list of PromptGroup or of mappings, a DataFrame (pandas, polars), or a datasets.Dataset"
# a text alone may be a prompt or the name of a file, and neither must be read as the other
TEXTS = "prompts alone are [{'prompt': 'a text'}, ...], several files are {'sources': ['a.jsonl', 'b.jsonl']}"


def data_source(value: object) -> str:
    """Return the path that a value stands for as data: its own, or the name of the rows that it holds.

    Raises:
        InputError: it is no data, or holds what no file can.
    """
    if isinstance(value, str | PurePath):
        return str(value)
    kind, rows = rows_of(value)
    # an empty list is a slip of the cell before, and a file of no bytes would say "empty" under a name nobody gave
    if not rows:
        raise InputError(f"the {kind} is empty; expected one row or more")
    # any, not all: the message then names the item that is none
    if any(isinstance(row, PromptGroup) for row in rows):
        stem, content = STEMS["groups"], b"".join(_group_lines(kind, rows))
    else:
        stem = STEMS.get(kind, STEMS["rows"])
        content = b"".join(_row_line(kind, number, row) for number, row in enumerate(rows))
    name = store_file(stem, content, ".jsonl")
    note_rows(name.removeprefix(PREFIX), kind, _labels(value))
    return name


def _labels(value: Any) -> list[str]:
    """Return the index labels of a DataFrame of pandas where they are others than the rows' numbers."""
    index = getattr(value, "index", None)
    if type(value).__module__.partition(".")[0] != "pandas" or index is None:
        return []
    labels = list(index)
    # a frame that was filtered or sorted keeps the labels of its rows, and they find a row where its number does not
    return [] if labels == list(range(len(labels))) else [repr(label) for label in labels]


DataPath = Annotated[str, BeforeValidator(data_source)]
"""A path or hub id in settings; rows of a Python session may stand in its place."""


def rows_of(value: object) -> tuple[str, Sequence[object]]:
    """Return what a value is called in messages, and its rows.

    Raises:
        InputError: it holds no rows.
    """
    root = type(value).__module__.partition(".")[0]
    kind = type(value).__name__
    to_dicts, to_list, collect = (getattr(value, name, None) for name in ("to_dicts", "to_pylist", "collect"))
    if kind == "DataFrame" and root == "pandas":
        return "DataFrame", _pandas_rows(value)
    # polars reads it only now
    if kind == "LazyFrame" and callable(collect):
        return rows_of(collect())
    if kind == "DataFrame" and callable(to_dicts):  # polars
        return "DataFrame", to_dicts()
    if root == "pyarrow" and callable(to_list):
        return kind, to_list()
    # the splits of a data set: which of them is meant, only its owner knows
    if isinstance(value, Mapping):
        splits = ", ".join(map(str, list(value)[:5]))
        raise InputError(f"expected {KINDS}, got a {kind} with {splits or 'nothing in it'}: give one of its values")
    if not isinstance(value, Iterable) or isinstance(value, bytes):
        raise InputError(f"expected a path, {KINDS}, got {_excerpt(value)}")
    return kind, list(value)


def _pandas_rows(frame: Any) -> Sequence[object]:
    """Return the rows of a pandas DataFrame; an index that has a name is a column, as `groupby` leaves it."""
    if any(isinstance(name, str) and name not in frame.columns for name in frame.index.names):
        frame = frame.reset_index()
    _check_columns(frame.columns)
    rows: Sequence[object] = frame.to_dict("records")
    return rows


def _check_columns(columns: Iterable[object]) -> None:
    """Refuse columns without names, which pandas numbers, and names that several columns have."""
    unnamed = [column for column in columns if not isinstance(column, str)]
    if unnamed:
        raise InputError(
            f"the DataFrame has the column {unnamed[0]!r}, expected names that are text: "
            "frame.columns = ['prompt', 'chosen', 'rejected']"
        )
    if repeated := [column for column, count in Counter(columns).items() if count > 1]:
        raise InputError(f"the DataFrame has several columns {repeated[0]!r}: leave one of them, or rename it")


def _group_lines(kind: str, rows: Sequence[object]) -> Iterable[bytes]:
    # inside: settings are read without all that reads files
    from penchant.data.write import group_line

    for number, row in enumerate(rows):
        if not isinstance(row, PromptGroup):
            raise InputError(f"item {number} of the {kind} is {_excerpt(row)}, expected a PromptGroup as the others")
        yield group_line(row, f"group {number}")


def _row_line(kind: str, number: int, row: object) -> bytes:
    """Return a row as a line of JSON."""
    if not isinstance(row, Mapping):
        advice = f"; {TEXTS}" if isinstance(row, str) else ""
        raise InputError(f"item {number} of the {kind} is {_excerpt(row)}, expected {KINDS}{advice}")
    values = {str(column): _json_value(value, kind, number, str(column)) for column, value in row.items()}
    try:
        return json.dumps(values, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    except UnicodeEncodeError as error:
        raise InputError(f"row {number} of the {kind} holds half a character, which is no text ({error})") from None


def _json_value(value: object, kind: str, number: int, column: str) -> object:
    """Return a cell as JSON has it; what stands for a missing value (NaN, NaT, NA) becomes null."""
    if isinstance(value, Mapping):
        # `datasets` has pictures and sounds as {"bytes", "path"}
        return {
            str(key): _base64(entry) if isinstance(entry, bytes) else _json_value(entry, kind, number, column)
            for key, entry in value.items()
        }
    if isinstance(value, list | tuple):
        return [_json_value(entry, kind, number, column) for entry in value]
    to_list = getattr(value, "tolist", None)  # numpy's arrays and numbers
    if callable(to_list) and type(value).__module__.partition(".")[0] in ("numpy", "torch"):
        return _json_value(to_list(), kind, number, column)
    if value is None or type(value).__name__ in ("NaTType", "NAType"):
        return None
    if isinstance(value, float) and not math.isinf(value):  # a missing text in a column of a DataFrame is NaN
        return None if math.isnan(value) else value
    if isinstance(value, str | int | bool):
        return value
    if isinstance(value, Decimal):
        return float(value) if value.is_finite() else None
    if isinstance(value, date | time):
        return value.isoformat()
    if (media := _media_row(value)) is not None:
        return media
    raise InputError(
        f"row {number} of the {kind} has {_excerpt(value)} in `{column}`; expected text, finite numbers, lists or "
        "mappings"
    )


def _media_row(value: object) -> object:
    """Return a picture or a sound as rows have it; None for anything else."""
    if isinstance(value, bytes):
        return {"bytes": _base64(value)}
    # of Pillow, as `datasets` gives decoded pictures, or ours: whoever has one has imported its library
    is_ours = type(value).__module__ in ("penchant.image", "penchant.media")
    if not is_ours and type(value).__module__.partition(".")[0] != "PIL":
        return None
    from penchant.data.media_rows import file_or_bytes
    from penchant.image import Image
    from penchant.media import Audio

    media = value if is_ours else Image.make(cast("PillowImage", value))
    return file_or_bytes(media) if isinstance(media, Image | Audio) else None


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _excerpt(value: object) -> str:
    text = repr(value)
    return f"a {type(value).__name__} ({text if len(text) <= 40 else text[:37] + '...'})"
