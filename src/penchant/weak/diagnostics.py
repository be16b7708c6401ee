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


def diagnostics(trained: LabelledRows, own: Probabilities, kept: LabelledRows, other: Probabilities) -> dict[str, Any]:
    """What can be said of a student without any truth.

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
    assert kept.targets is not None
    same = other.argmax(-1) == kept.targets.argmax(-1)
    sure = kept.targets.max(-1)
    split = sure > np.median(sure)
    clusters = clusters_of(kept)
    halves = {
        name: cluster_mean(same[where], clusters[where], share=True, unit="row").as_dict() if where.any() else None
        for name, where in (("where_unsure", ~split), ("where_sure", split))
    }
    curve = reliability(other.max(-1).clip(0, 1), same, clusters.tolist(), bins=BINS)
    return {
        "agreement": {
            "held_out": row_mean(same, kept).as_dict(),
            "learned_from": row_mean(own.argmax(-1) == trained.targets.argmax(-1), trained).as_dict(),
            **halves,
        },
        "misfit": {
            "held_out": row_mean(_misfit(kept.targets, other), kept, share=False).as_dict(),
            "learned_from": row_mean(_misfit(trained.targets, own), trained, share=False).as_dict(),
        },
        "calibration_error": expected_calibration_error(curve),
        "reliability": [{"confidence": each.confidence, "accuracy": each.accuracy.as_dict()} for each in curve],
        "disagreements": _disagreements(kept, other),
        "shares": {
            "weak_labels": shares_of(kept.targets),
            "student": shares_of(other),
        },
    }


def _disagreements(kept: LabelledRows, other: Probabilities) -> list[dict[str, Any]]:
    """Rows where student and weak label differ, the student's surest first."""
    assert kept.targets is not None
    weak, own = kept.targets.argmax(-1), other.argmax(-1)
    places = sorted((weak != own).nonzero()[0].tolist(), key=lambda place: (-float(other[place].max()), place))
    return [
        {
            "text": kept.texts[place],
            "weak_label": [kept.names[weak[place]], float(kept.targets[place].max())],
            "student": [kept.names[own[place]], float(other[place].max())],
        }
        for place in places[:MOST_READ]
    ]


def _misfit(targets: Probabilities, said: Probabilities) -> Array:
    """The divergence of the student from each weak label, in nats."""
    logs = np.log(np.maximum(targets, TINY)) - np.log(np.maximum(said, TINY))
    return np.asarray((targets * logs).sum(-1))


def decided(rows: LabelledRows) -> LabelledRows:
    """Rows whose label has one most probable class: with others nobody can agree, and on them nobody is right."""
    assert rows.targets is not None
    ordered = np.sort(rows.targets, -1)
    return rows.pick(np.flatnonzero(ordered[:, -1] > ordered[:, -2]).tolist())


def shares_of(probabilities: Probabilities) -> list[float]:
    """How often each class is the most probable one."""
    counts = np.bincount(probabilities.argmax(-1), minlength=probabilities.shape[1])
    return [float(count) for count in counts / counts.sum()]


def clusters_of(rows: LabelledRows) -> Array:
    """A number for each row; related rows have the same."""
    numbers: dict[str, int] = {}
    keys = [group or text for group, text in zip(rows.groups, rows.texts, strict=True)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys])


def row_mean(values: Array, rows: LabelledRows, *, share: bool = True) -> Estimate:
    """Return a mean over rows; its interval counts related ones together."""
    return cluster_mean(np.asarray(values, dtype=np.float64), clusters_of(rows), share=share, unit="row")
