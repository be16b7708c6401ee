"""Rows without labels of `penchant weak train`: which they are, and what a student made of them beside its control."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penchant.weak.classifiers.cnn import CnnClassifier
from penchant.weak.classifiers.language_model import LanguageModelClassifier
from penchant.weak.classifiers.mlp import MlpClassifier
from penchant.weak.classifiers.registry import make_classifier
from penchant.weak.command_rows import fit_to_rows, read_rows
from penchant.weak.command_settings import WeakTrain
from penchant.weak.contract import Classifier, Example, Probabilities, Validation
from penchant.weak.diagnostics import drop_undecided, row_mean
from penchant.weak.results import UnlabeledUse
from penchant.weak.rows import LabelledRows, overlap
from penchant.weak.semi_supervised.self_training import SelfTrainedClassifier
from penchant.weak.semi_supervised.settings import Supervised
from penchant.weak.settings import OwnClassifier

REPORTING = MlpClassifier | CnnClassifier | LanguageModelClassifier | SelfTrainedClassifier
"""Students that say what they made of rows without labels."""


@dataclass(frozen=True)
class UnlabeledRows:
    """Rows to learn from without labels.

    Attributes:
        rows: those that are not among the rows with labels. left_out: how many are.
    """

    rows: LabelledRows
    left_out: int

    @property
    def inputs(self) -> list[Example]:
        """The examples as a classifier gets them."""
        return self.rows.inputs


def read_unlabeled(config: WeakTrain, labelled: LabelledRows) -> UnlabeledRows | None:
    """Read the rows without labels; None where none are named.

    Args:
        labelled: all rows with labels, those held out too: whoever learned from a held-out text without its label knows
            it all the same.

    Raises:
        InputError: rows that cannot be read.
    """
    if config.unlabeled is None:
        return None
    rows = read_rows(config.unlabeled, config.task, labels=False, columns=config.columns)
    shared = set(overlap(labelled, rows))
    return UnlabeledRows(rows.pick([row for row in range(len(rows.examples)) if row not in shared]), len(shared))


def unlabeled_use(
    config: WeakTrain,
    student: Classifier,
    *,
    trained: LabelledRows,
    unlabeled: UnlabeledRows | None,
    held_out: LabelledRows,
    test: LabelledRows | None,
    stop_by: Validation | None,
) -> UnlabeledUse | None:
    """Train the student's control on the same labels, and measure both; None for a student without an algorithm.

    The control has the same seed, start, steps and labelled batches, and a small network's features are standardized
    over the same rows.

    Args:
        stop_by: texts with their labels that both stop early by, where they do.
    """
    report = student.report if isinstance(student, REPORTING) else None
    if report is None or isinstance(config.student, OwnClassifier):
        return None
    # an algorithm for wrong labels may have none; any other has refused to learn without
    inputs = None if unlabeled is None else unlabeled.inputs
    control_settings = config.student.replace(algorithm=Supervised())
    control = make_classifier(control_settings, names=trained.names, loss=config.loss, seed=config.seed)
    # any other classifier than a small network has no use for them
    seen = inputs if isinstance(control, MlpClassifier | CnnClassifier) else None
    fit_to_rows(control, trained, classes=len(trained.names), validation=stop_by, unlabeled=seen)
    control_accuracy = gain = None
    if test is not None:
        clear = drop_undecided(test)
        assert clear.targets is not None
        truth = clear.targets.argmax(-1)
        right, control_right = (
            (classifier.predict_proba(clear.inputs).argmax(-1) == truth).astype(np.float64)
            for classifier in (student, control)
        )
        # row by row: of rows that both have right or wrong nothing is to be learned about the difference
        control_accuracy, gain = row_mean(control_right, clear), row_mean(right - control_right, clear, share=False)
    return UnlabeledUse(
        algorithm=config.student.algorithm.label,
        rows=len(inputs or ()),
        left_out=0 if unlabeled is None else unlabeled.left_out,
        report=report,
        control_agreement=row_mean(_agrees(control.predict_proba(held_out.inputs), held_out), held_out),
        control_accuracy=control_accuracy,
        gain=gain,
    )


def _agrees(predicted: Probabilities, rows: LabelledRows) -> NDArray[np.bool_]:
    assert rows.targets is not None
    return np.asarray(predicted.argmax(-1) == rows.targets.argmax(-1))
