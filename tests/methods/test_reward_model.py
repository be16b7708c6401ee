"""The reward model as a method: it learns who wins, its rewards have mean zero, it resumes to the same bits."""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

import penchant as pt
from penchant.errors import InputError


@pytest.fixture
def train(tiny_model: str, preference_file: Path, tmp_path: Path) -> Callable[..., pt.RunResult]:
    def run(name: str, **settings: Any) -> pt.RunResult:
        defaults: dict[str, Any] = {
            "model": {"name": tiny_model, "device": "cpu"},
            "data": {"path": str(preference_file), "held_out": 3},
            "batch_size": 8,
            "epochs": 6,
            "optimizer": {"learning_rate": 3e-3},
            "out": str(tmp_path / name),
        }
        return pt.train(pt.RewardModel(**defaults | settings))

    return run


def lines(path: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("seconds", "tokens_per_s")} for row in rows]


def test_it_learns_who_wins_on_prompts_that_it_has_not_seen(
    train: Callable[..., pt.RunResult], preference_file: Path
) -> None:
    run = train("run", evaluate={"every_steps": 6})
    first, final = run.metrics["first"]["held_out"], run.metrics["final"]["held_out"]
    assert final["loss"]["value"] < 0.5 * first["loss"]["value"]
    assert final["accuracy"]["value"] == 1.0
    assert final["accuracy"]["low"] == pytest.approx(0.025 ** (1 / final["accuracy"]["clusters"]))  # exact
    assert final["chosen_reward"]["value"] > final["rejected_reward"]["value"]
    curve = final["calibration"]["curve"]
    assert all(0.5 <= point["confidence"] <= 1 for point in curve)
    assert 0 <= final["calibration"]["expected_error"] <= 1
    assert -1 <= final["length_correlation"]["value"] <= 1
    reward = pt.load_reward(str(run.path))  # the run directory will do
    groups = pt.score_groups(pt.load_preferences(preference_file), reward)
    assert all(min(g.scores[0], g.scores[2]) > max(g.scores[1], g.scores[3]) for g in groups if g.scores)


def test_rewards_of_the_training_responses_have_mean_zero(
    train: Callable[..., pt.RunResult], preference_file: Path
) -> None:
    run = train("run", data={"path": str(preference_file), "held_out": 0})
    model = pt.load_reward_model(run.path, device="cpu")
    assert model.offset != 0
    rewards = [value for row in model.score(pt.load_preferences(preference_file)) for value in row.tolist()]
    assert sum(rewards) / len(rewards) == pytest.approx(0, abs=1e-4)


def test_at_a_rate_of_nothing_it_learns_nothing(train: Callable[..., pt.RunResult]) -> None:
    run = train("still", epochs=1, optimizer={"name": "adamw", "learning_rate": 1e-12}, head_learning_rate=1e-12)
    first, final = run.metrics["first"]["held_out"], run.metrics["final"]["held_out"]
    assert final["loss"]["value"] == pytest.approx(first["loss"]["value"], abs=1e-6)


def test_turned_labels_turn_the_rewards(
    train: Callable[..., pt.RunResult], preference_file: Path, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in preference_file.read_text().splitlines()]
    turned = tmp_path / "turned.jsonl"
    turned.write_text(
        "".join(
            json.dumps(
                row | {"comparisons": [{"winner": c["loser"], "loser": c["winner"]} for c in row["comparisons"]]}
            )
            + "\n"
            for row in rows
        )
    )
    run = train("turned", data={"path": str(turned), "held_out": 3})
    assert run.metrics["final"]["held_out"]["accuracy"]["value"] == 1.0
    model = pt.load_reward_model(run.path, device="cpu")
    for row in model.score(pt.load_preferences(preference_file)):
        assert max(row[0], row[2]) < min(row[1], row[3])


def test_a_margin_asks_for_a_larger_lead(train: Callable[..., pt.RunResult]) -> None:
    plain, wide = train("plain", epochs=1), train("wide", epochs=1, margin=2.0)
    assert lines(wide.path)[1]["loss"] > lines(plain.path)[1]["loss"] + 0.5
    assert weights(plain) != weights(wide)


def test_the_head_has_a_rate_of_its_own(train: Callable[..., pt.RunResult], tiny_model: str) -> None:
    """The trunk stands still, the head learns."""
    run = train("head", optimizer={"name": "adamw", "learning_rate": 1e-12}, head_learning_rate=0.03)
    before = load_file(Path(tiny_model) / "model.safetensors")
    after = load_file(run.path / "checkpoint" / "model.safetensors")
    assert all((after[name] - before[name]).abs().max() < 1e-8 for name in after if name in before)
    assert after["score.weight"].abs().max() > 0.1
    final = run.metrics["final"]["held_out"]
    assert final["loss"]["value"] < run.metrics["first"]["held_out"]["loss"]["value"] - 0.05


def weights(run: pt.RunResult) -> dict[str, list[Any]]:
    return {name: tensor.tolist() for name, tensor in load_file(run.path / "checkpoint" / "model.safetensors").items()}


def test_ties_are_half_a_win_each_way(train: Callable[..., pt.RunResult], tiny_model: str, tmp_path: Path) -> None:
    """All ties: the best that a model can do is no difference, at ln 2."""
    path = tmp_path / "ties.jsonl"
    rows = [
        {
            "prompt": f"{n} went.",
            "responses": [" Yes.", " No."],
            "comparisons": [{"winner": 0, "loser": 1, "tie": True}],
        }
        for n in ("Ann", "Bob", "Cleo", "Dan")
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = train("ties", data={"path": str(path), "held_out": 1, "ties": "half"}, epochs=40)
    final = run.metrics["final"]["held_out"]
    assert final["loss"]["value"] == pytest.approx(math.log(2), abs=0.05)
    assert "accuracy" not in final
    with pytest.raises(InputError, match="ties"):
        train("refused", data={"path": str(path), "held_out": 1})


def test_settings_of_policies_are_refused(tiny_model: str) -> None:
    with pytest.raises(InputError, match="samples"):
        pt.RewardModel(model=tiny_model, data="prefs.jsonl", evaluate={"samples": None})


def test_only_the_last_blocks_and_the_head_train(train: Callable[..., pt.RunResult], tiny_model: str) -> None:
    run = train("top", model={"name": tiny_model, "device": "cpu", "train_top": 1})
    before = load_file(Path(tiny_model) / "model.safetensors")
    after = load_file(run.path / "checkpoint" / "model.safetensors")
    moved = {name for name in before if name in after and not before[name].equal(after[name])}
    assert moved
    assert not any("layers.0." in name or "embed" in name for name in moved)
    assert run.metrics["final"]["held_out"]["accuracy"]["value"] > 0.8


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_bits(
    penchant: Callable[..., Any], tiny_model: str, preference_file: Path, tmp_path: Path
) -> None:
    settings = (f"model={tiny_model}", "model.device=cpu", f"data={preference_file}", "data.held_out=2",
                "batch_size=3", "epochs=3", "optimizer.learning_rate=1e-3", "checkpoint_every=2")  # fmt: skip
    straight = penchant("train", "reward_model", *settings, "out=straight")
    assert straight.wait() == 0, straight.stderr
    killed = penchant("train", "reward_model", *settings, "out=killed")
    end = time.monotonic() + 60
    while not (tmp_path / "killed" / "checkpoint").exists() and time.monotonic() < end:
        time.sleep(0.001)
    killed.kill(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    resumed = penchant("train", "reward_model", "--resume", "out=killed")
    assert resumed.wait() == 0, resumed.stderr
    assert "resuming after step" in resumed.stderr
    assert lines(tmp_path / "straight") == lines(tmp_path / "killed")
    for name in ("model.safetensors", "reward.json"):
        bits = [(tmp_path / out / "checkpoint" / name).read_bytes() for out in ("straight", "killed")]
        assert bits[0] == bits[1]
