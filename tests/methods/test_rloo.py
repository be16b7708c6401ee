"""RLOO and GRPO: what they share with each other and with PPO's loop, their limits, and what a kill costs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import penchant as pt
from penchant.engine.tokens import Layout, Reading
from penchant.errors import InputError
from penchant.train.rollout_objectives import Columns, GroupBaseline, Rollout

REWARDS = '''
def letters(pairs):
    """How much of a response is letters."""
    return [sum(sign.isascii() and sign.isalpha() for sign in text) / max(1, len(text)) for _, text in pairs]

def short(pairs):
    return [-float(len(response)) for _, response in pairs]
'''
NAMES = ("Ann", "Bob", "Cleo", "Dan", "Eve", "Finn")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "prompts.txt").write_text("".join(f"{name} went\n" for name in NAMES))
    (tmp_path / "rewards.py").write_text(REWARDS)
    return tmp_path


def settings(folder: Path, model: str, out: str, **changes: Any) -> dict[str, Any]:
    return {
        "model": model,
        "data": {"path": str(folder / "prompts.txt"), "held_out": 0},
        "reward": f"{folder / 'rewards.py'}:letters",
        "steps": 2,
        "prompts_per_step": 3,
        "samples_per_prompt": 4,
        "max_new_tokens": 3,
        "optimizer": {"name": "adamw", "learning_rate": 1e-2},
        "evaluate": {"samples": None},
        "out": str(folder / out),
        **changes,
    }


def weights(folder: Path, out: str) -> dict[str, torch.Tensor]:
    return load_file(folder / out / "checkpoint" / "model.safetensors")


def rows(folder: Path, out: str) -> list[dict[str, Any]]:
    lines = (folder / out / "metrics.jsonl").read_text().splitlines()
    return [row for line in lines if (row := json.loads(line))["kind"] == "train"]


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_rloo_raises_its_reward_and_has_no_value_head(folder: Path, tiny_model: str) -> None:
    changes = {"steps": 12, "prompts_per_step": 6, "samples_per_prompt": 8, "kl": {"name": "fixed", "coefficient": 0.0}}
    pt.train(pt.RLOO(**settings(folder, tiny_model, "run", **changes)))
    steps = rows(folder, "run")
    first, last = (sum(row["reward"] for row in part) / 3 for part in (steps[:3], steps[-3:]))
    assert last > first + 0.08
    assert "value_loss" not in steps[0]
    assert "explained_variance" not in steps[0]
    assert 0 <= steps[0]["equal_rewards"] <= 1


@pytest.mark.parametrize("method", [pt.RLOO, pt.GRPO])
def test_without_a_learning_rate_the_kl_stays_0(folder: Path, tiny_model: str, method: Any) -> None:
    still = {"optimizer": {"name": "adamw", "learning_rate": 1e-30}, "true_reward": f"{folder / 'rewards.py'}:short"}
    pt.train(method(**settings(folder, tiny_model, "run", **still)))
    for row in rows(folder, "run"):
        assert row["kl_nats"] == pytest.approx(0, abs=1e-5)
        assert row["true_reward"] < 0


def test_grpo_without_the_division_is_rloo_with_less_weight(folder: Path, tiny_model: str) -> None:
    """With plain steps of gradients, 4 samples, one update: its step is 3/4 of RLOO's."""
    common = {"steps": 1, "kl": {"name": "fixed", "coefficient": 0.05}, "kl_in": "reward", "loss_type": "grpo"}
    # Adam would take the same step for any scale: of RMSprop's first step only the ratio to its eps shows it
    rate = {"optimizer": {"name": "rmsprop", "learning_rate": 1e-3, "eps": 1e4}, "clip": None}
    pt.train(pt.RLOO(**settings(folder, tiny_model, "rloo", **common, **rate)))
    pt.train(pt.GRPO(**settings(folder, tiny_model, "grpo", **common, **rate, scale_rewards=False)))
    gradients = [rows(folder, out)[0]["grad_norm"] for out in ("rloo", "grpo")]
    assert gradients[0] > 0
    assert gradients[1] == pytest.approx(0.75 * gradients[0], rel=1e-4)
    losses = [rows(folder, out)[0]["policy_loss"] for out in ("rloo", "grpo")]
    assert losses[1] == pytest.approx(0.75 * losses[0], rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"kl_in": "reward"},
        {"kl_estimator": "k2", "kl": {"name": "fixed", "coefficient": 5.0}},
        {"scale_rewards": False},
        {"ratio": "sequence", "updates": 2},
        {"clip_high": 0.5, "updates": 3, "clip_ratio": 0.01},
        {"cut_samples": "mask"},
        {"further_rewards": {"rewards.py:short": 0.1}},
    ],
    ids=lambda changes: next(iter(changes)) + str(next(iter(changes.values()))),
)
def test_every_setting_changes_what_is_learned(
    folder: Path, tiny_model: str, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    monkeypatch.chdir(folder)
    control = {name: value for name, value in changes.items() if name == "updates"}
    control |= {"kl": changes["kl"]} if "kl" in changes else {}
    control |= {"clip_ratio": changes["clip_ratio"]} if "clip_ratio" in changes else {}
    pt.train(pt.GRPO(**settings(folder, tiny_model, "control", **control)))
    pt.train(pt.GRPO(**settings(folder, tiny_model, "changed", **changes)))
    assert not same(weights(folder, "control"), weights(folder, "changed"))


def test_the_kinds_of_loss_share_out_tokens_as_they_say() -> None:
    """Of two prompts with samples of 1 and 3 tokens, the longer one drawn twice and cut."""
    layout = Layout(torch.tensor([0, 1, 4, 6]))
    counts, none = torch.tensor([1.0, 2.0, 1.0]), torch.zeros(6)
    finished, prompts = torch.tensor([True, False, True]), torch.tensor([0, 0, 1])
    weights = counts.repeat_interleave(layout.lengths)
    rollout = Rollout((), layout, counts, torch.zeros(3), prompts, finished, none, none, none, none, none, weights)

    def shares(slots: list[int], **changes: Any) -> list[float]:
        config = pt.GRPO(model="m", data="d", reward="vader", max_new_tokens=4, **changes)
        return GroupBaseline(config).shares(rollout, torch.tensor(slots))[: 4 if 2 not in slots else 6].tolist()

    # the first prompt alone: 3 samples with 1 + 2 x 3 tokens
    assert shares([0, 1], loss_type="sum") == pytest.approx([1 / 3, 2 / 3, 2 / 3, 2 / 3])
    assert shares([0, 1], loss_type="grpo") == pytest.approx([1 / 3, 2 / 9, 2 / 9, 2 / 9])
    assert shares([0, 1], loss_type="dapo") == pytest.approx([1 / 7, 2 / 7, 2 / 7, 2 / 7])
    assert shares([0, 1], loss_type="dr_grpo") == pytest.approx([1 / 12, 1 / 6, 1 / 6, 1 / 6])
    assert shares([0, 1, 2], loss_type="sum") == pytest.approx([1 / 4, 1 / 2, 1 / 2, 1 / 2, 1 / 4, 1 / 4])
    # without the cut sample: the others count as if they were alone
    assert shares([0, 1, 2], loss_type="grpo", cut_samples="mask") == pytest.approx([1 / 2, 0, 0, 0, 1 / 4, 1 / 4])
    assert shares([1], loss_type="dapo", cut_samples="mask") == pytest.approx([1, 0, 0, 0])


def test_a_ratio_of_sequences_is_that_of_tokens_at_the_first_update(folder: Path, tiny_model: str) -> None:
    pt.train(pt.GRPO(**settings(folder, tiny_model, "tokens", steps=1)))
    pt.train(pt.GRPO(**settings(folder, tiny_model, "sequences", steps=1, ratio="sequence")))
    first, second = (rows(folder, out)[0]["grad_norm"] for out in ("tokens", "sequences"))
    assert first == pytest.approx(second, rel=1e-4)


def test_the_first_coefficient_has_the_rewards_unit_where_the_kl_is_in_the_reward(
    folder: Path, tiny_model: str
) -> None:
    """Dividing reward and penalty by one spread leaves the best policy as it was, and so the coefficient."""
    common = {"steps": 1, "kl": {"name": "adaptive", "target_nats": 2.0}}
    pt.train(pt.GRPO(**settings(folder, tiny_model, "scaled", **common, kl_in="reward")))
    pt.train(pt.GRPO(**settings(folder, tiny_model, "plain", **common, kl_in="reward", scale_rewards=False)))
    pt.train(pt.GRPO(**settings(folder, tiny_model, "loss", **common, kl_in="loss")))
    scaled, plain, beside = (rows(folder, out)[0]["kl_coefficient"] for out in ("scaled", "plain", "loss"))
    assert scaled == plain
    # shares of letters vary by less than 1; beside scaled rewards it is that of a variance of 1
    assert 0 < scaled < 0.4
    assert beside == 0.5


def test_the_fraction_of_clipped_tokens_is_at_most_1(folder: Path, tiny_model: str) -> None:
    """With a range of nothing every token is clipped once the first of several updates has moved it."""
    changes = {"steps": 1, "updates": 8, "clip_ratio": 1e-6, "max_new_tokens": 6}
    changes |= {"optimizer": {"name": "adamw", "learning_rate": 0.1}}
    for loss_type in ("sum", "dapo", "dr_grpo"):
        pt.train(pt.RLOO(**settings(folder, tiny_model, loss_type, **changes, loss_type=loss_type)))
        # seven of eight updates, of all tokens but those that moved back by chance
        assert 0.7 < rows(folder, loss_type)[0]["clip_fraction"] <= 7 / 8 + 1e-6


def test_of_whole_samples_those_are_clipped_whose_mean_left_the_range() -> None:
    """Of two tokens one rises and one falls: their mean stays, though each has left the range by itself."""
    old, now = torch.zeros(2), torch.tensor([0.5, -0.5])
    columns = Columns(old, old, old, torch.ones(2), old, torch.zeros(2, dtype=torch.long))
    shares = {}
    for ratio in ("token", "sequence"):
        config = pt.GRPO(model="m", data="d", reward="vader", ratio=ratio)
        terms = GroupBaseline(config).terms(Reading(now, None, None), columns, 0.0)
        shares[ratio] = terms["clip_fraction"].tolist()
    assert shares == {"token": [1, 1], "sequence": [0, 0]}


def test_a_further_reward_of_weight_0_changes_nothing(folder: Path, tiny_model: str) -> None:
    pt.train(pt.RLOO(**settings(folder, tiny_model, "one")))
    further = {f"{folder / 'rewards.py'}:short": 0.0}
    pt.train(pt.RLOO(**settings(folder, tiny_model, "two", further_rewards=further)))
    assert same(weights(folder, "one"), weights(folder, "two"))


def test_a_run_that_is_stopped_goes_on_to_the_same_end(folder: Path, tiny_model: str) -> None:
    pt.train(pt.RLOO(**settings(folder, tiny_model, "whole", steps=4)))
    pt.train(pt.RLOO(**settings(folder, tiny_model, "short", steps=2)))
    pt.train(pt.RLOO(**settings(folder, tiny_model, "short", steps=4)), resume=True)
    assert same(weights(folder, "whole"), weights(folder, "short"))


@pytest.mark.slow
def test_a_killed_run_resumes_exactly(folder: Path, tiny_model: str) -> None:
    common = settings(folder, tiny_model, "killed", steps=40, checkpoint_every=1)
    arguments = [
        f"{name}={json.dumps(value) if not isinstance(value, str) else value}" for name, value in common.items()
    ]
    command = [sys.executable, "-m", "penchant.cli", "train", "grpo", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ))
    file = folder / "killed" / "checkpoint"
    deadline = time.monotonic() + 120
    while not file.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert subprocess.run([*command, "--resume"], check=False, capture_output=True).returncode == 0
    pt.train(pt.GRPO(**{**common, "out": str(folder / "whole")}))
    assert same(weights(folder, "whole"), weights(folder, "killed"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"samples_per_prompt": 1}, "at least 2"),
        ({"value_weight": 0.1}, "value_weight"),
        ({"loss_type": "ppo"}, "loss_type"),
        ({"temperature": 0.7}, "cannot be set for rollouts"),
        ({"further_rewards": {"nope": 1.0}}, "nope"),
    ],
)
def test_what_makes_no_sense_is_refused(folder: Path, tiny_model: str, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        pt.train(pt.GRPO(**settings(folder, tiny_model, "bad", **changes)))
    assert not (folder / "bad").exists()
