"""The reference of a run: the check at step 0, and which rows are scored before it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import torch

import penchant as pt
from penchant.engine.score import score
from penchant.errors import RunError
from penchant.train.references import check_identity
from penchant.types import PromptGroup

GROUPS = [
    PromptGroup("Once upon a time there was a dog and a cat.", [" They ran.", " It was sad."]),
    PromptGroup("Tom", [" was sad.", " sang."]),
]


def test_a_policy_that_scores_as_the_table_says_passes(story_policy: Any) -> None:
    rendered = [story_policy.renderer.render(group) for group in GROUPS]
    numbers = score(story_policy.scorer, rendered)
    check_identity(story_policy.scorer, rendered, numbers, budget=1024, half=False)
    wrong = [row + 0.1 for row in numbers]
    with pytest.raises(RunError, match=r"scores .* differently"):
        check_identity(story_policy.scorer, rendered, wrong, budget=1024, half=False)
    check_identity(
        story_policy.scorer, rendered, wrong, budget=1024, half=True
    )  # within the rounding of half precision
    check_identity(story_policy.scorer, [], [], budget=1024, half=False)


def test_a_short_run_scores_only_the_rows_it_takes(
    tiny_model: str, preference_file: Path, own_cache: Path, tmp_path: Path
) -> None:
    def run(steps: int | None) -> tuple[float, int]:
        """The loss of the first step after the weights moved, and how many rows the table then holds."""
        settings: dict[str, Any] = {"path": str(preference_file), "held_out": 2, "template": "plain"}
        optimizer = {"name": "rmsprop", "learning_rate": 1e-3}
        out = str(tmp_path / str(steps))
        config = pt.DPO(
            model={"name": tiny_model, "device": "cpu"},  # type: ignore[arg-type]
            data=settings,  # type: ignore[arg-type]
            optimizer=optimizer,  # type: ignore[arg-type]
            evaluate={"samples": None},  # type: ignore[arg-type]
            batch_size=8,
            max_steps=steps,
            out=out,
        )
        pt.train(config)
        lines = [json.loads(line) for line in (tmp_path / str(steps) / "metrics.jsonl").read_text().splitlines()]
        (table,) = (own_cache / "reference").glob("*.sqlite")
        with sqlite3.connect(table) as db:
            (rows,) = db.execute("SELECT count(*) FROM logps").fetchone()
        return next(line["loss"] for line in lines if line["kind"] == "train" and line["step"] == 2), rows

    first, few = run(2)
    assert few == 4 * (4 + 2)  # two steps of two groups of four comparisons, and the two that are held out
    whole, all_rows = run(None)
    assert all_rows == 4 * 12
    torch.testing.assert_close(first, whole)
