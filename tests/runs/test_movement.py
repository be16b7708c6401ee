"""What is said of a run that hardly moved, in the terminal and on its page."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from penchant.cli.train import _summary
from penchant.methods import METHODS, train
from penchant.reports.run.findings import findings
from penchant.reports.run.summary import summarize
from penchant.rounds import ROUNDS
from penchant.runs.movement import BETA_METHODS, ROLLOUT_METHODS, STAGE_ADVICE, moved_advice, standstill, standstill_of
from penchant.runs.read import read_runs
from penchant.types import RunResult
from synthetic_runs import write_run


def test_a_kl_below_a_hundredth_and_a_loss_that_stayed_are_named() -> None:
    assert standstill(0.0099, None, None) == "its KL from the reference is 0.0099 nats per response"
    assert standstill(0.0101, None, None) == ""
    assert "is 0.0000 nats" in standstill(-1e-9, None, None)  # never -0.0000
    assert "stayed at 0.6900" in standstill(None, math.log(2), 0.69)
    assert standstill(None, math.log(2), 0.68) == ""
    # it came down to .69 from above
    assert standstill(None, 0.9, 0.693) == ""
    assert standstill(None, None, None) == ""


def result(kl: float, loss: float, steps: int = 10) -> dict[str, object]:
    def row(step: int, held_out: float, kl_nats: float) -> dict[str, object]:
        policy = {"kl_nats": {"value": kl_nats, "reason": "no interval", "low": None, "high": None}}
        losses = {"loss": {"value": held_out, "low": None, "high": None, "reason": "no interval"}}
        return {"step": step, "held_out": losses, "samples": {"policy": policy, "reference": {}}}

    return {
        "status": "done",
        "steps": steps,
        "seconds": 1.0,
        "warnings": [],
        "first": row(0, math.log(2), 0.0),
        "final": row(steps, loss, kl),
    }


def test_the_terminal_says_it_once(tmp_path: Path) -> None:
    text = _summary(RunResult("dpo", tmp_path, result(0.001, 0.6925)))
    assert text.count("hardly moved: its KL from the reference is 0.0010") == 1
    assert "and its held-out loss stayed at 0.6925" in text
    assert "raise optimizer.learning_rate first" in text
    assert "hardly moved" not in _summary(RunResult("dpo", tmp_path, result(1.0, 0.5)))


@pytest.mark.parametrize(("low", "high", "said"), [(0.2, 0.8, True), (0.6, 0.9, False), (None, None, False)])
def test_the_terminal_says_where_accuracy_is_not_told_from_chance(
    tmp_path: Path, low: float | None, high: float | None, said: bool
) -> None:
    numbers: Any = result(1.0, 0.5)
    for end in ("first", "final"):
        numbers[end]["held_out"]["accuracy"] = {"value": 0.7, "low": low, "high": high, "n": 9, "reason": "few"}
    assert ("not told from chance" in _summary(RunResult("dpo", tmp_path, numbers))) == said
    assert standstill_of(result(0.0, 0.6931, steps=0)) == ""


@pytest.mark.parametrize(("speed", "moved"), [(0.00001, False), (0.1, True)])
def test_the_page_says_it(tmp_path: Path, speed: float, moved: bool) -> None:
    write_run(tmp_path / "run", steps=24, speed=speed)
    (run,) = read_runs([tmp_path / "run"])
    titles = [finding.title for finding in findings(summarize(run))]
    assert ("The model hardly moved" in titles) is not moved


PREFERENCES = [{"prompt": f"{n}?", "chosen": " Yes, it was.", "rejected": " No."} for n in range(16)]
DEMONSTRATIONS = [{"prompt": f"{n}?", "response": " Yes, it was."} for n in range(16)]
PROMPTS = [{"prompt": f"{n}?"} for n in range(16)]
ROWS = {"sft": DEMONSTRATIONS, "ppo": PROMPTS, "ppo_gt": PROMPTS}
SAMPLES = {"max_prompts": 2, "max_new_tokens": 4}


def config_of(method: str, folder: Path, model: str, **changes: Any) -> Any:
    """Return the settings of a run of two steps that moves nothing."""
    rows = ROWS.get(method, PREFERENCES)
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings: dict[str, Any] = {
        "model": {"name": model, "device": "cpu"},
        "data": {"path": str(folder / "rows.jsonl"), "held_out": 4},
        "optimizer": {"learning_rate": 1e-9},
        "out": str(folder / method),
    }
    if method in ROLLOUT_METHODS:
        settings |= {"steps": 2, "prompts_per_step": 4, "max_new_tokens": 4, "minibatches": 1, "reward": "vader"}
    else:
        settings |= {"max_steps": 2, "batch_size": 4}
    # its head has a rate of its own, and learns at the usual one
    if method == "reward_model":
        settings["head_learning_rate"] = 1e-9
    else:
        settings["evaluate"] = {"samples": SAMPLES}
    return METHODS[method](**settings | changes)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_says_that_a_tiny_rate_moved_nothing(method: str, tiny_model: str, tmp_path: Path) -> None:
    run = train(config_of(method, tmp_path, tiny_model))
    text = _summary(run)
    assert text.count("hardly moved: ") == 1
    assert ("lower the beta" in text) == (method in BETA_METHODS)
    # what the advice names is a setting of the method
    named = {word for word in re.findall(r"[a-z_.]+", moved_advice(method)) if word in ("epochs", "steps", "beta")}
    fields = {*METHODS[method].model_fields, *(["beta"] if method in BETA_METHODS else [])}
    assert named <= fields
    titles = [finding.title for finding in findings(summarize(read_runs([run.path])[0]))]
    assert "The model hardly moved" in titles


@pytest.mark.parametrize("method", ["sft", "kto", "unlikelihood"])
def test_without_samples_a_loss_that_stayed_is_said(method: str, tiny_model: str, tmp_path: Path) -> None:
    run = train(config_of(method, tmp_path, tiny_model, evaluate={"samples": None}))
    assert "as before the first step" in _summary(run)


def test_a_loss_other_than_ln_2_counts_where_no_kl_was_measured() -> None:
    assert standstill(None, 3.1390, 3.1389) == "its held-out loss stayed at 3.1389, as before the first step"
    assert standstill(None, 3.139, 3.1) == ""
    assert standstill(0.5, 3.139, 3.139) == ""


def test_where_early_stopping_put_the_start_back_nothing_is_said_to_stand_still() -> None:
    numbers: Any = result(0.0, math.log(2))
    assert standstill_of(numbers)
    numbers["final"]["step"] = 0
    assert standstill_of(numbers) == ""


def test_the_advice_of_rounds_names_their_own_settings() -> None:
    assert set(STAGE_ADVICE) == set(ROUNDS)
    words = {"raise", "first", "then", "train", "longer", "or", "lower"}
    for method, config in ROUNDS.items():
        named = set(re.findall(r"[a-z_.]+", moved_advice(method))) - words
        assert named
        for name in named:
            stage, _, setting = name.partition(".")
            assert stage in config.model_fields
            # of a stage's settings, which are a mapping here, those of its method
            assert not setting or setting.partition(".")[0] in METHODS[stage].model_fields
