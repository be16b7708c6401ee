"""Runs of the tiny model that the tests of this folder export, trained once a session."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penchant.cli.main import main

NAMES = ("Ann", "Bob", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hal", "Ida", "Joe", "Kim", "Lea")
FEW = ("max_steps=2", "batch_size=8", "data.held_out=0.4", "optimizer.learning_rate=1e-3")


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of preferences in a folder whose name is nobody's business."""
    path = tmp_path_factory.mktemp("home-of-ann") / "prefs.jsonl"
    lines = []
    for name in NAMES:
        wins = [{"winner": winner, "loser": loser} for winner in (0, 2) for loser in (1, 3)]
        responses = [f" {name} sang.", " It was sad.", " They had a good day.", f" No, {name} fell."]
        lines.append(json.dumps({"prompt": f"{name} went out.", "responses": responses, "comparisons": wins}))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="session")
def run(tiny_model: str, rows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DPO run of all weights, with samples."""
    out = tmp_path_factory.mktemp("runs") / "dpo"
    few = ("evaluate.samples.max_prompts=4", "evaluate.samples.max_new_tokens=4")
    assert main(["train", "dpo", f"model={tiny_model}", f"data={rows}", f"out={out}", *FEW, *few]) == 0
    return out


@pytest.fixture(scope="session")
def lora_run(tiny_model: str, rows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DPO run of adapters."""
    out = tmp_path_factory.mktemp("runs") / "lora"
    few = ("model.lora.rank=2", "evaluate.samples=null")
    assert main(["train", "dpo", f"model={tiny_model}", f"data={rows}", f"out={out}", *FEW, *few]) == 0
    return out


@pytest.fixture(scope="session")
def reward_run(tiny_model: str, rows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reward model's run."""
    out = tmp_path_factory.mktemp("runs") / "reward"
    assert main(["train", "reward_model", f"model={tiny_model}", f"data={rows}", f"out={out}", *FEW]) == 0
    return out
