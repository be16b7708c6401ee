"""How often a model would win if its answers were as long as its opponent's.

Dubois et al. 2024, "Length-Controlled AlpacaEval: A Simple Way to Debias Automatic Evaluators" (arXiv:2404.04475): a
logistic regression of the outcome on the model and on the length difference,

    P(win) = sigmoid(theta + phi * tanh(d / sd(d))),      d = length of the model's answer - length of the opponent's,

and then sigmoid(theta): what it predicts at d = 0. AlpacaEval's own number also has a term for how hard an instruction
is, fitted over many models, and pulls towards answers of a baseline that was told to be brief or wordy; neither can be
had from one model's comparisons, so ours is near theirs but not the same.

The model is right only as far as length is: where a longer answer is longer *because* it is better, the rate takes some
of that away as well. It goes beside the raw win rate, never in its place.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from penchant.errors import InputError
from penchant.metrics.estimates import FEWEST_CLUSTERS, Estimate, no_interval
from penchant.metrics.intervals import finite_vector
from penchant.metrics.resampling import Clusters, Numbers, cluster_codes, percentile_interval, resampled_counts
from penchant.metrics.shares import jackknife_interval, same_interval

SPREAD = 10.0
"""Standard deviation of phi's normal prior: no weight beside 20 comparisons, but a finite slope where length decides
every one of them."""
STEPS, TOLERANCE = 50, 1e-9
MOST_PARTS = 1000  # fits of the jackknife


def length_controlled(
    outcomes: ArrayLike,
    length_differences: ArrayLike,
    clusters: Clusters,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Return the win rate at equal lengths, with its interval over clusters.

    Each resample is standardised and fitted anew. The interval goes as far at each end as the farther of the resampled
    one and the exact one of as many comparisons as the rate's variance amounts to (`metrics/shares.py`).

    Args:
        outcomes: (comparisons,) in [0, 1]: 1 the model won, 0 its opponent did, 0.5 a tie; a judge's probability of
            a win may stand there as well.
        length_differences: (comparisons,) the model's length minus the opponent's, in any unit (characters, tokens).
        clusters: (comparisons,) the prompt of each, which the interval resamples.
        level, resamples, seed: as in `cluster_mean`.

    Returns:
        The rate, 0 to 1. Where all outcomes are the same its interval is exact; else there is none of fewer than
        `FEWEST_CLUSTERS` clusters. Nor is there one where length and the rest cannot be told apart: where all lengths
        differ by the same (the rate is the raw one) and where length decides every verdict (it hangs on the prior).

    Raises:
        InputError: no comparisons, other lengths, numbers that are not finite, outcomes outside [0, 1].
    """
    points, length_gaps = finite_vector(outcomes, "outcomes"), finite_vector(length_differences, "length_differences")
    if not len(points) == len(length_gaps) == len(clusters):
        raise InputError(
            f"one length difference and one cluster per outcome are needed, got {len(points)} outcomes, "
            f"{len(length_gaps)} differences and {len(clusters)} clusters"
        )
    if points.min() < 0 or points.max() > 1:
        raise InputError(f"outcomes must lie between 0 and 1 (a tie is 0.5), got {points.min()} to {points.max()}")
    codes = cluster_codes(clusters)
    count = int(codes.max()) + 1
    rates = partial(_at_equal_lengths, points, length_gaps)
    value = float(rates(np.ones((1, len(points))))[0])
    if points.min() == points.max():
        return Estimate(value, *same_interval(value, count, level, (0.0, 1.0)), len(points), count)
    if count < FEWEST_CLUSTERS:
        return Estimate(value, None, None, len(points), count, no_interval(count))
    if reason := _inseparable(points, length_gaps):
        return Estimate(value, None, None, len(points), count, f"no interval: {reason}")
    resampled = [rates(counts[:, codes]) for counts in resampled_counts(count, resamples, seed, width=len(points))]
    low, high = percentile_interval(np.concatenate(resampled), value, level, count)
    parts = np.random.default_rng(seed).permutation(count) % MOST_PARTS  # of many clusters several are left out at once
    left_out = np.concatenate([rates((parts[codes] != part)[None].astype(float)) for part in range(parts.max() + 1)])
    wins: Numbers = np.bincount(codes, points).astype(np.float64)
    exact = jackknife_interval(value, left_out, wins, np.bincount(codes).astype(np.float64), level, as_raw=True)
    return Estimate(value, min(low, exact[0]), max(high, exact[1]), len(points), count)


def _inseparable(points: Numbers, length_gaps: Numbers) -> str:
    """Return why length and the rest cannot be told apart, if they cannot."""
    if np.ptp(length_gaps) <= 1e-9 * np.abs(length_gaps).max():
        return "all lengths differ by the same"
    of_losses, of_wins = length_gaps[points < 0.5], length_gaps[points > 0.5]
    are_separated = len(of_losses) and len(of_wins) and len(of_losses) + len(of_wins) == len(points)
    if are_separated and (of_losses.max() < of_wins.min() or of_wins.max() < of_losses.min()):
        return "length decides every verdict"
    return ""


def _at_equal_lengths(points: Numbers, length_gaps: Numbers, weights: Numbers) -> Numbers:
    """Return sigmoid(theta) for each row of weights, by Newton's method.

    Args:
        weights: (fits, comparisons), no row all zero.
    """
    mass = weights.sum(1)
    rate = weights @ points / mass
    mean = weights @ length_gaps / mass
    spread = np.sqrt(np.maximum(weights @ np.square(length_gaps) / mass - np.square(mean), 0))
    varies = spread > 1e-9 * np.abs(length_gaps).max()
    # the paper's tanh(d / sd): a length twice as far counts little more
    x = np.tanh(np.divide(length_gaps, spread[:, None], out=np.zeros_like(weights), where=varies[:, None]))
    open_ = (rate > 0) & (rate < 1)  # else theta has no end, and the rate is 0 or 1 at any length
    theta = np.log(np.where(open_, rate, 0.5) / np.where(open_, 1 - rate, 0.5))
    phi = np.zeros_like(theta)
    # Newton's steps on the log-likelihood with phi's prior; the 2 x 2 system is solved by hand for all fits at once
    for _ in range(STEPS):
        p = expit(theta[:, None] + phi[:, None] * x)
        residual, curve = weights * (points - p), weights * p * (1 - p)
        slope_theta, slope_phi = residual.sum(1), (residual * x).sum(1) - phi / SPREAD**2
        a, b, d = curve.sum(1), (curve * x).sum(1), (curve * x * x).sum(1) + 1 / SPREAD**2
        # 0 where p is 0 or 1 everywhere
        determinant = np.maximum(a * d - b * b, 1e-300)
        step_theta = (d * slope_theta - b * slope_phi) / determinant
        step_phi = (a * slope_phi - b * slope_theta) / determinant
        size = np.maximum(1.0, np.hypot(step_theta, step_phi) / 2)  # a long step may overshoot where p is near 0 or 1
        theta, phi = theta + step_theta / size, phi + step_phi / size
        if np.abs(step_theta[open_]).max(initial=0) < TOLERANCE:
            break
    return np.where(open_ & varies, expit(theta), rate)
