"""Accuracies of sources from three of them at a time, in closed form, for two classes.

Fu et al. 2020, "Fast and three-rious" (FlyingSquid), here per answer and with a known prior, so that a source may be
right more often on one class than on the other, or vote for one class alone.
"""

from __future__ import annotations

import numpy as np

from penchant.errors import InputError
from penchant.weak.contract import Probabilities
from penchant.weak.label_models.posterior import LabelFit, accuracies_by_answers, posterior
from penchant.weak.label_models.votes import Indicators, Patterns, second_products

FEWEST_SOURCES = 3
EDGE = 1e-3  # least probability of an answer: a source is never without an error
SMALLEST_COVARIANCE = 1e-6  # of two partners: below it a triplet divides by noise


def fit_triplets(
    patterns: Patterns, prior: Probabilities, *, combine: str = "median", weights: Probabilities | None = None
) -> LabelFit:
    """Solve for P(answer | class) of each source with each two others, and take the median or mean.

    Where sources answer independently given the class Y, the covariance of an indicator a of one source with the signed
    votes b, c of two others (1, -1, 0 for an abstention) is Cov(a, b) = d_a d_b p (1 - p), where d is the difference of
    the means between the classes. So d_a^2 p (1 - p) = Cov(a, b) Cov(a, c) / Cov(b, c). Signs follow from the
    assumption that a source votes for a class more often where it is the true one.

    Args:
        combine: `median` or `mean` over the pairs of partners.
        weights: how much of a source's evidence counts in the probabilities, shape (sources,).

    Raises:
        InputError: not two classes, fewer than three sources, or a prior of 0.
    """
    sources = patterns.sources
    if patterns.classes != 2:
        raise InputError(f"triplets need two classes, got {patterns.classes}: take dawid_skene or moments")
    if sources < FEWEST_SOURCES:
        raise InputError(f"triplets need at least {FEWEST_SOURCES} sources, got {sources}")
    if min(prior) <= 0:
        raise InputError("triplets need a prior above 0 for both classes")
    total = patterns.counts.sum()
    voted = (patterns.indicators.T @ patterns.counts).reshape(sources, 2)
    # of whole numbers, so that the silence of a source that always votes is exactly 0
    rates = np.concatenate([voted, total - voted.sum(-1, keepdims=True)], -1) / total
    # where all differences are 0, each source answers alike in both classes
    tables = np.repeat(rates[:, None, :], 2, axis=1)
    for answer in (0, 1):
        difference = _differences(patterns, answer, prior, combine)
        # of class 0 a vote for 0 is more probable, of class 1 a vote for 1
        sign = 1 if answer == 0 else -1
        tables[:, 0, answer] += sign * prior[1] * difference
        tables[:, 1, answer] -= sign * prior[0] * difference
    # an abstention takes what is left: it is an answer as well
    tables[:, :, 2] = 1 - tables[:, :, 0] - tables[:, :, 1]
    # noise takes a difference beyond what a probability can be; an answer that never came stays impossible
    tables = np.clip(tables, EDGE * (rates[:, None, :] > 0), 1)
    tables /= tables.sum(-1, keepdims=True)
    # a source that never voted has no answer to compare
    accuracies = np.where(rates[:, :2].sum(-1) > 0, accuracies_by_answers(tables, prior), np.nan)
    probabilities = posterior(patterns.indicators, tables, prior, weights)
    probabilities[~patterns.is_voted] = prior
    return LabelFit(probabilities, accuracies, tables)


def _differences(patterns: Patterns, answer: int, prior: Probabilities, combine: str) -> Probabilities:
    """Return how much more probable an answer is in one class than in the other, shape (sources,), at least 0."""
    votes = patterns.indicators
    # 1 for a vote for class 1, -1 for class 0, 0 for an abstention
    signed = votes[:, 1::2] - votes[:, 0::2]
    shares = patterns.counts / patterns.counts.sum()
    with_partners = _covariance(votes[:, answer::2], signed, shares)
    among_partners = _covariance(signed, signed, shares)
    sources = patterns.sources
    differences = np.zeros(sources)
    first, second = np.triu_indices(sources, 1)
    for source in range(sources):
        usable = (first != source) & (second != source)
        usable &= np.abs(among_partners[first, second]) > SMALLEST_COVARIANCE
        left, right = first[usable], second[usable]
        if not len(left):  # nobody to compare with: its answer tells nothing
            continue
        # noise may make it negative, which stands for a source that tells nothing
        squares = with_partners[source, left] * with_partners[source, right] / among_partners[left, right]
        values = np.sqrt(np.maximum(squares, 0) / (prior[0] * prior[1]))
        differences[source] = np.median(values) if combine == "median" else values.mean()
    return differences


def _covariance(first: Indicators, second: Indicators, shares: Probabilities) -> Probabilities:
    """Return the covariance of the columns of two matrices, shape (columns of first, columns of second)."""
    return second_products(first, second, shares) - np.outer(first.T @ shares, second.T @ shares)
