"""Means with an interval over prompts.

Comparisons of one prompt share its responses, and samples of one prompt share the prompt, so they are
no independent draws: an interval that counts single comparisons is too narrow. Here whole clusters
(prompts) count.

One rule, wherever an interval is printed:

- a share (accuracy, win rate) has an exact interval (`metrics/shares.py`), at the edge too, where all prompts agree;
  one with answers between 0 and 1 goes as far at each end as Hall's (below), within that of whole answers of its rate;
- any other mean has one of at least `FEWEST_CLUSTERS` clusters; with fewer the estimate says "no interval: 6 prompts".

The interval of other means goes as far at each end as the farthest of the expanded percentile interval, Student's t and
Hall's (all in `metrics/resampling.py`). tests/metrics/test_coverage.py simulates them together.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from penchant.errors import InputError
from penchant.metrics.estimates import FEWEST_CLUSTERS, Estimate, no_interval
from penchant.metrics.resampling import (
    Clusters,
    Numbers,
    cluster_codes,
    percentile_interval,
    resampled_means,
    skewed_interval,
)
from penchant.metrics.shares import clustered_interval, exact_interval, same_interval, widest_interval

_ROUNDING = 1e-12  # of equal means of clusters, relative


def cluster_mean(
    values: ArrayLike,
    clusters: Clusters,
    *,
    weights: ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    share: bool | None = None,
    unit: str = "prompt",
) -> Estimate:
    """Return the (weighted) mean over items, with an interval over clusters.

    Args:
        values: shape (items,), any unit, finite.
        clusters: shape (items,), the prompt of each item: anything hashable; equal means the same cluster.
        weights: shape (items,), positive; default 1 each.
        level: coverage that is asked for.
        resamples: how many times the clusters are drawn again, for a mean that is no share.
        seed: of the resampling; equal inputs and seed give equal numbers, and the order of clusters does not
            depend on hashing.
        share: whether the mean is a share, whose values cannot lie outside 0 and 1. By default it is where every
            value is 0, 1/2 (a tie) or 1.
        unit: what a cluster is, in the singular, for the reason why there is no interval.

    Returns:
        The estimate; where it has no interval, its `reason` says why.

    Raises:
        InputError: no items, other lengths, values that are not finite, a share outside 0 and 1, weights that are not
            positive.
    """
    data = finite_vector(values, "values")
    if share is None:
        share = _is_share(data)
    bounds = (0.0, 1.0) if share else None
    return mean_within(data, clusters, bounds, weights=weights, level=level, resamples=resamples, seed=seed, unit=unit)


def _is_share(data: Numbers) -> bool:
    return bool(np.isin(data, (0.0, 0.5, 1.0)).all())


def mean_within(
    values: ArrayLike,
    clusters: Clusters,
    bounds: tuple[float, float] | None,
    *,
    weights: ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    unit: str = "prompt",
) -> Estimate:
    """Return the mean and its interval, as `cluster_mean` does, of values that have these bounds.

    Args:
        bounds: the least and the largest value that there can be; None where nobody knows. A share has (0, 1), a
            difference of shares (-1, 1), a loss (0, inf).
        values, clusters, weights, level, resamples, seed, unit: as in `cluster_mean`.
    """
    data = finite_vector(values, "values")
    mass = np.ones_like(data) if weights is None else finite_vector(weights, "weights")
    if len(mass) != len(data) or len(clusters) != len(data):
        raise InputError(
            f"one cluster and one weight per value are needed, got {len(data)} values, "
            f"{len(clusters)} clusters and {len(mass)} weights"
        )
    if (mass <= 0).any():
        raise InputError(f"weights must be positive, the smallest is {mass.min()}")
    if not 0 < level < 1 or resamples < 1:
        raise InputError(f"level must lie in (0, 1) and resamples be at least 1, got {level}, {resamples}")
    one_sided = bounds if bounds is not None and not all(map(math.isfinite, bounds)) else None
    if one_sided is not None:
        bounds = None
    if bounds is not None and (data.min() < bounds[0] or data.max() > bounds[1]):
        raise InputError(f"values must lie between {bounds[0]:g} and {bounds[1]:g}, got {data.min()} to {data.max()}")

    sums, masses = _per_cluster(data, mass, clusters)
    # the mean of all items, not of the clusters' means: a cluster counts by its weight
    value, count = float(sums.sum() / masses.sum()), len(sums)
    means = sums / masses
    # no spread to resample: an interval without width would be [1, 1] for 30 of 30
    if data.max() == data.min() or (count >= FEWEST_CLUSTERS and np.ptp(means) <= _ROUNDING * np.abs(means).max()):
        if bounds is None:
            reason = no_interval(count, unit, all_agree=count >= FEWEST_CLUSTERS)
            return Estimate(value, None, None, len(data), count, reason)
        return Estimate(value, *same_interval(value, count, level, bounds), len(data), count)
    if bounds == (0.0, 1.0):
        # one answer per cluster, 0 or 1, is a binomial: the exact interval holds for any number of them
        graded = bool(((data > 0) & (data < 1)).any())
        if not graded and count == len(data) and masses.min() == masses.max():
            return Estimate(value, *exact_interval(float(data.sum()), count, level), len(data), count)
    if count < FEWEST_CLUSTERS:
        return Estimate(value, None, None, len(data), count, no_interval(count, unit))
    if bounds == (0.0, 1.0):
        interval = clustered_interval(sums, masses, level, graded=graded)
        if not graded:
            return Estimate(value, *interval, len(data), count)
    else:
        interval = percentile_interval(resampled_means(sums, masses, resamples, seed), value, level, count)
    # of 10 log-normal values resampling alone covers .85 at a nominal .95 (docs/decisions/0018-intervals.md)
    skewed = skewed_interval(sums, masses, level)
    low, high = min(interval[0], skewed[0]), max(interval[1], skewed[1])
    if bounds is not None:
        # t's half-width may leave the bounds; no data with this mean need more than answers at the bounds themselves
        widest_low, widest_high = widest_interval(value, masses, level, bounds)
        low, high = max(low, widest_low), min(high, widest_high)
    # rounding may leave a log-probability a hair above 0: then the bound says nothing
    if one_sided is not None and one_sided[0] <= data.min() and data.max() <= one_sided[1]:
        low, high = _within_one_bound(value, low, high, one_sided)
    return Estimate(value, low, high, len(data), count)


def _within_one_bound(value: float, low: float, high: float, bounds: tuple[float, float]) -> tuple[float, float]:
    """Return an interval whose end on the side of the only finite bound does not cross it; the other end stays."""
    least, largest = bounds
    if math.isfinite(least):
        return value - _squeeze(value - low, value - least), high
    return low, value + _squeeze(high - value, largest - value)


def _squeeze(distance: float, gap: float) -> float:
    """Return a distance from a mean that stays below the gap between the mean and its bound.

    Up to half of the gap it stays as it is. What is beyond is measured on a log scale of the other half, as for a
    ratio, since cutting it off would put the end on a bound that no mean of a spread reaches. On a log scale as a whole
    nominal 95% cover .925 of Pareto means of 20 prompts.
    """
    half = gap / 2
    return distance if distance <= half else half + half * (1 - math.exp(1 - distance / half))


def paired_difference(
    values_a: ArrayLike,
    values_b: ArrayLike,
    clusters: Clusters,
    *,
    weights: ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    share: bool | None = None,
    unit: str = "prompt",
) -> Estimate:
    """Return the mean of a minus b, item by item, such as policy minus reference on the same prompts.

    Pairing takes the difficulty of the prompts out, which two separate intervals would count twice.

    Args:
        values_a, values_b: shape (items,) each; item i of both belongs to the same prompt.
        share: whether both are shares, whose difference lies between -1 and 1; by default as in `cluster_mean`.
        clusters, weights, level, resamples, seed, unit: as in `cluster_mean`.

    Raises:
        InputError: as in `cluster_mean`, and where the two have different lengths.
    """
    a, b = finite_vector(values_a, "values_a"), finite_vector(values_b, "values_b")
    if len(a) != len(b):
        raise InputError(f"a paired difference needs as many values on both sides, got {len(a)} and {len(b)}")
    if share is None:
        share = _is_share(a) and _is_share(b)
    bounds = (-1.0, 1.0) if share else None
    return mean_within(a - b, clusters, bounds, weights=weights, level=level, resamples=resamples, seed=seed, unit=unit)


def independent_difference(a: Estimate, b: Estimate) -> Estimate:
    """Return the mean of a minus the mean of b, which share no prompt (two domains).

    The distances of both means to their ends add in quadrature (MOVER; Zou and Donner 2008, "Construction of
    confidence limits about effect measures"), so the interval may be as lopsided as theirs are. Where one of the two
    has no interval, the difference has none.
    """
    value = a.value - b.value
    n, clusters = a.n + b.n, a.clusters + b.clusters
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return Estimate(value, None, None, n, clusters, a.reason or b.reason or "no interval")
    # the low end of a - b is far where a is low and b is high, so each end takes one side of either
    below = math.hypot(a.value - a.low, b.high - b.value)
    above = math.hypot(a.high - a.value, b.value - b.low)
    return Estimate(value, value - below, value + above, n, clusters)


def finite_vector(values: ArrayLike, name: str) -> Numbers:
    """Return a non-empty vector of finite numbers, or raise an InputError that names it."""
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1 or vector.size == 0:
        raise InputError(f"{name} must be a non-empty list of numbers, got shape {vector.shape}")
    bad = np.flatnonzero(~np.isfinite(vector))
    if bad.size:
        raise InputError(f"{name} must be finite, {bad.size} are not; the first is item {bad[0]}: {vector[bad[0]]}")
    return vector


def _per_cluster(data: Numbers, mass: Numbers, clusters: Clusters) -> tuple[Numbers, Numbers]:
    """Return weighted sum and weight of each cluster, in order of first appearance."""
    codes = cluster_codes(clusters)
    # numpy's types call weighted counts whole numbers, hence `astype`
    return np.bincount(codes, data * mass).astype(np.float64), np.bincount(codes, mass).astype(np.float64)
