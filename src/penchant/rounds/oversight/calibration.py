"""How sure a reader may be: its log-odds times one number, which labelled questions settle. Imports no torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

Shares = NDArray[np.float64]
CERTAIN = 1e-12
"""The nearest that a probability comes to 0 or 1 before it is scaled: beyond it log-odds are infinite."""
LARGEST_LOG_SLOPE = 8.0
FEWEST = 5
"""Labelled questions below which nothing is scaled."""


def fit_slope(shares: Shares, truth: NDArray[np.bool_]) -> float:
    """Return the number by which log-odds are multiplied so that the truth is as likely as it can be (Platt 1999).

    There is no constant beside it: a reader that is shown the answers the other way round must say the other thing. It
    is above 0: a reader that is wrong more often than not is made unsure, and is not turned round.

    Args:
        shares: probabilities that the first answer is right, shape (questions,). truth: whether it is.
    """
    if len(shares) < FEWEST:
        return 1.0
    # in log-odds a reader that is twice as sure as it may be is off by one factor
    odds = logit(np.clip(shares, CERTAIN, 1 - CERTAIN))
    signed = np.where(truth, odds, -odds)
    # in logs, so that the slope stays above 0; as if one question in ten thousand were as wrong as its reader is sure:
    # else a reader without a mistake has no slope
    prior = 1e-4 * len(shares)

    def misfit(log_slope: float) -> float:
        slope = np.exp(log_slope)
        return float(np.logaddexp(0, -slope * signed).sum() + prior * np.logaddexp(0, slope * np.abs(odds)).mean())

    optimum = minimize_scalar(misfit, bounds=(-LARGEST_LOG_SLOPE, LARGEST_LOG_SLOPE), method="bounded")
    return float(np.exp(optimum.x))


def scaled(shares: Shares, slope: float) -> Shares:
    """Return probabilities whose log-odds are multiplied by a slope; by 1 they stay as they are, to the last bit."""
    if slope == 1.0:
        return shares
    return np.asarray(expit(slope * logit(np.clip(shares, CERTAIN, 1 - CERTAIN))), dtype=np.float64)
