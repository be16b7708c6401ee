"""What an entry's row says: the turns of its prompt, its responses and its pictures, as pages show them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self, TypedDict

from penchant.types import Message, Response, ToolCall, response_text, turn_text
from penchant.web.media import ShownMedia, content_text, media_of_row

# What people read instead of the words of chat templates; another role stands as the data call it.
ROLES = {
    "user": "Person",
    "assistant": "Assistant",
    "system": "Instructions to the assistant",
    "tools": "Functions that the assistant may call",
    "tool": "Result of a function",
}


@dataclass(frozen=True)
class EntryContent:
    """A prompt with its responses, as people read them.

    Attributes:
        turns: (who, text) of the prompt; `who` is empty where the prompt is one text.
        responses: their texts, in the order of the data.
        pictures: digests of the prompt's pictures by their address in its Markdown.
        media: what the marks in the texts stand for: pictures, sounds and videos that are parts of them.
    """

    turns: Sequence[tuple[str, str]]
    responses: Sequence[str]
    pictures: Mapping[str, str]
    media: Mapping[str, ShownMedia] = field(default_factory=dict)

    @classmethod
    def read(cls, row: str) -> Self:
        """Return the content of a row of our own JSONL, as `Entry.row` holds it."""
        content = json.loads(row)
        prompt = content["prompt"]
        turns = [] if isinstance(prompt, str) else prompt
        answers = [answer for answer in content["responses"] if not isinstance(answer, str)]
        return cls(
            [("", prompt)]
            if isinstance(prompt, str)
            else [(ROLES.get(turn["role"], turn["role"]), _turn_text(turn)) for turn in prompt],
            # a response that is more than a text, such as one that was cut, is an object
            [response if isinstance(response, str) else _response_text(response) for response in content["responses"]],
            content.get("pictures", {}),  # rows of earlier versions have none
            {
                mark: part
                for row_part in (*turns, *answers)
                for mark, part in media_of_row(row_part.get("content")).items()
            },
        )


class _Part(TypedDict, total=False):
    """A turn of a prompt, or a response, as our own JSONL has them."""

    role: str
    content: str | list[dict[str, object]]
    text: str
    reasoning: str
    name: str
    tool_calls: list[dict[str, str]]


def _turn_text(turn: _Part) -> str:
    thoughts, speaker = turn.get("reasoning", ""), turn.get("name", "")
    return turn_text(Message(turn["role"], content_text(turn["content"]), thoughts, _calls(turn), speaker))


def _response_text(response: _Part) -> str:
    return response_text(
        Response(
            # a row of parts has no text beside them
            response["text"] if "text" in response else content_text(response["content"]),
            reasoning=response.get("reasoning", ""),
            tool_calls=_calls(response),
        )
    )


def _calls(part: _Part) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(**call) for call in part.get("tool_calls", ()))
