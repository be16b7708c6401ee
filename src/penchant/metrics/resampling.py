"""The parts of intervals over clusters (prompts): resamples, quantiles and skewness.

- The *expanded percentile* interval (Hesterberg 2015, "What Teachers Should Know About the Bootstrap"): quantiles of
  the resampled numbers, taken further out by `sqrt(C / (C - 1))` and Student's t for C clusters. It ignores skewness:
  of 10 to 20 exponential values its nominal 95% cover .90 to .93.
- Hall's (1992, "On the removal of skewness by transformation"): mean +- t standard errors, turned by the skewness of
  the clusters. Few clusters show too little of it: a long tail is mostly unseen, and the skewness of C numbers cannot
  exceed (C - 2) / sqrt(C - 1). So the interval goes as far at each end as the farthest of three, with the sample's
  skewness multiplied by 0 (Student's t), by 1 and by 1 + 12 / C. Hall's alone covers .91 of the means of 10 log-normal
  values (sigma 1). 12 was chosen in simulation, so that clusters of 1 to 6 answers of a Pareto distribution without a
  third moment cover .93 (tests/metrics/test_coverage.py).

Where clusters differ in weight, C is Kish's effective number, (sum of weights)^2 / sum of squared weights.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

Numbers = NDArray[np.float64]
Clusters = Sequence[Hashable] | NDArray[np.generic]
"""What related items share, such as the prompt of each: (items,) labels, equal ones of one cluster."""


class Resampling(TypedDict, total=False):
    """The settings of an interval, under the names that `cluster_mean` gives them; functions hand them on to it.

    Attributes:
        level: coverage that is asked for. resamples: how often the clusters are drawn again. seed: of the draws.
    """

    level: float
    resamples: int
    seed: int


_CHUNK = 4_000_000  # cluster draws held at once: 32 MB of indices
_UNSEEN_SKEWNESS = 12.0  # over the number of clusters: the share by which a sample's skewness falls short


def cluster_codes(clusters: Clusters) -> NDArray[np.intp]:
    """Return a number for each label, counted from 0 in order of first appearance; equal labels have the same."""
    index: dict[Hashable, int] = {}
    labels = clusters.tolist() if isinstance(clusters, np.ndarray) else clusters
    # in order of first appearance, since a set's order changes with the process's hash seed, and the draws with it
    return np.fromiter((index.setdefault(label, len(index)) for label in labels), np.intp, len(labels))


def resampled_counts(count: int, resamples: int, seed: int, *, width: int) -> Iterator[Numbers]:
    """Yield how often each cluster stands in each resample, for numbers that are no mean.

    Args:
        count: clusters. width: numbers that the caller holds per resample at once, which decides how many resamples
            come together.

    Yields:
        (some resamples, clusters), each row adding up to `count`; `resamples` rows in all.
    """
    rng = np.random.default_rng(seed)
    # all resamples at once would need gigabytes for some thousand clusters
    step = max(1, _CHUNK // max(width, count))
    for start in range(0, resamples, step):
        yield rng.multinomial(count, np.full(count, 1 / count), size=min(step, resamples - start)).astype(np.float64)


def effective_clusters(masses: Numbers) -> float:
    """Return Kish's number of equally heavy clusters that are worth as much as these.

    Args:
        masses: (clusters,) positive weight of each.
    """
    return float(masses.sum() ** 2 / np.square(masses).sum())


def skewed_interval(sums: Numbers, masses: Numbers, level: float) -> tuple[float, float]:
    """Return the interval of a mean by Student's t, turned by as much skewness as the clusters may have.

    Args:
        sums, masses: (clusters,) weighted sum and weight of each; at least two clusters, which do not all say the same.
    """
    count, value = len(sums), float(sums.sum() / masses.sum())
    effective = effective_clusters(masses)
    # each cluster's part of the mean's error: a ratio of sums, linearized
    rest = (sums - value * masses) / masses.mean()
    spread = float(rest.std(ddof=1))
    skewness = float(np.mean((rest - rest.mean()) ** 3) / rest.std() ** 3)
    # one cluster may hold nearly all the weight; one degree of freedom is the least that t has a finite quantile for
    t = t_quantile(max(effective - 1, 1.0), level) / math.sqrt(count)
    # the sample shows too little of a long tail, so the interval is as wide as the widest of the three asks for
    thirds = [factor * skewness / 3 for factor in (0.0, 1.0, 1 + _UNSEEN_SKEWNESS / effective)]
    below = max(_bias_corrected(t, third, count) for third in thirds)
    above = max(-_bias_corrected(-t, third, count) for third in thirds)
    return value - spread * below, value + spread * above


def _bias_corrected(point: float, third: float, count: int) -> float:
    """Return x where x + third x^2 + third^2 x^3 / 3 + third / (2 count) is the point; third is of the skewness."""
    if abs(third) < 1e-6:  # the limit of the formula below, which divides by it
        return point
    return float(np.cbrt(1 + 3 * third * (point - third / (2 * count))) - 1) / third


def percentile_interval(resampled: Numbers, value: float, level: float, clusters: int) -> tuple[float, float]:
    """Return the expanded percentile interval of a number that was computed anew from each resample of the clusters.

    Args:
        resampled: (resamples,). value: from the data themselves. clusters: at least 2.
    """
    tail = _tail(level, clusters)
    low, high = np.quantile(resampled, [tail, 1 - tail])
    # rounding alone can put the quantile of equal values a hair beyond their mean
    return min(float(low), value), max(float(high), value)


def resampled_means(sums: Numbers, masses: Numbers, resamples: int, seed: int) -> Numbers:
    """Return the means of `resamples` draws of as many clusters as there are, with replacement; shape (resamples,)."""
    rng = np.random.default_rng(seed)
    count = len(sums)
    step = max(1, _CHUNK // count)
    parts = []
    for start in range(0, resamples, step):
        indices = rng.integers(0, count, size=(min(step, resamples - start), count))
        parts.append(sums[indices].sum(axis=1) / masses[indices].sum(axis=1))
    return np.concatenate(parts)


def _tail(level: float, clusters: int) -> float:
    """Return the probability to cut on each side: less than (1 - level) / 2, the more so the fewer clusters."""
    return float(ndtr(-math.sqrt(clusters / (clusters - 1)) * t_quantile(clusters - 1, level)))


def t_quantile(degrees: float, level: float) -> float:
    """Return how many standard errors reach from a mean to either end of an interval by Student's t."""
    return -float(stdtrit(degrees, (1 - level) / 2))
