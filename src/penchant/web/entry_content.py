"""What an entry's row says: the turns of its prompt, its responses and its pictures, as pages show them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

# What people read instead of the words of chat templates; another role stands as the data call it.
ROLES = {"user": "Person", "assistant": "Assistant", "system": "Instructions to the assistant"}


@dataclass(frozen=True)
class EntryContent:
    """A prompt with its responses, as people read them.

    Attributes:
        turns: (who, text) of the prompt; `who` is empty where the prompt is one text.
        responses: their texts, in the order of the data.
        pictures: digests of the prompt's pictures by their address in its Markdown.
    """

    turns: Sequence[tuple[str, str]]
    responses: Sequence[str]
    pictures: Mapping[str, str]

    @classmethod
    def read(cls, row: str) -> Self:
        """Return the content of a row of our own JSONL, as `Entry.row` holds it."""
        content = json.loads(row)
        prompt = content["prompt"]
        return cls(
            [("", prompt)]
            if isinstance(prompt, str)
            else [(ROLES.get(turn["role"], turn["role"]), turn["content"]) for turn in prompt],
            # a response that is more than a text, such as one that was cut, is an object
            [response if isinstance(response, str) else response["text"] for response in content["responses"]],
            content.get("pictures", {}),  # rows of earlier versions have none
        )
