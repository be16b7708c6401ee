"""The JSONL files of a run directory: lines are appended, read back, and cut off where a resumed run goes on."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from penchant.errors import InputError
from penchant.files import APPEND, atomic_write, open_safely, parse_object, read_file

log = logging.getLogger("penchant.train")

Row = dict[str, object]
"""A JSON object of a run's files. Its keys stay as they are, since users have folders with them."""


class Digest(TypedDict):
    """How many bytes the beginning of a file has, and their digest. Plain values, since a checkpoint holds them."""

    bytes: int
    sha256: str


class RunLines:
    """One JSONL file of a run, and the digest of all that was written to it.

    Args:
        path: the file; there may be none yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._digest, self._bytes = hashlib.sha256(), 0

    def append(self, row: str) -> None:
        """Append one line.

        Raises:
            OSError: it cannot be written, or the file is a link.
        """
        data = (row + "\n").encode("utf-8")
        with open_safely(self.path, APPEND) as file:
            file.write(data)
        self._count(data)

    def digest(self) -> Digest:
        """Return the digest of the lines so far, for the checkpoint that follows them."""
        return {"bytes": self._bytes, "sha256": self._digest.hexdigest()}

    def _count(self, data: bytes) -> None:
        # kept up with each line: a checkpoint must not read all lines again for their digest
        self._digest.update(data)
        self._bytes += len(data)

    def rewind(self, step: int, written: Digest | None) -> list[str]:
        """Cut off the lines after a step. Good lines are kept, also those after a damaged one.

        Args:
            step: the checkpoint's.
            written: the digest of the lines up to the checkpoint; None where an earlier version wrote it.

        Returns:
            What was wrong with the file, as sentences.

        Raises:
            OSError: it cannot be read or written.
        """
        content = read_file(self.path) if self.path.exists() else b""
        problems = []
        # the usual case: the beginning is what was written, so that no line has to be read
        if written is not None and _fits(content[: written["bytes"]], written):
            kept_content = content[: written["bytes"]]
        else:
            # damaged: good lines are kept after a bad one too, since most of a curve still serves a report
            good, bad = good_lines(content, needs_step=True)
            kept_content = b"".join(line for line, row in good if _step(row) <= step)
            if bad:
                problems.append(
                    f"{self.path.name}: {_lines(bad)} cannot be read and {'was' if len(bad) == 1 else 'were'} left out"
                )
            elif written is not None:
                problems.append(
                    f"{self.path.name} is not what was written up to the checkpoint: lines were changed or are missing"
                )
        # nothing to cut off: a run of gigabytes of samples is not written again
        if kept_content != content:
            atomic_write(self.path, kept_content)
        self._digest, self._bytes = hashlib.sha256(), 0
        self._count(kept_content)
        return problems


def _fits(content: bytes, written: Digest) -> bool:
    return len(content) == written["bytes"] and hashlib.sha256(content).hexdigest() == written["sha256"]


def good_lines(content: bytes, *, needs_step: bool = False) -> tuple[list[tuple[bytes, Row]], list[int]]:
    """Return the lines that hold an object, each with it, and the numbers (from 1) of those that do not.

    A last line without its end was cut short by a kill: it is neither.

    Args:
        needs_step: a line without the number of its step is none of the good ones.
    """
    good, bad = [], []
    # the part behind the last line break is no line yet
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        row = parse_object(line)
        if row is not None and (_step(row) >= 0 or not needs_step):
            good.append((line + b"\n", row))
        else:
            bad.append(number)
    return good, bad


def _step(row: Row) -> int:
    """Return the step of a line; -1 for a line that says none."""
    step = row.get("step")
    return step if isinstance(step, int) else -1


def read_rows(path: Path) -> list[Row]:
    """Return the objects of a run's JSONL file; damaged lines are left out after a warning that names them.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        content = read_file(path) if path.exists() else b""
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    good, bad = good_lines(content)
    if bad:
        log.warning("%s: %s cannot be read and left out", path, _lines(bad))
    return [row for _, row in good]


def _lines(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"line {numbers[0]}"
    # a damaged file may have thousands of bad lines
    omitted = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"lines {', '.join(map(str, numbers[:5]))}{omitted}"


def finite(value: object) -> object:
    """Replace numbers that are not finite by None.

    JSON knows no NaN: it becomes null. Text that is no valid Unicode keeps its place as a question mark.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    # a sampled text may end in the middle of a surrogate pair, which UTF-8 cannot hold
    if isinstance(value, str):
        return value.encode("utf-8", errors="replace").decode("utf-8")
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value
