"""Measure sources by their votes, and models by the truth where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from penchant.metrics.estimates import Estimate
from penchant.metrics.intervals import cluster_mean, paired_difference
from penchant.weak.contract import Probabilities
from penchant.weak.label_models.posterior import LabelFit
from penchant.weak.label_models.results import ModelResult, SourceResult
from penchant.weak.label_models.settings import LabelModel
from penchant.weak.label_models.votes import ABSTAINS, Patterns, Votes, most_probable

LEAST_PROBABILITY = 1e-3  # in a log loss: one row of a sure model must not decide the mean


def measure_sources(
    votes: Votes, estimates: Sequence[Estimate | None], weights: Probabilities, *, level: float
) -> tuple[SourceResult, ...]:
    """Return each source's coverage, polarity, overlap, conflict and accuracies, in the order of the columns.

    Args:
        estimates: its accuracy by the model. weights: how much of its evidence counts, shape (sources,).
    """
    matrix, sources = votes.matrix, len(votes.sources)
    counts = matrix.counts_by_source(len(votes.classes))
    voted = counts.sum(-1)
    # by rows, not by pairs of votes: ten sources on one row are one row of overlap
    by_row = matrix.counts_by_row(len(votes.classes))
    on_row = by_row.sum(-1)[matrix.vote_rows]
    for_same_class = by_row[matrix.vote_rows, matrix.vote_classes]
    overlap = np.bincount(matrix.vote_sources[on_row > 1], minlength=sources)
    conflict = np.bincount(matrix.vote_sources[on_row > for_same_class], minlength=sources)
    return tuple(
        SourceResult(
            name=name,
            votes=int(voted[source]),
            coverage=float(voted[source] / votes.rows),
            polarity={votes.classes[k]: int(n) for k, n in enumerate(counts[source].tolist()) if n},
            overlap=float(overlap[source] / votes.rows),
            conflict=float(conflict[source] / votes.rows),
            weight=float(weights[source]),
            estimated=estimates[source],
            true=_true_accuracy(votes, source, level),
        )
        for source, name in enumerate(votes.sources)
    )


def _true_accuracy(votes: Votes, source: int, level: float) -> Estimate | None:
    if votes.truth is None:
        return None
    rows, answers = votes.matrix.of_source(source)
    has_truth = votes.truth[rows] != ABSTAINS
    rows, answers = rows[has_truth], answers[has_truth]
    if not len(rows):
        return None
    right = answers == votes.truth[rows]
    return cluster_mean(right.astype(np.float64), rows, share=True, unit="row", level=level)


def measure_model(
    model: LabelModel, fit: LabelFit, majority: LabelFit, votes: Votes, patterns: Patterns, *, level: float
) -> ModelResult:
    """Return how a model's labels differ from the majority's, and from the truth where there is one."""
    probabilities = fit.probabilities[patterns.pattern_of_row]
    reference = majority.probabilities[patterns.pattern_of_row]
    voted = patterns.is_voted[patterns.pattern_of_row]
    labels, majority_labels = most_probable(probabilities), most_probable(reference)
    # a tie counts in parts for each of its classes
    parts = labels / labels.sum(-1, keepdims=True)
    measured = ModelResult(
        name=model.name,
        label=model.label,
        shares=dict(zip(votes.classes, parts.mean(0).tolist(), strict=True)),
        iterations=fit.iterations,
        converged=fit.converged,
        changed=int((voted & (labels != majority_labels).any(-1)).sum()),
    )
    if votes.truth is None or not (votes.truth != ABSTAINS).any():
        return measured
    return _with_truth(measured, probabilities, reference, votes.truth, voted, level)


def _with_truth(
    measured: ModelResult,
    probabilities: Probabilities,
    reference: Probabilities,
    truth: NDArray[np.int64],
    voted: NDArray[np.bool_],
    level: float,
) -> ModelResult:
    """Return a model's result with accuracy and log loss, and their differences from the majority's."""
    has_truth = truth != ABSTAINS
    accuracy_all = _mean(right_shares(probabilities[has_truth], truth[has_truth]), level, share=True)
    if not (rows := has_truth & voted).any():
        return replace(measured, accuracy_all=accuracy_all)
    right, loss = right_shares(probabilities[rows], truth[rows]), log_losses(probabilities[rows], truth[rows])
    measured = replace(
        measured,
        accuracy=_mean(right, level, share=True),
        accuracy_all=accuracy_all,
        log_loss=_mean(loss, level, share=False),
    )
    if (probabilities == reference).all():  # the majority itself
        return measured
    clusters = np.arange(len(right))
    majority_right = right_shares(reference[rows], truth[rows])
    majority_loss = log_losses(reference[rows], truth[rows])
    return replace(
        measured,
        accuracy_gain=paired_difference(right, majority_right, clusters, level=level, unit="row"),
        log_loss_gain=paired_difference(majority_loss, loss, clusters, level=level, unit="row"),
    )


def right_shares(probabilities: Probabilities, truth: NDArray[np.int64]) -> Probabilities:
    """Return 1 where the most probable class is the true one, 0 where it is not, 1/k where k tie with it."""
    labels = most_probable(probabilities)
    return np.asarray(labels[np.arange(len(truth)), truth] / labels.sum(-1))


def log_losses(probabilities: Probabilities, truth: NDArray[np.int64]) -> Probabilities:
    """Return minus the logarithm of the true class's probability, which counts as at least `LEAST_PROBABILITY`."""
    return np.asarray(-np.log(np.maximum(probabilities[np.arange(len(truth)), truth], LEAST_PROBABILITY)))


def _mean(values: Probabilities, level: float, *, share: bool) -> Estimate:
    return cluster_mean(values, np.arange(len(values)), share=share, unit="row", level=level)
