"""Confident learning around any classifier: labels that its own cross-validation holds to be wrong are left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from penchant.errors import InputError
from penchant.metrics.resampling import cluster_codes
from penchant.weak.contract import (
    FITTED_FIRST,
    Classifier,
    Example,
    Probabilities,
    Validation,
    as_probabilities,
    drop_weightless,
    marks_of,
    refuse_one_class,
    refuse_unlabeled,
    width_of,
)
from penchant.weak.semi_supervised.confident_joint import Classes, ConfidentJoint, Numbers, confident_joint, noise_rate
from penchant.weak.semi_supervised.report import NoiseReport, Suspect
from penchant.weak.semi_supervised.settings import ConfidentLearning


class ConfidentClassifier:
    """A classifier that leaves out labels which confident predictions of others of its kind speak against.

    Args:
        make: a fresh classifier; the part of the training that it is for tells it from the others.
        names: of the classes. seed: of the folds.

    Attributes:
        noise: what was found; None before `fit`. suspects: labels that were held to be wrong, the worst first.
    """

    def __init__(
        self,
        settings: ConfidentLearning,
        make: Callable[[str], Classifier],
        *,
        names: Sequence[str] | None = None,
        seed: int = 0,
    ) -> None:
        self.settings, self.make, self.seed = settings, make, seed
        self.names = tuple(names) if names else None
        self.learned_marks: frozenset[str] = frozenset()
        self.noise: NoiseReport | None = None
        self.suspects: tuple[Suspect, ...] = ()
        self._fitted: Classifier | None = None

    def fit(
        self,
        examples: Sequence[Example],
        targets: ArrayLike,
        *,
        weights: ArrayLike | None = None,
        unlabeled: Sequence[Example] | None = None,
        validation: Validation | None = None,
        classes: int | None = None,
        groups: Sequence[str] | None = None,
    ) -> Self:
        """Fit as `Classifier.fit` says, once for each fold and once to the labels that are left.

        Args:
            groups: what related examples share: they are in one fold. By default every example stands alone.
        """
        refuse_unlabeled(unlabeled, "confident learning")
        if width_of(examples):
            raise InputError("confident learning compares classes, and these are prompts with options of their own")
        soft = as_probabilities(targets, len(examples), classes)
        weighted = drop_weightless(examples, soft, weights)
        refuse_one_class(weighted.targets)
        # by place where nothing is known: a fold of single rows
        keys = [str(row) for row in range(len(examples))] if groups is None else groups
        clusters = [keys[row] for row in weighted.indices.tolist()]
        probabilities = self._out_of_sample(weighted.examples, weighted.targets, weighted.weights, clusters)
        labels = weighted.targets.argmax(1)
        joint = confident_joint(labels, probabilities)
        trusted, warnings = trusted_labels(self.settings.treatment, joint, labels, probabilities)
        self.suspects = _ranked(joint, labels, probabilities, weighted.indices)
        self.noise = NoiseReport(
            rows=len(labels),
            suspects=len(self.suspects),
            treatment=self.settings.treatment,
            rate=noise_rate(labels, probabilities, clusters, seed=self.seed),
            matrix=tuple(map(tuple, joint.noise_matrix.tolist())),
            warnings=tuple(warnings),
        )
        self._fitted = self.make("last").fit(
            weighted.examples,
            weighted.targets,
            weights=weighted.weights * trusted,
            validation=validation,
            classes=soft.shape[1],
        )
        # labels that were left out were looked at all the same
        self.learned_marks = frozenset(marks_of(weighted.examples))
        return self

    def _out_of_sample(
        self, examples: Sequence[Example], targets: Probabilities, weights: Probabilities, clusters: Sequence[str]
    ) -> Numbers:
        """Return probabilities of each example by a classifier that learned from the other folds."""
        fold_of = deal_folds(clusters, self.settings.folds, self.seed)
        probabilities = np.zeros_like(targets)
        for fold in range(self.settings.folds):
            learned_rows, asked_rows = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
            classifier = self.make(f"fold-{fold}").fit(
                [examples[row] for row in learned_rows.tolist()],
                targets[learned_rows],
                weights=weights[learned_rows],
                classes=targets.shape[1],
            )
            probabilities[asked_rows] = classifier.predict_proba([examples[row] for row in asked_rows.tolist()])
        return probabilities

    def predict_proba(self, examples: Sequence[Example]) -> Probabilities:
        """Predict as `Classifier.predict_proba` says."""
        if self._fitted is None:
            raise InputError(FITTED_FIRST)
        return self._fitted.predict_proba(examples)

    def save(self, folder: str | Path) -> None:
        """Save the classifier that learned from the labels that were left, as one of its kind."""
        if self._fitted is None:
            raise InputError(FITTED_FIRST)
        self._fitted.learned_marks |= self.learned_marks
        self._fitted.save(folder)


def deal_folds(clusters: Sequence[str], folds: int, seed: int) -> Classes:
    """Return the fold of each row, shape (rows,); related rows are in one.

    Raises:
        InputError: fewer groups than folds.
    """
    codes = cluster_codes(clusters)
    count = int(codes.max()) + 1
    if count < folds:
        raise InputError(f"{count} groups of related rows cannot be spread over {folds} folds: set fewer `folds`")
    # dealt out in random order, so that folds have as many groups each
    return np.asarray(np.random.default_rng(seed).permutation(count)[codes] % folds)


def trusted_labels(
    treatment: Literal["drop", "reweight"], joint: ConfidentJoint, labels: Classes, probabilities: Numbers
) -> tuple[Numbers, list[str]]:
    """Return how much each label counts, shape (rows,), and warnings of classes that would be left without one.

    Args:
        labels: shape (rows,). probabilities: out of sample, shape (rows, classes).
    """
    label_probabilities = probabilities[np.arange(len(labels)), labels]
    doubted = label_probabilities if treatment == "reweight" else np.zeros(len(labels))
    trusted, warnings = np.where(joint.is_suspect, doubted, 1.0), []
    for number in np.unique(labels).tolist():
        is_class = labels == number
        if joint.is_suspect[is_class].all():
            # a class without a label could not be learned at all
            trusted[is_class] = 1.0
            warnings.append(f"all {is_class.sum()} labels of class {number} are suspect: they were kept")
    return trusted, warnings


def _ranked(
    joint: ConfidentJoint, labels: Classes, probabilities: Numbers, indices: NDArray[np.intp]
) -> tuple[Suspect, ...]:
    label_probabilities = probabilities[np.arange(len(labels)), labels]
    suspects = np.flatnonzero(joint.is_suspect)
    order = suspects[np.argsort(label_probabilities[suspects], kind="stable")]
    return tuple(
        Suspect(int(indices[row]), int(labels[row]), int(probabilities[row].argmax()), float(label_probabilities[row]))
        for row in order.tolist()
    )
