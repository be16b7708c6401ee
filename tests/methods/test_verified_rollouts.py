"""Rollouts whose reward reads columns of the rows: refused early, recorded, equal to a reward without them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import penchant as pt
from penchant.data.load import load_prompts
from penchant.engine.sampling import Sampling
from penchant.errors import InputError, RunError, RunMismatchError
from penchant.runs.input_digests import column_inputs

REWARDS = '''
def long(pairs, answer):
    """1 where the response has as many characters as the row says, or more."""
    return [float(len(response) >= int(size)) for (_, response), size in zip(pairs, answer)]

def long_by_prompt(pairs):
    return [float(len(response) >= len(prompt) // 3) for prompt, response in pairs]

def never(pairs, answer):
    return [0.0] * len(pairs)

calls = []

def late(pairs, answer):
    calls.append(1)
    if len(calls) > 2:
        raise ValueError("a wrong row")
    return [1.0] * len(pairs)
'''
NAMES = ("Ann", "Bob", "Cleo", "Dan", "Eve", "Finn")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    prompts = [f"{name} went" for name in NAMES]
    rows = [{"prompt": prompt, "answer": len(prompt) // 3} for prompt in prompts]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "rewards.py").write_text(REWARDS)
    return tmp_path


def settings(folder: Path, model: str, reward: str, out: str, **changes: Any) -> dict[str, Any]:
    return {
        "model": model,
        "data": {"path": str(folder / "prompts.jsonl"), "held_out": 0},
        "reward": f"{folder / 'rewards.py'}:{reward}" if reward in REWARDS else reward,
        "steps": 2,
        "prompts_per_step": 3,
        "samples_per_prompt": 4,
        "max_new_tokens": 3,
        "optimizer": {"name": "adamw", "learning_rate": 1e-2},
        "evaluate": {"samples": None},
        "out": str(folder / out),
        **changes,
    }


def train(method: str, settings: dict[str, Any], *, resume: bool = False) -> pt.RunResult:
    kind = {"rloo": pt.RLOO, "grpo": pt.GRPO, "ppo_gt": pt.PPOGT}[method]
    return pt.train(kind.model_validate(settings), resume=resume)


def weights(folder: Path, out: str) -> dict[str, torch.Tensor]:
    return load_file(folder / out / "checkpoint" / "model.safetensors")


@pytest.mark.parametrize("method", ["rloo", "ppo_gt"])
def test_a_column_gives_what_the_prompt_would(folder: Path, tiny_model: str, method: str) -> None:
    train(method, settings(folder, tiny_model, "long", "columns"))
    train(method, settings(folder, tiny_model, "long_by_prompt", "prompts"))
    first, second = weights(folder, "columns"), weights(folder, "prompts")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_missing_column_is_refused_before_anything_is_written(folder: Path, tiny_model: str) -> None:
    with pytest.raises(
        InputError, match=r"asks for the column 'solution', which .*prompts.jsonl:\d does not have; its"
    ):
        train("rloo", settings(folder, tiny_model, "exact_answer:column=solution", "run"))
    assert not (folder / "run").exists()


def test_a_missing_column_of_evaluation_is_refused(folder: Path, tiny_model: str) -> None:
    evaluate = {"samples": {"n": 1, "max_new_tokens": 2, "reward": "number:column=solution"}}
    with pytest.raises(InputError, match="asks for the column 'solution'"):
        train("rloo", settings(folder, tiny_model, "long", "run", evaluate=evaluate))


def test_evaluation_samples_are_verified_by_their_rows(folder: Path, tiny_model: str) -> None:
    evaluate = {"samples": {"n": 2, "max_new_tokens": 2, "reward": f"{folder / 'rewards.py'}:long"}}
    data = {"path": str(folder / "prompts.jsonl"), "held_out": 2}
    result = train("rloo", settings(folder, tiny_model, "long", "run", evaluate=evaluate, data=data, steps=1))
    assert result.metrics["final"]["samples"]["policy"]["reward"]["n"] >= 2


def test_prompts_that_teach_nothing_are_counted_and_said(folder: Path, tiny_model: str) -> None:
    result = train("grpo", settings(folder, tiny_model, "never", "run"))
    assert [row["equal_rewards"] for row in result.history if row["kind"] == "train"] == [1.0, 1.0]
    assert any("one reward for 100% of the prompts" in warning for warning in result.metrics["warnings"])
    assert any("in 2 of 2 steps for every prompt" in warning for warning in result.metrics["warnings"])
    # advantages are zero and so is the KL of the first step, so nothing moves
    start = load_file(Path(tiny_model) / "model.safetensors")
    trained = weights(folder, "run")
    assert all(torch.equal(trained[name], start[name]) for name in start)


def test_another_answer_is_another_run(folder: Path, tiny_model: str) -> None:
    config = settings(folder, tiny_model, "late", "run", steps=3)
    with pytest.raises(RunError, match=r"failed on .*prompts.jsonl:\d, response .*ValueError: a wrong row.*--resume"):
        train("rloo", config)
    text = (folder / "prompts.jsonl").read_text()
    (folder / "prompts.jsonl").write_text(text.replace('"answer": 2', '"answer": 9'))
    with pytest.raises(RunMismatchError, match=r"the data \(.*prompts.jsonl\) changed"):
        train("rloo", config, resume=True)


def test_columns_are_recorded(folder: Path, tiny_model: str) -> None:
    train("rloo", settings(folder, tiny_model, "long", "run", steps=1))
    train("rloo", settings(folder, tiny_model, "long_by_prompt", "plain", steps=1))
    recorded, plain = (json.loads((folder / run / "provenance.json").read_text()) for run in ("run", "plain"))
    (digest,) = column_inputs(load_prompts(folder / "prompts.jsonl", keep_columns=True)).values()
    assert sorted(recorded["inputs"]) == sorted([*plain["inputs"], "the columns of the prompts"])
    assert len(digest) == 32


def test_a_verifier_beside_other_rewards(folder: Path, tiny_model: str) -> None:
    further = {f"{folder / 'rewards.py'}:long": 0.5}
    result = train("rloo", settings(folder, tiny_model, "number", "run", further_rewards=further))
    rewards = [row["reward"] for row in result.history if row["kind"] == "train"]
    assert all(0 <= reward <= 1.5 for reward in rewards)
    assert any(rewards)


def test_the_best_of_n_by_a_verifier(folder: Path, tiny_model: str) -> None:
    policy = pt.load_policy(tiny_model)
    best = pt.BestOfN(policy, pt.load_reward(f"{folder / 'rewards.py'}:long"), n=3)
    sampling = Sampling(2, max_new_tokens=3)
    rows = best.draw(["Ann went", "Bob went"], sampling, columns=[{"answer": 2}, {"answer": 2}])
    assert [len(row) for row in rows] == [2, 2]
    with pytest.raises(InputError, match="asks for the column 'answer'"):
        best.draw(["Ann went"], sampling)
