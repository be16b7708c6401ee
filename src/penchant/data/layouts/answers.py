"""Make responses of an assistant's turns, and refuse what is no answer or is not to be learned."""

from __future__ import annotations

from dataclasses import replace

from penchant.data.layouts.turns import as_turn, as_turns
from penchant.data.sources.values import RowError, as_text, cut
from penchant.thoughts import find_thoughts
from penchant.types import Message, PromptGroup, Response


def response_turns(value: object, name: str) -> tuple[Message, ...]:
    """Return the turns of a response, given as text, as one turn or as a list of turns."""
    if isinstance(value, str):
        return (Message("assistant", as_text(value, name)),)
    return (as_turn(value, name),) if isinstance(value, dict) else as_turns(value, name)


def as_response(turn: Message, name: str) -> Response:
    """Return the response that an assistant's turn is.

    Raises:
        RowError: a turn of another role, or one without text and calls.
    """
    if turn.role != "assistant":
        raise RowError("value", f"field {name!r}: its last turn must be the assistant's, got role {turn.role!r}")
    return response_of(turn, name)


def response_of(turn: Message, name: str) -> Response:
    """Return the response that a turn is.

    Raises:
        RowError: it has neither text nor calls, pictures or sounds.
    """
    if isinstance(turn.content, tuple):
        return Response("", reasoning=turn.reasoning, tool_calls=turn.tool_calls, parts=turn.content)
    text = as_text(turn.content, name, empty_ok=bool(turn.tool_calls))
    return Response(text, reasoning=turn.reasoning, tool_calls=turn.tool_calls)


def refuse_open_thoughts(group: PromptGroup) -> None:
    """Refuse a whole answer that consists of thoughts alone, as a think block that is opened and never closed.

    What was sampled is kept as it was drawn: it may have been cut at a length.

    Raises:
        RowError: names the response.
    """
    for index, response in enumerate(group.responses):
        if response.token_ids is not None or not response.finished:
            continue
        block = find_thoughts(response.text)
        if block is not None and not block.closed:
            raise RowError(
                "value",
                f"response {index} opens a think block and never closes it ({cut(response.text, 40)!r}), so nothing "
                "of it is an answer. Close the block where the answer begins, or remove the row",
            )


def refuse_untaught(turn: Message, name: str) -> None:
    """Refuse an answer that its file says is not to be learned.

    Raises:
        RowError: names the answer.
    """
    if turn.taught is False:
        raise RowError(
            "unread",
            f"field {name!r}: the answer is not to be learned, by its weight of 0 (or `train: false`); remove the row",
        )


def without_switches(turns: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return turns without what they say of being taught, which is no matter where answers are compared."""
    return tuple(turn if turn.taught is None else replace(turn, taught=None) for turn in turns)
