"""Sources that answer alike beyond what their accuracies explain: how much so, and the weight that this leaves them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from penchant.weak.contract import Probabilities
from penchant.weak.label_models.majority import shares_of_votes
from penchant.weak.label_models.posterior import TINY
from penchant.weak.label_models.votes import ABSTAINS, Answers, Patterns, one_hot

LEAST_EXCESS = 0.3
"""Below it, two sources count as independent: the majority of the others is no truth, and leaves up to this much."""


def excess_agreement(patterns: Patterns, prior: Probabilities) -> Probabilities:
    """Return how much more often two sources answer alike than the classes explain, shape (sources, sources).

    Of the rows on which either of two sources votes, `observed` is the share on which they answer alike, and `expected`
    that share if they were independent given the class, which the majority of the other sources stands for. The excess
    is (observed - expected) / (1 - expected), at least 0: 1 for copies, 0 on the diagonal.
    """
    matrix, classes = patterns.matrix, patterns.classes
    totals = matrix.counts_by_row(classes).astype(np.float64)
    mass = shares_of_votes(totals, prior) * patterns.counts[:, None]
    all_mass, columns = mass.sum(0), [matrix.of_source(source) for source in range(patterns.sources)]
    excess = np.zeros((patterns.sources, patterns.sources))
    for first in range(patterns.sources):
        for second in range(first):
            # where both are silent the majority of the others is that of all, which is summed up once
            rows = np.union1d(columns[first][0], columns[second][0])
            votes = [one_hot(_on_rows(columns[source], rows), classes)[:, :-1] for source in (first, second)]
            # the two themselves would explain each other; whole votes, so what is left is exact
            of_others = shares_of_votes(totals[rows] - votes[0] - votes[1], prior) * patterns.counts[rows, None]
            per_class = all_mass - mass[rows].sum(0) + of_others.sum(0)
            excess[first, second] = excess[second, first] = _excess(votes[0], votes[1], of_others, per_class)
    return excess


def _on_rows(column: tuple[NDArray[np.intp], Answers], rows: NDArray[np.intp]) -> Answers:
    """Return what a source says on some rows, in ascending order, among which are all that it votes on."""
    answers = np.full(len(rows), ABSTAINS)
    answers[np.searchsorted(rows, column[0])] = column[1]
    return answers


def _excess(first: Probabilities, second: Probabilities, mass: Probabilities, per_class: Probabilities) -> float:
    """Return the excess agreement of two sources.

    Args:
        first, second: indicators of their votes, of the patterns on which either votes, shape (patterns, classes).
        mass: of the classes in each of these patterns, shape (patterns, classes).
        per_class: of the classes in all patterns, shape (classes,).
    """
    counts = mass.sum(-1)
    if not counts.sum():
        return 0.0
    # silence in common is no agreement: two rare rules are silent on most rows
    observed = float((counts * (first * second).sum(-1)).sum() / counts.sum())
    per_class = per_class + TINY
    votes_first, votes_second = mass.T @ first / per_class[:, None], mass.T @ second / per_class[:, None]
    equal_votes = (votes_first * votes_second).sum(-1)
    voted = 1 - (1 - votes_first.sum(-1)) * (1 - votes_second.sum(-1))
    shares = per_class / per_class.sum()
    expected = float((shares * equal_votes).sum() / max(float((shares * voted).sum()), TINY))
    return max(0.0, (observed - expected) / (1 - expected)) if expected < 1 - TINY else 0.0


def weights_by_redundancy(excess: Probabilities) -> Probabilities:
    """Return the weight of each source, shape (sources,): 1 alone, 1/2 for each of two copies, 1/3 of three."""
    return np.asarray(1 / (1 + np.where(excess < LEAST_EXCESS, 0, excess).sum(-1)))
