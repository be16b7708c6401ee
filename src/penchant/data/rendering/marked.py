"""Mark what a rendered row teaches: its decoded text in pieces, each given, scored, an end token or a masked thought.

The pieces of a response, joined behind those of its prompt, are the text that the tokenizer decodes the ids to, special
tokens included. So what a reader sees is what the model is given, and nothing is rendered a second time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from penchant.data.layouts.unpaired import labels_of
from penchant.data.rendering.rendered import Rendered
from penchant.data.sources.values import common_length
from penchant.errors import InputError
from penchant.thoughts import split_thoughts
from penchant.types import PromptGroup

if TYPE_CHECKING:
    from penchant.data.rendering.renderer import Renderer

PieceKind = Literal["given", "scored", "end", "thought"]
LONE_RESPONSES = 4  # responses of a row without comparisons that are marked


@dataclass(frozen=True, slots=True)
class MarkedPiece:
    """Neighbouring tokens of one kind.

    Attributes:
        text: what they decode to.
        kind: `given` (in the context alone), `scored`, `end` (a scored token that ends a turn), or `thought` (thoughts
            of the response that are in the context and not scored).
        parts: it is the first token that differs from the response that it is compared with.
    """

    text: str
    kind: PieceKind
    parts: bool = False


@dataclass(frozen=True, slots=True)
class MarkedResponse:
    """A response behind the prompt of its row.

    Attributes:
        label: what is known of it, such as `chosen`.
        pieces: its text behind the shared prompt.
        tokens, scored: how many there are behind the shared prompt, and how many of them are scored.
        parts_at: the token, counted from 0 at the start of the row, from which on it differs from the response that
            it is compared with; None where it is compared with none, or is its beginning.
    """

    label: str
    pieces: tuple[MarkedPiece, ...]
    tokens: int
    scored: int
    parts_at: int | None = None


@dataclass(frozen=True, slots=True)
class MarkedRow:
    """A prompt with the responses that are shown of it.

    Attributes:
        source: where it came from, as `file:line`.
        prompt: the text that all responses share; all of it is given.
        tokens: how many the shared prompt has.
        side: `trained on` or `held out`; empty where that is not known.
        remark: what is not shown, and what was done to the row.
    """

    source: str
    prompt: tuple[MarkedPiece, ...]
    tokens: int
    responses: tuple[MarkedResponse, ...]
    side: str = ""
    remark: str = ""


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that cannot be rendered, and why."""

    source: str
    reason: str


def mark_row(renderer: Renderer, group: PromptGroup, rendered: Rendered, *, side: str = "") -> MarkedRow:
    """Mark the first comparison of a group, or its first responses where nothing is compared.

    Args:
        renderer: made `rendered` of the group.
        side: as of `MarkedRow`.
    """
    labels = _labels(group)
    pair = tuple(labels) if group.comparisons else None
    prompt_text = _decode(renderer, rendered.prompt_ids)
    return MarkedRow(
        source=rendered.source or group.source,
        prompt=(MarkedPiece(prompt_text, "given"),) if prompt_text else (),
        tokens=len(rendered.prompt_ids),
        responses=tuple(
            _mark_response(renderer, group, rendered, index, label, _partner(pair, index))
            for index, label in labels.items()
        ),
        side=side,
        remark=_remark(group, rendered, pair, len(labels)),
    )


def _partner(pair: tuple[int, ...] | None, index: int) -> int | None:
    return None if pair is None else next(number for number in pair if number != index)


def _labels(group: PromptGroup) -> dict[int, str]:
    """Return which responses are shown, in their order, and what is known of each."""
    if group.comparisons:
        first = group.comparisons[0]
        words = ("tied", "tied") if first.tie else ("chosen", "rejected")
        return dict(zip((first.winner, first.loser), words, strict=True))
    indices = range(min(len(group.responses), LONE_RESPONSES))
    try:
        sides: dict[int, set[bool]] = {}
        for label in labels_of(group):
            sides.setdefault(label.response, set()).add(label.desirable)
    except InputError:  # the scores are ratings
        return {index: f"score {group.scores[index]:g}" for index in indices if group.scores is not None}
    names = {
        index: " and ".join("good" if side else "bad" for side in sorted(response_sides))
        for index, response_sides in sides.items()
    }
    return {index: names.get(index, "response") for index in indices}


def _mark_response(
    renderer: Renderer, group: PromptGroup, rendered: Rendered, index: int, label: str, partner: int | None
) -> MarkedResponse:
    branch, start = rendered.branches[index], len(rendered.prompt_ids)
    parting = None
    if partner is not None:
        shared = common_length(branch.ids, rendered.branches[partner].ids)
        parting = shared if shared < len(branch.ids) else None
    kinds = _token_kinds(branch.ids, branch.spans, renderer.end_ids)
    starts = _piece_starts(kinds, parting)
    texts = _texts(renderer, (*rendered.prompt_ids, *branch.ids), start, starts)
    pieces, parts = [], False
    for begin, text in zip(starts, texts, strict=False):
        parts |= begin == parting  # a token inside of a character has no text: the character's last token has it
        if text:
            pieces.append(MarkedPiece(text, kinds[begin], parts))
            parts = False
    response = group.responses[index]
    thoughts = response.reasoning or split_thoughts(response.text)[0] or ""
    return MarkedResponse(
        label=label,
        pieces=tuple(_mark_thoughts(pieces, thoughts.strip())),
        tokens=len(branch.ids),
        scored=branch.scored,
        parts_at=None if parting is None else start + parting,
    )


def _decode(renderer: Renderer, ids: Sequence[int]) -> str:
    # as `Renderer.decode` without the clean-up of spaces, but with special tokens: they are what a template adds
    return str(renderer.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))


def _token_kinds(ids: Sequence[int], spans: Sequence[tuple[int, int]], end_ids: frozenset[int]) -> list[PieceKind]:
    kinds: list[PieceKind] = ["given"] * len(ids)
    for start, stop in spans:
        kinds[start:stop] = ["scored"] * (stop - start)
        # the last token of a turn alone: an end token inside of a text would be its author's
        if stop > start and ids[stop - 1] in end_ids:
            kinds[stop - 1] = "end"
    return kinds


def _piece_starts(kinds: Sequence[PieceKind], parting: int | None) -> list[int]:
    """Return where pieces start, and the number of tokens; the token where responses part is a piece of its own."""
    starts = {0, len(kinds)} | {index for index in range(1, len(kinds)) if kinds[index] != kinds[index - 1]}
    if parting is not None:
        starts |= {parting, parting + 1}
    return sorted(starts)


def _texts(renderer: Renderer, ids: Sequence[int], offset: int, starts: Sequence[int]) -> list[str]:
    """Return the text between each two places, so that all of them behind the prompt's text are the decoded row."""
    full = _decode(renderer, ids)
    # a place inside of a character decodes to a replacement sign: the character belongs to the later piece
    ends = [common_length(_decode(renderer, ids[: offset + start]), full) for start in starts[:-1]] + [len(full)]
    for number in range(1, len(ends)):
        ends[number] = max(ends[number - 1], ends[number])
    return [full[begin:end] for begin, end in pairwise(ends)]


def _mark_thoughts(pieces: Sequence[MarkedPiece], thoughts: str) -> Iterator[MarkedPiece]:
    """Yield the pieces with the response's thoughts as pieces of their own where they are not scored."""
    # by characters: responses may part in the middle of the thoughts, and that token is a piece of its own
    first = "".join(piece.text for piece in pieces).find(thoughts) if thoughts else -1
    last, position = first + len(thoughts), 0
    for piece in pieces:
        end = position + len(piece.text)
        if first < 0 or piece.kind != "given":
            cuts = [position, end]
        else:
            cuts = sorted({position, end, *(cut for cut in (first, last) if position < cut < end)})
        for start, stop in pairwise(cuts):
            is_thought = piece.kind == "given" and first <= start and stop <= last
            text = piece.text[start - position : stop - position]
            yield MarkedPiece(text, "thought" if is_thought else piece.kind, piece.parts and start == position)
        position = end


def _remark(group: PromptGroup, rendered: Rendered, pair: tuple[int, ...] | None, shown_count: int) -> str:
    remarks = []
    if pair is not None and rendered.branches[pair[0]] == rendered.branches[pair[1]]:
        remarks.append("the two responses are the same tokens: training drops this comparison")
    if len(group.responses) > shown_count:
        remarks.append(f"{shown_count} of {len(group.responses)} responses are shown")
    if len(group.comparisons) > 1:
        remarks.append(f"the first of {len(group.comparisons)} comparisons")
    if rendered.truncated:
        remarks.append("the prompt was cut from the left to fit max_length")
    if any(rendered.unstable):
        remarks.append("a token straddles the boundary of prompt and response; it is scored")
    return "; ".join(remarks)
