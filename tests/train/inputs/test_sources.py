"""What a run records of how its data was read."""

from __future__ import annotations

import json
from pathlib import Path

import penchant as pt
from penchant.data.settings import DataConfig
from penchant.export.card_training import training_text
from penchant.reports.run.tables import rating_rule
from penchant.runs.read import read_runs
from penchant.train.inputs.sources import preferences


def write_rated(path: Path, first: int) -> str:
    others = dict.fromkeys(("correctness", "coherence", "complexity"), 3)  # the layout of HelpSteer
    rows = [
        {
            "prompt": f"Question {number}?",
            "response": f" Answer {score}.",
            "helpfulness": score,
            "verbosity": 2,
            **others,
        }
        for number in range(first, first + 3)
        for score in (0, 1, 4)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_the_rule_by_which_ratings_became_comparisons_is_recorded(tmp_path: Path, tiny_model: str) -> None:
    files = [write_rated(tmp_path / f"{first}.jsonl", first) for first in (0, 10)]
    score = {"helpfulness": 1.0, "verbosity": -0.5}
    config = pt.DPO(
        model={"name": tiny_model, "device": "cpu"},
        data={"sources": files, "score": score, "margin": 1, "ties": "drop", "held_out": 0},
        evaluate={"samples": None},
        max_steps=1,
        batch_size=2,
        out=str(tmp_path / "run"),
    )
    run = pt.train(config)
    rule = "helpfulness - 0.5 * verbosity"
    assert run.metrics["data"]["ratings"] == {rule: 18}
    (read,) = read_runs([run.path])
    words = f"compared by {rule}, ties where nearer than 1"
    assert rating_rule(read) == words
    assert f"| Ratings | {words} |" in training_text(read, "tiny", None)


def test_pairs_without_ratings_record_no_rule(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n')
    assert "ratings" not in preferences(DataConfig(path=str(path))).counts
