"""Folders that version c111d53 wrote are read, resumed and reported, with one warning each where they lack digests."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import penchant as pt
from old_folders import expected, unpack
from penchant.cli.main import main
from penchant.data.sources.collection import read_collected
from penchant.digests import SUMS
from penchant.judges import VerdictStore
from penchant.models.reward import load_reward_model
from penchant.runs.read import read_runs
from penchant.weak.classifiers.activations import Activations
from penchant.weak.classifiers.registry import load_classifier


def unchecked(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings of files without digests."""
    return [record.getMessage() for record in caplog.records if "without digests" in record.getMessage()]


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_unfinished_run_is_resumed_to_what_c111d53_came_to(
    old: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    unpack(old, "unfinished")
    with caplog.at_level(logging.WARNING):
        assert main(["train", "dpo", "--resume", "out=unfinished"]) == 0
    assert unchecked(caplog) == [
        f"{name} was written by an earlier version, without digests: it is read unchecked"
        for name in ("unfinished", "unfinished/checkpoint")
    ]
    assert "was begun by an earlier version" in caplog.text
    assert "resuming after step" in caplog.text
    whole, result = expected()["whole"], json.loads((old / "unfinished" / "result.json").read_text())
    assert (result["status"], result["steps"]) == (whole["status"], whole["steps"])
    for name in ("loss", "margin", "accuracy"):
        value = result["final"]["held_out"][name]["value"]
        assert value == pytest.approx(whole["final"]["held_out"][name]["value"], abs=1e-4)
    assert (old / "unfinished" / SUMS).exists()
    assert (old / "unfinished" / "checkpoint" / SUMS).exists()
    caplog.clear()
    assert main(["train", "dpo", "--resume", "out=unfinished"]) == 0
    assert "nothing to resume" in caplog.text
    assert not unchecked(caplog)


@pytest.mark.slow
def test_an_unfinished_run_of_rollouts_is_resumed(old: Path, caplog: pytest.LogCaptureFixture) -> None:
    unpack(old, "ppo-unfinished")
    assert main(["train", "ppo", "--resume", "out=ppo-unfinished"]) == 0
    assert json.loads((old / "ppo-unfinished" / "result.json").read_text())["steps"] == 30
    assert len(unchecked(caplog)) == 2


@pytest.mark.slow
def test_a_pipeline_goes_on(old: Path, caplog: pytest.LogCaptureFixture) -> None:
    unpack(old, "online")
    assert main(["train", "online_rlhf", "--resume", "out=online"]) == 0
    assert json.loads((old / "online" / "result.json").read_text())["status"] == "done"


def test_runs_of_every_kind_are_reported(old: Path) -> None:
    unpack(old, "dpo", "lora", "reward", "top", "ppo", "online")
    runs = read_runs([old / name for name in ("dpo", "lora", "reward", "top", "ppo", "online/round-1/policy")])
    assert [run.method for run in runs] == ["dpo", "dpo", "reward_model", "dpo", "ppo", "ppo"]
    assert not any(run.notes for run in runs)
    assert all(run.result is not None and run.evals for run in runs)


def test_models_of_every_kind_score(old: Path, caplog: pytest.LogCaptureFixture) -> None:
    unpack(old, "dpo", "lora", "reward")
    groups = [pt.PromptGroup("Ann went.", [" Ann sang.", " Sad."])]
    for name in ("dpo", "lora"):
        digest = hashlib.sha256(next((old / name / "checkpoint").glob("*model.safetensors")).read_bytes()).hexdigest()
        assert digest == expected()[name]["weights_sha256"]
        (scores,) = pt.load_policy(old / name / "checkpoint", device="cpu", template="plain").score(groups)
        assert float(scores[0] - scores[1]) != 0
    (rewards,) = load_reward_model(old / "reward", device="cpu").score(groups)
    assert rewards.isfinite().all()
    assert len(unchecked(caplog)) == 3


def test_what_other_commands_wrote_is_read(old: Path, caplog: pytest.LogCaptureFixture) -> None:
    unpack(old, "judge", "weak", "activations", "collect", "study")
    with VerdictStore(old / "judged" / "judgments.sqlite") as store:
        assert len(store) > 0
    assert load_classifier(old / "weak" / "classifier").predict_proba(["a warm film"])[0].argmax() == 1
    (file,) = (old / "activations").glob("*.npy")
    kept = Activations(file)
    assert kept.read().shape == kept.shape == (3, 4, 8)
    assert np.isfinite(kept.read()).all()
    rows: list[Any] = [row for _, row in read_collected(old / "collected.sqlite")]
    assert len(unchecked(caplog)) == 3  # classifier, activations, collection
    assert sum(len(row["comparisons"]) for row in rows) > 0
    study = json.loads((old / "study" / "study.json").read_text())
    assert study["config"]["dpo"]["beta"] == [0.1]
