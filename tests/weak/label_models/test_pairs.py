"""Votes on pairs: several annotators of a preference file become one probability per comparison."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import penchant as pt
from penchant.data.load import load_preferences
from penchant.errors import InputError
from penchant.types import PromptGroup, Response
from penchant.weak.comparisons import OPTIONS, write_comparisons
from penchant.weak.label_models.pairs import read_pair_votes
from penchant.weak.label_models.run import label_votes
from penchant.weak.rows import LabelledRows


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


def _trained(file: Path, model: str, out: Path) -> tuple[dict[str, torch.Tensor], list[float]]:
    """Train three steps of DPO; return the weights, and the norm of the gradient at each step."""
    run = pt.train(
        pt.DPO(
            model=model,
            data={"path": str(file), "held_out": 0},
            # all pairs in each step, so that the order of rows has no say
            batch_size=8,
            max_steps=3,
            optimizer={"name": "adamw", "learning_rate": 1e-2},
            schedule={"name": "constant"},
            evaluate={"samples": None},
            seed=0,
            out=str(out),
        )
    )
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    norms = [line["grad_norm"] for line in lines if "grad_norm" in line]
    weights = load_file(Path(str(run.path)) / "checkpoint" / "model.safetensors")
    return weights, norms


def test_dpo_on_probabilities_is_plain_dpo_at_one_to_the_bit(tiny_model: str, tmp_path: Path) -> None:
    """Each direction counts by its probability, p and 1 - p."""
    answers = [(f"Question {n}?", f"A good answer {n}.", f"A bad one {n}.") for n in range(8)]
    plain = [{"prompt": prompt, "chosen": good, "rejected": bad} for prompt, good, bad in answers]
    (tmp_path / "plain.jsonl").write_text("".join(json.dumps(row) + "\n" for row in plain))
    pairs = tuple(PromptGroup(prompt, [Response(good), Response(bad)]) for prompt, good, bad in answers)
    for p in (1.0, 0.7):
        rows = LabelledRows("pairs", pairs, OPTIONS, None, ("",) * len(pairs))
        write_comparisons(rows, np.array([[p, 1 - p]] * len(pairs)), tmp_path / f"{p}.jsonl")
    trained = {
        name: _trained(tmp_path / f"{name}.jsonl", tiny_model, tmp_path / f"run-{name}")
        for name in ("plain", "1.0", "0.7")
    }
    weights, norms = trained["plain"]
    for name, tensor in trained["1.0"][0].items():
        assert torch.equal(tensor, weights[name]), name
    assert trained["1.0"][1] == norms
    # the other direction takes back a part of the gradient
    assert trained["0.7"][1][0] < 0.6 * norms[0]
