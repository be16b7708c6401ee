"""What runs left behind: evaluations of several seeds go together by their number, and only those that all have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penchant.studies.core.results import MeasuredRun, aligned, read_run
from penchant.studies.core.stage import Stage

PROMPTS = ("Gus came.", "Hal saw it.")


def run_of(study: Path, seed: int, rewards: dict[int, float | None], status: str = "done") -> MeasuredRun:
    """A run with an evaluation at each of these steps; None is a number that is not finite."""
    task = Stage("dpo", f"dpo-seed-{seed}", {}, {}, {}, value=0.1, seed=seed)
    folder = study / task.path
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps({"status": status}))
    rows = [
        {"step": step, "prompt": prompt, "policy": [{"text": " So.", "reward": reward, "kl_nats": 1.0}]}
        for step, reward in rewards.items()
        for prompt in PROMPTS
    ]
    (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_run(task, study, PROMPTS, "")


def test_seeds_go_together_by_the_evaluation_s_number(tmp_path: Path) -> None:
    """One seed has other steps and lost its first evaluation: the second of each is what both have, not one of each."""
    one = run_of(tmp_path, 0, {0: 0.0, 3: 0.1, 6: 0.2, 9: 0.3})
    other = run_of(tmp_path, 1, {0: 0.0, 4: None, 8: 0.4})
    assert other.lost_evaluations == 1
    (points,) = aligned([one, other])
    assert [point.step for point in points] == [6, 8]
    assert [point.reward.tolist() for point in points] == [[0.2, 0.2], [0.4, 0.4]]
    assert [point.step for (point,) in aligned([one])] == [3, 6, 9]
    assert aligned([]) == []


@pytest.mark.parametrize(
    ("status", "complete", "unfinished"),
    [("done", True, False), ("runaway", True, False), ("interrupted", False, True), ("running", False, True)],
)
def test_only_what_came_to_its_end_is_complete(tmp_path: Path, status: str, complete: bool, unfinished: bool) -> None:
    run = run_of(tmp_path, 0, {0: 0.0, 3: 0.1}, status)
    assert (run.complete, run.unfinished) == (complete, unfinished)
