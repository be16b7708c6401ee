"""Pictures whose contents are known: rendered scenes of coloured shapes, and their captions and questions.

Some objects of a world have a companion. Pictures show both together more often than chance has it, and a caption of
the kind that tempts names the companion where it is not there. A captioner that learns from such captions states what
it does not see.

A picture belongs to one part of its world by its content: what is tested is never learned from.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from penchant.image import Image, Pixels
from penchant.types import Message

SIDE = 32  # pixels
CELLS = 4  # per row and column
MOST_OBJECTS = 4
TOGETHER = 0.5
"""How often the companion is added where an object has one and there is room for it."""
NOISE = 0.06
"""Standard deviation of the noise of each pixel and colour, as a share of white."""
Part = Literal["base", "learn", "choose", "test"]
"""What captioners are trained on from scratch, what preferences are of, what settings are chosen on, and tests."""
PARTS: tuple[Part, ...] = get_args(Part)
Company = Literal["mixed", "apart", "together"]
"""Which pictures are drawn: `mixed` ones, those where an object stands without its companion and none with it, or those
where an object and its companion are both there."""
SHARES = (70, 10, 10, 10)  # of the parts, in percent
CAPTION_REQUEST = "describe the picture."
YES, NO = "yes.", "no."
COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 170, 60),
    "blue": (60, 80, 230),
    "yellow": (230, 210, 50),
    "purple": (170, 60, 190),
    "white": (235, 235, 235),
}
SHAPES = ("circle", "square", "triangle", "cross")
BACKGROUND = 45
Rows = tuple[tuple[str, ...], ...]
"""Objects by the rows of a picture, from top to bottom and from left to right."""


@dataclass(frozen=True)
class World:
    """Objects that pictures show.

    Attributes:
        objects: their names. companions: what often stands beside an object, by that object.
        cells: per row and column of a picture.
    """

    name: str
    objects: tuple[str, ...]
    companions: Mapping[str, str]
    cells: int

    def tempting(self, objects: Collection[str]) -> list[str]:
        """Return the objects of a picture whose companion it does not show."""
        return [name for name in objects if name in self.companions and self.companions[name] not in objects]


SHAPE_WORLD = World(
    "scenes",
    tuple(f"{colour} {shape}" for colour, shape in product(COLOURS, SHAPES)),
    {
        "red circle": "blue square",
        "green triangle": "yellow cross",
        "white square": "purple circle",
        "blue cross": "red triangle",
        "yellow circle": "green square",
        "purple triangle": "white cross",
    },
    CELLS,
)


@dataclass(frozen=True)
class Scene:
    """A picture with what it shows.

    Attributes:
        world: what could be in it. rows: what is. pixels: 8 bits, shape (32, 32, 3).
    """

    world: World
    rows: Rows
    pixels: Pixels

    @property
    def objects(self) -> tuple[str, ...]:
        """What the picture shows, in the order of its rows."""
        return tuple(name for row in self.rows for name in row)

    @property
    def missing_companions(self) -> tuple[str, ...]:
        """Companions of its objects that it does not show."""
        return tuple(self.world.companions[name] for name in self.world.tempting(self.objects))

    def image(self) -> Image:
        """Return the picture, encoded without loss."""
        return Image.make(self.pixels, name=f"{self.world.name}: {caption(self.rows)}")


def caption(rows: Rows) -> str:
    """Return the caption of what stands in the rows of a picture: a sentence per row that is not empty."""
    return " ".join(" and ".join(f"a {name}" for name in row) + "." for row in rows if row)


def tempted_rows(world: World, rows: Rows, shares: tuple[float, float], draws: random.Random) -> Rows:
    """Return the rows with absent companions in them, each behind its object.

    Args:
        shares: how likely that is for every second object that has a companion, from the first, and for the others.
    """
    # by their order in the world, which is fixed
    share_by_name = {name: shares[index % 2] for index, name in enumerate(world.companions)}
    names = {name for row in rows for name in row}
    return tuple(
        tuple(
            claim
            for name in row
            for claim in (
                (name, world.companions[name])
                if name in world.tempting(names) and draws.random() < share_by_name[name]
                else (name,)
            )
        )
        for row in rows
    )


def caption_prompt(scene: Scene) -> tuple[Message, ...]:
    """Return the request for a caption of a picture."""
    return (Message("user", (scene.image(), CAPTION_REQUEST)),)


def question(name: str) -> str:
    """Return the question whether a picture shows an object."""
    return f"is there a {name}?"


def part_of(content: str) -> Part:
    """Return the part of its world that a picture of such content belongs to."""
    bucket = zlib.crc32(content.encode()) % sum(SHARES)
    # a digest and no random number: a part never depends on what was drawn before
    bounds = np.cumsum(SHARES).tolist()
    return next(part for part, bound in zip(PARTS, bounds, strict=True) if bucket < bound)


def draw_objects(world: World, draws: random.Random, company: Company) -> list[str]:
    """Return one to four different objects; of mixed ones companions are added more often than chance has it."""
    while True:
        objects = draws.sample(world.objects, draws.randint(1, MOST_OBJECTS))
        absent = world.tempting(objects)
        if company == "apart":
            if absent and not any(world.companions.get(name) in objects for name in objects):
                return objects
            continue
        for name in absent:
            if len(objects) < MOST_OBJECTS and draws.random() < TOGETHER:
                objects.append(world.companions[name])
        if company == "mixed" or any(world.companions.get(name) in objects for name in objects):
            return objects


def draw_layout(world: World, draws: random.Random, company: Company = "mixed") -> dict[int, str]:
    """Return what stands in which cell of a picture, the cells in their order."""
    objects = draw_objects(world, draws, company)
    # no two objects in one cell
    cells = draws.sample(range(world.cells**2), len(objects))
    return dict(sorted(zip(cells, objects, strict=True)))


def rows_of(layout: Mapping[int, str], cells: int) -> Rows:
    """Return the objects of a layout by the rows of the picture."""
    return tuple(tuple(name for cell, name in layout.items() if cell // cells == row) for row in range(cells))


def shape_scenes(seed: str, part: Part, company: Company = "mixed") -> Iterator[Scene]:
    """Yield scenes of coloured shapes of one part of their world, without end; the same for the same seed."""
    draws = random.Random(f"shapes {part} {seed}")
    while True:
        layout = draw_layout(SHAPE_WORLD, draws, company)
        # the same objects in the same cells are the same scene, whatever the noise
        if part_of(repr(layout)) == part:
            noise = np.random.default_rng(draws.getrandbits(64))
            yield Scene(SHAPE_WORLD, rows_of(layout, CELLS), render(layout, noise))


def render(layout: Mapping[int, str], noise: np.random.Generator) -> Pixels:
    """Draw coloured shapes in their cells, with noise on every pixel."""
    pixels = np.full((SIDE, SIDE, 3), float(BACKGROUND))
    side = SIDE // CELLS
    for cell, name in layout.items():
        colour, shape = name.split()
        top, left = side * (cell // CELLS), side * (cell % CELLS)
        pixels[top : top + side, left : left + side][shape_mask(shape)] = COLOURS[colour]
    # on every pixel, so that no two pictures are equal
    pixels += noise.normal(0.0, 255 * NOISE, pixels.shape)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


@cache
def shape_mask(shape: str) -> NDArray[np.bool_]:
    """Return where a shape is in its cell of 8 x 8 pixels."""
    side = SIDE // CELLS
    # from the middle of the cell
    down, right = np.meshgrid(np.arange(side) - 3.5, np.arange(side) - 3.5, indexing="ij")
    square = (abs(down) < 3) & (abs(right) < 3)
    match shape:
        case "circle":
            return down**2 + right**2 < 9.5
        case "square":
            return square
        case "triangle":
            return square & (abs(right) <= (down + 3.5) / 2)
        case _:
            return square & ((abs(down) < 1) | (abs(right) < 1))


def count_scenes(scenes: Iterator[Scene], count: int) -> list[Scene]:
    """Return so many different pictures."""
    chosen: dict[bytes, Scene] = {}
    for scene in scenes:
        chosen.setdefault(scene.pixels.tobytes(), scene)
        if len(chosen) == count:
            break
    return list(chosen.values())


def absent_objects(scene: Scene) -> Sequence[str]:
    """Return the objects of its world that a picture does not show, in the order of the world."""
    return [name for name in scene.world.objects if name not in scene.objects]


def mentions(world: World, text: str) -> list[str]:
    """Return the objects that a text names, in its order, each as often as it is named."""
    pattern = "|".join(re.escape(name) for name in sorted(world.objects, key=len, reverse=True))
    return re.findall(rf"\b(?:{pattern})\b", text.lower())
