"""What the looks at a student while it trained say: accuracy on the truth, agreement, and what overfitting costs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.metrics.estimates import Estimate
from penchant.metrics.two_way import two_way_mean
from penchant.studies.weak_to_strong.predictions import Predictions
from penchant.studies.weak_to_strong.summary import Look, Oracle, Training

Array = NDArray[Any]


def training_of(predictions: Predictions, name: str, supervisor: Array) -> Training:
    """Return the accuracy on the truth while a student trained, at its best, and where weak labels would stop.

    Args:
        supervisor: where it is right, shape (seeds, rows).
    """
    curve = predictions.curves.get(name)
    if curve is None:
        return Training()
    mean, looks = curve.mean((0, 2)), predictions.looks[name]  # over seeds and rows
    # fine-tuned students were looked at on the first test rows alone
    groups = None if predictions.groups is None else predictions.groups[: curve.shape[2]]
    misfits = predictions.misfits.get(name)
    best = int(mean.argmax())
    # of two classes, both right or both wrong is the same answer; of more, wrong answers may differ
    is_binary = predictions.probabilities[name].shape[-1] == 2 if name in predictions.probabilities else False
    agrees = curve == supervisor[:, None, : curve.shape[2]]
    weak = agrees.mean((0, 2)).tolist() if is_binary else [None] * len(mean)
    return Training(
        curve=tuple(Look(*point) for point in zip(looks, mean.tolist(), weak, strict=True)),
        # on the rows of the looks, or a gain would be partly one of other rows
        curve_from=float(supervisor[:, : curve.shape[2]].mean()),
        oracle=Oracle(float(mean[best]), looks[best], float(mean[-1]), overfitting_cost(curve, misfits, groups)),
        # shape (seeds, looks): every seed stops at a look of its own
        early=None if misfits is None else float(_at_lowest(curve.mean(2), misfits).mean()),
    )


def _at_lowest(curve: Array, misfits: Array) -> Array:
    # of each seed the look that it would have stopped at, shape (seeds, 1)
    return np.take_along_axis(curve, misfits.argmin(1)[:, None], 1)


def overfitting_cost(curve: Array, misfits: Array | None = None, groups: Array | None = None) -> Estimate:
    """Return by how much the last look, or the one whose weights were kept, is worse than the best one.

    Args:
        curve: shape (seeds, looks, rows). misfits: of students that stopped early, shape (seeds, looks).
    """
    # shape (seeds, rows): each row is filled by the half of the rows that did not choose for it
    cost = np.zeros((curve.shape[0], curve.shape[2]))
    final = curve[:, -1] if misfits is None else curve[np.arange(len(curve)), misfits.argmin(1)]
    # the best of many looks at the same rows would be good by luck: it is chosen on every other row and measured on the
    # rows between, both ways
    even_rows, odd_rows = slice(0, None, 2), slice(1, None, 2)
    for chosen_on, measured_on in ((even_rows, odd_rows), (odd_rows, even_rows)):
        best = curve[:, :, chosen_on].mean((0, 2)).argmax()
        cost[:, measured_on] = 1.0 * curve[:, best, measured_on] - final[:, measured_on]
    return two_way_mean(cost, groups=groups)
