"""Check the values of a row: text, numbers, lists - or a `RowError` that says what was expected.

A *name* is the path of a value inside its row as a person would write it, such as `summaries[0].text`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Literal

from penchant.errors import InputError

RowValues = dict[str, object]
"""A row as it stands in its file: by column a value of JSON, of a kind that nobody has looked at yet."""
Kind = Literal[
    "damaged",
    "missing",
    "type",
    "value",
    "empty",
    "identical",
    "history",
    "mixed",
    "unread",
    "column",
    "absent",
    "broken",
]
"""Why a row cannot be used. `absent` and `broken` are files of pictures and sounds that it names."""
WORD = re.compile(r"[a-z]+")
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
# What programs write into a cell of text that holds nothing: str(None) and str(nan) of Python, <NA> of pandas, and
# <noinput> of the Alpaca data.
NO_TEXT = ("", "none", "nan", "<na>", "<noinput>")
# As tables write them, and people.
FLAGS = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False, "yes": True, "no": False}
# Characters that nobody sees: a text of them alone is empty.
INVISIBLE = "\u00ad\u180e\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064\u2800\u3164\ufeff"
BLANK = INVISIBLE + " \t\n\r\x0b\x0c\u00a0\u2007\u202f\u3000"
SHOWN_NAME = 60  # characters of a name or value in a message


class RowError(InputError):
    """One row that cannot be used. `kind` sorts it for counts; `str(error)` names the field, not the row."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind: Kind = kind


def describe(value: object) -> str:
    """Return the type and a short form of a value, for messages: `int (5)`."""
    if value is None:
        return "null"
    return f"{type(value).__name__} ({cut(_form(value), 40)})"


def cut(text: object, length: int = SHOWN_NAME) -> str:
    """Return a text from a file, short enough for a message."""
    form = str(text)
    return form if len(form) <= length else form[: length - 3] + "..."


def bulleted(items: Sequence[object], limit: int) -> list[str]:
    """Return a line for each of the first `limit` items, and one with the number of the others."""
    lines = [f"  {item}" for item in items[:limit]]
    return lines if len(items) <= limit else [*lines, f"  (+{len(items) - limit} more)"]


def common_length(first: Sequence[object], second: Sequence[object]) -> int:
    """Return how many items (characters of a text) two sequences share from their beginning on."""
    differs = (index for index, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
    return next(differs, min(len(first), len(second)))


def words_of(name: str) -> list[str]:
    """Return the words of a column's name, lower-cased: `imageUrl`, `image_url` and `Image URL` have the same."""
    return WORD.findall(CAMEL.sub("_", name).lower())


def holds(value: object) -> bool:
    """Return whether a cell holds anything: blank text, null, NaN, and empty lists and objects do not."""
    if isinstance(value, str):
        return value.strip().lower() not in (*NO_TEXT, "[]", "{}", "null")
    if isinstance(value, list | tuple):
        return any(map(holds, value))
    if isinstance(value, dict):
        return any(map(holds, value.values()))
    # NaN, as which tables show a missing cell, is the one value that does not equal itself
    return value is not None and value == value


def flag(value: object, name: str, *, expected: str = "true or false") -> bool:
    """Return true or false, also for 1 or 0 and for text, which tables have.

    Args:
        expected: what the message says that should stand there.

    Raises:
        RowError: anything else.
    """
    boolean = FLAGS.get(value.strip().lower()) if isinstance(value, str) else value
    if not (isinstance(boolean, bool) or (isinstance(boolean, int | float) and boolean in (0, 1))):
        raise RowError("type", f"field {name!r}: expected {expected}, got {describe(value)}")
    return bool(boolean)


def _form(value: object) -> str:
    try:
        # cut before repr: a row may hold a text of megabytes, of which a message shows 40 characters
        return repr(value[:100] if isinstance(value, str | bytes | list) else value)
    except ValueError:  # an integer of more digits than Python is willing to write out (4,300)
        return "a number of very many digits"


def as_text(value: object, name: str, *, empty_ok: bool = False, nul_ok: bool = False) -> str:
    """Return a string that can be encoded.

    Args:
        empty_ok: whether it may be blank. nul_ok: whether it may hold NUL characters, as samples of byte-level models
            do, whose token ids count.

    Raises:
        RowError: anything else.
    """
    if not isinstance(value, str):
        raise RowError("type", f"field {name!r}: expected text, got {describe(value)}")
    # JSON can spell half of a surrogate pair (\ud83d). Python reads it, and fails when the text is written or hashed.
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RowError(
            "value",
            f"field {name!r}: half of a surrogate pair (\\u{ord(value[error.start]):04x}) at character "
            f"{error.start + 1}, which is no text; repair the program that cut this string",
        ) from None
    if "\x00" in value and not nul_ok:
        raise RowError(
            "value",
            f"field {name!r} holds a NUL character (\\x00) at character {value.index(chr(0)) + 1}, which no text has; "
            "repair the program that wrote it",
        )
    # `strip()` alone keeps what nobody sees: a zero-width space would count as an answer
    if not empty_ok and not value.strip(BLANK).strip():
        raise RowError("empty", f"field {name!r} is empty; give it some text")
    return value


def as_number(value: object, name: str) -> float:
    """Return a finite number."""
    # True is an int in Python, and a flag is no rating
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RowError("type", f"field {name!r}: expected a number, got {describe(value)}")
    try:
        number = float(value)
    except OverflowError:  # an integer beyond the largest float, which JSON may spell in full
        number = math.inf
    if not math.isfinite(number):
        raise RowError("value", f"field {name!r}: expected a finite number, got {describe(value)}")
    return number


def as_integer(value: object, name: str, *, low: int, high: int) -> int:
    """Return a whole number from `low` to `high` (`1.0` counts: tables turn integers into floats)."""
    # `not ... <` instead of `>=`, so that NaN is refused as well
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < math.inf:
        raise RowError("type", f"field {name!r}: expected a whole number from {low} to {high}, got {describe(value)}")
    if value != int(value) or not low <= value <= high:
        raise RowError("value", f"field {name!r}: expected a whole number from {low} to {high}, got {value!r}")
    return int(value)


def as_list(value: object, name: str, *, of: str) -> list[object]:
    """Return a list; `of` says what should be in it, for the message."""
    if not isinstance(value, list):
        raise RowError("type", f"field {name!r}: expected a list of {of}, got {describe(value)}")
    return value


def as_object(value: object, name: str) -> RowValues:
    """Return a JSON object."""
    if not isinstance(value, dict):
        raise RowError("type", f"field {name!r}: expected an object, got {describe(value)}")
    return value


def as_records(value: object, name: str) -> list[RowValues]:
    """Return a list of objects; an object of equally long lists is turned around (old `datasets` store it so)."""
    if isinstance(value, dict) and value and all(isinstance(column, list) for column in value.values()):
        if len({len(column) for column in value.values()}) > 1:
            raise RowError("value", f"field {name!r}: its columns have different lengths")
        return [dict(zip(value, cells, strict=True)) for cells in zip(*value.values(), strict=True)]
    items = as_list(value, name, of="objects")
    return [as_object(item, f"{name}[{index}]") for index, item in enumerate(items)]
