"""The text of pictures and sounds: what is one, and what its prompt asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penchant.codecs.tokens import (
    CLASSES,
    FEWEST_FRAMES,
    GRID,
    MOST_FRAMES,
    PICTURE_CODES,
    SOUND_CODES,
    WORDS,
    named_in,
    picture_prompt,
    picture_text,
    read_picture,
    read_sound,
    sound_prompt,
    sound_text,
)
from penchant.errors import InputError

SIZE = GRID * GRID


@given(st.lists(st.integers(0, PICTURE_CODES - 1), min_size=SIZE, max_size=SIZE))
def test_a_picture_gives_its_codes_back(codes: list[int]) -> None:
    assert read_picture(picture_text(codes)) == tuple(codes)
    assert read_sound(picture_text(codes)) is None


@given(st.lists(st.integers(0, SOUND_CODES - 1), min_size=FEWEST_FRAMES, max_size=MOST_FRAMES))
def test_a_sound_gives_its_codes_back(codes: list[int]) -> None:
    assert read_sound(f" {sound_text(codes)}\n") == tuple(codes)
    assert read_picture(sound_text(codes)) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "It was good.",
        picture_text([1] * (SIZE - 1)),
        picture_text([1] * (SIZE + 1)),
        picture_text([1] * (SIZE - 1)) + "<s1>",
        picture_text([1] * SIZE) + " and a word",
        picture_text([1] * (SIZE - 1) + [PICTURE_CODES]),
        sound_text([1] * (FEWEST_FRAMES - 1)),
        sound_text([1] * (MOST_FRAMES + 1)),
        sound_text([1] * FEWEST_FRAMES + [SOUND_CODES]),
    ],
)
def test_other_texts_are_neither(text: str) -> None:
    assert read_picture(text) is None
    assert read_sound(text) is None


def test_every_prompt_names_its_own_class_or_word() -> None:
    """A shirt is no T-shirt, though the one word stands in the other."""
    assert [named_in(picture_prompt(name), CLASSES) for name in CLASSES] == list(range(10))
    assert [named_in(sound_prompt(word), WORDS) for word in WORDS] == list(range(10))
    assert CLASSES[named_in("no bag, a DRESS", CLASSES)] == "dress"
    with pytest.raises(InputError, match="names none of T-shirt"):
        named_in("A picture of a cat:", CLASSES)
