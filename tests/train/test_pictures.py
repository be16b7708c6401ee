"""Training on rows with pictures: every loss of the gradient loop, by the same code as for texts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from safetensors import safe_open

from penchant import export
from penchant.data.load import load_preferences
from penchant.errors import InputError, RunMismatchError
from penchant.methods.dpo import DPO
from penchant.methods.dpo import run as run_dpo
from penchant.models.load import load_policy
from penchant.models.settings import ModelConfig
from penchant.train import gradient
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


def dpo(llava: Path, rows: Path, out: Path, **settings: object) -> DPO:
    values = {"model": str(llava), "data": str(rows), "batch_size": 4, "optimizer": {"learning_rate": 1e-3}, **settings}
    return DPO(out=str(out), **values)


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


def logps(folder: Path | str, data: Path, **settings: object) -> list[torch.Tensor]:
    groups = load_preferences(data, media=True)
    return load_policy(str(folder), **settings).score(groups)


def test_the_picture_matters(llava: Path, tmp_path: Path) -> None:
    # with the right answer of each picture, and the same answers beside grey ones that tell nothing of them
    data = write_rows(tmp_path / "data")
    grey = tmp_path / "grey"
    shutil.copytree(tmp_path / "data", grey)
    for file in grey.glob("*.png"):
        # other shades, or all rows would be one prompt
        Pillow.new("RGB", (36, 36), (80 + int(file.stem),) * 3).save(file)
    blind = grey / "rows.jsonl"
    losses = {}
    for name, file in (("seen", data), ("again", data), ("grey", blind)):
        result = run_dpo(dpo(llava, file, tmp_path / f"run-{name}", max_steps=2))
        losses[name] = [line["loss"] for line in result.history if line["kind"] == "train"]
    assert losses["seen"] == losses["again"]
    # the first step is that of the reference, whatever is shown
    assert losses["grey"][0] == pytest.approx(losses["seen"][0], abs=1e-4)
    assert abs(losses["grey"][1] - losses["seen"][1]) > 1e-4


def test_adapters_on_parts_are_saved_and_opened_again(llava: Path, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "data", 6)
    start = logps(llava, data)
    for parts, trained in (
        ("language", {"language"}),
        ("projector", {"projector"}),
        ("both", {"language", "projector"}),
    ):
        model = {"name": str(llava), "lora": {"rank": 2}, "parts": parts}
        config = dpo(llava, data, tmp_path / parts, max_steps=1, optimizer={"learning_rate": 1e-2})
        run_dpo(config.replace(model=ModelConfig.model_validate(model)))
        folder = tmp_path / parts / "checkpoint"
        with safe_open(folder / "adapter_model.safetensors", "pt") as file:
            names = list(file.keys())
        found = {
            "projector" if "projector" in name else "language" if "language_model" in name else name for name in names
        }
        assert found == trained
        after = logps(folder, data)
        assert all((a - b).abs().max() > 1e-4 for a, b in zip(after, start, strict=True))
    # merged into whole weights they are the same model
    export(str(folder), out=str(tmp_path / "merged"), format="merged")
    for merged, adapted in zip(logps(tmp_path / "merged", data), after, strict=True):
        torch.testing.assert_close(merged, adapted, atol=1e-4, rtol=1e-4)


def killed_at(call: int) -> Callable[..., dict[str, float]]:
    """The loop's step, which fails the so many-th time."""
    calls: list[object] = []
    step = gradient._step

    def counted(*given: object) -> dict[str, float]:
        calls.append(given)
        if len(calls) == call:
            raise RuntimeError("killed")
        return step(*given)

    return counted


def test_a_resumed_run_is_the_uninterrupted_one_and_looks_at_the_pictures(
    llava: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_rows(tmp_path / "data")
    whole = run_dpo(dpo(llava, data, tmp_path / "whole", epochs=2, checkpoint_every=1))
    part = dpo(llava, data, tmp_path / "part", epochs=2, checkpoint_every=1)
    with monkeypatch.context() as patch:
        patch.setattr(gradient, "_step", killed_at(3))
        with pytest.raises(RuntimeError, match="killed"):
            run_dpo(part)
    picture = tmp_path / "data" / "0.png"
    content = picture.read_bytes()
    Pillow.new("RGB", (36, 36), (1, 2, 3)).save(picture)
    with pytest.raises(RunMismatchError, match="the rows of the data"):
        run_dpo(part, resume=True)
    picture.write_bytes(content)
    resumed = run_dpo(part, resume=True)
    weights = [(run.path / "checkpoint" / "model.safetensors").read_bytes() for run in (whole, resumed)]
    assert weights[0] == weights[1]


def test_bad_rows_are_named(llava: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = write_rows(tmp_path / "data", 4)
    # a model without a tower
    with pytest.raises(InputError, match="pictures, videos and sounds cannot be used here, text alone can"):
        run_dpo(dpo(Path("penchant-0.5m"), data, tmp_path / "run"))
    with pytest.raises(InputError, match="has no tower for pictures"):
        run_dpo(
            dpo(
                Path("penchant-0.5m"),
                data,
                tmp_path / "run",
                model="penchant-0.5m",
                data={"path": str(data), "media": True},
            )
        )
    # rows that would have to be cut are refused by name, or dropped and counted
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    rows[0]["images"] = ["0.png"] * 14
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=r"rows.jsonl:1: \d+ tokens \(224 of them of pictures\).* never cut"):
        run_dpo(dpo(llava, data, tmp_path / "run", data={"path": str(data), "overflow": "truncate_prompt"}))
    result = run_dpo(dpo(llava, data, tmp_path / "run", data={"path": str(data), "overflow": "drop"}, max_steps=1))
    assert result.metrics["data"]["dropped_too_long"] == 1
    # a mark for a picture that is not there
    rows[0] = {**rows[0], "images": ["0.png"], "prompt": "An <image> or <image>?"}
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=r"rows\.jsonl:1: field .images. has 1 files, and the prompt has 2 places"):
        run_dpo(dpo(llava, data, tmp_path / "other"))
