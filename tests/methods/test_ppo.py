"""PPO: known optima, its control, what it refuses, and that what goes wrong loses no work."""

from __future__ import annotations

import json
import math
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import penchant as pt
from penchant.engine.tree import ROWS
from penchant.errors import InputError, RunError, RunMismatchError
from penchant.metrics.estimates import Estimate
from penchant.runs.marked_rows import read_marked_rows
from penchant.train.rollout import chosen_prompts
from penchant.train.rollout_run import missed_target

CLOCKS = ("seconds", "sampling_seconds", "tokens_per_s")
REWARDS = '''
import os

def vowels(pairs):
    """1 for a response that begins with one of these letters."""
    return [float(response[:1] in set("aeiouAEIOU")) for _, response in pairs]

def length(pairs):
    return [float(len(response)) for _, response in pairs]

def nan(pairs):
    return [float("nan") for _ in pairs]

def short(pairs):
    return [0.0] * (len(pairs) - 1)

def words(pairs):
    return ["good"] * len(pairs)

calls = 0

def breaks(pairs):
    global calls
    calls += 1
    if calls > int(os.environ.get("CREDIT", "2")):
        raise ValueError("out of credit")
    return [0.0 for _ in pairs]
'''


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.txt"
    path.write_text("".join(f"{name} went\n" for name in ("Ann", "Bob", "Cleo", "Dan", "Eve", "Finn")))
    return path


@pytest.fixture
def one_prompt(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("Ann went\n")


@pytest.fixture
def train(tiny_model: str, one_prompt: None, prompts: Path, tmp_path: Path) -> Callable[..., pt.RunResult]:
    (tmp_path / "rewards.py").write_text(REWARDS)

    def run(name: str, reward: str = "vowels", **settings: Any) -> pt.RunResult:
        defaults: dict[str, Any] = {
            "model": {"name": tiny_model, "device": "cpu"},
            "data": {"path": str(prompts), "held_out": 2},
            "reward": f"{tmp_path / 'rewards.py'}:{reward}",
            "steps": 3,
            "prompts_per_step": 4,
            "samples_per_prompt": 4,
            "max_new_tokens": 5,
            "optimizer": {"learning_rate": 1e-3},
            "evaluate": {"samples": None},
            "out": str(tmp_path / name),
        }
        return pt.train(pt.PPOGT(**defaults | settings))

    return run


def lines(path: Path, kind: str = "train") -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in CLOCKS} for row in rows if row["kind"] == kind]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def chance(model: str | Path, prompt: str) -> float:
    """The exact probability that the first token of a response is rewarded by `vowels`."""
    policy = pt.load_policy(model, device="cpu")
    ids = torch.tensor([policy.renderer.prompt_ids(prompt)])
    with torch.no_grad():
        probabilities = policy.model(ids).logits[0, -1].softmax(-1)
    texts = [policy.renderer.decode(ids[0].tolist(), [token]) for token in range(len(probabilities))]
    return float(sum(p for p, text in zip(probabilities.tolist(), texts, strict=True) if text[:1] in set("aeiouAEIOU")))


BANDIT: dict[str, Any] = {
    "max_new_tokens": 1,
    "samples_per_prompt": 32,
    "steps": 20,
    "updates": 1,
    "minibatches": 2,
    "optimizer": {"learning_rate": 1e-2},
}


def test_without_a_penalty_it_finds_the_best_arm(train: Callable[..., pt.RunResult], tiny_model: str) -> None:
    run = train("bandit", **BANDIT, kl={"name": "fixed", "coefficient": 0.0})
    assert chance(tiny_model, "Ann went") < 0.1
    assert chance(run.path / "checkpoint", "Ann went") > 0.9
    assert lines(run.path)[-1]["reward"] > 0.9


@pytest.mark.slow
def test_with_a_penalty_it_finds_the_optimum_in_closed_form(
    train: Callable[..., pt.RunResult], tiny_model: str
) -> None:
    """One token: pi* = pi_ref exp(r / beta) / Z, so the odds of a rewarded token grow by exp(1 / beta)."""
    beta = 0.5
    settings = BANDIT | {"steps": 40, "samples_per_prompt": 64, "optimizer": {"learning_rate": 6e-3}}
    run = train("closed", **settings, schedule="linear", kl={"name": "fixed", "coefficient": beta}, clip_value=None)
    for prompt in ("Ann went", "Bob went", "Cleo went"):
        before = chance(tiny_model, prompt)
        odds = before / (1 - before) * math.exp(1 / beta)
        assert before < 0.05
        assert chance(run.path / "checkpoint", prompt) == pytest.approx(odds / (1 + odds), abs=0.04)


@pytest.mark.slow
def test_the_optimum_holds_for_a_reward_that_comes_later(
    train: Callable[..., pt.RunResult], tiny_model: str, tmp_path: Path
) -> None:
    """Two tokens, rewarded by the second letter alone: the first token's credit is the value of what follows."""
    (tmp_path / "rewards.py").write_text(
        "def second(pairs):\n    return [float(r[1:2] in set('aeiouAEIOU') and len(r) > 1) for _, r in pairs]\n"
    )
    beta = 0.5
    settings = BANDIT | {"steps": 60, "samples_per_prompt": 256, "optimizer": {"learning_rate": 4e-3}, "lam": 1.0}
    run = train("later", "second", **settings | {"max_new_tokens": 2}, schedule="linear", clip_value=None,
                kl={"name": "fixed", "coefficient": beta}, data={"path": str(tmp_path / "one.txt"), "held_out": 0},
                prompts_per_step=1)  # fmt: skip
    before, after = (second_chance(model, "Ann went") for model in (tiny_model, run.path / "checkpoint"))
    odds = before / (1 - before) * math.exp(1 / beta)
    assert before < 0.1
    assert after == pytest.approx(odds / (1 + odds), abs=0.06)


def second_chance(model: str | Path, prompt: str) -> float:
    """The exact probability that the second letter of a response is rewarded: all pairs of tokens enumerated."""
    policy = pt.load_policy(model, device="cpu")
    ids = list(policy.renderer.prompt_ids(prompt))
    with torch.no_grad():
        first = policy.model(torch.tensor([ids])).logits[0, -1].softmax(-1)
        rows = torch.tensor([[*ids, token] for token in range(len(first))])
        second = policy.model(rows).logits[:, -1].softmax(-1)
    total = 0.0
    for one in range(len(first)):
        if one in policy.renderer.end_ids:
            continue
        for two in [place for place in range(len(first)) if policy.tokenizer.decode([place]) in set("aeiouAEIOU")]:
            if policy.renderer.decode(ids, [one, two])[1:2] in set("aeiouAEIOU"):
                total += float(first[one] * second[one, two])
    return total


@pytest.mark.slow
def test_the_controller_brings_the_kl_to_its_target(train: Callable[..., pt.RunResult]) -> None:
    """Within a factor of two on average, for targets that are eight times apart."""
    settings = BANDIT | {"steps": 50, "optimizer": {"learning_rate": 3e-3}}
    for target in (0.2, 1.6):
        run = train(f"to-{target}", **settings, kl={"target_nats": target, "start": 0.5, "gain": 1.0})
        last = [row["kl_nats"] for row in lines(run.path)[-25:]]
        assert target / 2 < sum(last) / len(last) < target * 2
        assert len({row["kl_coefficient"] for row in lines(run.path)}) > 10


def test_a_target_that_is_missed_is_a_warning() -> None:
    config = pt.PPOGT(model="m", data="p.txt", reward="vader", out="o", kl={"target_nats": 4.0})

    def evaluated(value: float, low: float, high: float) -> Estimate:
        return Estimate(value, low, high, 20, 20)

    (warning,) = missed_target(config, evaluated(0.88, 0.7, 1.1), [])
    assert "steered to 4 nats and ended at 0.88, 78% below its target" in warning
    (warning,) = missed_target(config, evaluated(8.0, 7.0, 9.0), [])
    assert "100% above" in warning
    assert missed_target(config, evaluated(3.5, 3.2, 3.8), []) == []  # near enough
    assert missed_target(config, evaluated(2.5, 0.9, 4.1), []) == []  # it may well be there
    step_kls = [0.0, *[2.0] * 10]
    (warning,) = missed_target(config, None, step_kls)
    assert "50% below" in warning
    fixed = config.replace(kl={"name": "fixed"})
    assert missed_target(fixed, evaluated(9, 8, 10), step_kls) == []


def test_evaluation_draws_no_longer_samples_than_training(train: Callable[..., pt.RunResult]) -> None:
    def longest(name: str, **samples: Any) -> tuple[int, list[str]]:
        run = train(name, max_new_tokens=5, steps=1, evaluate={"samples": {"max_prompts": 2, **samples}})
        rows = [json.loads(line) for line in (run.path / "samples.jsonl").read_text().splitlines()]
        tokens = max(int(sample["tokens"]) for row in rows for sample in row["policy"])
        return tokens, [text for text in run.metrics["warnings"] if "evaluation draws" in text]

    assert longest("same") == (5, [])
    tokens, warnings = longest("longer", max_new_tokens=9)
    assert tokens == 9
    assert "of up to 9 tokens, but the longest response trained on has 5" in warnings[0]


def test_without_a_start_the_first_coefficient_follows_from_the_target(train: Callable[..., pt.RunResult]) -> None:
    """A target sixteen times as far is begun with a fourth of the penalty."""
    settings = BANDIT | {"steps": 1}
    near, far = (train(f"target-{target}", **settings, kl={"target_nats": target}) for target in (0.5, 8.0))
    first = [lines(run.path)[0]["kl_coefficient"] for run in (near, far)]
    assert first[0] == pytest.approx(4 * first[1])
    assert first[1] > 0
    scaled = train("scaled", **settings, kl={"target_nats": 2.0}, kl_in="loss")
    assert lines(scaled.path)[0]["kl_coefficient"] == 0.5  # of a variance of 1
    # a penalty within rewards that are whitened is whitened with them, and keeps their unit
    whitened = train("whitened", **settings, kl={"target_nats": 0.5}, whiten_rewards=True)
    assert lines(whitened.path)[0]["kl_coefficient"] == pytest.approx(first[0])


def test_at_a_rate_of_nothing_the_kl_stays_zero(train: Callable[..., pt.RunResult], tiny_model: str) -> None:
    run = train(
        "still", optimizer={"name": "adamw", "learning_rate": 1e-30}, evaluate={"samples": {"max_new_tokens": 4}}
    )
    assert all(abs(row["kl_nats"]) < 1e-4 for row in lines(run.path))
    assert all(row["clip_fraction"] == 0 for row in lines(run.path))
    before = weights(Path(tiny_model))
    assert all(tensor.equal(before[name]) for name, tensor in weights(run.path / "checkpoint").items())
    assert run.metrics["final"]["samples"]["policy"]["kl_nats"]["value"] == pytest.approx(0, abs=1e-5)


@pytest.mark.slow
def test_adapters_and_the_plain_path_learn_too(
    train: Callable[..., pt.RunResult], tiny_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lora = {"name": tiny_model, "device": "cpu", "lora": {"rank": 8}}
    settings = BANDIT | {"kl": {"name": "fixed", "coefficient": 0.0}}
    adapted = train("lora", **settings | {"model": lora, "optimizer": {"learning_rate": 2e-2}})
    assert chance(adapted.path / "checkpoint", "Ann went") > 3 * chance(tiny_model, "Ann went")
    with pytest.raises(InputError, match=r"`model.lora.dropout`"):
        pt.PPOGT(model={**lora, "lora": {"dropout": 0.1}}, data="p.txt")
    tree = train("tree", **settings | {"steps": 3, "max_new_tokens": 3})
    monkeypatch.setattr("penchant.engine.score.scoring_support", lambda *_, **__: (ROWS, "for this test"))
    plain = train("plain", **settings | {"steps": 3, "max_new_tokens": 3})
    assert any("for this test" in warning for warning in plain.metrics["warnings"])
    first, second = lines(tree.path)[0], lines(plain.path)[0]
    assert first.pop("loss") == pytest.approx(second.pop("loss"), abs=1e-4)
    assert first["reward"] == second["reward"]


def test_passes_that_bound_memory_do_not_change_the_result(train: Callable[..., pt.RunResult]) -> None:
    settings = {"optimizer": {"name": "adamw", "learning_rate": 1e-4, "eps": 1e-3}, "entropy_weight": 0.1}
    one, other = train("one", "length", **settings), train("other", "length", tokens_per_batch=16, **settings)
    assert all("explained_variance" in row for row in lines(one.path))
    for first, second in zip(lines(one.path), lines(other.path), strict=True):
        del first["kind"], second["kind"]
        assert first == pytest.approx(second, rel=1e-3, abs=1e-4, nan_ok=True)


START: dict[str, Any] = {"kl": {"name": "fixed", "coefficient": 0.1}}
CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "steps": ({}, {"steps": 2}),
    "prompts_per_step": ({}, {"prompts_per_step": 2}),
    "samples_per_prompt": ({}, {"samples_per_prompt": 2}),
    "max_new_tokens": ({}, {"max_new_tokens": 3}),
    "seed": ({}, {"seed": 1}),
    "kl=fixed.coefficient": (START, {"kl": {"name": "fixed", "coefficient": 2.0}}),
    "kl=fixed": ({}, START),
    "kl=adaptive": (START, {"kl": {"name": "adaptive"}}),
    "kl=adaptive.target_nats": ({}, {"kl": {"target_nats": 0.01}}),
    "kl=adaptive.start": ({}, {"kl": {"start": 1.0}}),
    "kl=adaptive.gain": ({}, {"kl": {"gain": 2.0}}),
    "kl_in": ({}, {"kl_in": "loss"}),
    "updates": ({}, {"updates": 3}),
    "minibatches": ({}, {"minibatches": 1}),
    "clip_ratio": ({"optimizer": {"learning_rate": 0.03}}, {"optimizer": {"learning_rate": 0.03}, "clip_ratio": 0.01}),
    "clip_value": ({"value_learning_rate": 0.3}, {"value_learning_rate": 0.3, "clip_value": None}),
    "value_weight": ({}, {"value_weight": 5.0}),
    "value_learning_rate": ({}, {"value_learning_rate": 0.1}),
    "entropy_weight": ({}, {"entropy_weight": 1.0}),
    "gamma": ({}, {"gamma": 0.5}),
    "lam": ({}, {"lam": 0.0}),
    "whiten_rewards": ({}, {"whiten_rewards": True}),
    "schedule": ({}, {"schedule": "linear"}),
    "clip": ({}, {"clip": 1e-4}),
    "true_reward": ({}, {"true_reward": "vader"}),
    "data.held_out": ({}, {"data": {"path": "PROMPTS", "held_out": 1}}),
    "data.limit": ({}, {"data": {"path": "PROMPTS", "held_out": 1, "limit": 5}}),
    "reference": ({}, {"reference": "OTHER"}),
}


@pytest.mark.slow  # half a second and more for each of thirty
@pytest.mark.parametrize("setting", CHANGES)
def test_every_setting_changes_something(
    train: Callable[..., pt.RunResult], prompts: Path, tiny_model: str, tmp_path: Path, setting: str
) -> None:
    def filled(changes: dict[str, Any]) -> dict[str, Any]:
        text = json.dumps(changes).replace("PROMPTS", str(prompts)).replace("OTHER", str(tmp_path / "third"))
        return json.loads(text)

    if setting == "reference":
        other = pt.load_policy(tiny_model, device="cpu")
        with torch.no_grad():
            other.model.model.norm.weight.mul_(1.5)  # type: ignore[union-attr, operator]
        other.save(tmp_path / "third")
    before, after = CHANGES[setting]
    one, other_run = train("one", "length", **filled(before)), train("other", "length", **filled(after))
    told = {"schedule": "learning_rate", "kl": "kl_coefficient"}.get(setting.partition("=")[0], "")
    seen = [[{k: v for k, v in row.items() if k != told} for row in lines(run.path)] for run in (one, other_run)]
    assert seen[0] != seen[1]


def test_the_table_of_settings_is_complete() -> None:
    """All that the rollout loop has of its own; the rest is shared with the gradient loop, whose table it is in."""
    own = set(pt.PPO.model_fields) - set(pt.DPO.model_fields)
    own |= {"reference", "seed", "schedule", "clip", "reward"}
    assert own == {name.split("=")[0].split(".")[0] for name in CHANGES} - {"data"} | {"reward", "stop_kl_nats"}


def test_prompts_come_equally_often() -> None:
    drawn = [place for step in range(9) for place in chosen_prompts(6, step, 2, seed=3)]
    assert sorted(drawn) == sorted(list(range(6)) * 3)
    for step in range(9):  # a step never has a prompt twice, whatever its size
        assert len(set(chosen_prompts(6, step, 4, seed=3))) == 4
    often = Counter(place for step in range(3000) for place in chosen_prompts(6, step, 4, seed=3))
    assert max(often.values()) - min(often.values()) < 0.1 * 2000
    assert chosen_prompts(6, 2, 4, seed=3) == chosen_prompts(6, 2, 4, seed=3) != chosen_prompts(6, 2, 4, seed=4)


def test_a_run_leaves_all_that_a_run_directory_holds(train: Callable[..., pt.RunResult]) -> None:
    samples = {"max_new_tokens": 4, "reward": "vader"}
    run = train("run", evaluate={"every_steps": 2, "samples": samples}, true_reward="vader")
    names = {path.name for path in run.path.iterdir()}
    files = {"config.yaml", "provenance.json", "metrics.jsonl", "samples.jsonl", "result.json", "rendered.json"}
    assert names == files | {"checkpoint", "SHA256SUMS"}
    marked = read_marked_rows(run.path)
    assert len(marked) == 4
    assert all(response.label.startswith("reward ") for row in marked for response in row.responses)
    assert all(response.scored for row in marked for response in row.responses)
    assert [row["step"] for row in lines(run.path)] == [1, 2, 3]
    assert [row["step"] for row in lines(run.path, "eval")] == [0, 2, 3]
    logged = {"reward", "true_reward", "kl_nats", "kl_coefficient", "tokens", "clip_fraction", "policy_loss"}
    assert logged <= lines(run.path)[0].keys()
    assert run.metrics["samples_drawn"] == 3 * 4 * 4
    assert run.metrics["data"] == {"groups": 6, "prompts": 4, "held_out_groups": 2}
    opened = pt.load_policy(run.path / "checkpoint", device="cpu")
    assert opened.generate(["Ann went"], max_new_tokens=3)
    page = pt.report([run], run.path.parent / "report.html").read_text()
    assert page.split('<section id="rendered">')[1].split("</section>")[0].count("<article") == 4


def test_ppo_learns_from_a_reward_model_and_logs_the_truth_beside_it(
    tiny_model: str, preference_file: Path, prompts: Path, tmp_path: Path
) -> None:
    model = {"name": tiny_model, "device": "cpu"}
    data = {"path": str(preference_file), "held_out": 2}
    fitted = pt.train(
        pt.RewardModel(model=model, data=data, epochs=4, batch_size=8, optimizer={"learning_rate": 3e-3},
                       head_learning_rate=0.01, out=str(tmp_path / "reward"))
    )  # fmt: skip
    run = pt.train(
        pt.PPO(model=model, data={"path": str(prompts), "held_out": 0}, reward=str(fitted.path), true_reward="vader",
               steps=12, prompts_per_step=6, samples_per_prompt=8, max_new_tokens=6, seed=1,
               kl={"target_nats": 3.0, "start": 0.01}, optimizer={"learning_rate": 3e-3},
               evaluate={"samples": None}, out=str(tmp_path / "ppo"))
    )  # fmt: skip
    rewards = [row["reward"] for row in lines(run.path)]
    # how far it comes in twelve steps depends on the build of torch: +0.2 with one, +0.5 and more with others
    assert sum(rewards[-3:]) / 3 > sum(rewards[:3]) / 3 + 0.1
    assert all("true_reward" in row for row in lines(run.path))


def test_a_reward_model_of_another_vocabulary_reads_the_text_and_the_run_says_so(
    stories: str, tiny_model: str, prompts: Path, tmp_path: Path
) -> None:
    from penchant.models.reward import new_reward
    from penchant.models.settings import ModelConfig

    new_reward(ModelConfig(name=stories, device="cpu")).save(tmp_path / "reward")
    run = pt.train(
        pt.PPO(model={"name": tiny_model, "device": "cpu"}, data={"path": str(prompts), "held_out": 0}, steps=1,
               reward=str(tmp_path / "reward"), prompts_per_step=2, max_new_tokens=3, evaluate={"samples": None},
               out=str(tmp_path / "run"))
    )  # fmt: skip
    assert any("another vocabulary" in warning for warning in run.metrics["warnings"])


def test_a_runaway_stops_with_what_it_has(train: Callable[..., pt.RunResult]) -> None:
    run = train("run", "length", steps=20, optimizer={"learning_rate": 0.05}, stop_kl_nats=2.0,
                kl={"name": "fixed", "coefficient": 0.0})  # fmt: skip
    assert run.metrics["status"] == "runaway"
    assert run.metrics["steps"] < 20
    assert any("went beyond 2 nats" in warning for warning in run.metrics["warnings"])
    assert (run.path / "checkpoint" / "model.safetensors").exists()
    on = train("on", "length", steps=8, optimizer={"learning_rate": 0.05}, stop_kl_nats=None,
               kl={"name": "fixed", "coefficient": 0.0})  # fmt: skip
    assert on.metrics["status"] == "done"


@pytest.mark.parametrize("cut", ["top_k", "top_p", "temperature"])
def test_a_cut_distribution_is_refused(tiny_model: str, cut: str) -> None:
    with pytest.raises(InputError, match=f"`{cut}` cannot be set for rollouts"):
        pt.PPO(model=tiny_model, data="p.txt", reward="vader", **{cut: 1})


@pytest.mark.parametrize(
    ("reward", "says"), [("nan", "nan"), ("short", "15 numbers for 16"), ("words", "good"), ("missing", "no `missing`")]
)
def test_a_bad_reward_is_named(train: Callable[..., pt.RunResult], tmp_path: Path, reward: str, says: str) -> None:
    with pytest.raises((InputError, RunError), match=says):
        train("run", reward)


def test_a_reward_that_breaks_keeps_the_steps_done_and_resumes_to_the_same_bits(
    train: Callable[..., pt.RunResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RunError, match=r"out of credit.*the 2 steps done are kept"):
        train("run", "breaks", steps=4)
    assert [row["step"] for row in lines(tmp_path / "run")] == [1, 2]
    config = pt.PPOGT(**_settings(tmp_path / "run"))
    monkeypatch.setenv("CREDIT", "1000")  # no change of its code, which would be another reward
    resumed = pt.train(config, resume=True)
    assert resumed.metrics["steps"] == 4
    straight = train("straight", "breaks", steps=4)
    assert lines(resumed.path) == lines(straight.path)
    one, other = weights(resumed.path / "checkpoint"), weights(straight.path / "checkpoint")
    assert all(tensor.equal(other[name]) for name, tensor in one.items())


@pytest.mark.parametrize("changed", ["reward", "true_reward"])
def test_a_run_whose_rewards_code_changed_is_not_resumed(
    train: Callable[..., pt.RunResult], tmp_path: Path, changed: str
) -> None:
    (tmp_path / "other.py").write_text("def two(pairs):\n    return [2.0 for _ in pairs]\n")
    with pytest.raises(RunError, match="out of credit"):
        train("run", "breaks", steps=4, true_reward=f"{tmp_path / 'other.py'}:two")
    before = weights(tmp_path / "run" / "checkpoint")
    file = tmp_path / ("rewards.py" if changed == "reward" else "other.py")
    file.write_text(file.read_text().replace("0.0 for", "1.0 for").replace("2.0 for", "3.0 for"))
    what = "the reward" if changed == "reward" else "the true reward"
    with pytest.raises(
        RunMismatchError, match=rf"{what} changed since the run in .* began: put back what it began with"
    ):
        pt.train(pt.PPOGT(**_settings(tmp_path / "run")), resume=True)
    after = weights(tmp_path / "run" / "checkpoint")
    assert all(tensor.equal(after[name]) for name, tensor in before.items())


def test_a_finished_run_gives_its_result_although_its_reward_is_gone(
    train: Callable[..., pt.RunResult], tmp_path: Path
) -> None:
    first = train("run", steps=1)
    (tmp_path / "rewards.py").unlink()
    again = pt.train(pt.PPOGT(**_settings(tmp_path / "run")), resume=True)
    assert again.metrics["final"] == first.metrics["final"]


def _settings(folder: Path) -> dict[str, Any]:
    import yaml

    values = yaml.safe_load((folder / "config.yaml").read_text())
    return {name: value for name, value in values.items() if name != "method"}


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_bits(
    penchant: Callable[..., Any], tiny_model: str, prompts: Path, tmp_path: Path
) -> None:
    settings = (f"model={tiny_model}", "model.device=cpu", f"data={prompts}", "data.held_out=2", "steps=8",
                "prompts_per_step=3", "max_new_tokens=5", "optimizer.name=adamw", "optimizer.learning_rate=1e-3",
                "checkpoint_every=1", "evaluate.every_steps=3", "evaluate.samples.max_new_tokens=4")  # fmt: skip
    straight = penchant("train", "ppo_gt", *settings, "out=straight")
    assert straight.wait() == 0, straight.stderr
    killed = penchant("train", "ppo_gt", *settings, "out=killed")
    end = time.monotonic() + 60
    while not (tmp_path / "killed" / "checkpoint").exists() and time.monotonic() < end:
        time.sleep(0.001)
    killed.kill(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    resumed = penchant("train", "ppo_gt", "--resume", "out=killed")
    assert resumed.wait() == 0, resumed.stderr
    assert "resuming after step" in resumed.stderr
    assert lines(tmp_path / "straight") == lines(tmp_path / "killed")
    one, other = (weights(tmp_path / name / "checkpoint") for name in ("straight", "killed"))
    assert all(tensor.equal(other[name]) for name, tensor in one.items())


def test_too_few_prompts_are_refused_before_anything_is_written(
    train: Callable[..., pt.RunResult], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"4 prompts to train on.*prompts_per_step=5"):
        train("run", prompts_per_step=5)
    assert not (tmp_path / "run").exists()


def test_prompts_are_answered_with_the_data_and_not_with_those_of_the_evaluation() -> None:
    with pytest.raises(InputError, match=r"`prompts` is unknown; did you mean `data`\?"):
        pt.PPO(model="m", reward="vader", prompts="prompts.txt")
