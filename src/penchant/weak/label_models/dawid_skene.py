"""Dawid and Skene's model: each source has a table of what it answers for each true class, found by EM.

Dawid and Skene 1979, "Maximum likelihood estimation of observer error-rates using the EM algorithm". With one table of
one number per source (`fit_one_coin`), errors are spread evenly, and classes can be exchanged.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from penchant.weak.contract import Probabilities
from penchant.weak.label_models.majority import fit_majority
from penchant.weak.label_models.posterior import TINY, LabelFit, accuracies_by_posterior, posterior
from penchant.weak.label_models.votes import Indicators, Patterns

Tables = Callable[[Probabilities], Probabilities]
"""From expected counts of answers, shape (sources, classes, classes + 1), to P(answer | class) of that shape."""


def fit_dawid_skene(
    patterns: Patterns,
    prior: Probabilities,
    *,
    abstention: str = "auto",
    smoothing: float = 1.0,
    learn_prior: bool = False,
    iterations: int = 100,
    tolerance: float = 1e-5,
    weights: Probabilities | None = None,
) -> LabelFit:
    """Fit a table of P(answer | class) per source by EM in logarithms, from the shares of votes.

    It maximizes sum_rows log sum_y prior(y) prod_s P(answer_s | y), and `smoothing` times the sum of log P(answer | y).
    Rows without a vote take no part.

    Args:
        abstention: `answer`, so that when a source votes is evidence too, as for rules that fire on one class;
            `missing`, as for people, who were not asked; or `auto`: an answer of a source that votes for one class
            alone, which has no other way to say something of the rest, and missing of the others.
        smoothing: added to each expected count of an answer.
        learn_prior: replace the prior by the mean of the posterior in each iteration, as the paper does. Then classes
            may be lost.
        tolerance: it ends where the bound on the log-likelihood per vote rises by less.
        weights: how much of a source's evidence counts, shape (sources,).
    """

    answering = _answering(patterns, abstention)

    def tables(expected: Probabilities) -> Probabilities:
        voted = _normalized(expected[:, :, :-1] + smoothing)
        # a probability of 1 for an abstention: it is no evidence
        without_silence = np.concatenate([voted, np.ones((*voted.shape[:2], 1))], -1)
        return np.where(answering[:, None, None], _normalized(expected + smoothing), without_silence)

    return _fit_by_em(
        patterns,
        prior,
        tables,
        learn_prior=learn_prior,
        smoothing=smoothing,
        iterations=iterations,
        tolerance=tolerance,
        weights=weights,
    )


def _answering(patterns: Patterns, abstention: str) -> NDArray[np.bool_]:
    """Return whose abstentions are an answer, shape (sources,)."""
    if abstention != "auto":
        return np.full(patterns.sources, abstention == "answer")
    # a rule for one class can only say "not this one" by its silence
    classes_voted = (patterns.matrix.counts_by_source(patterns.classes) > 0).sum(-1)
    return np.asarray(classes_voted == 1)


def fit_one_coin(
    patterns: Patterns,
    prior: Probabilities,
    *,
    smoothing: float = 1.0,
    iterations: int = 100,
    tolerance: float = 1e-5,
    weights: Probabilities | None = None,
) -> LabelFit:
    """Fit one accuracy per source: right with it, and else any other class alike; an abstention says nothing.

    Exchanging two classes exchanges their probabilities, so for pairs of responses it has no side.

    Args:
        smoothing: right and wrong votes added to each source. Others as for `fit_dawid_skene`.
    """
    classes = patterns.classes

    def tables(expected: Probabilities) -> Probabilities:
        # the diagonal: answers that name the class
        right = np.einsum("skk->s", expected[:, :, :-1]) + smoothing
        accuracy = right / (expected[:, :, :-1].sum((1, 2)) + 2 * smoothing + TINY)
        voted = np.where(
            np.eye(classes, dtype=bool)[None], accuracy[:, None, None], (1 - accuracy[:, None, None]) / (classes - 1)
        )
        return np.concatenate([voted, np.ones((*voted.shape[:2], 1))], -1)

    return _fit_by_em(
        patterns,
        prior,
        tables,
        learn_prior=False,
        smoothing=smoothing,
        iterations=iterations,
        tolerance=tolerance,
        weights=weights,
    )


def _fit_by_em(
    patterns: Patterns,
    prior: Probabilities,
    tables: Tables,
    *,
    learn_prior: bool,
    smoothing: float,
    iterations: int,
    tolerance: float,
    weights: Probabilities | None,
) -> LabelFit:
    """Alternate between the posterior of the classes and the tables of the sources until the bound stands still."""
    # rows without a vote hold no evidence on the class; as an answer, their silence would become a class of its own
    voted = patterns.is_voted & (patterns.counts > 0)
    indicators, counts = patterns.indicators[voted], patterns.counts[voted]
    # the bound is a sum over votes: per vote one tolerance fits files of any size
    votes = max(float(patterns.votes_by_source.sum()), 1.0)
    # EM finds the nearest maximum: from the majority it keeps the meaning of the classes
    start = fit_majority(patterns, prior, smoothing=0.0, weights=weights).probabilities[voted]
    class_prior = _mean_class(start, counts) if learn_prior else prior
    given_class = tables(_expected(indicators, start, counts))
    bound, converged, done = -np.inf, False, 0
    while done < iterations and not converged:
        probabilities = posterior(indicators, given_class, class_prior, weights)
        if learn_prior:
            class_prior = _mean_class(probabilities, counts)
        expected = _expected(indicators, probabilities, counts)
        given_class = tables(expected)
        previous_bound, bound = (
            bound,
            _bound(probabilities, counts, expected, given_class, class_prior, smoothing) / votes,
        )
        done, converged = done + 1, bound - previous_bound < tolerance
    all_probabilities = posterior(patterns.indicators, given_class, class_prior, weights)
    # silence of every source was no evidence in the fit either
    all_probabilities[~patterns.is_voted] = prior
    # the posterior that the tables were made of, as the paper reports it
    if voted.any():
        all_probabilities[voted] = probabilities
    return LabelFit(
        all_probabilities,
        accuracies_by_posterior(patterns.indicators, patterns.counts, all_probabilities),
        given_class,
        done,
        converged,
    )


def _expected(indicators: Indicators, probabilities: Probabilities, counts: Probabilities) -> Probabilities:
    """Return how often each source is expected to give each answer to each class, (sources, classes, classes + 1)."""
    mass, classes = probabilities * counts[:, None], probabilities.shape[1]
    voted = (indicators.T @ mass).reshape(-1, classes, classes).transpose(0, 2, 1)
    # silent on all other rows; a difference of sums may end below 0
    silent = np.maximum(mass.sum(0) - voted.sum(-1), 0.0)
    return np.concatenate([voted, silent[:, :, None]], -1)


def _mean_class(probabilities: Probabilities, counts: Probabilities) -> Probabilities:
    return np.asarray((probabilities * counts[:, None]).sum(0) / counts.sum())


def _bound(
    probabilities: Probabilities,
    counts: Probabilities,
    expected: Probabilities,
    given_class: Probabilities,
    prior: Probabilities,
    smoothing: float,
) -> float:
    """Return the lower bound on the log-likelihood, with the logarithm of the smoothing's prior."""
    # a table without smoothing has zeros, whose logarithm would make the bound NaN
    logs = np.log(np.maximum(given_class, TINY))
    joint = (expected * logs).sum() + ((probabilities * counts[:, None]).sum(0) * np.log(np.maximum(prior, TINY))).sum()
    entropy = -(counts[:, None] * probabilities * np.log(np.maximum(probabilities, TINY))).sum()
    return float(joint + entropy + smoothing * logs.sum())


def _normalized(counts: Probabilities) -> Probabilities:
    # a source that never voted has no counts, and without smoothing nothing to divide by
    counts = np.maximum(counts, TINY)
    return np.asarray(counts / counts.sum(-1, keepdims=True))
