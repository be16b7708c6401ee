"""Rows of a Python session in messages: by their place in the DataFrame or list that a caller gave.

What is stored of them is a file with a name that nobody gave, and sources of rows name its lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

STEMS = {"DataFrame": "dataframe", "rows": "rows", "groups": "groups"}
"""How names of stored rows begin, by what they hold."""
# a path that ends in such a name is the file's, and stays; before a row of its own the file need not be named
_STORED = re.compile(
    r"(?<![\w/\\.-])(?:session:)?((dataframe|rows|groups)-[0-9a-f]{16}\.jsonl)(?::(\d+)\b|(: )(?=\1:\d))?"
)


class GivenRows(NamedTuple):
    """What a session gave: what it is called, and the labels of its rows where it has some besides their numbers."""

    kind: str
    labels: Sequence[str] = ()


_rows_by_file: dict[str, GivenRows] = {}


def note_rows(file: str, kind: str, labels: Sequence[str] = ()) -> None:
    """Remember what the rows of a stored file are called."""
    _rows_by_file[file] = GivenRows(kind, labels)


def with_row_names(text: str) -> str:
    """Return a message in which the lines of stored files are rows of what was given, counted from 0.

    Example:
        "session:dataframe-<digest>.jsonl:3" becomes "row 2 (index 'x') of the DataFrame".
    """
    return _STORED.sub(_described, text)


def _described(match: re.Match[str]) -> str:
    file, stem, line, before_its_row = match.groups()
    if before_its_row:
        return ""
    # another process knows the file alone
    rows = _rows_by_file.get(file, GivenRows("DataFrame" if stem == STEMS["DataFrame"] else "list"))
    if line is None:
        return f"the {rows.kind}"
    number = int(line) - 1
    label = f" (index {rows.labels[number]})" if 0 <= number < len(rows.labels) else ""
    return f"row {number}{label} of the {rows.kind}"
