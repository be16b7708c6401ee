"""Means over seeds and test items, with an interval for new seeds *and* new items.

Every model of a seed answers the same items, so the numbers form a table of shape (seeds, items) whose rows share
what a seed did and whose columns share how hard an item is. A bootstrap of both at once, or of the items alone,
has the wrong width. Here the variance of the mean is split into its components (two-way random effects, method of
moments), each component gets the quantile of Student's t for its own degrees of freedom, and their half-widths add
in quadrature (Banerjee 1960, "Approximate confidence interval for linear functions of means of k populations"; Zou
and Donner 2008). tests/metrics/test_pgr.py simulates how often such an interval covers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from penchant.errors import InputError
from penchant.metrics.intervals import Estimate

Table = NDArray[np.float64]


def two_way_mean(values: ArrayLike, *, level: float = 0.95, share: bool = False) -> Estimate:
    """The mean over seeds and items, with its interval.

    Args:
        values: shape (seeds, items), any unit, finite; row s is seed s on every item, in one order of items.
        level: coverage that is asked for. share: the values lie between 0 and 1, and so does the interval: with few
            seeds it would go beyond.

    Returns:
        The estimate, with n = seeds x items and clusters = items. Of one seed, the interval is for new items only.
        Of one item there is none.

    Raises:
        InputError: another shape, nothing in it, numbers that are not finite, or a level outside (0, 1).
    """
    table = as_table(values, "values")
    mean, (seeds, items) = float(table.mean()), table.shape
    if items == 1:
        return Estimate(mean, None, None, table.size, items)
    half = float(np.sqrt(sum(squared_half_widths(table, level=level))))
    low, high = mean - half, mean + half
    return Estimate(mean, max(low, 0.0) if share else low, min(high, 1.0) if share else high, seeds * items, items)


def squared_half_widths(table: Table, *, level: float) -> tuple[float, float]:
    """What seeds and what items add to the square of the mean's half-width.

    The items' part holds the noise of single answers too. A negative variance of seeds, as estimates may be, counts
    as zero; so does that of a single seed, of which nothing is known.

    Args:
        table: (seeds, items), with at least two items.
    """
    if not 0 < level < 1:
        raise InputError(f"level must lie in (0, 1), got {level}")
    seeds, items = table.shape
    mean, rows, columns = table.mean(), table.mean(1), table.mean(0)
    of_items = seeds * np.square(columns - mean).sum() / (items - 1)  # mean squares
    from_items = _quantile(items - 1, level) ** 2 * of_items / table.size
    if seeds == 1:
        return 0.0, float(from_items)
    of_seeds = items * np.square(rows - mean).sum() / (seeds - 1)
    rest = np.square(table - rows[:, None] - columns + mean).sum() / ((seeds - 1) * (items - 1))
    from_seeds = _quantile(seeds - 1, level) ** 2 * max(0.0, of_seeds - rest) / table.size
    return float(from_seeds), float(from_items)


def as_table(values: ArrayLike, name: str) -> Table:
    """Finite numbers of shape (seeds, items), or an InputError that names them."""
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or table.size == 0:
        raise InputError(f"{name} must have the shape (seeds, test items) and not be empty, got {table.shape}")
    if bad := int((~np.isfinite(table)).sum()):
        raise InputError(f"{name} must be finite, {bad} of {table.size} numbers are not")
    return table


def _quantile(degrees: int, level: float) -> float:
    return -float(stdtrit(degrees, (1 - level) / 2))
