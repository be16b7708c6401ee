"""Read the bytes of a file as numbered lines, text and JSON; each kind of damage has an error of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from penchant.data.sources.packed import opened
from penchant.data.sources.values import RowError, RowValues, cut

MAX_LINE_BYTES = 64 * 2**20  # a file without line breaks would otherwise be one line that fills the memory
# Lists and objects in each other. Python's parser takes a thousand levels, but whoever walks through them by recursion
# (`holds`, `texts_in`) would then run out of stack.
MAX_DEPTH = 100
# A bracket inside of a text opens nothing, so texts are matched whole. `*+` never gives back what it took: a text
# without its end is passed in one go.
BRACKET_OR_TEXT = re.compile(r'[][{}]|"(?:[^"\\]|\\.)*+"', re.DOTALL)


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """Yield numbered lines as bytes, None for one that is too long (which is passed over without being kept)."""
    with opened(path) as stream:
        number = 0
        while line := stream.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) <= MAX_LINE_BYTES or line.endswith(b"\n"):
                # Excel writes a byte order mark first. It would be part of the first column's name, or break the JSON.
                yield number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                continue
            # read to its end without keeping it, so that the numbers of the lines after it are right
            while line and not line.endswith(b"\n"):
                line = stream.readline(2**20)
            yield number, None


def decoded(line: bytes | None) -> str:
    """Return a line as text.

    Raises:
        RowError: it was too long to be kept (None), or is no UTF-8.
    """
    if line is None:
        size = MAX_LINE_BYTES // 2**20
        raise RowError("damaged", f"the line is longer than {size} MiB; expected one row per line")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RowError(
            "damaged",
            f"invalid UTF-8: byte 0x{line[error.start]:02x} at byte {error.start + 1} of the line; "
            f"{encoding_advice(line)}",
        ) from None


def encoding_advice(line: bytes) -> str:
    """Return what to do about bytes that are no UTF-8, with the encoding that they look like."""
    letters = [byte for byte in line if byte >= 0xC0 or (chr(byte).isascii() and chr(byte).isalpha())]
    high_letters = sum(byte >= 0xC0 for byte in letters)
    # an accent here and there is Western; in Cyrillic or Greek nearly every letter lies in the upper half
    guess = "Windows-1251 (Cyrillic) or the like" if 2 * high_letters > len(letters) else "Windows-1252 or Latin-1"
    if line.count(0) > len(line) // 4:
        guess = "UTF-16 without its byte order mark"
    # a guess is said and never acted upon: the same bytes are other words in each of these
    return f"save the file as UTF-8 (it looks like {guess})"


def _unique_fields(pairs: list[tuple[str, object]]) -> RowValues:
    """Return an object's fields, each once: `json` by itself keeps the last of two with one name, without a word."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        duplicate = next(name for name in names if names.count(name) > 1)
        raise RowError("damaged", f"field {cut(duplicate)!r} stands twice in one object; keep one of them")
    return fields


def _refuse_deep(text: str) -> None:
    """Refuse brackets in brackets without an end: whoever walks through the value would run out of stack."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:  # most rows, and counting is far cheaper than matching
        return
    depth = 0
    for mark in BRACKET_OR_TEXT.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(mark.group(), 0)
        if depth > MAX_DEPTH:
            raise RowError("damaged", f"broken JSON (nested too deeply: more than {MAX_DEPTH} levels)")


def parsed_json(text: str) -> object:
    """Parse JSON; every way in which the parser can fail becomes a `RowError`."""
    _refuse_deep(text)
    try:
        value: object = json.loads(text.rstrip(), object_pairs_hook=_unique_fields)
        return value
    except RowError:  # of `_unique_fields`; it is a `ValueError` as well, which would be worded anew below
        raise
    except json.JSONDecodeError as error:
        where = (
            f"character {error.colno}" if "\n" not in text.strip() else f"line {error.lineno}, character {error.colno}"
        )
        raise RowError("damaged", f"broken JSON at {where} ({error.msg})") from None
    except RecursionError:
        raise RowError("damaged", "broken JSON (nested too deeply)") from None
    except ValueError as error:
        raise RowError("damaged", f"broken JSON ({error})") from None
