"""Collages of Fashion-MNIST: real pictures of clothes in a grid of two by two, with captions of what is there.

One to four of the fields are filled, each with another kind of thing. Companions and captions are as those of
`penchant.tasks.scenes`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penchant.image import Pixels
from penchant.tasks.idx import find_fashion_mnist, read_idx_pair
from penchant.tasks.scenes import SIDE, Company, Part, Scene, World, draw_layout, rows_of

KINDS = ("top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
"""Names of the classes, by their labels."""
CLOTHES_WORLD = World("collages", KINDS, {"dress": "bag", "coat": "boot", "trouser": "sneaker"}, 2)
LEARN_FROM, CHOOSE_FROM = 45_000, 52_500
"""Places of the training file from which on pictures are those that preferences are of, and that settings are chosen
on. The test file has the tests."""


@dataclass(frozen=True)
class Clothes:
    """Pictures of clothes of one part.

    Attributes:
        pixels: shape (pictures, 14, 14). indices: of each kind in `pixels`, by its name.
    """

    pixels: NDArray[np.uint8]
    indices: Mapping[str, Sequence[int]]


def read_clothes(part: Part) -> Clothes:
    """Read the pictures that collages of one part are made of; no picture is in two parts.

    Raises:
        InputError: the files of Fashion-MNIST are nowhere, or damaged.
    """
    # the published division, so that no picture of the tests was ever trained on
    train, test = find_fashion_mnist()
    pixels, labels = read_idx_pair(*(test if part == "test" else train))
    bounds = {
        "base": (0, LEARN_FROM),
        "learn": (LEARN_FROM, CHOOSE_FROM),
        "choose": (CHOOSE_FROM, len(labels)),
        "test": (0, None),
    }
    low, high = bounds[part]
    pixels, labels = pixels[low:high], labels[low:high]
    # half as wide and high: each pixel is the mean of four
    small = pixels.reshape(len(pixels), 14, 2, 14, 2).mean(axis=(2, 4)).round().astype(np.uint8)
    return Clothes(small, {name: np.flatnonzero(labels == label).tolist() for label, name in enumerate(KINDS)})


def collages(clothes: Clothes, seed: str, part: Part, company: Company = "mixed") -> Iterator[Scene]:
    """Yield collages without end; the same for the same seed.

    Args:
        clothes: of the same part, whose name makes other collages of the same seed.
    """
    # the part is in the seed: parts with one seed would have the same layouts
    draws = random.Random(f"collages {part} {seed}")
    while True:
        layout = draw_layout(CLOTHES_WORLD, draws, company)
        yield Scene(CLOTHES_WORLD, rows_of(layout, CLOTHES_WORLD.cells), _paste(layout, clothes, draws))


def _paste(layout: Mapping[int, str], clothes: Clothes, draws: random.Random) -> Pixels:
    """Return a picture with things in its fields, each with a rim of one pixel."""
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    field = SIDE // CLOTHES_WORLD.cells
    for cell, name in layout.items():
        top, left = field * (cell // 2) + 1, field * (cell % 2) + 1
        pixels[top : top + 14, left : left + 14] = clothes.pixels[draws.choice(clothes.indices[name])]
    # grey as RGB, which towers read
    return np.repeat(pixels[..., None], 3, axis=2)
