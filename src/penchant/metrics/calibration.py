"""Whether stated probabilities hold: the reliability curve and the expected calibration error, with intervals."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from penchant.errors import InputError
from penchant.metrics.estimates import Estimate
from penchant.metrics.intervals import cluster_mean


@dataclass(frozen=True, slots=True)
class Bin:
    """A bin of items of similar confidence.

    Attributes:
        confidence: their mean stated probability of being right.
        accuracy: how often they are right.
        weight: sum of their weights.
    """

    confidence: float
    accuracy: Estimate
    weight: float


def reliability(
    confidence: ArrayLike,
    right: ArrayLike,
    clusters: Sequence[Hashable],
    *,
    weights: ArrayLike | None = None,
    bins: int = 5,
) -> list[Bin]:
    """Return the reliability curve: accuracy against confidence, in bins of about equally many items.

    Args:
        confidence: (items,) stated probability of being right, in [0, 1].
        right: (items,) 0, 1, or 0.5 for half right.
        clusters: (items,) the prompt of each, which the intervals resample.
        weights: (items,) positive; default 1 each.
        bins: how many at most; fewer where there are fewer items, or where equal confidences stay together.

    Raises:
        InputError: no items, other lengths, or probabilities outside [0, 1].
    """
    confidences, hits = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    mass = np.ones_like(confidences) if weights is None else np.asarray(weights, dtype=np.float64)
    if len({confidences.shape, hits.shape, mass.shape, (len(clusters),)}) > 1 or not confidences.size:
        raise InputError(
            f"reliability needs one confidence, result, cluster and weight per item, got "
            f"{confidences.shape}, {hits.shape}, {len(clusters)} and {mass.shape}"
        )
    if not ((confidences >= 0) & (confidences <= 1)).all():
        raise InputError("reliability: probabilities must lie between 0 and 1")
    # quantiles, not fixed steps: confidences crowd near 1, where equal widths would leave most bins empty
    edges = np.unique(np.quantile(confidences, np.linspace(0, 1, bins + 1)[1:-1]))
    # equal confidences are on one side of every edge, and so in one bin
    bin_of = np.searchsorted(edges, confidences, side="right")
    curve = []
    for number in np.unique(bin_of):
        (items,) = np.nonzero(bin_of == number)
        weight, labels = mass[items], [clusters[int(item)] for item in items]
        accuracy = cluster_mean(hits[items], labels, weights=weight, share=True)
        curve.append(Bin(float(np.average(confidences[items], weights=weight)), accuracy, float(weight.sum())))
    return curve


def expected_calibration_error(curve: Sequence[Bin]) -> float:
    """Return the mean distance between confidence and accuracy over the bins of a curve, weighted by their weights.

    It is biased upwards by noise: with few items per bin even a perfect model is some percent off.

    Raises:
        InputError: a curve without bins.
    """
    if not curve:
        raise InputError("expected_calibration_error: the curve has no bins")
    gaps = [abs(point.confidence - point.accuracy.value) for point in curve]
    return float(np.average(gaps, weights=[point.weight for point in curve]))
