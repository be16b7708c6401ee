"""What can be said of a student of weak labels without any truth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.metrics.calibration import expected_calibration_error, reliability
from penchant.metrics.estimates import Estimate
from penchant.metrics.intervals import cluster_mean
from penchant.weak.contract import Probabilities
from penchant.weak.rows import LabelledRows

BINS = 5
MOST_READ = 20
TINY = 1e-12
Array = NDArray[Any]


def diagnostics(
    trained: LabelledRows, on_trained: Probabilities, held_out: LabelledRows, on_held_out: Probabilities
) -> dict[str, Any]:
    """Measure what can be said of a student without any truth.

    Args:
        trained, kept: rows it learned from and decided rows held out, with their weak labels.
        own, other: its probabilities for them.

    Returns:
        `agreement`: with the weak labels, on held-out rows, and on rows it learned from: a student that agrees far more
        there has learned the supervisor's errors by heart. `misfit`: cross-entropy to the weak labels less their own
        entropy, in nats, likewise. `where_unsure`, `where_sure`: agreement on the halves of held-out rows of which
        the supervisor was less and more sure: a student that generalizes departs where its teacher was unsure.
        `calibration_error` and `reliability`: of the student's confidence that it agrees. `shares`: of each class.
        `disagreements`: rows to read.
    """
    assert trained.targets is not None
    assert held_out.targets is not None
    agrees = on_held_out.argmax(-1) == held_out.targets.argmax(-1)
    confidence = held_out.targets.max(-1)
    split = confidence > np.median(confidence)
    clusters = clusters_of(held_out)
    halves = {
        name: cluster_mean(agrees[where], clusters[where], share=True, unit="row").as_dict() if where.any() else None
        for name, where in (("where_unsure", ~split), ("where_sure", split))
    }
    curve = reliability(on_held_out.max(-1).clip(0, 1), agrees, clusters.tolist(), bins=BINS)
    return {
        "agreement": {
            "held_out": row_mean(agrees, held_out).as_dict(),
            "learned_from": row_mean(on_trained.argmax(-1) == trained.targets.argmax(-1), trained).as_dict(),
            **halves,
        },
        "misfit": {
            "held_out": row_mean(_misfit(held_out.targets, on_held_out), held_out, share=False).as_dict(),
            "learned_from": row_mean(_misfit(trained.targets, on_trained), trained, share=False).as_dict(),
        },
        "calibration_error": expected_calibration_error(curve),
        "reliability": [{"confidence": bin.confidence, "accuracy": bin.accuracy.as_dict()} for bin in curve],
        "disagreements": _disagreements(held_out, on_held_out),
        "shares": {
            "weak_labels": shares_of(held_out.targets),
            "student": shares_of(on_held_out),
        },
    }


def _disagreements(held_out: LabelledRows, other: Probabilities) -> list[dict[str, Any]]:
    """List the rows where student and weak label differ, the student's surest first."""
    assert held_out.targets is not None
    weak, student = held_out.targets.argmax(-1), other.argmax(-1)
    rows = sorted((weak != student).nonzero()[0].tolist(), key=lambda row: (-float(other[row].max()), row))
    return [
        {
            "text": held_out.texts[row],
            "weak_label": [held_out.names[weak[row]], float(held_out.targets[row].max())],
            "student": [held_out.names[student[row]], float(other[row].max())],
        }
        for row in rows[:MOST_READ]
    ]


def _misfit(targets: Probabilities, predictions: Probabilities) -> Array:
    """Return the divergence of the student from each weak label, in nats."""
    logs = np.log(np.maximum(targets, TINY)) - np.log(np.maximum(predictions, TINY))
    return np.asarray((targets * logs).sum(-1))


def drop_undecided(rows: LabelledRows) -> LabelledRows:
    """Return the rows whose label has one most probable class: on others nobody can agree or be right."""
    assert rows.targets is not None
    ordered = np.sort(rows.targets, -1)
    return rows.pick(np.flatnonzero(ordered[:, -1] > ordered[:, -2]).tolist())


def shares_of(probabilities: Probabilities) -> list[float]:
    """Count how often each class is the most probable one, as shares."""
    counts = np.bincount(probabilities.argmax(-1), minlength=probabilities.shape[1])
    return [float(count) for count in counts / counts.sum()]


def clusters_of(rows: LabelledRows) -> Array:
    """Return a number for each row; related rows have the same."""
    numbers: dict[str, int] = {}
    keys = [group or text for group, text in zip(rows.groups, rows.texts, strict=True)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys])


def row_mean(values: Array, rows: LabelledRows, *, share: bool = True) -> Estimate:
    """Return a mean over rows; its interval counts related ones together."""
    return cluster_mean(np.asarray(values, dtype=np.float64), clusters_of(rows), share=share, unit="row")
