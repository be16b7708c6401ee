"""Cohen's kappa and Krippendorff's alpha from sums over clusters of items, with their interval.

Both are 1 - observed / expected disagreement. The observed disagreement is a share, so near an agreement of 1 it has
the interval of a share (`metrics/shares.py`): of 24 prompts with 6 items each, resamples alone cover a kappa of .85 in
.92 of the trials. The interval of kappa goes as far at each end as the farther of that one and the resampled one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from penchant.metrics.estimates import FEWEST_CLUSTERS, Coefficient, no_interval
from penchant.metrics.resampling import Numbers, percentile_interval, resampled_counts
from penchant.metrics.shares import jackknife_interval

LARGEST_LACKING_SHARE = 0.01  # of the resamples may lack a value; where more do, the data are too thin for an interval


def kappas(tables: Numbers) -> Numbers:
    """Return Cohen's kappa of each contingency table; NaN where it is undefined, for callers in `metrics` only.

    Args:
        tables: (tables, kinds * kinds).
    """
    square = _squares(tables)
    total = square.sum((1, 2))
    observed = np.trace(square, axis1=1, axis2=2) / total
    expected = (square.sum(1) * square.sum(2)).sum(1) / total**2
    # both always say one and the same thing: 0 / 0
    beyond_chance = 1 - expected
    defined = beyond_chance > 1e-12
    return np.where(defined, (observed - expected) / np.where(defined, beyond_chance, 1), np.nan)


def alphas(coincidences: Numbers) -> Numbers:
    """Return the nominal alpha of each coincidence matrix, as the package `krippendorff` does; NaN where undefined.

    Args:
        coincidences: (matrices, kinds * kinds).
    """
    square = _squares(coincidences)
    margins = square.sum(2)
    total = margins.sum(1)
    observed = total - np.trace(square, axis1=1, axis2=2)
    expected = (total**2 - np.square(margins).sum(1)) / (total - 1)
    defined = expected > 1e-12 * total
    return np.where(defined, 1 - observed / np.where(defined, expected, 1), np.nan)


def with_interval(
    formula: Callable[[Numbers], Numbers],
    sums: Numbers,
    value: float,
    n: int,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Coefficient:
    """Add to a coefficient its interval over clusters, or the reason why it has none.

    Args:
        formula: `kappas` or `alphas`.
        sums: (clusters, kinds * kinds) the table of each cluster, which add up.
        value: of all clusters. n: items. level, resamples, seed: as in `cluster_mean`.
    """
    count = len(sums)
    if count < FEWEST_CLUSTERS:
        return Coefficient(value, None, None, n, count, no_interval(count))
    # a resample's table is the sum of its clusters' tables: one product for all resamples
    resampled = np.concatenate(
        [formula(counts @ sums) for counts in resampled_counts(count, resamples, seed, width=sums.shape[1])]
    )
    defined = resampled[~np.isnan(resampled)]
    if (lacking := len(resampled) - len(defined)) > LARGEST_LACKING_SHARE * len(resampled):
        reason = f"no interval: undefined in {lacking} of {len(resampled)} resamples, so few items differ"
        return Coefficient(value, None, None, n, count, reason)
    low, high = percentile_interval(defined, value, level, count)
    if high - low < 1e-12:  # four prompts of which all say the same do not make an agreement of 1 sure
        return Coefficient(value, None, None, n, count, no_interval(count, all_agree=True))
    # near an agreement of 1 few resamples hold any disagreement, and theirs alone is too narrow
    from_share = _interval_of_disagreement(formula, sums, value, level)
    return Coefficient(value, min(low, from_share[0]), max(high, from_share[1]), n, count)


def _interval_of_disagreement(
    formula: Callable[[Numbers], Numbers], sums: Numbers, value: float, level: float
) -> tuple[float, float]:
    """Return the interval that the observed disagreement gives, as a share of the expected one."""
    masses = sums.sum(1)
    differing = masses - np.trace(_squares(sums), axis1=1, axis2=2)
    share = float(differing.sum() / masses.sum())
    if share <= 0:  # rounding alone: a value below 1 has some disagreement
        return value, value
    # value = 1 - observed / expected disagreement, and the share is the observed one
    expected = share / (1 - value)
    left_out = formula(sums.sum(0) - sums)
    left_out = np.where(np.isnan(left_out), value, left_out)  # undefined without the only cluster of the rarer kind
    low, high = jackknife_interval(share, expected * (1 - left_out), differing, masses, level)
    return 1 - high / expected, 1 - low / expected


def _squares(tables: Numbers) -> Numbers:
    kinds = round(tables.shape[1] ** 0.5)
    return tables.reshape(-1, kinds, kinds)
