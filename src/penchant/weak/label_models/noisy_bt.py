"""Scores of responses and the reliability of those who compare them, from comparisons of many annotators.

Bugakova et al. 2019, "Aggregation of pairwise comparisons with reduction of biases" (arXiv:1906.03711; NoisyBT in
crowd-kit), without its bias for a side: responses of a preference file have no left and right.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from penchant.weak.contract import Probabilities
from penchant.weak.label_models.posterior import LabelFit, accuracies_by_posterior
from penchant.weak.label_models.votes import Patterns

START_SKILL = 0.8  # of every annotator: between guessing and knowing


def fit_noisy_bt(
    patterns: Patterns,
    prior: Probabilities,
    *,
    score_prior: float = 1.0,
    smoothing: float = 1.0,
    iterations: int = 200,
    tolerance: float = 1e-7,
    weights: Probabilities | None = None,
) -> LabelFit:
    """Fit a score s per response and a skill g per annotator, by the most probable values.

    An annotator compares with probability g, and guesses else: P(i is preferred to j) = g sigmoid(s_i - s_j) +
    (1 - g) / 2. So that response i is better has the probability sigmoid(s_i - s_j). Comparisons of other pairs of
    a prompt count too: who beats the winner of a pair probably beats its loser. Exchanging the responses of a pair
    exchanges their probabilities.

    Args:
        patterns: a row per pair, whose `items` say which responses it compares.
        prior: what a pair without a vote gets.
        score_prior: weight of the logistic distribution of the scores around 0; as if each response had won and lost
            so many times against an average one.
        smoothing: known and guessed answers added to each annotator, as exponents of g and 1 - g.
        iterations: at most so many steps of L-BFGS. tolerance: it ends where the objective falls by less, relative
            to its size.
        weights: how much of an annotator's evidence counts, shape (sources,).
    """
    assert patterns.items is not None
    votes = _CountedVotes(patterns, weights)
    items, sources = int(patterns.items.max()) + 1, patterns.sources

    def objective(parameters: Probabilities) -> tuple[float, Probabilities]:
        scores, log_odds = parameters[:items], parameters[items:]
        log_likelihood, by_score, by_skill = votes.log_likelihood(scores, log_odds)
        # sigmoid(s) sigmoid(-s) is the density of the logistic distribution
        log_prior = score_prior * (log_expit(scores) + log_expit(-scores)).sum()
        log_prior += smoothing * (log_expit(log_odds) + log_expit(-log_odds)).sum()
        by_score = by_score - score_prior * np.tanh(scores / 2)
        by_skill = by_skill - smoothing * np.tanh(log_odds / 2)
        return -(log_likelihood + log_prior), -np.concatenate([by_score, by_skill])

    start = np.concatenate([np.zeros(items), np.full(sources, np.log(START_SKILL / (1 - START_SKILL)))])
    solution = minimize(
        objective, start, jac=True, method="L-BFGS-B", options={"maxiter": iterations, "ftol": tolerance}
    )
    first, second = solution.x[patterns.items].T
    first_wins = expit(first - second)
    probabilities = np.stack([first_wins, 1 - first_wins], -1)
    # other pairs tell of a pair that nobody judged, and still nobody judged it
    probabilities[~patterns.is_voted] = prior
    accuracies = accuracies_by_posterior(patterns.indicators, patterns.counts, probabilities)
    return LabelFit(probabilities, accuracies, None, int(solution.nit), bool(solution.success))


class _CountedVotes:
    """Votes on pairs as arrays, shape (votes,): who says of which two responses that the first or second is better."""

    def __init__(self, patterns: Patterns, weights: Probabilities | None) -> None:
        assert patterns.items is not None
        pairs, self.sources = patterns.matrix.vote_rows, patterns.matrix.vote_sources
        self.first, self.second = patterns.items[pairs].T
        self.signs: NDArray[np.int64] = 1 - 2 * patterns.matrix.vote_classes.astype(np.int64)
        self.counts = patterns.counts[pairs] * (1.0 if weights is None else weights[self.sources])

    def log_likelihood(
        self, scores: Probabilities, log_odds: Probabilities
    ) -> tuple[float, Probabilities, Probabilities]:
        """Return the log-likelihood, and its gradient by the scores and by the log-odds of the skills."""
        skills = expit(log_odds)[self.sources]
        knows = expit(self.signs * (scores[self.first] - scores[self.second]))
        likelihood = skills * knows + (1 - skills) / 2
        shares = self.counts / likelihood
        by_difference = shares * skills * self.signs * knows * (1 - knows)
        by_score = np.zeros_like(scores)
        np.add.at(by_score, self.first, by_difference)
        np.subtract.at(by_score, self.second, by_difference)
        by_skill = np.zeros_like(log_odds)
        np.add.at(by_skill, self.sources, shares * skills * (1 - skills) * (knows - 0.5))
        return float((self.counts * np.log(likelihood)).sum()), by_score, by_skill
