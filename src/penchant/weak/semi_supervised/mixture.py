"""Which labels are probably right: a mixture of two Gaussians on the losses of labelled rows.

A network learns what most labels say before it learns single wrong ones by heart, so that early in training wrong
labels have the larger losses. Source: Li et al. 2020 (arXiv:2002.07394), with the numbers of the authors' code. Written
here since scikit-learn's mixture takes 30 times as long for so few rows, and every network has one an epoch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEAST_VARIANCE = 5e-4
"""Added to the variance of each Gaussian, as in the authors' code, so that none collapses onto equal losses."""
TOLERANCE, MOST_ITERATIONS = 1e-2, 10
"""EM ends where the mean log-likelihood rises by less, or after so many iterations: the authors' numbers."""
FEWEST_LOSSES = 4
"""Losses of fewer rows tell no two groups apart."""
Numbers = NDArray[np.float64]


def clean_probabilities(losses: NDArray[np.floating]) -> Numbers:
    """Return the probability of each row to belong to the Gaussian with the smaller mean.

    Losses are scaled to [0, 1] first. Where they are all alike, or too few, nothing tells two groups apart, and all
    rows count as clean.

    Args:
        losses: shape (rows,), finite.

    Returns:
        Shape (rows,).
    """
    spread = losses.max() - losses.min() if len(losses) >= FEWEST_LOSSES else 0.0
    # a spread of rounding errors would be scaled up into two groups
    if spread <= 1e-6:
        return np.ones(len(losses))
    scaled = ((losses - losses.min()) / spread).astype(np.float64)
    gaussians, bound = _maximize(scaled, _nearer_mean(scaled)), -np.inf
    for _ in range(MOST_ITERATIONS):
        before = bound
        responsibilities, bound = _expect(scaled, gaussians)
        gaussians = _maximize(scaled, responsibilities)
        if abs(bound - before) < TOLERANCE:
            break
    return _expect(scaled, gaussians)[0][:, gaussians[0].argmin()]


def _expect(values: Numbers, gaussians: tuple[Numbers, Numbers, Numbers]) -> tuple[Numbers, float]:
    """Return the probability of each value to belong to each Gaussian, (values, 2), and the mean log-likelihood."""
    means, variances, shares = gaussians
    squares = (values[:, None] - means) ** 2 / variances
    # in logarithms: far from both means the densities round to 0
    logs = np.log(shares) - (squares + np.log(2 * np.pi * variances)) / 2
    totals = np.logaddexp(logs[:, 0], logs[:, 1])
    return np.exp(logs - totals[:, None]), float(totals.mean())


def _maximize(values: Numbers, responsibilities: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Return means, variances and shares of the two Gaussians, shape (2,) each."""
    counts = responsibilities.sum(0) + 10 * np.finfo(np.float64).eps
    means = values @ responsibilities / counts
    variances = (responsibilities * (values[:, None] - means) ** 2).sum(0) / counts + LEAST_VARIANCE
    return means, variances, counts / len(values)


def _nearer_mean(values: Numbers) -> Numbers:
    """Return two groups by 2-means from the smallest and the largest value, as columns of 0 and 1."""
    means = np.array([0.0, 1.0])
    for _ in range(100):
        groups = _nearest(values, means)
        # neither is ever empty: the smallest value is in the first group, the largest in the second
        after = values @ groups / groups.sum(0)
        if np.allclose(after, means):
            break
        means = after
    return groups


def _nearest(values: Numbers, means: Numbers) -> Numbers:
    return np.eye(2)[np.abs(values[:, None] - means).argmin(1)]
