"""Classifiers with one contract, `fit` and `predict_proba`: what may supervise, and what may be supervised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from penchant.errors import InputError
from penchant.losses.weak_settings import CrossEntropy, WeakLoss
from penchant.weak.probe import L2, STEPS, Probes, check_probabilities, fit_probes

Probabilities = NDArray[np.float64]


class Classifier(Protocol):
    """Texts in, probabilities of classes out.

    `targets` are either classes, integers of shape (examples,), or probabilities of shape (examples, classes). What
    is fitted with the latter one-hot is what is fitted with the former.
    """

    def fit(self, examples: Sequence[str], targets: ArrayLike, *, classes: int | None = None) -> Self:
        """Learn from texts.

        Args:
            classes: how many there are, where `targets` are integers that may lack some; the largest plus one if not
                given.

        Raises:
            InputError: no examples, other lengths, labels outside the classes, one class, or no probabilities.
        """

    def predict_proba(self, examples: Sequence[str]) -> Probabilities:
        """Shape (examples, classes); rows sum to 1. Raises InputError before `fit`."""


class SklearnClassifier:
    """Any estimator of scikit-learn that takes texts and has `predict_proba`, such as a pipeline.

    Soft targets become weighted examples, one for each class with a probability above 0: for an estimator that
    minimizes a (weighted) log-likelihood that is cross-entropy with these targets.

    Args:
        make: a fresh estimator; default TF-IDF of words and pairs of words, then logistic regression.
    """

    def __init__(self, make: Callable[[], Any] | None = None) -> None:
        self.make = make or tfidf
        self.estimator: Any = None
        self.classes = 0

    def fit(self, examples: Sequence[str], targets: ArrayLike, *, classes: int | None = None) -> Self:
        soft = as_probabilities(targets, len(examples), classes)
        self.classes = soft.shape[1]
        rows, labels = np.nonzero(soft)
        if len(np.unique(labels)) < 2:
            raise InputError(f"all {len(examples)} examples have the class {labels[0]}: nothing can be told apart")
        self.estimator = self.make()
        weights = soft[rows, labels]
        named = {} if (weights == 1).all() else {_weight_argument(self.estimator): weights}
        self.estimator.fit([examples[row] for row in rows.tolist()], labels, **named)
        return self

    def predict_proba(self, examples: Sequence[str]) -> Probabilities:
        if self.estimator is None:
            raise InputError("predict_proba needs a classifier that was fitted: call fit first")
        found = np.zeros((len(examples), self.classes))
        found[:, self.estimator.classes_] = self.estimator.predict_proba(list(examples))  # it may have seen fewer
        return found


class ProbeClassifier:
    """A linear probe of what a model makes of a text.

    Args:
        features: texts to features of shape (texts, features), such as activations of one layer.
        loss: on the targets; its own predictions may be part of what it learns from.
    """

    def __init__(
        self,
        features: Callable[[Sequence[str]], torch.Tensor],
        *,
        loss: WeakLoss | None = None,
        l2: float = L2,
        steps: int = STEPS,
    ) -> None:
        self.features = features
        self.loss, self.l2, self.steps = loss or CrossEntropy(), l2, steps
        self.probes: Probes | None = None

    def fit(self, examples: Sequence[str], targets: ArrayLike, *, classes: int | None = None) -> Self:
        soft = torch.as_tensor(as_probabilities(targets, len(examples), classes))
        self.probes = fit_probes(self.features(examples), soft[None], [self.loss], l2=self.l2, steps=self.steps)
        return self

    def predict_proba(self, examples: Sequence[str]) -> Probabilities:
        if self.probes is None:
            raise InputError("predict_proba needs a classifier that was fitted: call fit first")
        return self.probes.predict_proba(self.features(examples))[0].double().numpy()


def tfidf() -> Any:
    """TF-IDF of words and pairs of words, then logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(max_iter=1000))


def as_probabilities(targets: ArrayLike, examples: int, classes: int | None = None) -> Probabilities:
    """Classes or probabilities as probabilities of shape (examples, classes).

    Raises:
        InputError: no examples, other lengths, labels outside the classes, or no probabilities.
    """
    given = np.asarray(targets)
    if not examples or len(given) != examples:
        raise InputError(f"there must be a target for each example, got {len(given)} for {examples}")
    if given.ndim == 2:
        soft = given.astype(np.float64)
        check_probabilities(torch.as_tensor(soft))
        if classes is not None and soft.shape[1] != classes:
            raise InputError(f"the labels are of {soft.shape[1]} classes, expected {classes}")
        return soft
    if given.ndim != 1 or not (given == given.astype(np.int64)).all():
        raise InputError("targets must be classes, integers of shape (examples,), or probabilities (examples, classes)")
    labels = given.astype(np.int64)
    classes = classes or max(2, int(labels.max()) + 1)
    if labels.min() < 0 or labels.max() >= classes:
        raise InputError(f"labels must lie between 0 and {classes - 1}, got {labels.min()} to {labels.max()}")
    return np.eye(classes)[labels]


def _weight_argument(estimator: Any) -> str:
    """A pipeline hands weights to its last step by that step's name."""
    return f"{estimator.steps[-1][0]}__sample_weight" if hasattr(estimator, "steps") else "sample_weight"
