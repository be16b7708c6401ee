"""Hold tables and tiles of a page, and flatten nested settings for them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from penchant.clean_text import clean
from penchant.reports.kit.text import DASH

MOST_ENTRIES = 400  # of a flattened file: a hostile one may unfold without end
MOST_DEPTH = 8


@dataclass(frozen=True)
class Mark:
    """An interval on a tile's scale of 0 to 100; `kind` is `policy` or `reference`."""

    kind: str
    low: float
    value: float
    high: float


@dataclass(frozen=True)
class Tile:
    """A number that matters: its value, interval, what to compare it with, and both on one scale."""

    label: str
    value: str
    interval: str
    note: str
    marks: tuple[Mark, ...] = ()
    tick: float | None = None


@dataclass(frozen=True)
class Table:
    """Column heads and rows of plain text, the first cell of a row being its name."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def text_columns(self) -> frozenset[int]:
        """The columns that hold words: they begin at the left edge, where numbers end at the right one."""
        return frozenset(
            index
            for index in range(1, len(self.columns))
            if any(_WORDS.match(row[index]) for row in self.rows if len(row) > index)
            # one number is enough: words among numbers are the reasons for which there is none
            and not any(_NUMBER.match(row[index]) for row in self.rows if len(row) > index)
        )

    @property
    def has_texts(self) -> bool:
        """Whether a cell is a text to read, which would push other columns off the page on one line."""
        return any(len(cell) > LONG_CELL for row in self.rows for cell in row)


LONG_CELL = 60
"""Characters from which a cell is a text to read, which may break; a name or a number may not."""
_NUMBER = re.compile(r"\s*(?:p [<>=]? ?)?[+−-]?\d")
"""How a cell with a number begins: its sign, and the letter of a p-value before it."""
_WORDS = re.compile(r"\s*[^\W\d_]")


def csv_text(table: Table) -> str:
    """Return a table for a spreadsheet as a page shows it, heads first."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(map(_cells_without_formulas, [table.columns, *table.rows]))
    return text.getvalue()


def split_intervals(table: Table) -> Table:
    """Return a table for computing: the ends of intervals in columns of their own, and minus signs that programs read.

    A cell without an interval leaves its two columns empty; the reason for which it has none stays with the value.
    """
    columns = [[column, *cells] for column, cells in zip(table.columns, zip(*table.rows, strict=True), strict=False)]
    split = [part for column in columns for part in _split_column(column)]
    heads, *rows = zip(*split, strict=True) if split else [table.columns]
    return Table(table.caption, tuple(heads), tuple(rows))


_INTERVAL = re.compile(r"(\S+) \[(\S+), (\S+)\]")


def _split_column(column: list[str]) -> list[list[str]]:
    head, *cells = column
    matches = [_INTERVAL.fullmatch(cell) for cell in cells]
    if not any(matches):
        return [[head, *map(_plain_minus, cells)]]
    parts = [
        tuple(map(_plain_minus, match.groups())) if match else (_plain_minus(cell), "", "")
        for cell, match in zip(cells, matches, strict=True)
    ]
    values, lows, highs = zip(*parts, strict=True)
    return [[head, *values], [f"{head}, low", *lows], [f"{head}, high", *highs]]


def _plain_minus(text: str) -> str:
    """Return a number with the minus sign of programs; other text stays."""
    return text.replace("−", "-") if re.match(r"[+−]?\d", text) else text


_FORMULA = re.compile(r"[=@]|[+-](?!\d)|[+-].*[(|!]", re.DOTALL)
"""What a spreadsheet runs: a number with a sign is no formula, unless it goes on with a call or another program."""


def _cells_without_formulas(row: Iterable[str]) -> list[str]:
    """Quote what a spreadsheet would run as a formula."""
    return [f"'{text}" if _FORMULA.match(text) else text for text in map(clean, row)]


def flatten(table: Mapping[str, object]) -> dict[str, str]:
    """Flatten nested settings to `loss.beta: 0.1`, cut at `MOST_ENTRIES` entries and `MOST_DEPTH` levels."""
    flat: dict[str, str] = {}

    def visit(node: object, path: str, depth: int) -> None:
        # YAML's anchors let a file of a few lines stand for billions of entries: both limits are needed.
        if len(flat) >= MOST_ENTRIES:
            return
        if isinstance(node, (Mapping, list)) and node:
            if depth >= MOST_DEPTH:
                flat[path] = "…"
                return
            items = node.items() if isinstance(node, Mapping) else enumerate(node)
            for key, value in items:
                visit(value, f"{path}.{key}" if path else str(key), depth + 1)
        else:
            flat[path] = DASH if node is None else str(node)

    visit(table, "", 0)
    return flat
