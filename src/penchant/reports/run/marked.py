"""Lay marked rows out for a page: the block of a run's report, and the page of `penchant data show`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penchant.reports.kit.render import render_page
from penchant.reports.kit.text import count

if TYPE_CHECKING:
    from penchant.data.rendering.marked import MarkedPiece, MarkedResponse, MarkedRow, RefusedRow

PAGE_CHARACTERS = 6_000
"""Characters of a piece that the report of a run shows at most."""


@dataclass(frozen=True)
class PieceLine:
    """A part of a piece up to a line break: its text, its kind, and whether a break or the parting follows or starts.

    Attributes:
        breaks: a line break stands behind the text.
        parts: the responses part at its start.
    """

    text: str
    kind: str
    breaks: bool
    parts: bool


@dataclass(frozen=True)
class MarkedText:
    """A heading and the lines below it."""

    heading: str
    lines: tuple[PieceLine, ...]


@dataclass(frozen=True)
class MarkedCard:
    """A row on a page: where it comes from, what is known of it, and its texts; or why it is refused."""

    source: str
    facts: str
    prompt: tuple[PieceLine, ...]
    responses: tuple[MarkedText, ...]
    refusal: str = ""


def row_facts(row: MarkedRow) -> str:
    """Return a row's side, length and remark in words."""
    return " · ".join(filter(None, [row.side, f"prompt of {count(row.tokens, 'token')}", row.remark]))


def response_facts(response: MarkedResponse) -> str:
    """Return a response's label and counts in words."""
    facts = f"{response.label}: {count(response.tokens, 'token')}, {response.scored:,} scored"
    return facts if response.parts_at is None else f"{facts}, parts at token {response.parts_at:,}"


def shorten_middle(text: str, limit: int) -> str:
    """Return a text of which at most so many characters are left, and in its middle how many were left out."""
    if len(text) <= limit:
        return text
    # both ends: a template's marks stand there
    head = limit // 2
    tail = limit - head
    return f"{text[:head]} […{len(text) - limit:,} characters…] {text[len(text) - tail :]}"


def show_returns(text: str) -> str:
    """Return a text with the carriage returns of Windows' line breaks shown: they are tokens, and pages drop them."""
    return text.replace("\r\n", "\N{SYMBOL FOR CARRIAGE RETURN}\n")


def marked_cards(rows: Sequence[MarkedRow | RefusedRow], characters: int = PAGE_CHARACTERS) -> tuple[MarkedCard, ...]:
    """Return the rows as a template lays them out.

    Args:
        characters: of a piece that are shown at most.
    """
    return tuple(_card(row, characters) for row in rows)


def _card(row: MarkedRow | RefusedRow, characters: int) -> MarkedCard:
    from penchant.data.rendering.marked import RefusedRow

    # rows of a Python session have no file and line
    source = row.source or "a row"
    if isinstance(row, RefusedRow):
        return MarkedCard(source, "", (), (), row.reason)
    texts = [MarkedText(response_facts(response), _lines(response.pieces, characters)) for response in row.responses]
    return MarkedCard(source, row_facts(row), _lines(row.prompt, characters), tuple(texts))


def _lines(pieces: Sequence[MarkedPiece], characters: int) -> tuple[PieceLine, ...]:
    """Return pieces by lines: a line break is a token too, and shown where it may be scored."""
    lines: list[PieceLine] = []
    for piece in pieces:
        texts = shorten_middle(show_returns(piece.text), characters).split("\n")
        for number, text in enumerate(texts, start=1):
            # an empty text before a line break is a line; one behind the last is nothing
            if text or number < len(texts):
                lines.append(PieceLine(text, piece.kind, number < len(texts), piece.parts and number == 1))
    return tuple(lines)


def marked_page(rows: Sequence[MarkedRow | RefusedRow], name: str, model: str, characters: int) -> str:
    """Return the page of `penchant data show`.

    Args:
        name: of the file. model: whose tokenizer rendered the rows.
        characters: as of `marked_cards`.
    """
    return render_page(
        "marked.html.j2",
        {
            "title": f"What {name} teaches",
            "about": [
                ("Task", "show rows as a model is given them"),
                ("Model", model),
                ("Data", name),
                ("Rows", f"{len(rows):,}"),
            ],
            "headline": marked_headline(rows),
            "cards": marked_cards(rows, characters),
        },
    )


def marked_headline(rows: Sequence[MarkedRow | RefusedRow]) -> list[str]:
    """Return how many tokens of the rows are scored, and how many rows cannot be rendered."""
    from penchant.data.rendering.marked import RefusedRow

    rendered = [row for row in rows if not isinstance(row, RefusedRow)]
    sentences = []
    if rendered:
        responses = [response for row in rendered for response in row.responses]
        tokens = sum(row.tokens for row in rendered) + sum(response.tokens for response in responses)
        scored = sum(response.scored for response in responses)
        sentences.append(
            f"{scored:,} of {count(tokens, 'token')} are scored: they are coloured below. All others are context."
        )
    if refusals := len(rows) - len(rendered):
        sentences.append(f"{count(refusals, 'row')} cannot be rendered, for the reason that stands there.")
    return sentences
