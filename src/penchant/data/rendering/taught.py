"""Say which turns of a conversation are taught, and what of a turn the template gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from penchant.thoughts import find_thoughts
from penchant.types import Message, Response


@dataclass(frozen=True)
class TaughtTurns:
    """The turns before a response that are scored with it.

    Attributes:
        every: all of the assistant's, but those that the file takes out.
        switches: those that the file says are taught (`Message.taught`), if it says so of any.
    """

    every: bool = False
    switches: bool = False

    def numbers(self, prompt: Sequence[Message]) -> list[int]:
        """Return the numbers of the turns, from 0."""
        if not (self.every or self.switches):
            return []
        turns = [(number, turn) for number, turn in enumerate(prompt) if turn.role == "assistant"]
        switched_on = [number for number, turn in turns if turn.taught]
        if switched_on or not self.every:
            return switched_on
        return [number for number, turn in turns if turn.taught is None]


def response_turn(response: Response) -> Message:
    """Return a response as the turn that it is."""
    return Message("assistant", response.only_text, response.reasoning, response.tool_calls)


def without_thoughts(turn: Message) -> Message:
    """Return a turn of the assistant without its thoughts; any other turn as it is."""
    if turn.role != "assistant":
        return turn
    block = None if turn.reasoning else find_thoughts(turn.only_text)
    if block is None or not block.closed:
        return replace(turn, reasoning="") if turn.reasoning else turn
    return replace(turn, content=turn.only_text[block.answer :])
