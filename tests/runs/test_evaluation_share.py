"""What is said where a run spent much of its time on evaluation."""

from __future__ import annotations

from pathlib import Path

import pytest

import penchant as pt
from penchant.cli.train import _summary
from penchant.runs.evaluation_share import evaluation_share
from penchant.types import RunResult


def result(evaluated: float, trained: float, total: float) -> dict[str, object]:
    return {"evaluation_seconds": evaluated, "training_seconds": trained, "seconds": total}


def test_a_third_of_the_time_is_said_with_the_settings_that_change_it() -> None:
    sentence = evaluation_share(result(40.0, 50.0, 100.0), {"every_steps": 5, "samples": {"n": 2}})
    assert sentence == (
        "evaluation took 40 s, 40% of the run; to shorten it, evaluate less often (evaluate.every_steps, now 5), or "
        "draw for fewer prompts (evaluate.samples.max_prompts) or none (evaluate.samples=null)"
    )
    # what is not set is not named
    assert "every_steps" not in evaluation_share(result(40.0, 50.0, 100.0), {"samples": {}})
    assert evaluation_share(result(40.0, 50.0, 100.0), {"samples": None}).endswith(
        "hold out fewer rows (data.held_out)"
    )


@pytest.mark.parametrize(
    "numbers",
    [
        result(33.0, 60.0, 100.0),  # under a third
        result(9.9, 1.0, 12.0),  # nobody waited
        result(40.0, 100.0, 60.0),  # resumed: the last session alone took 60 s
        {"seconds": 100.0, "training_seconds": 1.0},  # of an earlier version
        {"evaluation_seconds": None, "seconds": "x"},
    ],
)
def test_nothing_is_said_of_less(numbers: dict[str, object]) -> None:
    assert evaluation_share(numbers, {"samples": {}}) == ""


def test_it_is_the_last_line_of_the_command(tmp_path: Path) -> None:
    config = pt.DPO(model="m", data="d.jsonl", evaluate={"every_steps": 7})
    ends = {"status": "done", "steps": 8, "warnings": [], "first": None, "final": None}
    lines = _summary(RunResult("dpo", tmp_path, ends | result(40.0, 50.0, 100.0)), config).splitlines()
    assert lines[-1].startswith("evaluation took 40 s, 40% of the run")
    assert "now 7" in lines[-1]
    assert _summary(RunResult("dpo", tmp_path, ends | result(1.0, 50.0, 100.0)), config).endswith(str(tmp_path))


def test_runs_record_the_time(tiny_model: str, preference_file: Path, tmp_path: Path) -> None:
    run = pt.train(
        pt.PreferredFT(
            model={"name": tiny_model, "device": "cpu"},
            data={"path": str(preference_file), "held_out": 2},
            max_steps=1,
            evaluate={"samples": None},
            out=str(tmp_path / "run"),
        )
    )
    assert 0 < run.metrics["evaluation_seconds"] < run.metrics["seconds"]
