"""Prompts and responses for what reads text alone: those that show pictures or play sounds are refused aloud."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penchant.content import refused_media
from penchant.types import Prompt, PromptGroup, Response, prompt_text, response_text

if TYPE_CHECKING:
    from penchant.media import Media


def has_media(group: PromptGroup) -> bool:
    """Return whether a group holds pictures, sounds or videos."""
    if not isinstance(group.prompt, str):
        for turn in group.prompt:
            if not isinstance(turn.content, str):
                return True
    return any(response.parts for response in group.responses)


def media_of(group: PromptGroup) -> list[Media]:
    """Return the pictures, sounds and videos of a group, those of its prompt first."""
    # nearly all groups are text, and so are looked through quickly
    contents = [] if isinstance(group.prompt, str) else [turn.content for turn in group.prompt]
    contents += [response.parts for response in group.responses if response.parts]
    return [
        part for content in contents if not isinstance(content, str) for part in content if not isinstance(part, str)
    ]


def only_prompt_text(prompt: Prompt) -> str:
    """Return a prompt as one readable string.

    Raises:
        InputError: it holds a picture or a sound.
    """
    # a mark would be read as text, and nobody would miss the picture
    for turn in () if isinstance(prompt, str) else prompt:
        if not isinstance(turn.content, str):
            raise refused_media(turn.content, "the prompt")
    return prompt_text(prompt)


def only_response_text(response: Response) -> str:
    """Return all that a response says as one readable string.

    Raises:
        InputError: it holds a picture or a sound.
    """
    if response.parts:
        raise refused_media(response.parts, "a response")
    return response_text(response)
