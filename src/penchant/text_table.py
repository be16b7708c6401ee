"""Lay out rows of text as a table on a terminal, or as blocks where it is too narrow. Imports no torch."""

from __future__ import annotations

import shutil
import sys
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
        blocks.append(f"{indent}{row[0]}")
        blocks += [f"{indent}  {title}: {cell}" for title, cell in zip(header[1:], row[1:], strict=True) if cell]
    return blocks


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
