"""Every layout of the table trains: a file of its shape, one step of the method that it is for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penchant.config import Config
from penchant.data.layouts import registry
from penchant.methods import DPO, KTO, SFT, train

COMPARED = {
    name: path
    for layout in registry.PREFERENCES
    if layout not in registry.UNPAIRED
    for name, path in layout.examples.items()
}
LABELLED = {name: path for layout in registry.UNPAIRED for name, path in layout.examples.items()}
DEMONSTRATED = {
    name: path
    for layout in registry.DEMONSTRATIONS
    if layout is not registry.OWN_LAYOUT
    for name, path in layout.examples.items()
}
SMALL = {"max_steps": 1, "evaluate": {"samples": None}, "batch_size": 2}


def run(method: type[Config], name: str, example: Path, model: str, folder: Path, **data: object) -> None:
    """One step on the rows of an example, none of which is held out."""
    layout = {"layout": "instructgpt-summaries"} if name == "instructgpt-summaries" else {}
    settings = {"model": {"name": model, "device": "cpu"}, "out": str(folder / "run"), **SMALL}
    source = {"path": str(example), "held_out": 0, "template": "plain", "overflow": "truncate_prompt", **layout, **data}
    result = train(method(**settings, data=source))
    lines = (folder / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert result.path == folder / "run"
    assert any("loss" in json.loads(line) for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPARED)
def test_preferences_train(name: str, tiny_model: str, tmp_path: Path) -> None:
    run(DPO, name, COMPARED[name], tiny_model, tmp_path, ties="half")


@pytest.mark.slow
@pytest.mark.parametrize("name", LABELLED)
def test_labels_train(name: str, tiny_model: str, tmp_path: Path) -> None:
    run(KTO, name, LABELLED[name], tiny_model, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", DEMONSTRATED)
def test_demonstrations_train(name: str, tiny_model: str, tmp_path: Path) -> None:
    run(SFT, name, DEMONSTRATED[name], tiny_model, tmp_path)
