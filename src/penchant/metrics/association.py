"""Correlation of two numbers per item within clusters, with an interval that resamples clusters."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from penchant.errors import InputError
from penchant.metrics.estimates import FEWEST_CLUSTERS, Estimate, no_interval
from penchant.metrics.resampling import Clusters, cluster_codes, percentile_interval


def within_correlation(
    x: ArrayLike, y: ArrayLike, clusters: Clusters, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Estimate | None:
    """Compute Pearson's correlation of x and y after each cluster's means are taken off both.

    What differs between prompts (a hard question has long answers and low rewards) so counts for nothing; the
    question is whether, of two responses to one prompt, the longer gets the higher reward.

    Args:
        x, y: (items,) finite. clusters: (items,) the prompt of each.

    Returns:
        The correlation, -1 to 1; None where x or y never differ within a cluster.

    Raises:
        InputError: other lengths, or numbers that are not finite.
    """
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if a.ndim != 1 or not a.shape == b.shape == (len(clusters),) or not (np.isfinite(a) & np.isfinite(b)).all():
        raise InputError(
            f"within_correlation needs two finite numbers and a cluster per item, got {a.shape}, {b.shape} and "
            f"{len(clusters)} clusters"
        )
    codes = cluster_codes(clusters)
    sizes = np.bincount(codes)
    a = a - (np.bincount(codes, a) / sizes)[codes]
    b = b - (np.bincount(codes, b) / sizes)[codes]
    # rounding of the means must not look like a difference
    a[np.abs(a) < 1e-12 * (1 + np.abs(np.asarray(x)).max())] = 0
    b[np.abs(b) < 1e-12 * (1 + np.abs(np.asarray(y)).max())] = 0
    # three sums per cluster are all that a resample needs: a draw of clusters adds them up
    products = np.array([np.bincount(codes, values) for values in (a * b, a * a, b * b)])
    cross, of_a, of_b = products.sum(1)
    if of_a == 0 or of_b == 0:
        return None
    value = float(cross / np.sqrt(of_a * of_b))
    count = len(sizes)
    if count < FEWEST_CLUSTERS:
        return Estimate(value, None, None, len(codes), count, no_interval(count))
    resampled = products[:, np.random.default_rng(seed).integers(0, count, size=(resamples, count))].sum(-1)
    spread = np.sqrt(resampled[1] * resampled[2])
    correlations = np.divide(resampled[0], spread, out=np.zeros(resamples), where=spread > 0)
    low, high = percentile_interval(correlations, value, level, count)
    if high - low < 1e-12:  # all prompts lie on one line, which does not make the next one do so
        return Estimate(value, None, None, len(codes), count, no_interval(count, all_agree=True))
    return Estimate(value, max(low, -1.0), min(high, 1.0), len(codes), count)
