"""Strengths from comparisons: by hand, in simulation, and where they do not exist."""

from __future__ import annotations

import math

import choix
import numpy as np
import pytest

from penchant.errors import InputError
from penchant.metrics.strengths import bradley_terry, elo, groups_apart, plackett_luce, wins_table

TRUE = np.array([0.9, 0.3, -0.2, -1.0])


def compared(rng, prompts: int):  # type: ignore[no-untyped-def]
    """Three comparisons a prompt by Bradley and Terry, a tenth of them called a tie."""
    first = rng.integers(0, 4, 3 * prompts)
    second = (first + rng.integers(1, 4, 3 * prompts)) % 4
    wins = rng.random(len(first)) < 1 / (1 + np.exp(TRUE[second] - TRUE[first]))
    return np.where(wins, first, second), np.where(wins, second, first), np.repeat(np.arange(prompts), 3)


def ranked(rng, prompts: int):  # type: ignore[no-untyped-def]
    """A ranking of three of the four a prompt, by Plackett and Luce (Gumbel noise)."""
    rankings = []
    for _ in range(prompts):
        some = rng.permutation(4)[:3]
        rankings.append(some[np.argsort(-(TRUE[some] + rng.gumbel(size=3)))].tolist())
    return rankings, np.arange(prompts)


def test_two_items_by_hand():
    # 3 wins against 1: log-odds ln 3; with a tie more 3.5 to 1.5
    found = bradley_terry([0, 0, 0, 1], [1, 1, 1, 0], None, range(4), items=2, resamples=50)
    assert [value.value for value in found.values] == pytest.approx([math.log(3) / 2, -math.log(3) / 2])
    assert (found.wins, found.losses) == ((3, 1), (1, 3))
    tied = bradley_terry([0, 0, 0, 1, 1], [1, 1, 1, 0, 0], [False] * 4 + [True], range(5), items=2, resamples=50)
    assert tied.values[0].value * 2 == pytest.approx(math.log(3.5 / 1.5))
    assert tied.values[0].n == 5
    # two virtual ties: 4 to 2
    calm = bradley_terry([0, 0, 0, 1], [1, 1, 1, 0], None, range(4), items=2, prior=2, resamples=50)
    assert calm.values[0].value * 2 == pytest.approx(math.log(2))


def test_elo_scale():
    assert elo(0) == 1000
    assert elo(math.log(10)) == pytest.approx(1400)


def test_rankings_of_two_are_comparisons():
    rng = np.random.default_rng(0)
    winners, losers, clusters = compared(rng, 60)
    pairs = bradley_terry(winners, losers, None, clusters, items=4, resamples=20)
    rankings = plackett_luce(np.stack([winners, losers], 1).tolist(), clusters, items=4, resamples=20)
    assert [v.value for v in pairs.values] == pytest.approx([v.value for v in rankings.values], abs=1e-5)
    assert pairs.wins == rankings.wins


def test_recovers_known_strengths():
    rng = np.random.default_rng(1)
    winners, losers, clusters = compared(rng, 2500)
    found = bradley_terry(winners, losers, None, clusters, items=4, resamples=200)
    assert [v.value for v in found.values] == pytest.approx(TRUE.tolist(), abs=0.1)
    assert all(v.low < v.value < v.high and v.high - v.low < 0.3 for v in found.values)
    assert found.ranks == ((1, 1), (2, 2), (3, 3), (4, 4))


def test_recovers_the_strengths_behind_rankings():
    rankings, clusters = ranked(np.random.default_rng(1), 1500)
    found = plackett_luce(rankings, clusters, items=4, resamples=200)
    assert [v.value for v in found.values] == pytest.approx(TRUE.tolist(), abs=0.1)
    assert all(v.low < true < v.high and v.high - v.low < 0.3 for v, true in zip(found.values, TRUE, strict=True))
    assert found.ranks == ((1, 1), (2, 2), (3, 3), (4, 4))


def test_rankings_give_what_choix_gives():
    rankings, clusters = ranked(np.random.default_rng(4), 40)
    rankings += [[0, 1], [3, 2, 1, 0]]  # of other lengths
    found = plackett_luce(rankings, [*clusters, 98, 99], items=4, resamples=100)
    reference = choix.ilsr_rankings(4, rankings)
    assert [v.value for v in found.values] == pytest.approx((reference - reference.mean()).tolist(), abs=1e-7)
    assert found.values[0].n == sum(0 in ranking for ranking in rankings)
    assert sum(found.wins) == sum(len(ranking) * (len(ranking) - 1) / 2 for ranking in rankings)


def test_intervals_resample_prompts_not_comparisons():
    rng = np.random.default_rng(2)
    winners, losers, clusters = compared(rng, 60)
    once = bradley_terry(winners, losers, None, clusters, items=4, resamples=300)
    again = [np.repeat(part, 4) for part in (winners, losers, clusters)]
    copied = bradley_terry(*again[:2], None, again[2], items=4, resamples=300)
    assert copied.values[0].low == pytest.approx(once.values[0].low, abs=1e-6)


def test_who_is_separate():
    wins = wins_table([0, 1, 1, 2], [1, 0, 2, 3], [False, False, False, True], 4)
    assert wins[2, 3] == wins[3, 2] == 0.5
    assert groups_apart(wins) == [[0, 1], [2, 3]]
    assert groups_apart(np.ones((3, 3))) == [[0, 1, 2]]
    with pytest.raises(InputError, match=r"2 groups .*\[\[0\], \[1\]\]"):
        bradley_terry([0, 0], [1, 1], None, [0, 1], items=2)
    finite = bradley_terry([0, 0], [1, 1], None, [0, 1], items=2, prior=1, resamples=20)
    assert finite.values[0].value * 2 == pytest.approx(math.log(2.5 / 0.5))
    with pytest.raises(InputError, match="groups"):
        plackett_luce([[0, 1, 2]], [0], items=3)


def test_no_interval_where_resamples_fall_apart_and_of_one_prompt():
    thin = bradley_terry([0] * 9 + [1], [1] * 9 + [0], None, range(10), items=2, resamples=100)
    assert thin.values[0].low is None
    assert "resamples" in thin.reason
    alone = bradley_terry([0, 0, 1], [1, 1, 0], None, ["p"] * 3, items=2)
    assert alone.values[0].low is None
    assert alone.reason == "1 prompt is too few"
    assert alone.values[0].reason == "no interval: 1 prompt"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([], [], None, []), "a winner, a loser"),
        (([0], [1, 0], None, ["p"]), "a winner, a loser"),
        (([0], [0], None, ["p"]), "with itself"),
        (([0], [7], None, ["p"]), "counted from 0"),
    ],
)
def test_bad_comparisons_are_named(arguments, words):
    with pytest.raises(InputError, match=words):
        bradley_terry(*arguments, items=2)


def test_bad_rankings_and_priors_are_named():
    with pytest.raises(InputError, match="two different"):
        plackett_luce([[0, 0]], ["p"], items=2)
    with pytest.raises(InputError, match="a cluster per ranking"):
        plackett_luce([[0, 1]], [], items=2)
    with pytest.raises(InputError, match="prior"):
        bradley_terry([0], [1], None, ["p"], items=2, prior=-1)


@pytest.mark.slow
def test_intervals_of_rankings_cover():
    rng = np.random.default_rng(5)
    trials, hits = 60, np.zeros(4)
    for trial in range(trials):
        rankings, clusters = ranked(rng, 80)
        found = plackett_luce(rankings, clusters, items=4, resamples=150, seed=trial)
        hits += [v.low <= true <= v.high for v, true in zip(found.values, TRUE, strict=True)]
    assert 0.9 <= hits.mean() / trials <= 0.99, hits / trials


@pytest.mark.slow
def test_intervals_cover():
    rng = np.random.default_rng(3)
    trials, hits = 300, np.zeros(4)
    for trial in range(trials):
        winners, losers, clusters = compared(rng, 80)
        found = bradley_terry(winners, losers, None, clusters, items=4, resamples=300, seed=trial)
        hits += [v.low <= true <= v.high for v, true in zip(found.values, TRUE, strict=True)]
    assert 0.93 <= hits.mean() / trials <= 0.97, hits / trials
