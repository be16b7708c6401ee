"""Runs that train only the last blocks: what moves, what is computed once, and that a resumed run has the same bits."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from penchant.config import load_config
from penchant.engine import frozen
from penchant.methods import DPO, train

BASE = ("model.device=cpu", "data=prefs.jsonl", "data.held_out=2", "data.template=plain", "batch_size=8", "max_steps=3",
        "optimizer.learning_rate=1e-3", "evaluate.samples=null", "model.train_top=1")  # fmt: skip


@pytest.fixture
def run(preference_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """`run(model, *changes)` is the run's losses, weights and warnings."""
    monkeypatch.chdir(tmp_path)

    def start(model: str, *changes: str) -> dict[str, Any]:
        shutil.rmtree("run", ignore_errors=True)
        result = train(load_config(DPO, None, (*BASE, f"model.name={model}", *changes, "out=run")))
        rows = [json.loads(line) for line in (result.path / "metrics.jsonl").read_text().splitlines()]
        return {
            "losses": [row["loss"] for row in rows if row["kind"] == "train"],
            "weights": load_file(result.path / "checkpoint" / "model.safetensors"),
            "warnings": result.metrics["warnings"],
        }

    return start


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name in after if not torch.equal(before[name], after[name])}


def without_states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen, "_difference", lambda *_: "not today")


def test_a_real_model_learns_the_same_from_states_kept_once(
    run: Callable[..., dict[str, Any]], stories: str, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = run(stories, "model.train_top=2")
    (file,) = (own_cache / "frozen").iterdir()
    assert not any("frozen" in warning for warning in kept["warnings"])
    before = load_file(Path(stories) / "model.safetensors")
    moved = changed(before, kept["weights"])
    blocks = 1 + max(int(name.split(".")[2]) for name in before if ".layers." in name)
    top = tuple(f"model.layers.{block}." for block in (blocks - 2, blocks - 1))
    assert moved == {name for name in before if name.startswith((*top, "model.norm."))}

    written = file.stat().st_mtime_ns
    again = run(stories, "model.train_top=2")
    assert file.stat().st_mtime_ns == written
    assert again["losses"] == kept["losses"]

    without_states(monkeypatch)
    whole = run(stories, "model.train_top=2")
    assert any("frozen blocks run in every step: not today" in warning for warning in whole["warnings"])
    assert kept["losses"] == pytest.approx(whole["losses"], abs=1e-5)
    for name, weight in whole["weights"].items():
        torch.testing.assert_close(kept["weights"][name], weight, atol=1e-4, rtol=0)


@pytest.mark.slow
def test_a_resumed_run_has_the_same_bits_though_the_cache_is_gone(
    penchant: Callable[..., Any], tiny_model: str, preference_file: Path, tmp_path: Path, own_cache: Path
) -> None:
    settings = (*BASE, f"model.name={tiny_model}", "max_steps=null", "epochs=6", "checkpoint_every=2")
    straight = penchant("train", "dpo", *settings, "out=straight")
    assert straight.wait() == 0, straight.stderr
    shutil.rmtree(own_cache)
    process = penchant("train", "dpo", *settings, "out=stopped")
    metrics = tmp_path / "stopped" / "metrics.jsonl"
    while process.kill(0) is None and not (metrics.exists() and metrics.read_text().count('"train"') >= 3):
        time.sleep(0.001)
    process.kill(signal.SIGINT)
    assert process.wait() in (0, 130)
    shutil.rmtree(own_cache)
    resumed = penchant("train", "dpo", "--resume", "out=stopped")
    assert resumed.wait() == 0, resumed.stderr
    assert "resuming after step" in resumed.stderr  # and not from the beginning
    files = [tmp_path / name / "checkpoint" / "model.safetensors" for name in ("straight", "stopped")]
    assert files[0].read_bytes() == files[1].read_bytes()
