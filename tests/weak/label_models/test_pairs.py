"""Votes on pairs: several annotators of a preference file become one probability per comparison."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import penchant as pt
from penchant.data.load import load_preferences
from penchant.errors import InputError
from penchant.weak.label_models.pairs import read_pair_votes
from penchant.weak.label_models.run import label_votes


def verdict(number: int, annotator: str | None, better: bool) -> dict[str, Any]:
    """Return a row: of the good and the bad answer to a prompt, which of them an annotator prefers."""
    comparison: dict[str, Any] = {"winner": int(not better), "loser": int(better)}
    if annotator is not None:
        comparison["annotator"] = annotator
    answers = [f"A good answer {number}.", f"A bad answer {number}."]
    return {"prompt": f"Question {number}?", "responses": answers, "comparisons": [comparison]}


def judged(path: Path, pairs: int = 60) -> str:
    """Write verdicts of annotators who are right in 95, 80, 70 and 60 of 100; each sees three pairs in four."""
    random = np.random.default_rng(0)
    rows = [
        verdict(number, name, bool(random.random() < accuracy))
        for number in range(pairs)
        for name, accuracy in (("ann", 0.95), ("bob", 0.8), ("cid", 0.7), ("dee", 0.6))
        if random.random() < 0.75
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_pairs_get_probabilities_that_have_no_side(tmp_path: Path) -> None:
    config = pt.WeakSources(votes=judged(tmp_path / "votes.jsonl"), task="comparisons", resamples=0)
    table, rows = read_pair_votes(config)
    assert table.votes.sources == ("ann", "bob", "cid", "dee")
    _, probabilities, _ = label_votes(config, table, None)
    is_good = np.array(["good" in pair.responses[0].text for pair in rows.examples])  # type: ignore[union-attr]
    assert 0.3 < is_good.mean() < 0.7  # the place says nothing
    assert (probabilities.argmax(-1) == np.where(is_good, 0, 1)).mean() > 0.75


def test_training_reads_both_directions_and_calls_them_no_contradiction(tmp_path: Path) -> None:
    result = pt.weak_sources(
        judged(tmp_path / "votes.jsonl"), task="comparisons", resamples=0, out=str(tmp_path / "out")
    )
    assert result.metrics["model"] == "one coin"
    labels = str(tmp_path / "out" / "labels.jsonl")
    groups = load_preferences(labels, contradictions="error")
    weights = [sum(comparison.weight for comparison in group.comparisons) for group in groups]
    np.testing.assert_allclose(weights, 1)
    assert any(len(group.comparisons) == 2 for group in groups)
    assert pt.check_preferences(labels).contradictions == 0


def test_ties_and_verdicts_both_ways_abstain(tmp_path: Path) -> None:
    rows = [
        verdict(0, "ann", True),
        verdict(0, "bob", True),
        verdict(0, "bob", False),
        verdict(1, "bob", False),
        verdict(1, "ann", True),
    ]
    file = tmp_path / "votes.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table, _ = read_pair_votes(pt.WeakSources(votes=str(file), task="comparisons"))
    assert table.abstentions == {"tied": 1}
    assert (table.votes.answers[0] == -1).tolist() == [False, True]
    assert sorted(table.votes.answers[1].tolist()) == [0, 1]


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        ([verdict(0, None, True)], {}, "1 comparisons do not say who judged"),
        ([verdict(0, "ann", True)], {}, "has 1 annotators: there is nothing to join"),
        ([], {"model": "dawid_skene"}, "have no names: take `model=one_coin`"),
        ([], {"truth": "gold"}, "leave out truth"),
        ([], {"prior": "votes"}, "leave out prior"),
    ],
)
def test_pairs_that_cannot_be(
    tmp_path: Path, rows: list[dict[str, Any]], settings: dict[str, Any], message: str
) -> None:
    file = tmp_path / "votes.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=message):
        read_pair_votes(pt.WeakSources(votes=str(file), task="comparisons", **settings))
