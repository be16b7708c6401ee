"""Means over seeds and test items, with an interval for new seeds *and* new items.

Every model of a seed answers the same items, so the numbers form a table of shape (seeds, items) whose rows share
what a seed did and whose columns share how hard an item is. A bootstrap of both at once, or of the items alone,
has the wrong width. Here the variance of the mean is split into its components (two-way random effects, method of
moments), each component gets the quantile of Student's t for its own degrees of freedom, and their half-widths add
in quadrature (Banerjee 1960, "Approximate confidence interval for linear functions of means of k populations"; Zou
and Donner 2008). Nothing is resampled, so few items do not make it too narrow. Items that move together (two rows of
one question) are added up first, as one item each.
tests/metrics/test_pgr.py simulates how often such an interval covers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from penchant.errors import InputError
from penchant.metrics.estimates import Estimate, no_interval
from penchant.metrics.resampling import Clusters, Numbers, cluster_codes, effective_clusters, t_quantile
from penchant.metrics.shares import effective_interval, same_interval


def two_way_mean(
    values: ArrayLike, *, level: float = 0.95, share: bool = False, groups: Clusters | None = None
) -> Estimate:
    """Return the mean over seeds and items, with its interval.

    Args:
        values: shape (seeds, items), any unit, finite; row s is seed s on every item, in one order of items.
        level: coverage that is asked for.
        share: whether the values are shares, which lie between 0 and 1; so does the interval, and where all say the
            same it is exact (see `metrics/shares.py`).
        groups: shape (items,), what items that move together share; every item by itself if not given.

    Returns:
        The estimate, with n = seeds x items and clusters = groups. Of one seed, the interval is for new items only.
        Of one group there is none, nor where all say the same of what is no share.

    Raises:
        InputError: another shape, nothing in it, numbers that are not finite, shares outside 0 and 1, other groups, or
            a level outside (0, 1).
    """
    table = as_table(values, "values")
    if not 0 < level < 1:
        raise InputError(f"level must lie in (0, 1), got {level}")
    if share and (table.min() < 0 or table.max() > 1):
        raise InputError(f"shares must lie between 0 and 1, got {table.min():g} to {table.max():g}")
    mean, parts = float(table.mean()), group_deviations(table, groups)
    count = parts.shape[1]
    is_constant = table.min() == table.max() or (count > 1 and float(np.ptp(parts)) < 1e-12)
    if is_constant and share:
        return Estimate(mean, *same_interval(mean, count, level, (0.0, 1.0)), table.size, count)
    # one group has no spread between groups, whatever its items do
    if count == 1:
        return Estimate(mean, None, None, table.size, count, no_interval(count, "test item"))
    squared = sum(squared_half_widths(parts, level=level))
    if is_constant:
        return Estimate(mean, None, None, table.size, count, no_interval(count, "test item", all_agree=True))
    if share:
        return Estimate(mean, *_share_interval(table, groups, squared, level), table.size, count)
    return Estimate(mean, mean - squared**0.5, mean + squared**0.5, table.size, count)


def _share_interval(table: Numbers, groups: Clusters | None, squared: float, level: float) -> tuple[float, float]:
    """Return the exact interval of a share for the sample size that its variance amounts to."""
    mean = float(table.mean())
    codes = np.arange(table.shape[1]) if groups is None else cluster_codes(groups)
    answers = (np.bincount(codes) * len(table)).astype(np.float64)
    right = np.bincount(codes, table.sum(0))
    differing = int((right > 0).sum() if mean < 0.5 else (right < answers).sum())
    # divided by the normal's quantile and not by t's, so that what few seeds add to the width stays in the variance
    variance = squared / float(ndtri((1 - level) / 2)) ** 2
    return effective_interval(mean, variance, differing, effective_clusters(answers), level)


def group_deviations(table: Numbers, groups: Clusters | None = None) -> Numbers:
    """Return the deviations from the mean, added up over the items of each group.

    Args:
        table: (seeds, items).

    Returns:
        (seeds, groups), scaled so that the mean of a row is how far that seed's mean lies from the mean of all.
    """
    deviations = table - table.mean()
    if groups is None:
        return deviations
    if len(groups) != table.shape[1]:
        raise InputError(f"one group per test item is needed, got {len(groups)} for {table.shape[1]} items")
    # items of one group move together, so they count as one, with the sum of their deviations
    codes = cluster_codes(groups)
    sums = np.array([np.bincount(codes, row) for row in deviations])
    return sums * (sums.shape[1] / table.shape[1])


def squared_half_widths(table: Numbers, *, level: float) -> tuple[float, float]:
    """Return what seeds and what items add to the square of the mean's half-width.

    The items' part holds the noise of single answers too. Where seeds that say opposite things of every item make all
    items' means equal, that noise alone remains, so it is the least that the items' part can be. A negative variance of
    seeds, as estimates may be, counts as zero; so does that of a single seed, of which nothing is known.

    Args:
        table: (seeds, items), with at least two items.
    """
    seeds, items = table.shape
    mean, rows, columns = table.mean(), table.mean(1), table.mean(0)
    of_items = seeds * np.square(columns - mean).sum() / (items - 1)  # mean squares
    # of one seed nothing tells the noise of single answers from the items' own difficulty: it stays in `of_items`
    of_seeds, rest = 0.0, 0.0
    if seeds > 1:
        of_seeds = items * np.square(rows - mean).sum() / (seeds - 1)
        rest = np.square(table - rows[:, None] - columns + mean).sum() / ((seeds - 1) * (items - 1))
    from_items = t_quantile(items - 1, level) ** 2 * max(of_items, rest) / table.size
    if seeds == 1:
        return 0.0, float(from_items)
    from_seeds = t_quantile(seeds - 1, level) ** 2 * max(0.0, of_seeds - rest) / table.size
    return float(from_seeds), float(from_items)


def as_table(values: ArrayLike, name: str) -> Numbers:
    """Return finite numbers of shape (seeds, items), or raise an InputError that names them."""
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or table.size == 0:
        raise InputError(f"{name} must have the shape (seeds, test items) and not be empty, got {table.shape}")
    if bad := int((~np.isfinite(table)).sum()):
        raise InputError(f"{name} must be finite, {bad} of {table.size} numbers are not")
    return table
