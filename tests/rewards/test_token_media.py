"""Rules of pictures and sounds that a model writes: by hand on known ones, 0 for what is none."""

from __future__ import annotations

import numpy as np
import pytest

from penchant.codecs.pictures import SIDE, decode_pictures, encode_pictures
from penchant.codecs.tokens import CLASSES, picture_prompt, picture_text, sound_prompt, sound_text
from penchant.errors import InputError
from penchant.rewards import load_reward
from penchant.rewards.content import reward_content
from penchant.rewards.names import TOKEN_MEDIA

DRESS, SEVEN = picture_prompt("dress"), sound_prompt("seven")


def text_of(pixels: np.ndarray) -> str:
    return picture_text(encode_pictures(pixels[None])[0].tolist())


def square(size: int, brightness: int) -> np.ndarray:
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    pixels[:size, :size] = brightness
    return pixels


def test_area_and_brightness_are_those_of_the_decoded_pixels() -> None:
    text = text_of(square(16, 200))
    (pixels,) = decode_pictures(encode_pictures(square(16, 200)[None]).tolist())
    covered = pixels[pixels > 0.2]
    assert load_reward("picture_area")([(DRESS, text)]) == [pytest.approx(covered.size / SIDE**2)]
    assert load_reward("picture_brightness")([(DRESS, text)]) == [pytest.approx(covered.mean(), rel=1e-5)]


def test_larger_squares_cover_more_and_brighter_ones_are_brighter() -> None:
    areas = load_reward("picture_area")([(DRESS, text_of(square(size, 220))) for size in (0, 8, 16, 24)])
    assert areas == sorted(areas)
    assert areas[0] == 0
    levels = load_reward("picture_brightness")([(DRESS, text_of(square(20, level))) for level in (80, 150, 250)])
    assert levels == sorted(levels)


def test_seconds_are_tokens_of_20_ms() -> None:
    assert load_reward("sound_seconds")([(SEVEN, sound_text([3] * n)) for n in (5, 50)]) == [
        pytest.approx(0.1),
        pytest.approx(1.0),
    ]


def test_classes_and_words_are_probabilities_of_what_the_prompt_names() -> None:
    text = text_of(square(16, 200))
    by_class = load_reward("picture_class")([(picture_prompt(name), text) for name in CLASSES])
    assert sum(by_class) == pytest.approx(1)
    (heard,) = load_reward("sound_word")([(SEVEN, sound_text([3] * 20))])
    assert 0 <= heard <= 1


@pytest.mark.parametrize("name", TOKEN_MEDIA)
def test_what_is_no_picture_or_sound_has_0_among_those_that_are(name: str) -> None:
    prompt, whole = (DRESS, text_of(square(20, 220))) if name.startswith("picture") else (SEVEN, sound_text([3] * 20))
    reward = load_reward(name)
    alone = reward([(prompt, whole)])
    assert reward([(prompt, "It was good."), (prompt, whole), (prompt, "")]) == [0.0, pytest.approx(alone[0]), 0.0]


@pytest.mark.parametrize("name", ["picture_class", "sound_word"])
def test_a_prompt_that_names_nothing_is_refused(name: str) -> None:
    text = text_of(square(16, 200)) if name == "picture_class" else sound_text([3] * 20)
    with pytest.raises(InputError, match="names none of"):
        load_reward(name)([("This film is", text)])


def test_each_rule_has_a_content_of_its_own() -> None:
    """A cache that mixed them up would show one rule's numbers under the other's name."""
    assert len({reward_content(name) for name in (*TOKEN_MEDIA, "vader")}) == len(TOKEN_MEDIA) + 1
