"""Sources that answer alike beyond what their accuracies explain: how much so, and the weight that this leaves them."""

from __future__ import annotations

import numpy as np

from penchant.weak.contract import Probabilities
from penchant.weak.label_models.majority import shares_of_votes
from penchant.weak.label_models.posterior import TINY
from penchant.weak.label_models.votes import Patterns, one_hot

LEAST_EXCESS = 0.3
"""Below it, two sources count as independent: the majority of the others is no truth, and leaves up to this much."""


def excess_agreement(patterns: Patterns, prior: Probabilities) -> Probabilities:
    """Return how much more often two sources answer alike than the classes explain, shape (sources, sources).

    Of the rows on which either of two sources votes, `observed` is the share on which they answer alike, and `expected`
    that share if they were independent given the class, which the majority of the other sources stands for. The excess
    is (observed - expected) / (1 - expected), at least 0: 1 for copies, 0 on the diagonal.
    """
    sources, classes = patterns.answers.shape[1], patterns.classes
    indicators = one_hot(patterns.answers, classes)
    votes = indicators[:, :, :-1].sum(1)
    excess = np.zeros((sources, sources))
    for first in range(sources):
        for second in range(first):
            # the two themselves would explain each other; whole votes, so what is left is exact
            class_shares = shares_of_votes(votes - indicators[:, first, :-1] - indicators[:, second, :-1], prior)
            value = _excess(indicators[:, first], indicators[:, second], class_shares * patterns.counts[:, None])
            excess[first, second] = excess[second, first] = value
    return excess


def _excess(first: Probabilities, second: Probabilities, mass: Probabilities) -> float:
    """Return the excess agreement of two sources.

    Args:
        first, second: indicators of their answers, shape (patterns, classes + 1).
        mass: of the classes in each pattern, shape (patterns, classes).
    """
    counts = mass.sum(-1)
    either = counts * (1 - first[:, -1] * second[:, -1])
    if not either.sum():
        return 0.0
    # silence in common is no agreement: two rare rules are silent on most rows
    observed = float((either * (first * second).sum(-1)).sum() / either.sum())
    per_class = mass.sum(0)[:, None] + TINY
    answers_first, answers_second = mass.T @ first / per_class, mass.T @ second / per_class
    equal_votes = (answers_first[:, :-1] * answers_second[:, :-1]).sum(-1)
    voted = 1 - answers_first[:, -1] * answers_second[:, -1]
    shares = per_class[:, 0] / per_class.sum()
    expected = float((shares * equal_votes).sum() / max(float((shares * voted).sum()), TINY))
    return max(0.0, (observed - expected) / (1 - expected)) if expected < 1 - TINY else 0.0


def weights_by_redundancy(excess: Probabilities) -> Probabilities:
    """Return the weight of each source, shape (sources,): 1 alone, 1/2 for each of two copies, 1/3 of three."""
    return np.asarray(1 / (1 + np.where(excess < LEAST_EXCESS, 0, excess).sum(-1)))
