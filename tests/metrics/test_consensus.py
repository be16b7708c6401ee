"""Contests between raters: by hand, and in a simulation by Rasch's model."""

from __future__ import annotations

import numpy as np
import pytest

from penchant.metrics.consensus import against_consensus
from penchant.metrics.strengths import bradley_terry

A, B, T = "first", "second", "tie"


def test_by_hand() -> None:
    # item 0: Ann and Bob say A, Cleo says B: held against Bob, Ann wins over Cleo; against Ann, Bob does; against Cleo
    # both Ann and Bob are wrong. item 1: all agree. item 2: two ratings only.
    ratings = [[A, A, A], [A, A, B], [B, A, None]]
    assert against_consensus(ratings) == ([0, 1], [2, 2], [0, 0])
    # three different things: of each two, neither is with the third
    assert against_consensus([[A], [B], [T]]) == ([], [], [])
    # the others of Ann (A) and Bob (B) are divided: one A, one B
    winners, losers, _ = against_consensus([[A], [B], [A], [B]])
    assert (winners, losers) == ([], [])


def test_nobody_is_in_the_majority_that_it_is_held_against() -> None:
    # Ann alone makes A lead; without Ann and Bob it is one A against two B
    winners, losers, _ = against_consensus([[A], [B], [A], [B], [B]])
    assert (0, 1) not in set(zip(winners, losers, strict=True))
    assert (1, 0) in set(zip(winners, losers, strict=True))


def test_nan_is_nothing_said() -> None:
    assert against_consensus([[A], [A], [B], [float("nan")]]) == ([0, 1], [2, 2], [0, 0])


def rasch(rng: np.random.Generator, strengths: np.ndarray, items: int) -> list[list[str]]:
    """Who is right of each item: log-odds of a rater's strength less the item's difficulty; else they say the other."""
    difficulty = rng.normal(0, 0.7, items)
    right = rng.random((len(strengths), items)) < 1 / (1 + np.exp(difficulty - strengths[:, None]))
    truth = rng.integers(0, 2, items)
    return np.where(right == truth, A, B).tolist()


def test_strengths_are_those_of_raschs_model() -> None:
    # of 41 raters so many others are hardly ever wrong together, so what is held against is the truth
    rng = np.random.default_rng(0)
    true = np.linspace(0.4, 2.4, 41)
    ratings = rasch(rng, true, 500)
    winners, losers, items = against_consensus(ratings)
    found = bradley_terry(winners, losers, None, items, items=41, resamples=100)
    values = np.array([each.value for each in found.values])
    assert np.corrcoef(values, true)[0, 1] > 0.97
    slope = float(np.polyfit(true - true.mean(), values, 1)[0])
    assert slope == pytest.approx(1, abs=0.12)
    inside = [v.low <= t <= v.high for v, t in zip(found.values, true - true.mean(), strict=True)]
    assert np.mean(inside) > 0.85


def test_with_few_raters_strengths_are_drawn_together() -> None:
    rng = np.random.default_rng(0)
    true = np.linspace(0.3, 2.7, 7)
    winners, losers, items = against_consensus(rasch(rng, true, 1500))
    values = [each.value for each in bradley_terry(winners, losers, None, items, items=7, resamples=20).values]
    assert np.corrcoef(values, true)[0, 1] > 0.95
    assert 0.4 < float(np.polyfit(true, values, 1)[0]) < 0.9
