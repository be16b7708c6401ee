"""What is said of a run that hardly moved, in the terminal and on its page."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from penchant.cli.train import _summary
from penchant.reports.run.findings import findings
from penchant.reports.run.summary import summarize
from penchant.runs.movement import standstill, standstill_of
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
