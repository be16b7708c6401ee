"""Fit the model that settings name, and say how sure its accuracies are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.special import expit, logit, ndtri

from penchant.errors import InputError, did_you_mean
from penchant.metrics.estimates import Estimate
from penchant.weak.contract import Probabilities
from penchant.weak.label_models.dawid_skene import fit_dawid_skene, fit_one_coin
from penchant.weak.label_models.majority import fit_majority
from penchant.weak.label_models.moments import fit_moments
from penchant.weak.label_models.noisy_bt import fit_noisy_bt
from penchant.weak.label_models.posterior import LabelFit
from penchant.weak.label_models.settings import (
    DawidSkene,
    LabelModel,
    Majority,
    Moments,
    NoisyBradleyTerry,
    OneCoin,
    Triplets,
)
from penchant.weak.label_models.triplets import fit_triplets
from penchant.weak.label_models.votes import Patterns, Votes

EDGE = 1e-6  # from 0 and 1, in log-odds
NO_SHARE = "no interval: mean preference, not how often it is right"


def fit_model(
    model: LabelModel,
    patterns: Patterns,
    prior: Probabilities,
    *,
    sources: Sequence[str],
    weights: Probabilities | None = None,
) -> LabelFit:
    """Fit a label model to patterns of votes.

    Args:
        prior: of the classes, shape (classes,). sources: their names.
        weights: how much of a source's evidence counts, shape (sources,).

    Raises:
        InputError: what a model cannot be fitted to: too few sources, or classes; a weight for an unknown source.
    """
    if isinstance(model, Majority):
        return fit_majority(
            patterns, prior, smoothing=model.smoothing, weights=_majority_weights(model, sources, weights)
        )
    settings = model.model_dump(exclude={"name"})
    if isinstance(model, DawidSkene):
        return fit_dawid_skene(patterns, prior, weights=weights, **settings)
    if isinstance(model, OneCoin):
        return fit_one_coin(patterns, prior, weights=weights, **settings)
    if isinstance(model, Moments):
        fitted = fit_moments(patterns, prior, weights=weights, **settings)
        fitted.probabilities[~patterns.is_voted] = prior
        return fitted
    if isinstance(model, NoisyBradleyTerry):
        return fit_noisy_bt(patterns, prior, weights=weights, **settings)
    assert isinstance(model, Triplets)
    return fit_triplets(patterns, prior, weights=weights, **settings)


def _majority_weights(model: Majority, sources: Sequence[str], weights: Probabilities | None) -> Probabilities | None:
    """Return the weights that settings name, times those of copies."""
    if not model.weights:
        return weights
    if unknown := [name for name in model.weights if name not in sources]:
        raise InputError(f"weights: there is no source {unknown[0]!r}{did_you_mean(unknown[0], list(sources))}")
    source_weights = np.array([model.weights.get(name, 1.0) for name in sources])
    if not source_weights.any():
        raise InputError("weights: all sources weigh 0")
    return source_weights if weights is None else source_weights * weights


def settle_prior(prior: str | Mapping[str, float], votes: Votes) -> Probabilities:
    """Return the stated shares of the classes, shape (classes,).

    Raises:
        InputError: a prior that lacks a class, or names one that is none.
    """
    classes = votes.classes
    if prior == "uniform":
        return np.full(len(classes), 1 / len(classes))
    if prior == "votes":
        # one more of each: a class that nobody votes for is rare, not impossible
        counts = votes.matrix.counts_by_source(len(classes)).sum(0) + 1
        return np.asarray(counts / counts.sum())
    assert isinstance(prior, Mapping)
    if set(prior) != set(classes):
        raise InputError(f"prior: expected a share for each of {', '.join(classes)}, got {', '.join(prior)}")
    return np.array([prior[name] for name in classes])


def settle_ties(fit: LabelFit, patterns: Patterns, prior: Probabilities, ties: str) -> tuple[LabelFit, Probabilities]:
    """Return the fit and which patterns count, 1 or 0: those with a vote, and ties unless they abstain."""
    row_weights = patterns.is_voted.astype(np.float64)
    if ties == "abstain":
        ordered = np.sort(fit.probabilities, -1)
        tied = ordered[:, -1] - ordered[:, -2] < 1e-9
        row_weights[tied] = 0.0
        fit = replace(fit, probabilities=np.where(tied[:, None], prior[None, :], fit.probabilities))
    return fit, row_weights


def accuracy_estimates(
    model: LabelModel,
    patterns: Patterns,
    prior: Probabilities,
    fitted: LabelFit,
    *,
    sources: Sequence[str],
    weights: Probabilities | None = None,
    level: float = 0.95,
    resamples: int = 200,
    seed: int = 0,
) -> list[Estimate | None]:
    """Return the estimated accuracy of each source with the interval of fits to resampled rows.

    Returns:
        None for a source that never votes. The noisy Bradley-Terry model's have no interval: it says how probable it
        is that one who knows prefers what the source does, which scores near 0 make smaller than how often it is right.
    """
    votes = patterns.votes_by_source.astype(int).tolist()
    if isinstance(model, NoisyBradleyTerry):
        # intervals of resamples held the share of votes for the better response in 0 to 97% of simulations
        return [
            Estimate(accuracy, None, None, count, count, NO_SHARE) if count else None
            for accuracy, count in zip(fitted.accuracies.tolist(), votes, strict=True)
        ]
    rows = int(patterns.counts.sum())
    # rows with equal votes are alike, so drawing rows is drawing counts of patterns
    draws = np.random.default_rng(seed).multinomial(rows, patterns.counts / rows, size=resamples)
    accuracies = np.array(
        [
            fit_model(
                model,
                patterns.with_counts(resampled_counts.astype(np.float64)),
                prior,
                sources=sources,
                weights=weights,
            ).accuracies
            for resampled_counts in draws
        ]
    ).reshape(resamples, len(sources))
    return [
        _estimate(value, accuracies[:, source], votes[source], level)
        for source, value in enumerate(fitted.accuracies.tolist())
    ]


def _estimate(value: float, resampled: Probabilities, votes: int, level: float) -> Estimate | None:
    """Return an accuracy with the interval that the spread of its resamples gives; None without a vote.

    Args:
        resampled: accuracies of the resamples, NaN where the source did not vote in one.
    """
    if not np.isfinite(value):
        return None
    finite = resampled[np.isfinite(resampled)]
    # a source of a few votes has none in some resamples
    if len(finite) < max(2, 0.9 * len(resampled)):
        reason = f"no interval: {votes} votes" if len(resampled) else "no interval: no resamples"
        return Estimate(value, None, None, votes, votes, reason)
    # normal in log-odds, where accuracies near 1 spread as evenly as others: percentiles of resamples covered .92 of
    # simulated triplets, this .94 (decision 35)
    centre, width = _log_odds(np.array([value]))[0], _log_odds(finite).std(ddof=1) * -float(ndtri((1 - level) / 2))
    low, high = (float(expit(centre + side * width)) for side in (-1, 1))
    return Estimate(value, min(low, value), max(high, value), votes, votes)


def _log_odds(accuracies: Probabilities) -> Probabilities:
    # an accuracy of 1 would be infinite
    return np.asarray(logit(np.clip(accuracies, EDGE, 1 - EDGE)))
