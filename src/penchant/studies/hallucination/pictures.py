"""The stage of the pictures to measure on, with questions about them; and scenes as files of a stage."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from penchant.runs.provenance import surroundings
from penchant.studies.core.job import StageJob
from penchant.studies.hallucination.names import WorldName
from penchant.studies.hallucination.stage_settings import QUESTIONS, PicturesSettings
from penchant.tasks.collages import CLOTHES_WORLD, collages, read_clothes
from penchant.tasks.scenes import (
    SHAPE_WORLD,
    Company,
    Part,
    Scene,
    World,
    absent_objects,
    count_scenes,
    shape_scenes,
)
from penchant.typed_json import to_object

WORLDS_BY_NAME: Mapping[WorldName, World] = {"scenes": SHAPE_WORLD, "collages": CLOTHES_WORLD}
PIXELS, CONTENTS = "{}.npy", "{}.json"
"""Files of scenes under one name: pixels, shape (scenes, 32, 32, 3), and the objects by rows of the pictures."""
WITHOUT_COMPANIONS, WITH_COMPANIONS = "apart", "together"
"""Names of the pictures to measure on: those without companions, and those that show one beside its object."""
POPULAR_FROM = 2000
"""Scenes of the base that popular objects are counted in."""


def draw_scenes(world: WorldName, part: Part, seed: str, count: int, company: Company = "mixed") -> list[Scene]:
    """Return different pictures of one part of a world.

    Raises:
        InputError: the files of Fashion-MNIST are nowhere.
    """
    # both worlds draw without end, and differ in what a picture is made of
    candidates = (
        shape_scenes(seed, part, company) if world == "scenes" else collages(read_clothes(part), seed, part, company)
    )
    return count_scenes(candidates, count)


def write_scenes(scenes: Sequence[Scene], folder: Path, name: str) -> None:
    """Write scenes into a stage's folder."""
    # as pixels: the noise of a rendered scene is part of what the captioner sees
    np.save(folder / PIXELS.format(name), np.stack([scene.pixels for scene in scenes]))
    content = {"world": scenes[0].world.name, "rows": [scene.rows for scene in scenes]}
    (folder / CONTENTS.format(name)).write_text(json.dumps(content), encoding="utf-8")


def read_scenes(folder: Path, name: str) -> list[Scene]:
    """Read the scenes that a stage has written."""
    # without pickle: a stage of a stranger must not run code
    pixels = np.load(folder / PIXELS.format(name), allow_pickle=False)
    content = json.loads((folder / CONTENTS.format(name)).read_text(encoding="utf-8"))
    # the name decides what counts as a companion
    world = next(world for world in WORLDS_BY_NAME.values() if world.name == content["world"])
    return [
        Scene(world, tuple(map(tuple, rows)), picture) for rows, picture in zip(content["rows"], pixels, strict=True)
    ]


def pictures_stage(job: StageJob[PicturesSettings], folder: Path) -> dict[str, object]:
    """Write the pictures to measure on, and what is asked of the first of them."""
    settings = job.settings
    tempting_scenes = draw_scenes(settings.world, settings.part, "0", settings.test, "apart")
    # half as many: they only show whether companions that are there are still named
    together = draw_scenes(settings.world, settings.part, "0", max(1, settings.test // 2), "together")
    write_scenes(tempting_scenes, folder, WITHOUT_COMPANIONS)
    write_scenes(together, folder, WITH_COMPANIONS)
    questions = ask(tempting_scenes[: settings.questions], popular_objects(settings.world))
    (folder / QUESTIONS).write_text(json.dumps(questions), encoding="utf-8")
    return {"apart": len(tempting_scenes), "together": len(together), "provenance": to_object(surroundings())}


def popular_objects(world: WorldName) -> list[str]:
    """Return the objects of a world, those first that captioners saw most often."""
    # of the base, which is what the captioner has seen
    scenes = draw_scenes(world, "base", "popular", POPULAR_FROM)
    names = [name for scene in scenes for name in scene.objects]
    return sorted(WORLDS_BY_NAME[world].objects, key=lambda name: (-names.count(name), name))


def ask(scenes: Sequence[Scene], popular: Sequence[str]) -> list[dict[str, str]]:
    """Return an object of each kind per picture: one that is there, and three that are not.

    Args:
        popular: objects, the most frequent first.

    Returns:
        By kind: `present`; `random`, any absent one; `popular`, the most frequent absent one; `adversarial`, the
        companion of what is there.
    """
    # the same questions whatever the number of pictures, as far as there are pictures
    draws = random.Random("questions")
    return [
        {
            "present": draws.choice(scene.objects),
            "random": draws.choice(absent_objects(scene)),
            "popular": next(name for name in popular if name not in scene.objects),
            "adversarial": draws.choice(scene.missing_companions),
        }
        for scene in scenes
    ]
