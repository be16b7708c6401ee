"""Intervals of shares: means of values between 0 and 1, such as accuracies and win rates.

Resampling says nothing where all prompts agree (30 of 30 would give [1, 1]) and too little close to there. So an
interval of a share is Clopper and Pearson's (1934), of as many independent answers as the data are worth:

- clusters of one answer each, 0 or 1: exactly that many answers;
- all say the same: as many as there are clusters, since the answers of a cluster may have agreed anyway;
- else the effective sample size p (1 - p) / variance (Korn and Graubard 1998, "Confidence intervals for proportions
  with small expected number of positive counts estimated from survey data"), where the variance is that of the cluster
  sums. Few clusters that differ from the others tell little of how alike the answers within a cluster are, so the
  variance is drawn towards the one of wholly alike answers, by exp(-D / 2) with D such clusters. Without this, nominal
  95% cover .88 with 60 clusters of 6 at a rate of .02 (tests/metrics/test_coverage.py simulates).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtri, stdtrit

_FADING = 2.0  # clusters that differ, in which the weight of "wholly alike" falls by e; chosen in simulation


def exact_interval(successes: float, answers: float, level: float) -> tuple[float, float]:
    """Return Clopper and Pearson's interval of a share.

    Args:
        successes, answers: counts; an effective sample size need not be whole.
        level: coverage that is reached at least.
    """
    tail, rest = (1 - level) / 2, answers - successes
    low = 0.0 if successes <= 0 else float(betaincinv(successes, rest + 1, tail))
    high = 1.0 if rest <= 0 else float(betaincinv(successes + 1, rest, 1 - tail))
    return low, high


def same_interval(value: float, clusters: int, level: float, bounds: tuple[float, float]) -> tuple[float, float]:
    """Return the exact interval of a mean whose clusters all say the same.

    Clusters of another kind that has the probability q remain unseen with (1 - q)^clusters; those that this leaves open
    may say anything within the bounds.

    Args:
        value: what all of them say. clusters: at least 1. bounds: the least and the largest value that there can be.
    """
    unseen = 1 - ((1 - level) / 2) ** (1 / clusters)
    return value - (value - bounds[0]) * unseen, value + (bounds[1] - value) * unseen


def clustered_interval(
    sums: NDArray[np.float64], masses: NDArray[np.float64], level: float, *, graded: bool = False
) -> tuple[float, float]:
    """Return the interval of a share over clusters that do not all say the same.

    Args:
        sums, masses: (clusters,) weighted sum and weight of each; at least two clusters.
        graded: some answers lie between 0 and 1. Their variance may be far below p (1 - p), where the exact interval
            has no width to spare for a variance that is estimated itself: Student's t has.
    """
    count, total = len(sums), float(masses.sum())
    share = float(sums.sum()) / total
    variance = count / (count - 1) * float(np.square(sums - share * masses).sum()) / total**2
    if graded:
        variance *= (float(stdtrit(count - 1, (1 - level) / 2)) / float(ndtri((1 - level) / 2))) ** 2
    differing = int((sums > 0).sum() if share < 0.5 else (sums < masses).sum())
    return effective_interval(share, variance, differing, total**2 / float(np.square(masses).sum()), level)


def effective_interval(
    share: float, variance: float, differing: int, least: float, level: float
) -> tuple[float, float]:
    """Return the exact interval of a share for the sample size that its variance amounts to.

    Args:
        share: strictly between 0 and 1. variance: of the share, above 0.
        differing: clusters that are not wholly of the commoner answer.
        least: the sample size if the answers within each cluster were all alike.
    """
    alike = math.exp(-differing / _FADING)
    answers = 1 / ((1 - alike) * variance / (share * (1 - share)) + alike / least)
    return exact_interval(share * answers, answers, level)
