"""What a model of sources returns, and the probabilities of classes that follow from how sources answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from penchant.weak.contract import Probabilities
from penchant.weak.label_models.votes import Indicators

TINY = 1e-12


@dataclass(frozen=True)
class LabelFit:
    """A model of sources, fitted to patterns of votes.

    Attributes:
        probabilities: of the classes for each pattern, shape (patterns, classes). Without a vote they are the prior.
        accuracies: how often each source is right where it votes, shape (sources,); NaN for a source without a vote.
        answers: P(answer of a source | class), shape (sources, classes, classes + 1), the last column abstention; None
            for a vote count.
        iterations: of the fit; 0 for a closed form. converged: whether it ended before its limit.
    """

    probabilities: Probabilities
    accuracies: Probabilities
    answers: Probabilities | None = None
    iterations: int = 0
    converged: bool = True


def posterior(
    votes: Indicators, given_class: Probabilities, prior: Probabilities, weights: Probabilities | None = None
) -> Probabilities:
    """Return P(class | answers) of sources that answer independently of each other, given the class.

    Args:
        votes: indicators of the votes, shape (patterns, sources * classes); see `Patterns`.
        given_class: P(answer | class), shape (sources, classes, classes + 1); 1 in place of an answer that says
            nothing.
        prior: shape (classes,).
        weights: how much of a source's evidence counts, shape (sources,): the exponent of its likelihood.

    Returns:
        Shape (patterns, classes).
    """
    classes = given_class.shape[1]
    logs = np.log(np.maximum(given_class, TINY))
    if weights is not None:
        logs = logs * weights[:, None, None]
    silence = logs[:, :, -1]
    # what a vote says beyond silence, which is what all other sources say: (sources * classes, classes)
    by_vote = (logs[:, :, :-1] - silence[:, :, None]).transpose(0, 2, 1).reshape(-1, classes)
    return normalized_logs(votes @ by_vote + silence.sum(0) + np.log(np.maximum(prior, TINY)))


def normalized_logs(logs: Probabilities) -> Probabilities:
    """Return the distributions, shape (rows, classes), whose logarithms these are up to a constant per row."""
    # the largest as 0: a product of many small probabilities would be 0
    scaled = np.exp(logs - logs.max(-1, keepdims=True))
    return np.asarray(scaled / scaled.sum(-1, keepdims=True))


def accuracies_by_posterior(votes: Indicators, counts: Probabilities, probabilities: Probabilities) -> Probabilities:
    """Return the mean probability of the class that each source votes for, over the rows that it votes on.

    Args:
        votes: indicators, shape (patterns, sources * classes). counts: of the patterns, shape (patterns,).
        probabilities: shape (patterns, classes).
    """
    classes = probabilities.shape[1]
    # for each source and vote, how often each class was the true one
    expected = (votes.T @ (probabilities * counts[:, None])).reshape(-1, classes, classes)
    number = (votes.T @ counts).reshape(-1, classes).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.einsum("skk->s", expected) / number)


def accuracies_by_answers(given_class: Probabilities, prior: Probabilities) -> Probabilities:
    """Return P(vote is right | source votes) by P(answer | class) and the prior, shape (sources,)."""
    classes = len(prior)
    votes = given_class[:, :, :classes] * prior[None, :, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.einsum("skk->s", votes) / votes.sum((1, 2)))
