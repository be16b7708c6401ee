"""Means with an interval that resamples prompts.

Comparisons of one prompt share its responses, and samples of one prompt share the prompt, so they are
no independent draws: an interval that resamples single comparisons is too narrow. Here whole clusters
(prompts) are resampled.

The interval is the *expanded percentile* interval (Hesterberg 2015, "What Teachers Should Know About the
Bootstrap"): quantiles of the resampled means, taken further out by `sqrt(C / (C - 1))` and Student's t for
C clusters, because the plain percentile interval is too narrow for the 20 to 50 prompts of a typical
evaluation. Unlike mean +- t * standard error it never leaves the range of the data: an accuracy's interval
stays within 0 and 1. Below about 10 clusters it is still too narrow: no resampling can invent prompts that
nobody drew.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, stdtrit

from penchant.errors import InputError

_CHUNK = 4_000_000  # cluster draws held at once: 32 MB of indices


FEWEST_CLUSTERS = 10  # below this no interval is resampled: it would leave out what the undrawn prompts say


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and its interval, or the reason why it has none.

    Attributes:
        value: the (weighted) mean, in the unit of the values.
        low, high: ends of the interval, same unit; both None where there is no interval.
        n: number of items (comparisons, samples).
        clusters: number of clusters (prompts) that they come from: what the interval is about.
        reason: why there is no interval, such as "no interval: 6 prompts"; empty where there is one.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    clusters: int
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON; a missing interval is None (null) with its reason, never NaN."""
        return asdict(self)

    @classmethod
    def from_dict(cls, numbers: Mapping[str, Any]) -> Estimate:
        """Read what `as_dict` wrote, in this version or before.

        Numbers without a `reason` are of version 0.3.0.dev0 or older, whose intervals were too narrow where the
        clusters were few or all said the same; such an interval is left out, and the reason says so.
        """
        value, low, high = numbers["value"], numbers["low"], numbers["high"]
        n, clusters = int(numbers.get("n", 0)), int(numbers.get("clusters", 0))
        if "reason" in numbers:
            return cls(value, low, high, n, clusters, str(numbers["reason"]))
        if low is None or high is None or 0 < clusters < FEWEST_CLUSTERS:
            return cls(value, None, None, n, clusters, no_interval(clusters) if clusters else "no interval")
        if low == high:
            return cls(value, None, None, n, clusters, no_interval(clusters, same=True))
        return cls(value, low, high, n, clusters)


def no_interval(clusters: int, unit: str = "prompt", *, same: bool = False) -> str:
    """Return the reason why so many clusters give no interval, such as "no interval: 6 prompts".

    Args:
        unit: what a cluster is, in the singular. same: they are not too few, but all say the same, of a measure
            without known ends.
    """
    counted = f"{clusters:,} {unit}{'' if clusters == 1 else 's'}"
    return f"no interval: all {counted} say the same" if same else f"no interval: {counted}"


def cluster_mean(
    values: ArrayLike,
    clusters: Sequence[Hashable] | NDArray[Any],
    *,
    weights: ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """The (weighted) mean over items, with a cluster-bootstrap interval.

    Args:
        values: shape (items,), any unit, finite.
        clusters: shape (items,), the prompt of each item: anything hashable; equal means the same cluster.
        weights: shape (items,), positive; default 1 each.
        level: coverage that is asked for.
        resamples: how many times the clusters are drawn again.
        seed: of the resampling; equal inputs and seed give equal numbers, and the order of clusters does not
            depend on hashing.

    Returns:
        The estimate; with a single cluster its `low` and `high` are None.

    Raises:
        InputError: no items, other lengths, values that are not finite, weights that are not positive.
    """
    data = finite_vector(values, "values")
    mass = np.ones_like(data) if weights is None else finite_vector(weights, "weights")
    if len(mass) != len(data) or len(clusters) != len(data):
        raise InputError(
            f"one cluster and one weight a value are needed, got {len(data)} values, "
            f"{len(clusters)} clusters and {len(mass)} weights"
        )
    if (mass <= 0).any():
        raise InputError(f"weights must be positive, the smallest is {mass.min()}")
    if not 0 < level < 1 or resamples < 1:
        raise InputError(f"level must lie in (0, 1) and resamples be at least 1, got {level}, {resamples}")

    sums, masses = _per_cluster(data, mass, clusters)
    value, count = float(sums.sum() / masses.sum()), len(sums)
    if count == 1:
        return Estimate(value, None, None, len(data), 1, no_interval(1))
    means = _resampled_means(sums, masses, resamples, seed)
    return Estimate(value, *percentile_interval(means, value, level, count), len(data), count)


def percentile_interval(drawn: NDArray[np.float64], value: float, level: float, clusters: int) -> tuple[float, float]:
    """The expanded percentile interval of a number that was computed anew from each resample of the clusters.

    Args:
        drawn: (resamples,). value: from the data themselves. clusters: at least 2.
    """
    tail = _tail(level, clusters)
    low, high = np.quantile(drawn, [tail, 1 - tail])
    # rounding alone can put the quantile of equal values a hair beyond their mean
    return min(float(low), value), max(float(high), value)


def paired_difference(
    values_a: ArrayLike,
    values_b: ArrayLike,
    clusters: Sequence[Hashable] | NDArray[Any],
    *,
    weights: ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """The mean of a minus b, item by item (policy minus reference on the same prompts).

    Pairing takes the difficulty of the prompts out, which two separate intervals would count twice.

    Args:
        values_a, values_b: shape (items,) each; item i of both belongs to the same prompt.
        clusters, weights, level, resamples, seed: as in `cluster_mean`.

    Raises:
        InputError: as in `cluster_mean`, and where the two have different lengths.
    """
    a, b = finite_vector(values_a, "values_a"), finite_vector(values_b, "values_b")
    if len(a) != len(b):
        raise InputError(f"a paired difference needs as many values on both sides, got {len(a)} and {len(b)}")
    return cluster_mean(a - b, clusters, weights=weights, level=level, resamples=resamples, seed=seed)


def independent_difference(a: Estimate, b: Estimate) -> Estimate:
    """The mean of a minus the mean of b, which share no prompt (two domains).

    The distances of both means to their ends add in quadrature (MOVER; Zou and Donner 2008, "Construction of
    confidence limits about effect measures"), so the interval may be as lopsided as theirs are. Where one of the two
    has no interval, the difference has none.
    """
    value = a.value - b.value
    n, clusters = a.n + b.n, a.clusters + b.clusters
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return Estimate(value, None, None, n, clusters, a.reason or b.reason or "no interval")
    below = math.hypot(a.value - a.low, b.high - b.value)
    above = math.hypot(a.high - a.value, b.value - b.low)
    return Estimate(value, value - below, value + above, n, clusters)


def finite_vector(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """A non-empty list of finite numbers, or an InputError that names it."""
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1 or vector.size == 0:
        raise InputError(f"{name} must be a non-empty list of numbers, got shape {vector.shape}")
    bad = np.flatnonzero(~np.isfinite(vector))
    if bad.size:
        raise InputError(f"{name} must be finite, {bad.size} are not; the first is item {bad[0]}: {vector[bad[0]]}")
    return vector


def cluster_codes(clusters: Sequence[Hashable] | NDArray[Any]) -> NDArray[np.intp]:
    """A number for each label, counted from 0 in order of first appearance; equal labels have the same."""
    index: dict[Hashable, int] = {}
    labels = clusters.tolist() if isinstance(clusters, np.ndarray) else clusters
    return np.fromiter((index.setdefault(label, len(index)) for label in labels), np.intp, len(labels))


def resampled_counts(count: int, resamples: int, seed: int, *, width: int) -> Iterator[NDArray[np.float64]]:
    """How often each cluster stands in each resample, for numbers that are no mean.

    Args:
        count: clusters. width: numbers that the caller holds a resample at once, which decides how many resamples
            come together.

    Yields:
        (some resamples, clusters), each row adding up to `count`; `resamples` rows in all.
    """
    rng = np.random.default_rng(seed)
    step = max(1, _CHUNK // max(width, count))
    for start in range(0, resamples, step):
        yield rng.multinomial(count, np.full(count, 1 / count), size=min(step, resamples - start)).astype(np.float64)


def _per_cluster(
    data: NDArray[np.float64], mass: NDArray[np.float64], clusters: Sequence[Hashable] | NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weighted sum and weight of each cluster, in order of first appearance."""
    codes = cluster_codes(clusters)
    sums: NDArray[np.float64] = np.bincount(codes, data * mass).astype(np.float64)
    masses: NDArray[np.float64] = np.bincount(codes, mass).astype(np.float64)
    return sums, masses


def _resampled_means(
    sums: NDArray[np.float64], masses: NDArray[np.float64], resamples: int, seed: int
) -> NDArray[np.float64]:
    """Means of `resamples` draws of as many clusters as there are, with replacement; shape (resamples,)."""
    rng = np.random.default_rng(seed)
    count = len(sums)
    step = max(1, _CHUNK // count)
    parts = []
    for start in range(0, resamples, step):
        drawn = rng.integers(0, count, size=(min(step, resamples - start), count))
        parts.append(sums[drawn].sum(axis=1) / masses[drawn].sum(axis=1))
    return np.concatenate(parts)


def _tail(level: float, clusters: int) -> float:
    """Probability to cut on each side: less than (1 - level) / 2, the more so the fewer clusters."""
    t = -float(stdtrit(clusters - 1, (1 - level) / 2))
    return float(ndtr(-math.sqrt(clusters / (clusters - 1)) * t))
