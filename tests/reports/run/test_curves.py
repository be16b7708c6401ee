"""Panels of reward models and of PPO with the sentences beside them, and nothing where a number is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import penchant as pt
from penchant.reports.run import curves
from penchant.reports.run.sentences import sentences
from penchant.reports.run.summary import summarize
from penchant.runs.read import read_runs


def estimate(value: float, half: float = 0.1) -> dict[str, Any]:
    return {"value": value, "low": value - half, "high": value + half, "n": 40, "clusters": 12}


def write(folder: Path, method: str, lines: list[dict[str, Any]]) -> Path:
    folder.mkdir()
    (folder / "config.yaml").write_text(f"method: {method}\nseed: 0\n")
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def reward_model(folder: Path) -> Path:
    def held(accuracy: float) -> dict[str, Any]:
        curve = [{"confidence": 0.6, "accuracy": estimate(0.55)}, {"confidence": 0.9, "accuracy": estimate(0.7)}]
        return {"accuracy": estimate(accuracy), "longest_wins": estimate(0.5), "chosen_reward": estimate(0.4),
                "rejected_reward": estimate(-0.3), "length_correlation": estimate(0.25),
                "calibration": {"curve": curve, "expected_error": 0.1}}  # fmt: skip

    train = [{"kind": "train", "step": n, "loss": 0.7 - n / 100, "chosen_reward": n / 20, "rejected_reward": -n / 20}
             for n in range(1, 6)]  # fmt: skip
    evals = [{"kind": "eval", "step": step, "held_out": held(accuracy)} for step, accuracy in ((0, 0.5), (5, 0.8))]
    return write(folder, "reward_model", [evals[0], *train, evals[1]])


def ppo(folder: Path, **changes: Any) -> Path:
    lines = [
        {"kind": "train", "step": n, "loss": 0.1, "reward": n / 10, "true_reward": 1 - n / 10, "kl_nats": n / 5,
         "kl_coefficient": 0.1, "clip_fraction": 0.05, "explained_variance": 0.3, "grad_norm": 1.0} | changes
        for n in range(1, 6)
    ]  # fmt: skip
    return write(folder, "ppo", lines)


def test_a_reward_model_shows_its_rewards_and_whether_its_certainty_holds(tmp_path: Path) -> None:
    (run,) = read_runs([reward_model(tmp_path / "reward")])
    assert [s.label for s in curves.panels([run])["rewards"].series if s.kind == "points"] == ["chosen", "rejected"]
    told = sentences([summarize(run)])
    assert "55% [45%, 65%] where 60% sure and 70% [60%, 80%] where 90% sure" in told["accuracy"]
    assert "correlate by 0.25" in told["rewards"]


def test_ppo_shows_what_it_optimised_beside_what_that_stands_for(tmp_path: Path) -> None:
    (run,) = read_runs([ppo(tmp_path / "ppo")])
    drawn = curves.panels([run])
    assert {"rollout_reward", "kl", "kl_coefficient", "clip_fraction", "explained_variance"} <= set(drawn)
    told = sentences([summarize(run)])["rollout_reward"]
    assert "What is optimised rose from 0.1" in told
    assert "what it stands for fell" in told
    (alone,) = read_runs([ppo(tmp_path / "alone", true_reward="x")])
    assert "stands for" not in sentences([summarize(alone)])["rollout_reward"]


@pytest.mark.slow
def test_the_pages_are_written(tmp_path: Path) -> None:
    folders = [reward_model(tmp_path / "reward"), ppo(tmp_path / "ppo")]
    for runs, shown in (
        (folders[:1], "Reward of chosen and rejected responses"),
        (folders[1:], "Reward of the rollouts"),
        (folders, "Optimised reward of the rollouts"),
    ):
        assert shown in pt.report(runs, tmp_path / "page.html").read_text()
