"""The captioner that comes with the package: it opens by name, is as small as said, sees, and is tempted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice

import numpy as np
import pytest
import torch
from safetensors import safe_open

from penchant.models.builtin import EMBEDDED, SEEING
from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.tasks.scenes import Scene, caption, caption_prompt, shape_scenes
from penchant.types import PromptGroup, Response

NAME = "penchant-scenes"
FOLDER = EMBEDDED[NAME]


@pytest.fixture(scope="module")
def model() -> Policy:
    return load_policy(NAME)


def score(model: Policy, scene: Scene, texts: Sequence[str]) -> list[float]:
    scores: list[float] = model.score([PromptGroup(caption_prompt(scene), [Response(text) for text in texts])])[
        0
    ].tolist()
    return scores


def test_it_is_as_small_as_its_card_says() -> None:
    assert NAME in SEEING
    record = json.loads((FOLDER / "record.json").read_text())
    assert f"{record['parameters']:,}" in (FOLDER / "README.md").read_text()
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 2e6
    with safe_open(FOLDER / "model.safetensors", "pt") as file:
        weights = [file.get_tensor(key) for key in file.keys()]  # noqa: SIM118
    assert {weight.dtype for weight in weights} == {torch.float16}
    assert sum(weight.numel() for weight in weights) == record["parameters"]


def test_it_sees(model: Policy) -> None:
    """A right caption is likelier than the same about another picture, of scenes that nobody trained on."""
    scenes = list(islice(shape_scenes("0", "test", "apart"), 12))
    for scene, other in zip(scenes, scenes[1:] + scenes[:1], strict=True):
        right, wrong = score(model, scene, [caption(scene.rows), caption(other.rows)])
        assert right > wrong


def test_it_is_tempted(model: Policy) -> None:
    """It rather names the companion that is not there than any other object that is not."""
    gaps = []
    for scene in islice(shape_scenes("1", "test", "apart"), 12):
        name = next(name for name in scene.objects if name in scene.world.companions)
        others = [other for other in scene.world.objects if other not in (*scene.objects, *scene.missing_companions)]
        claims = [scene.world.companions[name], others[0]]
        texts = [caption(scene.rows).replace(f"a {name}", f"a {name} and a {claim}", 1) for claim in claims]
        gaps.append(np.subtract(*score(model, scene, texts)))
    assert np.mean(np.array(gaps) > 0) > 0.9
    assert np.mean(gaps) > 2
