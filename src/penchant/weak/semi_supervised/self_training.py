"""Self-training around any classifier: a student learns from its teacher's surest labels, then teaches the next.

Sources: pseudo-labels (Lee 2013) and Noisy Student (Xie et al. 2020, arXiv:1911.04252): soft labels as the teacher has
them, the surest of each predicted class, classes balanced, a student that may be larger, and noise on
the student alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from penchant.errors import InputError
from penchant.losses.weak import most_confident, surest_labels
from penchant.weak.augmentation.texts import augment
from penchant.weak.contract import (
    FITTED_FIRST,
    Classifier,
    Example,
    Probabilities,
    Validation,
    as_probabilities,
    drop_weightless,
    marks_of,
)
from penchant.weak.semi_supervised.monitor import collapse_warnings
from penchant.weak.semi_supervised.report import UnlabeledReport
from penchant.weak.semi_supervised.settings import SelfTraining

HEAVIEST = 5.0
"""A rare class's pseudo-labels count at most so many times as much as they would: a few of them may be all wrong."""


class SelfTrainedClassifier:
    """The last student of a chain in which each teaches the next.

    Args:
        make: a fresh classifier for a round, 0 for the first teacher.
        names: of the classes. seed: of the noise.

    Attributes:
        reports: of each round, what it made of unlabelled rows. report: of the last one; None before `fit`.
    """

    def __init__(
        self,
        settings: SelfTraining,
        make: Callable[[int], Classifier],
        *,
        names: Sequence[str] | None = None,
        seed: int = 0,
    ) -> None:
        self.settings, self.make, self.seed = settings, make, seed
        self.names = tuple(names) if names else None
        self.learned_marks: frozenset[str] = frozenset()
        self.reports: tuple[UnlabeledReport, ...] = ()
        self._fitted: Classifier | None = None

    @property
    def report(self) -> UnlabeledReport | None:
        """What the last round made of unlabelled rows."""
        return self.reports[-1] if self.reports else None

    def fit(
        self,
        examples: Sequence[Example],
        targets: ArrayLike,
        *,
        weights: ArrayLike | None = None,
        unlabeled: Sequence[Example] | None = None,
        validation: Validation | None = None,
        classes: int | None = None,
    ) -> Self:
        """Fit as `Classifier.fit` says: a teacher to the labels, then a student in each round."""
        soft = as_probabilities(targets, len(examples), classes)
        weighted, unlabeled = drop_weightless(examples, soft, weights), list(unlabeled or ())
        if self.settings.confident_share is not None:
            # those that keep their label too: the next student may be told otherwise of them
            unlabeled += weighted.examples
            is_kept = surest_labels(torch.as_tensor(weighted.targets), self.settings.confident_share).numpy()
            weighted = weighted.pick(np.flatnonzero(is_kept))
        if not unlabeled:
            raise InputError(
                "self-training learns from rows without labels, and none are given: give `unlabeled`, or take "
                "algorithm=supervised"
            )
        teacher = self.make(0).fit(
            weighted.examples, weighted.targets, weights=weighted.weights, validation=validation, classes=soft.shape[1]
        )
        # by weight, as the rows count in training
        shares = (weighted.targets * weighted.weights[:, None]).sum(0) / weighted.weights.sum()
        reports = []
        for number in range(1, self.settings.rounds + 1):
            pseudo = pseudo_labels(self.settings, teacher.predict_proba(unlabeled), shares)
            rows = [*weighted.examples, *(unlabeled[row] for row in pseudo.rows.tolist())]
            # from its start: a teacher that is trained on would keep its errors
            student = self.make(number).fit(
                # the teacher saw the rows as they are: what it says of them is to hold of changed ones
                augment(rows, self.settings.noise, self.seed + number),
                np.concatenate([weighted.targets, pseudo.targets[pseudo.rows]]),
                weights=np.concatenate([weighted.weights, pseudo.weights[pseudo.rows]]),
                validation=validation,
                classes=soft.shape[1],
            )
            reports.append(_report(pseudo, student.predict_proba(unlabeled), shares))
            teacher = student
        self._fitted, self.reports = teacher, tuple(reports)
        self.learned_marks = frozenset(marks_of([*weighted.examples, *unlabeled]))
        return self

    def predict_proba(self, examples: Sequence[Example]) -> Probabilities:
        """Predict as `Classifier.predict_proba` says."""
        if self._fitted is None:
            raise InputError(FITTED_FIRST)
        return self._fitted.predict_proba(examples)

    def save(self, folder: str | Path) -> None:
        """Save the last student, as a classifier of its kind."""
        if self._fitted is None:
            raise InputError(FITTED_FIRST)
        # what was learned from in any round, since a test row among it tests nothing
        self._fitted.learned_marks |= self.learned_marks
        self._fitted.save(folder)


@dataclass(frozen=True)
class PseudoLabels:
    """What a teacher says of unlabelled rows.

    Attributes:
        beliefs: its probabilities, shape (rows, classes). targets: what the student learns, (rows, classes).
        weights: how much each row counts, (rows,); 0 where the teacher is not sure enough.
    """

    beliefs: Probabilities
    targets: Probabilities
    weights: Probabilities

    @property
    def rows(self) -> NDArray[np.intp]:
        """Places of rows that count."""
        return np.flatnonzero(self.weights)


def pseudo_labels(settings: SelfTraining, beliefs: Probabilities, label_shares: Probabilities) -> PseudoLabels:
    """Return labels of the rows that a teacher is surest of, within each class that it predicts.

    Args:
        beliefs: the teacher's, shape (rows, classes). label_shares: of each class among the labels.
    """
    classes, predicted = beliefs.shape[1], beliefs.argmax(1)
    is_kept = most_confident(torch.as_tensor(beliefs), share=settings.share).numpy()
    # the share alone would take unsure rows of a class that the teacher seldom sees
    is_kept &= beliefs.max(1) >= settings.threshold
    counts = np.bincount(predicted[is_kept], minlength=classes)
    target_shares = {
        "labels": label_shares,
        "uniform": np.full(classes, 1 / classes),
        "none": counts / max(counts.sum(), 1),
    }
    # by weights and not by copies: a probe would find the same, and a network sees no row twice in a batch
    class_weights = np.minimum(target_shares[settings.balance] * counts.sum() / np.maximum(counts, 1), HEAVIEST)
    # hard labels forget how unsure the teacher was, soft ones keep it
    targets = beliefs if settings.labels == "soft" else np.eye(classes)[predicted]
    return PseudoLabels(beliefs, targets, settings.weight * class_weights[predicted] * is_kept)


def _report(pseudo: PseudoLabels, student_beliefs: Probabilities, label_shares: Probabilities) -> UnlabeledReport:
    """Return what a round made of unlabelled rows."""
    is_kept = pseudo.weights > 0
    counts = np.bincount(pseudo.beliefs[is_kept].argmax(1), minlength=student_beliefs.shape[1])
    shares = counts / max(counts.sum(), 1)
    # of rows that counted: of the others nothing was to be learned
    losses = -(pseudo.targets * np.log(np.maximum(student_beliefs, 1e-12))).sum(1)[is_kept]
    return UnlabeledReport(
        float(is_kept.mean()),
        tuple(shares.tolist()),
        tuple(label_shares.tolist()),
        float(np.abs(student_beliefs - pseudo.beliefs).sum(1).mean() / 2),
        float(losses.mean()) if len(losses) else 0.0,
        tuple(collapse_warnings(float(is_kept.mean()), torch.as_tensor(shares), torch.as_tensor(label_shares))),
    )
