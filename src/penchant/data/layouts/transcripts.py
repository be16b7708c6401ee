"""Read prompts that are whole conversations written as one text, with the speakers' names or with marks."""

from __future__ import annotations

import re

from penchant.data.layouts.pairs import HH_MARKER
from penchant.data.sources.values import RowError
from penchant.types import Message

# HelpSteer2's prompts of several turns: the first turn has no mark of its own.
HELPSTEER_MARK = re.compile(r"\n?<extra_id_1>(User|Assistant)\n")


def is_open_transcript(value: object) -> bool:
    """Return whether a prompt is a transcript that waits for the assistant: `Human: ... Assistant:`."""
    if not isinstance(value, str) or not value.rstrip().endswith("Assistant:"):
        return False
    return HH_MARKER.match(value) is not None


def transcript_turns(text: str, name: str) -> tuple[Message, ...]:
    """Return the turns of a transcript that waits for the assistant's answer.

    Raises:
        RowError: it does not begin with `Human:` or does not end with `Assistant:`.
    """
    _, *pieces = HH_MARKER.split(text)
    speakers, contents = pieces[0::2], [content.strip() for content in pieces[1::2]]
    if not is_open_transcript(text) or speakers[-1] != "Assistant" or contents[-1]:
        raise RowError(
            "value", f"field {name!r}: expected a transcript from 'Human:' to 'Assistant:', got {text[:40]!r}"
        )
    roles = {"Human": "user", "Assistant": "assistant"}
    turns = tuple(
        Message(roles[speaker], content) for speaker, content in zip(speakers[:-1], contents[:-1], strict=True)
    )
    if not any(turn.content for turn in turns):
        raise RowError("empty", f"field {name!r}: the transcript has no turn with text")
    return turns


def marked_turns(text: str) -> str | tuple[Message, ...]:
    """Return the turns of HelpSteer2's prompt with marks; a text without marks as it is."""
    first, *pieces = HELPSTEER_MARK.split(text)
    if not pieces:
        return text
    roles = {"User": "user", "Assistant": "assistant"}
    turns = [Message("user", first.strip("\n"))]
    turns += [
        Message(roles[speaker], content.strip("\n"))
        for speaker, content in zip(pieces[0::2], pieces[1::2], strict=True)
    ]
    # a prompt may end with the mark of the answer that follows it
    return tuple(turns[:-1] if turns[-1] == Message("assistant", "") else turns)
