"""The noisy Bradley-Terry model of votes on pairs: its objective, its limits, and what other pairs tell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

import penchant as pt
from penchant.weak.label_models.dawid_skene import fit_one_coin
from penchant.weak.label_models.majority import fit_majority
from penchant.weak.label_models.noisy_bt import _CountedVotes, fit_noisy_bt
from penchant.weak.label_models.pairs import read_pair_votes
from penchant.weak.label_models.vote_matrix import VoteMatrix
from penchant.weak.label_models.votes import Patterns, patterns_of_pairs

UNIFORM = np.array([0.5, 0.5])


def pairs_of(answers: list[list[int]], items: list[list[int]]) -> Patterns:
    return patterns_of_pairs(VoteMatrix.of_table(np.array(answers)), np.array(items, dtype=np.intp))


def simulate(seed: int = 0, prompts: int = 80, responses: int = 4) -> tuple[Patterns, NDArray[np.float64]]:
    """Return all pairs of four responses per prompt, judged by annotators of whom one guesses, and who is better."""
    random = np.random.default_rng(seed)
    scores = random.logistic(size=prompts * responses)
    items = [
        (prompt * responses + i, prompt * responses + j)
        for prompt in range(prompts)
        for i in range(responses)
        for j in range(i)
    ]
    first_wins = expit(np.array([scores[i] - scores[j] for i, j in items]))
    skills = np.array([0.95, 0.8, 0.6, 0.0])
    knows = random.random((len(items), 4)) < skills
    says_first = random.random(knows.shape) < np.where(knows, first_wins[:, None], 0.5)
    return pairs_of((~says_first).astype(int).tolist(), [list(pair) for pair in items]), first_wins


def test_the_likelihood_by_hand_and_its_gradient() -> None:
    patterns = pairs_of([[0, 1], [-1, 0]], [[0, 1], [1, 2]])
    votes = _CountedVotes(patterns, np.array([1.0, 0.5]))
    scores, log_odds = np.array([0.4, -0.2, 1.0]), np.array([1.0, -0.5])
    g, other = expit(log_odds)
    by_hand = np.log(g * expit(0.6) + (1 - g) / 2)
    by_hand += 0.5 * np.log(other * expit(-0.6) + (1 - other) / 2)
    by_hand += 0.5 * np.log(other * expit(-1.2) + (1 - other) / 2)
    value, by_score, by_skill = votes.log_likelihood(scores, log_odds)
    assert value == pytest.approx(by_hand)
    for gradient, parameters in ((by_score, scores), (by_skill, log_odds)):
        for index in range(len(parameters)):
            parameters[index] += 1e-6
            above = votes.log_likelihood(scores, log_odds)[0]
            parameters[index] -= 2e-6
            below = votes.log_likelihood(scores, log_odds)[0]
            parameters[index] += 1e-6
            assert gradient[index] == pytest.approx((above - below) / 2e-6, abs=1e-6)


def test_the_likelihood_equals_crowd_kit_s_without_a_side() -> None:
    peer = pytest.importorskip("crowdkit.aggregation.pairwise.noisy_bt")
    patterns, _ = simulate(prompts=5)
    assert patterns.items is not None
    scores, log_odds = np.random.default_rng(1).normal(size=20), np.array([2.0, 1.0, 0.3, -1.0])
    rows, workers = np.nonzero(patterns.answers >= 0)
    winners = patterns.items[rows, patterns.answers[rows, workers]]
    compared = np.c_[patterns.items[rows], winners] + 1
    # a reference, the scores, no bias of the four, their skills
    theirs = np.concatenate([[0.0], scores, np.zeros(4), log_odds])
    loss = peer.NoisyBradleyTerry._compute_log_likelihood(theirs, compared, workers, 20, 4, 0.0)
    assert _CountedVotes(patterns, None).log_likelihood(scores, log_odds)[0] == pytest.approx(-loss)


def test_it_knows_who_guesses_and_has_no_side() -> None:
    patterns, first_wins = simulate()
    fit = fit_noisy_bt(patterns, UNIFORM)
    assert fit.converged
    assert (np.diff(fit.accuracies) < 0).all()
    assert patterns.items is not None
    swapped = pairs_of((1 - patterns.answers).tolist(), patterns.items[:, ::-1].tolist())
    np.testing.assert_allclose(fit_noisy_bt(swapped, UNIFORM).probabilities[:, ::-1], fit.probabilities, atol=1e-3)

    def loss(probabilities: NDArray[np.float64]) -> float:
        return -float(
            (first_wins * np.log(probabilities[:, 0]) + (1 - first_wins) * np.log(probabilities[:, 1])).mean()
        )

    # its control knows annotators, but neither how close a pair is nor that its responses are in other pairs too
    assert loss(fit.probabilities) < loss(fit_one_coin(patterns, UNIFORM).probabilities) - 0.05
    assert loss(fit.probabilities) < loss(fit_majority(patterns, UNIFORM).probabilities) - 0.05


def test_of_two_responses_and_annotators_alike_it_is_the_majority() -> None:
    answers = np.random.default_rng(0).integers(2, size=(60, 5))
    patterns = pairs_of(answers.tolist(), [[2 * row, 2 * row + 1] for row in range(60)])
    # so strong a pull to one skill leaves no annotator better than another
    fit = fit_noisy_bt(patterns, UNIFORM, smoothing=1e6)
    majority = fit_majority(patterns, UNIFORM)
    np.testing.assert_array_equal(fit.probabilities.argmax(-1), majority.probabilities.argmax(-1))


def test_other_pairs_tell_of_a_pair_that_is_disputed_and_an_unjudged_one_gets_the_prior() -> None:
    first_beats_second, second_beats_third = [[0, 0]] * 6, [[0, 0]] * 6
    items = [[0, 1]] * 6 + [[1, 2]] * 6 + [[0, 2], [0, 2]]
    patterns = pairs_of([*first_beats_second, *second_beats_third, [0, 1], [-1, -1]], items)
    probabilities = fit_noisy_bt(patterns, UNIFORM).probabilities
    assert probabilities[12, 0] > 0.8
    assert fit_one_coin(patterns, UNIFORM).probabilities[12, 0] == pytest.approx(0.5, abs=0.05)
    np.testing.assert_array_equal(probabilities[13], UNIFORM)
    silent = fit_noisy_bt(patterns, UNIFORM, weights=np.zeros(2)).probabilities
    np.testing.assert_allclose(silent, 0.5, atol=1e-6)
    # the wider the scores may spread, the surer
    sure = fit_noisy_bt(patterns, UNIFORM, score_prior=0.1).probabilities
    assert sure[0, 0] > probabilities[0, 0]


def test_the_command_reads_which_responses_are_compared(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for number in range(20):
        verdicts = [
            dict(
                zip(("winner", "loser"), pair if random.random() < accuracy else pair[::-1], strict=True),
                annotator=name,
            )
            for pair in ((0, 1), (1, 2), (0, 2))
            for name, accuracy in (("ann", 0.9), ("bob", 0.8), ("cid", 0.5))
        ]
        answers = [f"Good answer {number}.", f"Fair answer {number}.", f"Bad answer {number}."]
        rows.append({"prompt": f"Question {number}?", "responses": answers, "comparisons": verdicts})
    votes = tmp_path / "votes.jsonl"
    votes.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table, _ = read_pair_votes(pt.WeakSources(votes=str(votes), task="comparisons"))
    assert table.items is not None
    assert sorted(set(table.items.ravel().tolist())) == list(range(60))
    assert (table.items // 3 == table.items[:, :1] // 3).all()  # both of one prompt
    result = pt.weak_sources(
        str(votes), task="comparisons", model="noisy_bt", compare=["one_coin"], resamples=5, out=str(tmp_path / "out")
    )
    assert [model["name"] for model in result.metrics["models"]] == ["majority", "noisy_bt", "one_coin"]
    by_name = {source["name"]: source["estimated"]["value"] for source in result.metrics["sources"]}
    assert min(by_name["ann"], by_name["bob"]) > by_name["cid"]
    # a mean of preferences is no share of right votes, which an interval would be read as one of
    for source in result.metrics["sources"]:
        assert source["estimated"]["low"] is None
        assert "not how often it is right" in source["estimated"]["reason"]
    assert (tmp_path / "out" / "labels.jsonl").exists()
    with pytest.raises(ValueError, match="`noisy_bt` scores responses that are compared: set task=comparisons"):
        pt.WeakSources(votes=str(votes), model="noisy_bt")
