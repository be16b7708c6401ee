"""Snorkel's label model: accuracies of sources by matching how often two of them answer together.

Ratner et al. 2019, "Training complex models with multi-task weak supervision", as Snorkel 0.10 computes it.
"""

from __future__ import annotations

from itertools import permutations
from math import ceil, log10

import numpy as np
from numpy.typing import NDArray

from penchant.errors import InputError
from penchant.weak.contract import Probabilities
from penchant.weak.label_models.posterior import LabelFit, accuracies_by_answers, posterior
from penchant.weak.label_models.votes import Patterns, second_products

START_ACCURACY = 0.7  # Snorkel's guess for each source
FEWEST_SOURCES = 3
MOST_PERMUTED = 6  # classes of which all orders are tried


def fit_moments(
    patterns: Patterns,
    prior: Probabilities,
    *,
    learning_rate: float = 0.01,
    momentum: float = 0.9,
    epochs: int = 100,
    start_scale: float = 0.5,
    l2: float = 0.0,
    weights: Probabilities | None = None,
) -> LabelFit:
    """Fit mu = P(vote | class) by gradient descent on second moments; an abstention is no evidence.

    With the indicators L of votes, O = L'L / rows and P = diag(prior), the loss is
    ||O - mu P mu'||^2 outside the block of each source + ||mu P 1 - diag O||^2 + l2 ||mu - start||^2.

    Args:
        start_scale: mu starts at P(vote) .7 / prior times this number. Snorkel draws it between 0 and 1.
        weights: how much of a source's evidence counts in the probabilities, shape (sources,).

    Raises:
        InputError: fewer than three sources, which have no such solution.
    """
    sources, classes = patterns.sources, patterns.classes
    if sources < FEWEST_SOURCES:
        raise InputError(
            f"moment matching needs at least {FEWEST_SOURCES} sources, got {sources}: take majority or dawid_skene"
        )
    overlaps = second_moments(patterns)
    rates = np.diag(overlaps)
    start = np.zeros((sources * classes, classes))
    for column in range(classes):
        of_class = np.arange(sources) * classes + column
        start[of_class, column] = np.clip(rates[of_class] * START_ACCURACY / prior[column], 0, 1)
    given_class = _descend(start * start_scale, start, overlaps, prior, (learning_rate, momentum, l2), epochs)
    rows = patterns.counts.sum()
    # Snorkel's limits: no vote is impossible in any class
    edge = min(0.01, 10.0 ** -ceil(log10(rows))) if rows > 1 else 0.01
    # descent knows no names of classes
    given_class = _in_order(np.clip(given_class, edge, 1 - edge), prior)
    # (sources, answers, classes) to (sources, classes, answers), where an abstention says nothing
    votes = given_class.reshape(sources, classes, classes).transpose(0, 2, 1)
    tables = np.concatenate([votes, np.ones((sources, classes, 1))], -1)
    probabilities = posterior(patterns.indicators, tables, prior, weights)
    accuracies = accuracies_by_answers(tables, prior)
    # the limits above give a source without a vote an accuracy too
    accuracies[patterns.votes_by_source == 0] = np.nan
    return LabelFit(probabilities, accuracies, tables, epochs, True)


def second_moments(patterns: Patterns) -> Probabilities:
    """Return the share of rows on which two votes come together, shape (sources * classes, sources * classes)."""
    votes = patterns.indicators
    return second_products(votes, votes, patterns.counts) / patterns.counts.sum()


def off_blocks(sources: int, classes: int) -> NDArray[np.bool_]:
    """Return which second moments are of two different sources."""
    source_of = np.arange(sources * classes) // classes
    return np.asarray(source_of[:, None] != source_of[None, :])


def _descend(
    given_class: Probabilities,
    start: Probabilities,
    overlaps: Probabilities,
    prior: Probabilities,
    rates: tuple[float, float, float],
    epochs: int,
) -> Probabilities:
    """Descend on the whole loss with momentum, as torch's SGD does.

    Args:
        rates: learning rate, momentum, l2.
    """
    learning_rate, momentum, l2 = rates
    classes = len(prior)
    mask = off_blocks(len(given_class) // classes, classes)
    # a source's own votes exclude each other, whatever the class: they say nothing of its accuracy
    velocity = np.zeros_like(given_class)
    for _ in range(epochs):
        residual = np.where(mask, overlaps - (given_class * prior) @ given_class.T, 0.0)
        gradient = -4 * residual @ (given_class * prior)
        gradient += 2 * (given_class @ prior - np.diag(overlaps))[:, None] * prior[None, :]
        gradient += 2 * l2 * (given_class - start)
        velocity = momentum * velocity + gradient
        given_class = given_class - learning_rate * velocity
    return given_class


def _in_order(given_class: Probabilities, prior: Probabilities) -> Probabilities:
    """Return the columns in the order in which sources vote most for the right class.

    The loss is the same for all orders of equally frequent classes, so descent may have ended in another one. Classes
    of different priors keep their columns: another order would fit worse, however often sources are then wrong.
    """
    classes = given_class.shape[1]
    gains = given_class.reshape(-1, classes, classes).sum(0)  # votes by columns
    # to three digits, as in Snorkel: shares such as 1/3 are written with few
    gains[~np.isclose(prior[:, None], prior[None, :], rtol=0, atol=5e-4)] = -np.inf
    if classes <= MOST_PERMUTED:
        order = max(permutations(range(classes)), key=lambda columns: sum(gains[k, c] for k, c in enumerate(columns)))
    else:
        from scipy.optimize import linear_sum_assignment

        order = tuple(linear_sum_assignment(gains, maximize=True)[1].tolist())
    return given_class[:, list(order)]
