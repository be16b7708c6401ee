"""Columns of a file of votes, of which distinct values are kept once, and silence is only counted.

A row read as a mapping takes kilobytes where there are many sources, nearly all of it empty cells. So rows are taken
apart as they come: a cell that says something is two numbers, its row and which of the column's values it has.
"""

from __future__ import annotations

from array import array
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penchant.data.sources.files import read_rows
from penchant.data.sources.rows import RowProblem
from penchant.errors import InputError

MOST_SHOWN = 5


@dataclass(frozen=True)
class Column:
    """The cells of a column.

    Attributes:
        values: distinct texts in the order in which they come first.
        rows: of the cells that hold one, ascending, shape (cells,). codes: which of the values each holds.
        null, empty: cells without a value, and those with an empty text.
    """

    values: tuple[str, ...]
    rows: NDArray[np.int64]
    codes: NDArray[np.int64]
    null: int = 0
    empty: int = 0

    @property
    def counts(self) -> list[int]:
        """How many cells hold each of the values."""
        return np.bincount(self.codes, minlength=len(self.values)).tolist()


class _ColumnReader:
    """Takes the cells of a column one by one."""

    __slots__ = ("_code_of", "_codes", "_empty", "_rows")

    def __init__(self) -> None:
        self._code_of: dict[str, int] = {}
        self._rows, self._codes, self._empty = array("q"), array("q"), 0

    def add(self, row: int, value: object) -> None:
        """Take the cell of a row; rows come in ascending order, and those that never come have no value."""
        if value is None:
            return
        text = _spelled(value)
        if not text:
            self._empty += 1
            return
        self._rows.append(row)
        self._codes.append(self._code_of.setdefault(text, len(self._code_of)))

    def column(self, rows: int) -> Column:
        """Return the column of a file with so many rows."""
        null = rows - len(self._rows) - self._empty
        codes, row_numbers = (np.array(numbers, dtype=np.int64) for numbers in (self._codes, self._rows))
        return Column(tuple(self._code_of), row_numbers, codes, null, self._empty)


def _spelled(value: object) -> str:
    """Return a cell as text: the same for a number of JSON, of pandas and of a table of text."""
    # JSON's true and false, which a table of text spells in this way
    if isinstance(value, bool):
        return str(value).lower()
    # a gap in a column of numbers, as pandas and Parquet hold it
    if isinstance(value, float) and value != value:
        return "nan"
    text = str(value).strip()
    # pandas writes a column of whole numbers with gaps as 1.0
    return text[:-2] if text.endswith(".0") and text[:-2].lstrip("-").isdecimal() else text


def column_of(cells: Sequence[object]) -> Column:
    """Return cells, one per row, as a column."""
    reader = _ColumnReader()
    for row, value in enumerate(cells):
        reader.add(row, value)
    return reader.column(len(cells))


@dataclass(frozen=True)
class ColumnTable:
    """A table by its columns.

    Attributes:
        rows: how many there are. names: of all columns, in the order in which they come first.
        columns: by name, those that somebody asks about. texts: by name of the text's column, a cell per row.
    """

    rows: int
    names: tuple[str, ...]
    columns: Mapping[str, Column]
    texts: Mapping[str, tuple[str, ...]]


def read_columns(source: str, *, texts: Sequence[str], ignored: Container[str]) -> ColumnTable:
    """Read a file by its columns.

    Args:
        texts: names, of which the first that the file has is the column of the texts, which is kept as it is.
        ignored: names of columns that nobody asks about.

    Raises:
        InputError: damaged rows, all counted and the first named; no row.
    """
    readers: dict[str, _ColumnReader] = {}
    cells_as_read: dict[str, list[object]] = {name: [] for name in texts}
    names: dict[str, None] = {}
    problems: list[str] = []
    number = 0
    for row in read_rows(source):
        # all damaged rows at once: a file with one kind of mistake has it in many
        if isinstance(row, RowProblem):
            problems.append(str(row))
            continue
        for name, value in row.values.items():
            if name not in names:
                names[name] = None
                # of several that may be the text the whole file tells which is
                if name not in ignored and name not in cells_as_read:
                    readers[name] = _ColumnReader()
            if (reader := readers.get(name)) is not None:
                reader.add(number, value)
        for name, cells in cells_as_read.items():
            cells.append(row.values.get(name))
        number += 1
    refuse_damaged(source, problems, number)
    text = next((name for name in texts if name in names), None)
    columns = {name: reader.column(number) for name, reader in readers.items()}
    text_names = [name for name in texts if name in names and name != text and name not in ignored]
    columns |= {name: column_of(cells_as_read[name]) for name in text_names}
    kept_texts = {} if text is None else {text: tuple(map(_text, cells_as_read[text]))}
    in_order = {name: columns[name] for name in names if name in columns}
    return ColumnTable(number, tuple(names), in_order, kept_texts)


def refuse_damaged(source: str, problems: Sequence[str], rows: int) -> None:
    """Refuse a file with damaged rows, or without any row."""
    if problems:
        ending = f"\n(+{len(problems) - MOST_SHOWN} more)" if len(problems) > MOST_SHOWN else ""
        raise InputError(
            f"{source}: {len(problems)} rows cannot be read:\n" + "\n".join(problems[:MOST_SHOWN]) + ending
        )
    if not rows:
        raise InputError(f"{source} has no rows")


def _text(value: object) -> str:
    return "" if value is None else str(value)
