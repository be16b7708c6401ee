"""Read the bytes of a file as numbered lines, text and JSON; each kind of damage has an error of its own."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from penchant.data.sources.values import RowError, RowValues, cut
from penchant.errors import InputError

MAX_LINE_BYTES = 64 * 2**20  # a file without line breaks would otherwise be one line that fills the memory
# Text packs to a tenth, logs of one line to a hundredth. A file beyond this is damaged, or made to fill a memory.
MAX_UNPACKED_RATIO = 100
# Lists and objects in each other. Python's parser takes a thousand levels, but whoever walks through them by recursion
# (`holds`, `texts_in`) would then run out of stack.
MAX_DEPTH = 100
# A bracket inside of a text opens nothing, so texts are matched whole. `*+` never gives back what it took: a text
# without its end is passed in one go.
BRACKET_OR_TEXT = re.compile(r'[][{}]|"(?:[^"\\]|\\.)*+"', re.DOTALL)
MIN_UNPACKED_BYTES = 256 * 2**20  # harmless for any machine, so that short and very regular files pass


def refuse_bomb(path: Path, unpacked: int) -> None:
    """Refuse a packed file that has become too much.

    Raises:
        InputError: more bytes than a file of its size can honestly hold.
    """
    bound = max(MIN_UNPACKED_BYTES, MAX_UNPACKED_RATIO * path.stat().st_size)
    if unpacked > bound:
        raise InputError(
            f"{path}: unpacks to more than {bound // 2**20:,} MiB, {MAX_UNPACKED_RATIO} times its size, which no "
            "text does. If it is what you want, unpack it yourself and give the unpacked file (JSON Lines)"
        )


class BoundedGzip(gzip.GzipFile):
    """A gzip file that refuses to unpack without an end."""

    def __init__(self, raw: IO[bytes], path: Path) -> None:
        super().__init__(fileobj=raw)
        self.path, self.unpacked, self.checked = path, 0, 0

    def read(self, size: int | None = -1) -> bytes:
        """Read unpacked bytes, at most `size`, or all of them."""
        if size is not None and size >= 0:
            return self._count_bytes(super().read(size))
        # in pieces: one call would unpack all of it before anything could be counted
        return b"".join(iter(lambda: self.read(2**20), b""))

    def readline(self, size: int | None = -1) -> bytes:
        """Return the next unpacked line, at most `size` bytes of it."""
        return self._count_bytes(super().readline(-1 if size is None else size))

    def _count_bytes(self, piece: bytes) -> bytes:
        self.unpacked += len(piece)
        # each check asks the file system for the file's size, which would cost more than reading a line
        if self.unpacked >= self.checked + 2**24:
            self.checked = self.unpacked
            refuse_bomb(self.path, self.unpacked)
        return piece


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Return the file's bytes, unpacked where it is gzipped (seen by its first bytes, whatever its name)."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if path.suffix.lower() == ".gz" and not packed and path.stat().st_size:
                raise InputError(f"{path}: named .gz, but its content is not gzip; rename it or pack it")
            if packed:
                with BoundedGzip(raw, path) as unpacked:
                    yield unpacked  # type: ignore[misc]
            else:
                yield raw
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: the gzip file is damaged or cut short ({error}); fetch or pack it again") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check the file") from error


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
        encoding = "; it looks like UTF-16" if line[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
        raise RowError(
            "damaged",
            f"invalid UTF-8: byte 0x{line[error.start]:02x} at byte {error.start + 1} of the line{encoding}; "
            "save the file as UTF-8",
        ) from None


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
