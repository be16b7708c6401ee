"""The slope of a straight line through points, within groups, with its interval."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from penchant.errors import InputError
from penchant.metrics.estimates import Estimate, no_interval
from penchant.metrics.resampling import Clusters, cluster_codes, t_quantile


def within_slope(x: ArrayLike, y: ArrayLike, groups: Clusters, *, level: float = 0.95) -> Estimate | None:
    """Return by how much y rises per unit of x within groups: least squares on deviations from each group's means.

    The interval takes points to be independent, with Student's t for n - groups - 1 degrees of freedom.

    Args:
        x, y: shape (points,), finite. groups: (points,) what points share that moves both, such as a supervisor.

    Returns:
        None where x does not vary within any group.

    Raises:
        InputError: other shapes, or numbers that are not finite.
    """
    across, up, codes = np.asarray(x, dtype=float), np.asarray(y, dtype=float), cluster_codes(groups)
    if across.ndim != 1 or across.shape != up.shape or codes.shape != across.shape:
        raise InputError(
            f"x, y and groups must have one shape (points,), got {across.shape}, {up.shape}, {codes.shape}"
        )
    if not (np.isfinite(across).all() and np.isfinite(up).all()):
        raise InputError("x and y must be finite")
    # a group lies where it lies: only how its points lie to each other counts
    sizes = np.bincount(codes)
    across, up = (values - (np.bincount(codes, values) / sizes)[codes] for values in (across, up))
    # without variation any slope fits
    spread = float(across @ across)
    if spread < 1e-12:
        return None
    slope, count = float(across @ up) / spread, len(sizes)
    degrees = len(across) - count - 1
    # two points of one group always lie on a line
    if degrees < 1:
        return Estimate(slope, None, None, len(across), count, no_interval(len(across), "point"))
    error = math.sqrt(float(np.square(up - slope * across).sum()) / degrees / spread)
    half = t_quantile(degrees, level) * error
    return Estimate(slope, slope - half, slope + half, len(across), count)
