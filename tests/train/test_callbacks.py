"""Callbacks: called with every line of metrics, able to stop the run, and held to their contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import penchant as pt
from penchant.session.objects import code_name
from penchant.train.callbacks import Callbacks, callback_inputs

GROUPS = [
    pt.PromptGroup(f"Film {number}?", [" good", " dull"], [pt.Comparison(winner=0, loser=1)]) for number in range(8)
]


async def later(line: object) -> None:
    """Be awaited by nobody."""


@pytest.fixture
def config(tiny_model: str, tmp_path: Path) -> pt.DPO:
    return pt.DPO(
        model=tiny_model,
        data={"path": GROUPS, "held_out": 2},
        batch_size=2,
        evaluate={"samples": None},
        out=str(tmp_path / "run"),
    )


def test_a_callback_sees_every_line_and_cannot_change_the_record(config: pt.DPO) -> None:
    lines: list[dict[str, Any]] = []

    def note(line):  # type: ignore[no-untyped-def]
        lines.append(dict(line))
        line.clear()

    run = pt.train(config.replace(callbacks=[note], max_steps=2))
    assert [(line["kind"], line["step"]) for line in lines] == [("eval", 0), ("train", 1), ("train", 2), ("eval", 2)]
    assert all(line["loss"] > 0 for line in lines if line["kind"] == "train")
    assert run.metrics["first"]["step"] == 0
    assert (run.path / "metrics.jsonl").read_text().count('"loss"') == 4
    # `lines` was empty when it was handed over, and so is a constant of its source
    assert run.metrics["warnings"] == []


def test_a_callback_stops_the_run_with_an_evaluation_and_a_checkpoint(config: pt.DPO) -> None:
    def enough(line):  # type: ignore[no-untyped-def]
        return line["kind"] == "train" and line["step"] == 2

    run = pt.train(config.replace(callbacks=[enough]))
    assert (run.metrics["status"], run.metrics["steps"], run.metrics["final"]["step"]) == ("stopped_early", 2, 2)
    assert "the callback `enough` stopped the run after step 2" in run.metrics["warnings"]
    assert (run.path / "checkpoint").is_dir()


def test_a_callback_stops_the_run_before_its_first_step(config: pt.DPO) -> None:
    run = pt.train(config.replace(callbacks=[lambda line: line["kind"] == "eval"]))
    assert (run.metrics["status"], run.metrics["steps"]) == ("stopped_early", 0)
    assert run.metrics["first"] == run.metrics["final"]
    assert [(line["kind"], line["step"]) for line in run.history] == [("eval", 0)]
    assert "the callback `lambda` stopped the run after step 0" in run.metrics["warnings"]
    pt.load_policy(run)  # the model as it was


@pytest.mark.parametrize("step", [0, 2])
def test_a_run_that_a_callback_stopped_stays_stopped_though_its_result_was_lost(config: pt.DPO, step: int) -> None:
    """As by a kill between the last checkpoint and `result.json`."""
    stopping = config.replace(callbacks=[lambda line, step=step: line["step"] == step])
    run = pt.train(stopping)
    (run.path / "result.json").unlink()
    resumed = pt.train(stopping, resume=True)
    assert (resumed.metrics["status"], resumed.metrics["steps"]) == ("stopped_early", step)
    assert resumed.metrics["warnings"] == run.metrics["warnings"]
    assert resumed.history == run.history


def test_a_callback_that_fails_beside_one_that_stops_leaves_the_run_stopped(config: pt.DPO) -> None:
    broken = {"now": True}

    def enough(line):  # type: ignore[no-untyped-def]
        return line["step"] == 1

    def fragile(line):  # type: ignore[no-untyped-def]
        if line["step"] == 1 and broken["now"]:
            raise ValueError

    stopping = config.replace(callbacks=[enough, fragile])
    with pytest.raises(pt.RunError, match="the callback `fragile`"):
        pt.train(stopping)
    broken["now"] = False
    assert pt.train(stopping, resume=True).metrics["steps"] == 1


def test_a_callback_that_fails_keeps_the_steps_done_and_the_run_goes_on_from_them(config: pt.DPO) -> None:
    broken = {"now": True}

    def fragile(line):  # type: ignore[no-untyped-def]
        if line["step"] == 2 and broken["now"]:
            raise ZeroDivisionError("by hand")

    # the mapping changes: what is compared is what it held when the settings were made
    stopped = config.replace(callbacks=[fragile], max_steps=3)
    with pytest.raises(pt.RunError, match=r"the callback `fragile`: failed on the line of step 2: ZeroDivisionError"):
        pt.train(stopped)
    broken["now"] = False
    assert pt.train(stopped, resume=True).metrics["steps"] == 3


@pytest.mark.parametrize("kind", ["train", "eval"])
def test_a_callback_that_fails_costs_no_evaluation(config: pt.DPO, tmp_path: Path, kind: str) -> None:
    """The evaluation that is due after the failed line, and what it says of the best weights."""
    broken = {"now": True}

    def fragile(line):  # type: ignore[no-untyped-def]
        if broken["now"] and (line["kind"], line["step"]) == (kind, 2):
            raise ValueError

    config = config.replace(
        max_steps=2, evaluate={"samples": None, "every_steps": 2}, checkpoint={"best": "held_out.loss"}
    )
    failing = config.replace(callbacks=[fragile])
    with pytest.raises(pt.RunError, match="continue with --resume"):
        pt.train(failing)
    broken["now"] = False
    resumed = pt.train(failing, resume=True)
    whole = pt.train(config.replace(out=str(tmp_path / "whole")))
    assert resumed.metrics["final"]["step"] == 2
    assert resumed.metrics["final"]["held_out"] == whole.metrics["final"]["held_out"]
    assert resumed.metrics["best_step"] == whole.metrics["best_step"]
    assert (resumed.path / "best").is_dir() is (whole.path / "best").is_dir()


def test_a_callback_may_answer_by_a_comparison_of_numpy() -> None:
    callbacks = Callbacks([str(code_name(lambda line: np.float64(line["loss"]) < 1))])
    callbacks.call({"kind": "train", "step": 1, "loss": 0.5})
    assert callbacks.stopped_by


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: None, "it is called with one argument, a line of metrics, but too many positional arguments"),
        (later, "it is called with one argument, a line of metrics, but it is `async`"),
        (lambda line: "stop", "it returned a str, expected True to stop the run, or nothing to go on"),
        (lambda line: 1 / 0, "failed on the line of step 0: ZeroDivisionError"),
    ],
)
def test_what_is_no_callback_is_refused_and_leaves_nothing(config: pt.DPO, function: object, message: str) -> None:
    with pytest.raises(pt.InputError, match=f"the callback `.*`: {message}"):
        pt.train(config.replace(callbacks=[function]))
    assert config.out is not None
    assert not Path(config.out).exists()


def test_callbacks_are_named_on_the_command_line_too(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def stop(line):\n    return line['step'] == 1\n")
    callbacks = Callbacks([f"{file}:stop"])
    callbacks.call({"step": 0})
    assert callbacks.stopped_by == ""
    callbacks.call({"step": 1})
    assert callbacks.stopped_by == f"{file}:stop"
    (before,) = callback_inputs([f"{file}:stop"]).values()
    file.write_text("def stop(line):\n    return False\n")
    assert callback_inputs([f"{file}:stop"]) != {f"the callback {file}:stop": before}
    with pytest.raises(pt.InputError, match="has no `stpo`; did you mean `stop`"):
        Callbacks([f"{file}:stpo"])
