"""Training on rows with pictures: every loss of the gradient loop, by the same code as for texts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from penchant.methods.dpo import DPO
from penchant.methods.dpo import run as run_dpo
from penchant.models.load import load_policy
from tiny_vision import save_llava

COLOURS = ("red", "green", "blue")


def write_rows(folder: Path, count: int = 12) -> Path:
    """Pictures of one colour each with some noise, what is right of each, and what is wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    rows = []
    for number in range(count):
        pixels = generator.integers(0, 60, (36, 36, 3)).astype(np.uint8)
        pixels[..., number % 3] = 220
        Pillow.fromarray(pixels).save(folder / f"{number}.png")
        right, wrong = COLOURS[number % 3], COLOURS[(number + 1) % 3]
        answers = {"chosen": f"It is {right}.", "rejected": f"It is {wrong}."}
        rows.append({"prompt": "Which colour?", "images": [f"{number}.png"], **answers})
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llava(tmp_path_factory.mktemp("llava"))


def dpo(llava: Path, data: Path, out: Path, **settings: object) -> DPO:
    values = {"batch_size": 4, "optimizer": {"learning_rate": 1e-3}, **settings}
    return DPO(model=str(llava), data=str(data), out=str(out), **values)


def test_dpo_learns_from_pictures(llava: Path, tmp_path: Path) -> None:
    result = run_dpo(dpo(llava, write_rows(tmp_path / "data"), tmp_path / "run", epochs=2))
    first, final = result.metrics["first"]["held_out"], result.metrics["final"]["held_out"]
    assert first["loss"]["value"] == pytest.approx(np.log(2), abs=1e-4)
    assert final["loss"]["value"] < first["loss"]["value"]
    # saved and opened again it is the same model, its processor too
    saved = load_policy(str(tmp_path / "run" / "checkpoint"))
    assert saved.renderer.media is not None
    before = load_policy(str(llava))
    assert saved.renderer.media.digest == before.renderer.media.digest
    moved = {
        name
        for name, weight in saved.model.named_parameters()
        if not torch.equal(weight, before.model.state_dict()[name])
    }
    assert any("language_model" in name for name in moved)
    assert any("projector" in name for name in moved)
    assert not any("vision_tower" in name for name in moved)
