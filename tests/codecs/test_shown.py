"""Responses of tokens as pictures and sounds, and back: through a file, as the page for people has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from penchant.codecs.shown import restore_tokens, show_tokens
from penchant.codecs.tokens import picture_text, sound_text
from penchant.data.load import load_preferences
from penchant.data.write import write_groups
from penchant.errors import InputError
from penchant.image import Image
from penchant.media import Audio
from penchant.types import Comparison, PromptGroup

PICTURES = [picture_text([code] * 49) for code in (3, 90)]
SOUNDS = [sound_text([code] * 9) for code in (3, 90)]


def groups_of() -> list[PromptGroup]:
    return [
        PromptGroup("A picture of a dress:", PICTURES, [Comparison(1, 0)]),
        PromptGroup("The sound of two:", SOUNDS, [Comparison(0, 1)]),
        PromptGroup("This film is", ["good.", "bad."], [Comparison(0, 1)]),
    ]


def test_tokens_are_shown_and_come_back_through_a_file(tmp_path: Path) -> None:
    groups = groups_of()
    shown, tokens = show_tokens(groups)
    kinds = [{type(part) for response in group.responses for part in response.parts} for group in shown]
    assert kinds == [{Image}, {Audio}, set()]
    assert len(tokens) == 4
    write_groups(shown, tmp_path / "shown.jsonl")
    read = load_preferences(tmp_path / "shown.jsonl", media=True)
    restored = restore_tokens(read, tokens)
    assert [[response.text for response in group.responses] for group in restored] == [
        [response.text for response in group.responses] for group in groups
    ]
    assert [group.comparisons for group in restored] == [group.comparisons for group in groups]


def test_what_was_not_shown_is_not_guessed() -> None:
    shown, tokens = show_tokens(groups_of())
    with pytest.raises(InputError, match="none of the pictures and sounds that were shown"):
        restore_tokens(shown, dict(list(tokens.items())[1:]))
