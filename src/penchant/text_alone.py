"""Groups that show pictures or play sounds: found, and refused by what reads text alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from penchant.errors import InputError
from penchant.types import PromptGroup

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


def refuse_media(groups: Sequence[PromptGroup], reason: str) -> None:
    """Refuse groups that show pictures or play sounds.

    Args:
        reason: says what reads text alone, for the message.

    Raises:
        InputError: says how many, and where the first is.
    """
    sources = [group.source for group in groups if has_media(group)]
    if sources:
        where = f" (the first: {sources[0]})" if sources[0] else ""
        raise InputError(f"{len(sources)} of {len(groups)} prompts hold pictures or sounds{where}, and {reason}")
