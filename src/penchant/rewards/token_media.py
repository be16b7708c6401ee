"""Rewards of pictures and sounds that `penchant-kinds` writes as tokens: rules whose truth is known.

A response that is no whole picture or no whole sound has 0, the least of each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from penchant.codecs.pictures import decode_pictures, recognise_pictures
from penchant.codecs.sounds import FRAME, RATE, recognise_sounds, sound_pitch
from penchant.codecs.tokens import CLASSES, WORDS, named_in, read_picture, read_sound

Pairs = Sequence[tuple[str, str]]
COVERED = 0.2
"""Brightness from which a pixel belongs to what is shown, and not to the black ground."""


def picture_area(pairs: Pairs) -> list[float]:
    """Return the share of each picture's pixels that are not black, from 0 to 1."""
    # the ground is black in all pictures of Fashion-MNIST
    return _of_pictures(pairs, lambda pixels, _: (pixels > COVERED).mean(axis=(1, 2)))


def picture_brightness(pairs: Pairs) -> list[float]:
    """Return the mean brightness of each picture's pixels that are not black, from 0 to 1."""

    def brightness(pixels: NDArray[np.float32], _: Sequence[str]) -> NDArray[np.float64]:
        covered = pixels > COVERED
        # of what is shown alone: else the larger thing would be the brighter one
        return (pixels * covered).sum(axis=(1, 2), dtype=np.float64) / np.maximum(1, covered.sum(axis=(1, 2)))

    return _of_pictures(pairs, brightness)


def picture_class(pairs: Pairs) -> list[float]:
    """Return the probability that each picture shows the class that its prompt names, by the recogniser.

    Raises:
        InputError: the prompt of a whole picture names no class.
    """

    def probability(pixels: NDArray[np.float32], prompts: Sequence[str]) -> NDArray[np.float64]:
        classes = [named_in(prompt, CLASSES) for prompt in prompts]
        return recognise_pictures(pixels)[np.arange(len(classes)), classes]

    return _of_pictures(pairs, probability)


def sound_seconds(pairs: Pairs) -> list[float]:
    """Return the length of each sound in seconds."""
    sounds = [read_sound(response) for _, response in pairs]
    return [0.0 if codes is None else len(codes) * FRAME / RATE for codes in sounds]


def sound_pitch_hz(pairs: Pairs) -> list[float]:
    """Return the median pitch of each sound's voiced parts in Hz."""
    sounds = [read_sound(response) for _, response in pairs]
    return [0.0 if codes is None else sound_pitch(codes) for codes in sounds]


def sound_word(pairs: Pairs) -> list[float]:
    """Return the probability that each sound says the word that its prompt names, by the recogniser.

    Raises:
        InputError: the prompt of a whole sound names no word.
    """
    sounds = [read_sound(response) for _, response in pairs]
    scores = np.zeros(len(pairs))
    if numbers := [number for number, codes in enumerate(sounds) if codes is not None]:
        # all sounds in one batch: the recogniser is small, and its calls are not
        chances = recognise_sounds([codes for codes in sounds if codes is not None])
        scores[numbers] = chances[np.arange(len(numbers)), [named_in(pairs[number][0], WORDS) for number in numbers]]
    return scores.tolist()


def _of_pictures(
    pairs: Pairs, measure: Callable[[NDArray[np.float32], Sequence[str]], NDArray[np.float64]]
) -> list[float]:
    """Return what is measured on the pictures among the responses, and 0 for the others."""
    pictures = [read_picture(response) for _, response in pairs]
    # 0 is the least of all these rewards, so broken tokens never pay
    scores = np.zeros(len(pairs))
    if numbers := [number for number, codes in enumerate(pictures) if codes is not None]:
        pixels = decode_pictures([codes for codes in pictures if codes is not None])
        scores[numbers] = measure(pixels, [pairs[number][0] for number in numbers])
    return scores.tolist()
