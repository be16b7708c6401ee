"""Print marked rows: in colours on a terminal, with marks elsewhere. Imports no torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from penchant.clean_text import clean

if TYPE_CHECKING:
    from penchant.data.rendering.marked import MarkedPiece, MarkedRow, PieceKind, RefusedRow

MARKS: dict[PieceKind, tuple[str, str]] = {
    "given": ("", ""),
    "scored": ("⟦", "⟧"),
    "end": ("⟪", "⟫"),
    "thought": ("⟮", "⟯"),
}
PARTING = "⋔"
_NAMES: dict[PieceKind, str] = {
    "scored": "scored",
    "end": "scored end of a turn",
    "thought": "thoughts, not scored",
}
_STYLES: dict[PieceKind, str] = {
    "given": "dim",
    "scored": "black on green",
    "end": "black on yellow",
    "thought": "cyan",
}
# a text that holds such a mark must not be read as one of ours
_OWN_MARKS = str.maketrans(
    {sign: f"⟨U+{ord(sign):04X}⟩" for sign in (*"".join(a + b for a, b in MARKS.values()), PARTING)}
)

Segment = tuple[str, str]
"""A text and its style."""


def print_rows(rows: Sequence[MarkedRow | RefusedRow], *, characters: int) -> None:
    """Print rows with a legend.

    Args:
        characters: of a piece that are shown at most.
    """
    coloured = has_colours()
    segments = [*_legend(coloured)]
    for row in rows:
        segments += row_segments(row, coloured=coloured, characters=characters)
    if not coloured:
        print("".join(text for text, _ in segments), end="")
        return
    from rich.console import Console
    from rich.text import Text

    # as one text, without markup: brackets of the data are no styles, and lines are broken by the terminal alone
    Console(highlight=False).print(Text.assemble(*segments), soft_wrap=True, end="")


def has_colours() -> bool:
    """Return whether the output is a terminal with colours that the user did not turn off (no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return sys.stdout is not None and sys.stdout.isatty()


def _legend(coloured: bool) -> Iterator[Segment]:
    for kind, name in _NAMES.items():
        opening, closing = ("", "") if coloured else MARKS[kind]
        yield f"{opening}{name}{closing}", _STYLES[kind]
        yield "   ", ""
    yield f"{PARTING} where chosen and rejected part\n", "bold"


def row_segments(row: MarkedRow | RefusedRow, *, coloured: bool, characters: int) -> Iterator[Segment]:
    """Yield a row as texts with styles; without colours, marks stand around the pieces."""
    from penchant.data.rendering.marked import RefusedRow
    from penchant.reports.run.marked import response_facts, row_facts  # brings matplotlib, which no help needs

    yield f"\n{clean(row.source) or 'a row'}", "bold"
    if isinstance(row, RefusedRow):
        yield f"\nnot rendered: {clean(row.reason)}\n", "red"
        return
    yield f" · {row_facts(row)}\n", ""
    yield from _pieces(row.prompt, coloured, characters)
    for response in row.responses:
        yield f"\n── {response_facts(response)}\n", "bold"
        yield from _pieces(response.pieces, coloured, characters)
    yield "\n", ""


def _pieces(pieces: Sequence[MarkedPiece], coloured: bool, characters: int) -> Iterator[Segment]:
    from penchant.reports.run.marked import shorten_middle, show_returns

    for number, piece in enumerate(pieces):
        text = shorten_middle(clean(show_returns(piece.text.translate(_OWN_MARKS))), characters)
        # line breaks are tokens too, and may be scored
        text = text.replace("\n", "⏎\n")
        style = _STYLES[piece.kind]
        if coloured:
            yield f"{PARTING if piece.parts else ''}{text}", f"{style} bold underline" if piece.parts else style
            continue
        opening, closing = MARKS[piece.kind]
        # neighbours of one kind are split where responses part: one pair of marks holds both
        opening = "" if number and pieces[number - 1].kind == piece.kind else opening
        closing = "" if number + 1 < len(pieces) and pieces[number + 1].kind == piece.kind else closing
        yield f"{opening}{PARTING if piece.parts else ''}{text}{closing}", style
