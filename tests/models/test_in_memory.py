"""Loaded models as settings: stored by content, opened again, and refused where they cannot be stored."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import penchant as pt
from penchant.cli.main import main
from penchant.files import remove
from penchant.models.locate import locate
from penchant.session import store
from penchant.types import RunResult

GROUPS = [
    pt.PromptGroup(f"Film {number}?", [" good", " dull"], [pt.Comparison(winner=0, loser=1)]) for number in range(4)
]


@pytest.fixture
def policy(tiny_model: str) -> pt.Policy:
    return pt.load_policy(tiny_model, device="cpu")


def test_a_policy_is_named_by_its_weights_and_opens_as_it_was(policy: pt.Policy) -> None:
    name = pt.DPO(model=policy, data="d").model.name
    assert name.startswith("session:model-")
    assert (
        pt.DPO(model=policy, data="d", reference=policy).reference
        == pt.DPO(model=policy, data="d", reference=name).reference
    )
    before = policy.score(GROUPS)
    with torch.no_grad():
        next(iter(policy.model.parameters())).mul_(0.5)
    assert pt.DPO(model={"name": policy}, data="d").model.name != name
    # what was stored is the model as it was when the settings were made
    assert torch.equal(torch.cat(pt.load_policy(name, device="cpu").score(GROUPS)), torch.cat(before))


def test_a_run_keeps_the_model_and_is_repeated_and_resumed_from_its_folder(
    policy: pt.Policy, tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"data": {"path": GROUPS, "held_out": 1}, "evaluate": {"samples": None}, "batch_size": 3}
    run = pt.train(pt.DPO(model=policy, out=str(tmp_path / "run"), **settings))
    by_name = pt.train(pt.DPO(model=tiny_model, out=str(tmp_path / "name"), **settings))
    weights = [(result.path / "checkpoint" / "model.safetensors").read_bytes() for result in (run, by_name)]
    assert weights[0] == weights[1]
    remove(store.store_folder())
    monkeypatch.setattr(store, "_folders", [])
    assert main(["train", "dpo", str(run.path / "config.yaml"), f"out={tmp_path / 'again'}"]) == 0
    assert (tmp_path / "again" / "checkpoint" / "model.safetensors").read_bytes() == weights[0]


def test_a_run_stands_for_its_checkpoint(tmp_path: Path) -> None:
    run = RunResult("dpo", tmp_path / "run", {})
    assert pt.SFT(model=run, data="d").model.name == str(tmp_path / "run" / "checkpoint")


def test_what_cannot_be_stored_is_refused(policy: pt.Policy) -> None:
    policy.model.is_quantized = True  # type: ignore[assignment]
    with pytest.raises(
        pt.InputError, match=r"`model.name`: the model .* is quantised, and its weights cannot be stored"
    ):
        pt.DPO(model=policy, data="d")
    del policy.model.is_quantized
    policy.model.to("meta")
    with pytest.raises(pt.InputError, match=r"are not in memory .* is on the device meta"):
        pt.DPO(model=policy, data="d")
    with pytest.raises(pt.InputError, match=r"`model.name`: expected text of length at least 1, got 3"):
        pt.DPO(model=3, data="d")


def test_a_stored_model_that_is_gone_is_named(policy: pt.Policy) -> None:
    name = pt.DPO(model=policy, data="d").model.name
    remove(store.store_folder())
    with pytest.raises(pt.InputError, match=f"{name} was handed over by a Python session"):
        locate(name)
