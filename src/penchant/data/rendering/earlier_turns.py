"""Find the earlier turns of the assistant in a written conversation, where they are taught too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from penchant.data.rendering.answers import Answer, AnsweredText, find_answer, refuse_unclosed
from penchant.data.rendering.spans import Span
from penchant.data.rendering.taught import without_thoughts
from penchant.data.sources.values import common_length
from penchant.errors import InputError
from penchant.types import Message

if TYPE_CHECKING:
    from penchant.data.rendering.chat_text import ChatText


def earlier_spans(
    chat: ChatText, turns: Sequence[Message], response: Message, full: str, numbers: Sequence[int]
) -> list[Span]:
    """Return what is taught of earlier turns.

    A turn is taught as it stands in the whole conversation: where the template takes the thoughts of earlier turns out,
    what is left of it is taught.

    Args:
        turns: the prompt. response: the turn behind it. full: both, as written. numbers: of the taught turns, from 0.

    Raises:
        InputError: a turn cannot be found, or has a think block that is never closed.
    """
    spans = []
    for number in numbers:
        refuse_unclosed(turns[number])
        span = _by_prefix(chat, turns, full, number) or _by_exchange(chat, [*turns, response], full, number)
        if span is None:
            raise InputError(
                f"{chat.template.name} rewrites turn {number + 1} (the assistant's) in a longer conversation, so it "
                "cannot be taught there: set turns=last, or take it out (train: false)"
            )
        spans.append(span)
    return spans


def _by_prefix(chat: ChatText, turns: Sequence[Message], full: str, number: int) -> Span | None:
    """Find a turn that the template writes the same whether it is the last one or not."""
    try:
        head, _ = chat.write_prompt(turns[:number])
        placed = chat.place_turn(turns[:number], head, turns[number], finished=True)
    except InputError:  # such as a conversation that begins with the assistant
        return None
    if not placed.follows or not full.startswith(placed.full[: placed.bounds.end]):
        return None
    start = placed.scored_from(head, masked=chat.thoughts == "mask" and placed.bounds.block, moved_boundary=False)
    return Span(full, start, placed.bounds.end, common_length(full, placed.full), True)


def _by_exchange(chat: ChatText, turns: Sequence[Message], full: str, number: int) -> Span | None:
    """Find a turn by writing the conversation once more with another text in its place: what differs is the turn."""
    turn = without_thoughts(turns[number]) if chat.thoughts == "drop" else turns[number]
    content = turn.only_text.strip()
    # no letter at its ends may be that of the turn, or the difference would start later
    word = f"{_other(content[:1])}probe{_other(content[-1:])}"
    exchanged = [*turns[:number], Message("assistant", word), *turns[number + 1 :]]
    try:
        other = chat.template.write(exchanged, answered=True)
    except InputError:
        return None
    start = common_length(full, other)
    behind = common_length(full[start:][::-1], other[start:][::-1])
    end = len(full) - behind
    # what differs behind the turn would be taught as a part of it: words of the user, for one
    if not other[start : len(other) - behind].rstrip().endswith(word):
        return None
    bounds = find_answer(AnsweredText(full[:end], start, start, ""), Answer.of(turn))
    if bounds is None and Answer.of(turn).text:
        return None
    if chat.thoughts == "mask" and bounds is not None and bounds.block:
        start = bounds.answer
    return Span(full, start, end, chat.ends.turn_end(full, end), True)


def _other(letter: str) -> str:
    return "x" if letter != "x" else "y"
