"""The first rows of a run as its model was given them: written when it begins, read back for its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from penchant.data.rendering.marked import MarkedRow
from penchant.files import read_json
from penchant.runs.run_folder import RunFolder
from penchant.typed_json import from_json, to_object

MARKED_FILE = "rendered.json"
"""The file of a run directory that holds them."""


@dataclass(frozen=True)
class MarkedRows:
    """The content of the file."""

    rows: tuple[MarkedRow, ...] = ()


def write_marked_rows(folder: RunFolder, rows: Sequence[MarkedRow]) -> None:
    """Write the rows into a run directory."""
    folder.write_json(MARKED_FILE, to_object(MarkedRows(tuple(rows))))


def read_marked_rows(folder: Path) -> tuple[MarkedRow, ...]:
    """Return the rows of a run; none for a run of an earlier version or of a method without responses in its data.

    Raises:
        ValueError: the file cannot be read, or holds something else.
    """
    try:
        return from_json(MarkedRows, read_json(folder / MARKED_FILE), MARKED_FILE).rows
    except FileNotFoundError:
        return ()
    except (OSError, KeyError) as error:
        raise ValueError(str(error)) from error
