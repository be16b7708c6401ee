"""Majority vote: the label model without a model, which stands beside all other_votes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from penchant.weak.contract import Probabilities
from penchant.weak.label_models.posterior import LabelFit
from penchant.weak.label_models.votes import Patterns


def fit_majority(
    patterns: Patterns, prior: Probabilities, *, smoothing: float = 1.0, weights: Probabilities | None = None
) -> LabelFit:
    """Return the share of the votes of each class, with `smoothing` votes spread evenly over the classes.

    p(k) = (weighted votes for k + smoothing / classes) / (weighted votes + smoothing), and the prior where nobody
    votes. So one vote of two classes is .75 at a smoothing of 1, and classes with equally many votes have equal shares.

    Args:
        weights: of the sources, shape (sources,); all 1 if not given.

    Returns:
        Probabilities, and as accuracies how often a source votes as the others do: the share of their votes for its
        class, over rows on which somebody else votes.
    """
    source_weights: Probabilities = np.ones(patterns.sources) if weights is None else weights
    # (patterns, sources * classes) by (sources * classes, classes)
    by_class = np.kron(source_weights[:, None], np.eye(patterns.classes)).astype(np.float64)
    totals: Probabilities = patterns.indicators @ by_class
    probabilities = shares_of_votes(totals, prior, smoothing=smoothing, is_voted=patterns.is_voted)
    return LabelFit(probabilities, _agreement_with_others(patterns))


def shares_of_votes(
    totals: Probabilities, prior: Probabilities, *, smoothing: float = 1.0, is_voted: NDArray[np.bool_] | None = None
) -> Probabilities:
    """Return the share of the votes of each class, smoothed, and the prior where nobody votes.

    Args:
        totals: votes of each class, shape (patterns, classes).
        is_voted: where somebody votes, though perhaps with a weight of 0; where there are votes, if not given.
    """
    number = totals.sum(-1, keepdims=True)
    voted = number > 0 if is_voted is None else is_voted[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = (totals + smoothing / len(prior)) / (number + smoothing)
    return np.where(voted, shares, prior[None, :])


def _agreement_with_others(patterns: Patterns) -> Probabilities:
    """Return the mean share of the other sources' votes that are for a source's class, shape (sources,)."""
    matrix = patterns.matrix
    totals = matrix.counts_by_row(patterns.classes)
    # of each vote; its own would count as agreement: a source alone would be right always
    other_votes = totals.sum(-1)[matrix.vote_rows] - 1
    equal_votes = totals[matrix.vote_rows, matrix.vote_classes] - 1
    mass = patterns.counts[matrix.vote_rows] * (other_votes > 0)
    share = equal_votes / np.maximum(other_votes, 1)
    agreeing, number = (
        np.bincount(matrix.vote_sources, weights=values, minlength=patterns.sources) for values in (share * mass, mass)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(agreeing / number)
