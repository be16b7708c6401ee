"""Write prompts and responses as plain text, for base models."""

from __future__ import annotations

from dataclasses import dataclass

from penchant.data.options import Thoughts
from penchant.data.rendering.answers import refuse_thoughts_alone, refuse_unclosed
from penchant.data.rendering.spans import Span, WrittenGroup
from penchant.data.rendering.taught import TaughtTurns, response_turn, without_thoughts
from penchant.errors import InputError
from penchant.thoughts import find_thoughts
from penchant.types import Message, Prompt, PromptGroup

PLAIN_ROLES = {"system": "System", "user": "Human", "assistant": "Assistant"}  # the names of Anthropic's HH


@dataclass(frozen=True)
class PlainText:
    """The way without a chat template: a text prompt stands as it is, a conversation with a name before each turn."""

    thoughts: Thoughts = "score"

    def head(self, prompt: Prompt) -> str:
        """Return the prompt as a sampler gets it.

        Raises:
            InputError: it has functions, calls or thoughts, which only a chat template has a place for.
        """
        if isinstance(prompt, str):
            return prompt
        turns = [without_thoughts(turn) for turn in prompt] if self.thoughts == "drop" else prompt
        return "".join(map(_turn, turns)) + "\n\nAssistant:"

    def write(self, group: PromptGroup, taught: TaughtTurns) -> WrittenGroup:
        """Return a group as text.

        Raises:
            InputError: as `head`; a think block that is never closed.
        """
        prompt = group.prompt
        head = self.head(prompt)
        previous = []
        if not isinstance(prompt, str):
            for number in taught.numbers(prompt):
                before = self.head(prompt[:number])
                previous.append(self._span(before, prompt[number], finished=True, spaced=True))
        rows = []
        for response in group.responses:
            if response.token_ids is not None:
                rows.append([Span(head, len(head), len(head), len(head), response.finished)])
                continue
            turn = response_turn(response)
            if response.finished:
                refuse_unclosed(turn)
                refuse_thoughts_alone(turn, self.thoughts)
            rows.append([*previous, self._span(head, turn, response.finished, spaced=not isinstance(prompt, str))])
        return WrittenGroup(head, rows)

    def _span(self, head: str, turn: Message, finished: bool, *, spaced: bool) -> Span:
        turn = without_thoughts(turn) if self.thoughts == "drop" else turn
        _refuse_fields(turn)
        text = _spaced(turn.only_text) if spaced else turn.only_text
        block = find_thoughts(text) if self.thoughts == "mask" else None
        start = len(head) + (block.answer if block and block.closed else 0)
        full = head + text
        return Span(full, start, len(full), len(full), finished)


def _turn(turn: Message) -> str:
    _refuse_fields(turn)
    return f"\n\n{PLAIN_ROLES.get(turn.role, turn.role.title())}:{_spaced(turn.only_text)}"


def _refuse_fields(turn: Message) -> None:
    if turn.role == "tools" or turn.tool_calls:
        raise InputError(
            "functions and their calls (tools, tool_calls) need a chat template that writes them: this model has none, "
            "or template=plain was asked for. Name one (template=chatml), or take them out of the data"
        )
    if turn.reasoning:
        raise InputError(
            "thoughts that a file has apart need a chat template that writes them: name one (template=chatml), set "
            "thoughts=drop, or put them into the text in <think> marks"
        )


def _spaced(text: str) -> str:
    return text if not text or text[0].isspace() else " " + text
