"""Means with an interval over prompts.

Comparisons of one prompt share its responses, and samples of one prompt share the prompt, so they are
no independent draws: an interval that counts single comparisons is too narrow. Here whole clusters
(prompts) count.

One rule, wherever an interval is printed:

- a share (accuracy, win rate) has an exact interval (`metrics/shares.py`), at the edge too, where all prompts agree;
  one with answers between 0 and 1 goes as far at each end as Hall's (below);
- any other mean has one of at least `FEWEST_CLUSTERS` clusters; with fewer the estimate says "no interval: 6 prompts".

The interval of other means goes as far at each end as the farther of two. One is the *expanded percentile* interval
(Hesterberg 2015, "What Teachers Should Know About the Bootstrap"): quantiles of the resampled means, taken further out
by `sqrt(C / (C - 1))` and Student's t for C clusters. It ignores skewness: of 10 to 20 exponential values its nominal
95% cover .90 to .93. The other is Hall's (1992, "On the removal of skewness by transformation"): mean +- t standard
errors, turned by the skewness of the clusters. tests/metrics/test_coverage.py simulates both together.
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
from penchant.metrics.shares import clustered_interval, exact_interval, same_interval

_ROUNDING = 1e-12  # of equal means of clusters, relative
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


@dataclass(frozen=True, slots=True)
class Coefficient:
    """A measure that may be undefined, such as Cohen's kappa, or why it is.

    Attributes:
        value: None where it is undefined.
        low, high: ends of its interval; both None where there is none.
        n: items (pairs of ratings, for `agreement_between`) that it is made of.
        clusters: what the interval is about.
        reason: why there is no value, or no interval; empty where both are there.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    clusters: int
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, never NaN."""
        return asdict(self)

    def __str__(self) -> str:
        if self.value is None:
            return f"undefined: {self.reason}"
        if self.low is None or self.high is None:
            return f"{self.value:.2f} [{self.reason or 'no interval'}]"
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


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


def _is_share(data: NDArray[np.float64]) -> bool:
    return bool(np.isin(data, (0.0, 0.5, 1.0)).all())


def mean_within(
    values: ArrayLike,
    clusters: Sequence[Hashable] | NDArray[Any],
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
            difference of shares (-1, 1).
        values, clusters, weights, level, resamples, seed, unit: as in `cluster_mean`.
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
    if bounds is not None and (data.min() < bounds[0] or data.max() > bounds[1]):
        raise InputError(f"values must lie between {bounds[0]:g} and {bounds[1]:g}, got {data.min()} to {data.max()}")

    sums, masses = _per_cluster(data, mass, clusters)
    value, count = float(sums.sum() / masses.sum()), len(sums)
    means = sums / masses
    if data.max() == data.min() or (count >= FEWEST_CLUSTERS and np.ptp(means) <= _ROUNDING * np.abs(means).max()):
        if bounds is None:
            reason = no_interval(count, unit, same=count >= FEWEST_CLUSTERS)
            return Estimate(value, None, None, len(data), count, reason)
        return Estimate(value, *same_interval(value, count, level, bounds), len(data), count)
    if bounds == (0.0, 1.0):
        graded = bool(((data > 0) & (data < 1)).any())
        if not graded and count == len(data) and masses.min() == masses.max():
            return Estimate(value, *exact_interval(float(data.sum()), count, level), len(data), count)
    if count < FEWEST_CLUSTERS:
        return Estimate(value, None, None, len(data), count, no_interval(count, unit))
    if bounds == (0.0, 1.0):
        found = clustered_interval(sums, masses, level, graded=graded)
        if not graded:
            return Estimate(value, *found, len(data), count)
    else:
        found = percentile_interval(_resampled_means(sums, masses, resamples, seed), value, level, count)
    turned = skewed_interval(sums, masses, level)
    low, high = min(found[0], turned[0]), max(found[1], turned[1])
    if bounds is not None:
        low, high = max(low, bounds[0]), min(high, bounds[1])
    return Estimate(value, low, high, len(data), count)


def skewed_interval(sums: NDArray[np.float64], masses: NDArray[np.float64], level: float) -> tuple[float, float]:
    """Return Hall's interval of a mean: Student's t, turned by the skewness of the clusters.

    Args:
        sums, masses: (clusters,) weighted sum and weight of each; at least two clusters, which do not all say the same.
    """
    count, value = len(sums), float(sums.sum() / masses.sum())
    rest = (sums - value * masses) / masses.mean()
    spread = float(rest.std(ddof=1))
    third = float(np.mean((rest - rest.mean()) ** 3) / rest.std() ** 3) / 3  # of the skewness
    t = -float(stdtrit(count - 1, (1 - level) / 2)) / math.sqrt(count)

    def turned(point: float) -> float:
        """Undo y = x + third x^2 + third^2 x^3 / 3 + third / (2 count)."""
        if abs(third) < 1e-6:
            return point
        return float(np.cbrt(1 + 3 * third * (point - third / (2 * count))) - 1) / third

    return value - spread * turned(t), value - spread * turned(-t)


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
    share: bool | None = None,
    unit: str = "prompt",
) -> Estimate:
    """Return the mean of a minus b, item by item (policy minus reference on the same prompts).

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
