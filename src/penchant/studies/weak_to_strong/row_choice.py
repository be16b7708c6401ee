"""Which rows are learned: easy ones where hard ones are tested on, and a supervisor's before the classes drifted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.errors import InputError
from penchant.studies.weak_to_strong.stage_settings import Split
from penchant.tasks import TaskData, group_of
from penchant.tasks.spec import digest
from penchant.types import LabeledExample
from penchant.weak.classifiers.tfidf import SklearnClassifier

Array = NDArray[Any]
FOLDS = 5
LEAST = 1e-6
"""Probability that a row's surprise is bounded by."""


def split_by_difficulty(data: TaskData, split: Split, train: int | None, test: int | None) -> TaskData:
    """Return the easiest rows to train on and the hardest to test on, so many of each class.

    The control, `split.trains_on == "any"`, has as many rows to train on as they come, and the same to test on.

    Args:
        data: all rows of the task. train, test: how many rows to take of those at most.

    Raises:
        InputError: the file has no difficulty of a row, or word counts cannot learn the task.
    """
    sides = (data.train, data.test)
    hardness = measured_difficulty(*sides, len(data.spec.classes)) if split.by == "measured" else _given(data)
    easy, hard = (
        _least([example.label for example in side], sign * values, split.share)
        for side, values, sign in zip(sides, hardness, (1, -1), strict=True)
    )
    # by content, as all rows come: the first of them are any rows
    chosen = easy if split.trains_on == "easy" else np.arange(len(easy))
    kept_train, kept_test = ([side[row] for row in rows] for side, rows in zip(sides, (chosen, hard), strict=True))
    # the page says where the rows went, beside duplicates and others
    dropped = {
        **data.dropped,
        "harder, to train on": len(data.train) - len(easy) if split.trains_on == "easy" else 0,
        "easier, to test on": len(data.test) - len(hard),
    }
    return replace(data, train=tuple(kept_train[:train]), test=tuple(kept_test[:test]), dropped=dropped)


def measured_difficulty(
    train: Sequence[LabeledExample], test: Sequence[LabeledExample], classes: int
) -> tuple[Array, Array]:
    """Return how surprised word counts are at the true label of each row, in nats: those to train on, those to test on.

    No row is measured by word counts that learned from it or from a related row.
    """
    # by group, so that no row is measured by what learned a related one
    surprise = np.zeros(len(train))
    folds = np.array([digest(group_of(example)) % FOLDS for example in train])
    for fold in np.unique(folds):
        learned, measured = (
            [train[row] for row in np.flatnonzero(mask).tolist()] for mask in (folds != fold, folds == fold)
        )
        surprise[folds == fold] = _surprise(learned, measured, classes)
    return surprise, _surprise(train, test, classes)


def _surprise(learned: Sequence[LabeledExample], measured: Sequence[LabeledExample], classes: int) -> Array:
    labels = np.array([example.label for example in learned])
    model = SklearnClassifier().fit([example.text for example in learned], np.eye(classes)[labels], classes=classes)
    probabilities = model.predict_proba([example.text for example in measured])
    right = probabilities[np.arange(len(measured)), [example.label for example in measured]]
    # a class that word counts never saw has a probability of 0
    return np.asarray(-np.log(right.clip(LEAST)))


def _given(data: TaskData) -> tuple[Array, Array]:
    """Return the difficulty that the user's file gives the rows."""
    # by text, for what is kept of a row has no other column
    try:
        train, test = (np.array([data.difficulty[e.text] for e in side]) for side in (data.train, data.test))
    except KeyError as error:
        raise InputError(
            f"{data.source}: `easy_to_hard.by=column` needs how hard each row is: name the column that holds it "
            "(columns.difficulty=COLUMN)"
        ) from error
    return train, test


def _least(labels: Sequence[int], values: Array, share: float) -> Array:
    """Return the rows with the least values, in their order: this share of each class, so that they stay balanced."""
    kept: list[int] = []
    for label in np.unique(labels):
        (rows,) = np.nonzero(np.asarray(labels) == label)
        # stable: among equal values the order of the rows decides
        ordered = rows[np.argsort(values[rows], kind="stable")]
        kept += ordered[: max(1, round(share * len(rows)))].tolist()
    return np.array(sorted(kept))


def drifted_rows(rows: Array, truth: Array, drift: float, seed: int) -> Array:
    """Return a supervisor's rows before the classes drifted: one of them is whole, and a share of the others missing.

    Args:
        rows: indices of rows, in a random order. truth: the class of every row.
        drift: the share that is missing; with 0 all rows are there.
    """
    classes = np.unique(truth[rows])
    # which class is frequent must not hang on the classes' order, which names decide
    whole = np.random.default_rng([seed, 6]).choice(classes)
    by_class = {label: np.flatnonzero(truth[rows] == label) for label in classes}
    kept = [
        of_class if label == whole else of_class[: round((1 - drift) * len(of_class))]
        for label, of_class in by_class.items()
    ]
    # in the order that they had, so that a supervisor of fewer rows gets a random part
    return rows[np.sort(np.concatenate(kept))]
