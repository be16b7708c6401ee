"""Lay out rows of text as a table on a terminal, or as blocks where it is too narrow. Imports no torch."""

from __future__ import annotations

import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Sequence

from penchant.clean_text import clean

GAP = "  "


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, indent: str = "  ") -> list[str]:
    """Return the lines of a table with a heading.

    A table that is wider than the terminal becomes blocks, one per row, with a line per cell: columns that are broken
    by the terminal cannot be read. Where no terminal reads along, the table keeps its width.

    Args:
        header: a title per column.
        rows: as many cells per row; an empty cell is left out of a block.
        indent: stands before each line.
    """
    # names come from files of others: no control character of theirs may reach the terminal
    cells = [[" ".join(clean(cell).split()) for cell in row] for row in rows]
    widths = [max(map(_columns, column)) for column in zip(header, *cells, strict=True)]
    if sum(widths) + len(GAP) * (len(widths) - 1) + len(indent) <= terminal_width():
        return [_line(row, widths, indent) for row in (header, *cells)]
    # the first cell names the row, and so stands alone
    blocks = []
    for row in cells:
        blocks += wrapped(row[0], indent=indent)
        for title, cell in zip(header[1:], row[1:], strict=True):
            blocks += wrapped(f"{title}: {cell}", indent=f"{indent}  ") if cell else []
    return blocks


def text_list(rows: Sequence[tuple[str, str]], *, indent: str = "  ", width: int = 0) -> list[str]:
    """Return the lines of a list of names with a value each.

    Where a line is wider than the terminal, every value stands below its name.

    Args:
        rows: names and values.
        indent: stands before each line.
        width: characters that the names take at least.
    """
    cells = [(" ".join(clean(name).split()), " ".join(clean(value).split())) for name, value in rows]
    # names in one column, as wide as the widest
    names = max([width, *(_columns(name) for name, _ in cells)])
    if max(_columns(value) for _, value in cells) + names + len(GAP) + len(indent) <= terminal_width():
        return [_line(row, (names, 0), indent) for row in cells]
    # a value that stands far behind its name would be broken by the terminal
    return [line for name, value in cells for line in wrapped(f"{name}: {value}".rstrip(), indent=indent)]


def wrapped(text: str, *, indent: str = "") -> list[str]:
    """Return a text as lines that the terminal does not break; paths and other long words stay whole.

    Args:
        indent: stands before each line, with four more characters before all but the first.
    """
    width = terminal_width()
    # without a terminal the width has no end, and a line stays one for whoever searches in it
    if len(indent) + _columns(text) <= width:
        return [f"{indent}{text}"]
    return textwrap.wrap(
        text, max(24, int(width)), initial_indent=indent, subsequent_indent=f"{indent}    ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def terminal_width() -> float:
    """Return how many characters a line may have; without end where the output goes to a file or a pipe."""
    if sys.stdout is None or not sys.stdout.isatty():
        return float("inf")
    return shutil.get_terminal_size().columns


def _line(row: Sequence[str], widths: Sequence[int], indent: str) -> str:
    padded = [cell + " " * (width - _columns(cell)) for cell, width in zip(row, widths, strict=True)]
    return (indent + GAP.join(padded)).rstrip()


def _columns(text: str) -> int:
    """Return how many columns of a terminal a text takes: East Asian characters take two."""
    return sum(0 if unicodedata.combining(sign) else 1 + (unicodedata.east_asian_width(sign) in "WF") for sign in text)
