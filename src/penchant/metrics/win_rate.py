"""Win rates with intervals that resample prompts, and tests between methods on the same prompts."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from penchant.errors import InputError
from penchant.metrics.estimates import Coefficient, Estimate
from penchant.metrics.intervals import cluster_mean, finite_vector, mean_within
from penchant.metrics.resampling import cluster_codes

# an answer that cannot be read stays in the denominator: left out, it would raise the rate
POINTS = {"a": 1.0, "tie": 0.5, "b": 0.0, "unparseable": 0.0}
DRAWS = 9999
"""How often a test between two methods draws random signs."""


@dataclass(frozen=True, slots=True)
class WinRate:
    """The share of pairs that the first of two wins.

    All shares are of all pairs: an answer that cannot be read stays among them.

    Attributes:
        rate: wins and half of the ties. high: the same if every unparseable answer had been a win, which is the most
            that they allow; `rate` is the least. Both are undefined where no answer could be read.
        wins, ties, losses, unparseable: shares.
    """

    rate: Coefficient
    high: Coefficient
    wins: Estimate
    ties: Estimate
    losses: Estimate
    unparseable: Estimate


def win_rate(outcomes: Sequence[str], clusters: Sequence[Hashable]) -> WinRate:
    """Compute how often the first response wins, ties, loses, and has no verdict that could be read.

    Args:
        outcomes: of pairs, each `a` (the first wins), `b`, `tie` or `unparseable`.
        clusters: the prompt of each, which the intervals resample.

    Raises:
        InputError: no pairs, other lengths, or another outcome.
    """
    points = _points(outcomes)

    def share(values: ArrayLike) -> Estimate:
        return cluster_mean(values, clusters, share=True)

    def rate(values: ArrayLike) -> Coefficient:
        estimate = share(values)
        if not silent.all():
            return Coefficient.from_estimate(estimate)
        # 0 of 0 readable answers is no rate of 0
        reason = f"no verdict could be read, of {len(outcomes):,} pair{'' if len(outcomes) == 1 else 's'}"
        return Coefficient(None, None, None, estimate.n, estimate.clusters, reason)

    outcome_array = np.array(outcomes)
    shares = {
        name: share(outcome_array == outcome) for name, outcome in (("wins", "a"), ("ties", "tie"), ("losses", "b"))
    }
    silent = outcome_array == "unparseable"
    return WinRate(rate(points), rate(points + silent), **shares, unparseable=share(silent))


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference between two methods on the same pairs.

    Attributes:
        estimate: of the mean difference of points; a win is 1, a tie a half.
        p: how often a difference as large comes about where neither is better.
    """

    estimate: Estimate
    p: float


def paired_difference(
    first: Sequence[str], second: Sequence[str], clusters: Sequence[Hashable], *, draws: int = DRAWS, seed: int = 0
) -> Difference:
    """Return how much more often a method wins than a second one against the same opponents.

    The p-value is that of a randomization test: each prompt's difference keeps its size and gets a random sign.

    Args:
        first, second: outcomes as in `win_rate`, in the same order. clusters: the prompt of each.

    Raises:
        InputError: no pairs, other lengths, or another outcome.
    """
    if len(first) != len(second):
        raise InputError(f"the two methods have {len(first)} and {len(second)} outcomes: pair them by prompt")
    return signed_difference(_points(first) - _points(second), clusters, draws=draws, seed=seed)


def signed_difference(
    differences: ArrayLike, clusters: Sequence[Hashable], *, draws: int = DRAWS, seed: int = 0
) -> Difference:
    """Return `paired_difference` from the differences of points themselves, such as of means over seeds."""
    values = finite_vector(differences, "differences")
    codes = cluster_codes(clusters)
    sums = np.bincount(codes, weights=values)
    signs = np.random.default_rng(seed).integers(0, 2, (draws, len(sums))) * 2 - 1
    # a tie with the data's own sum counts, whose bits depend on the order of the additions
    as_large = np.abs(signs @ sums) >= abs(sums.sum()) - 1e-12
    # the data's own signs are one of the draws, so that p is never 0
    return Difference(mean_within(values, clusters, (-1.0, 1.0)), float((1 + as_large.sum()) / (1 + draws)))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return Holm's (1979) adjusted p-values: the smallest times their number, and so on, never falling."""
    ordered = sorted(p_values, key=lambda name: (p_values[name], name))
    adjusted, highest = {}, 0.0
    for rank, name in enumerate(ordered):
        # a larger p-value is never adjusted below a smaller one
        highest = max(highest, min(1.0, (len(ordered) - rank) * p_values[name]))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p_values}


def _points(outcomes: Sequence[str]) -> NDArray[np.float64]:
    if unknown := sorted(set(outcomes) - set(POINTS)):
        raise InputError(f"an outcome is {', '.join(POINTS)}, got {', '.join(unknown)}")
    if not len(outcomes):
        raise InputError("a win rate needs at least one pair")
    return np.array([POINTS[outcome] for outcome in outcomes])
