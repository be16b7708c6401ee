"""What can be said of a student of weak labels without any truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from penchant.metrics.calibration import expected_calibration_error, reliability
from penchant.metrics.estimates import Estimate
from penchant.metrics.intervals import cluster_mean
from penchant.weak.contract import Probabilities
from penchant.weak.results import (
    AgreementByRows,
    ClassShares,
    Diagnostics,
    Disagreement,
    Misfit,
    ReliabilityPoint,
)
from penchant.weak.rows import LabelledRows

BINS = 5
MOST_READ = 20  # disagreements on the page
TINY = 1e-12


def diagnostics(
    trained: LabelledRows, on_trained: Probabilities, held_out: LabelledRows, on_held_out: Probabilities
) -> Diagnostics:
    """Measure what can be said of a student without any truth.

    Args:
        trained, held_out: rows it learned from and decided rows held out, with their weak labels.
        on_trained, on_held_out: its probabilities for them, shape (rows, classes).
    """
    assert trained.targets is not None
    assert held_out.targets is not None
    agrees = on_held_out.argmax(-1) == held_out.targets.argmax(-1)
    confidence = held_out.targets.max(-1)
    # strictly above: of a supervisor with two levels of confidence the lower one is the unsure half
    is_sure = confidence > np.median(confidence)
    clusters = clusters_of(held_out)

    def half(where: NDArray[np.bool_]) -> Estimate | None:
        # where the supervisor is as sure of every row, none lies above the median
        return cluster_mean(agrees[where], clusters[where], share=True, unit="row") if where.any() else None

    # a probability of a softmax in float32 may be a rounding error above 1
    curve = reliability(on_held_out.max(-1).clip(0, 1), agrees, clusters.tolist(), bins=BINS)
    return Diagnostics(
        AgreementByRows(
            held_out=row_mean(agrees, held_out),
            learned_from=row_mean(on_trained.argmax(-1) == trained.targets.argmax(-1), trained),
            where_unsure=half(~is_sure),
            where_sure=half(is_sure),
        ),
        Misfit(
            held_out=row_mean(_misfit(held_out.targets, on_held_out), held_out, share=False),
            learned_from=row_mean(_misfit(trained.targets, on_trained), trained, share=False),
        ),
        expected_calibration_error(curve),
        tuple(ReliabilityPoint(point.confidence, point.accuracy) for point in curve),
        _disagreements(held_out, on_held_out),
        ClassShares(weak_labels=shares_of(held_out.targets), student=shares_of(on_held_out)),
    )


def _disagreements(held_out: LabelledRows, on_held_out: Probabilities) -> tuple[Disagreement, ...]:
    """Return the rows where student and weak label differ, the student's surest first."""
    assert held_out.targets is not None
    weak, student = held_out.targets.argmax(-1), on_held_out.argmax(-1)
    # the surest first, then by place, so that a page is the same twice
    rows = sorted((weak != student).nonzero()[0].tolist(), key=lambda row: (-float(on_held_out[row].max()), row))
    return tuple(
        Disagreement(
            held_out.texts[row],
            weak_label=(held_out.names[weak[row]], float(held_out.targets[row].max())),
            student=(held_out.names[student[row]], float(on_held_out[row].max())),
        )
        for row in rows[:MOST_READ]
    )


def _misfit(targets: Probabilities, predictions: Probabilities) -> NDArray[np.float64]:
    """Return the divergence of the student from each weak label, in nats, shape (rows,)."""
    # a hard label has probabilities of 0, whose share of the sum is 0: without a floor it would be 0 times -inf
    logs = np.log(np.maximum(targets, TINY)) - np.log(np.maximum(predictions, TINY))
    return np.asarray((targets * logs).sum(-1))


def drop_undecided(rows: LabelledRows) -> LabelledRows:
    """Return the rows whose label has one most probable class: on others nobody can agree or be right."""
    assert rows.targets is not None
    # two classes with the same largest probability: argmax would pick the first
    ordered = np.sort(rows.targets, -1)
    return rows.pick(np.flatnonzero(ordered[:, -1] > ordered[:, -2]).tolist())


def shares_of(probabilities: Probabilities) -> tuple[float, ...]:
    """Return how often each class is the most probable one."""
    counts = np.bincount(probabilities.argmax(-1), minlength=probabilities.shape[1])
    return tuple((counts / counts.sum()).tolist())


def clusters_of(rows: LabelledRows) -> NDArray[np.int64]:
    """Return a number for each row, shape (rows,); related rows have the same."""
    numbers: dict[str, int] = {}
    # a text without a group is related to equal texts alone
    keys = [group or text for group, text in zip(rows.groups, rows.texts, strict=True)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys])


def row_mean(values: NDArray[np.float64] | NDArray[np.bool_], rows: LabelledRows, *, share: bool = True) -> Estimate:
    """Return a mean over rows; its interval counts related ones together."""
    return cluster_mean(np.asarray(values, dtype=np.float64), clusters_of(rows), share=share, unit="row")
