"""An estimator of scikit-learn as a classifier of texts: TF-IDF with logistic regression, or one of your own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from penchant.errors import InputError
from penchant.losses.weak_settings import CrossEntropy, Filtered, WeakLoss
from penchant.weak.contract import (
    FITTED_FIRST,
    Example,
    Probabilities,
    Validation,
    as_probabilities,
    drop_weightless,
    marks_of,
    only_texts,
    read_kind,
    read_learned,
    refuse_one_class,
    refuse_unlabeled,
    write_kind,
)
from penchant.weak.targets import weak_targets

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

ESTIMATOR = "estimator.skops"


class Estimator(Protocol):
    """The methods of scikit-learn's estimators that are used; a pipeline's steps are fitted one by one.

    Attributes:
        classes_: the numbers of the classes that it was fitted with, in the order of its columns.
    """

    classes_: NDArray[np.intp]

    def fit(self, texts: Sequence[str], labels: NDArray[np.intp], **weights: NDArray[np.float64]) -> object:
        """Learn from texts and the numbers of their classes."""

    def predict_proba(self, texts: Sequence[str]) -> Probabilities:
        """Return probabilities of the classes that it knows, shape (texts, classes)."""


class SklearnClassifier:
    """Any estimator of scikit-learn that takes texts and has `predict_proba`, such as a pipeline.

    Soft targets become weighted examples, one for each class with a probability above 0: for an estimator that
    minimizes a (weighted) log-likelihood that is cross-entropy with these targets.

    Args:
        make: a fresh estimator; default TF-IDF of words, then logistic regression.
        names: of the classes, kept with what is saved.
        loss: cross-entropy or filtered labels; other losses follow the student's own predictions while it learns, which
            an estimator does not show.
    """

    def __init__(
        self,
        make: Callable[[], Estimator] | None = None,
        *,
        names: Sequence[str] | None = None,
        loss: WeakLoss | None = None,
    ) -> None:
        self.make, self.loss = make or tfidf, loss or CrossEntropy()
        self.names = tuple(names) if names else None
        self.estimator: Estimator | None = None
        self.learned_marks: frozenset[str] = frozenset()
        self.classes = 0
        # `fit` of scikit-learn runs to its end in one call: no step in between could make a target
        if not isinstance(self.loss, CrossEntropy | Filtered):
            raise InputError(
                f"an estimator of scikit-learn cannot learn with the loss {self.loss.name}, which follows the "
                "student's own predictions while it learns: take cross_entropy or filtered, or a student that is a "
                "probe or a language model"
            )

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
        """Fit as `Classifier.fit` says; nothing stops early, so a validation is not looked at."""
        texts = only_texts(examples, "an estimator of scikit-learn")
        refuse_unlabeled(unlabeled, "an estimator of scikit-learn")
        soft = as_probabilities(targets, len(examples), classes)
        weighted = drop_weightless(texts, soft, weights)
        texts, self.classes = only_texts(weighted.examples, "an estimator of scikit-learn"), soft.shape[1]
        start = weak_targets(self.loss, torch.as_tensor(weighted.targets), torch.as_tensor(weighted.weights))
        # rows that the loss leaves out weigh nothing, and are not learned at all
        class_weights = (start.labels * start.counts[:, None]).numpy()
        refuse_one_class(class_weights)
        self.estimator = self.make()
        try:
            _fit(self.estimator, texts, class_weights)
        except ValueError as error:  # such as no word that two of the rows have
            self.estimator = None
            raise InputError(f"the estimator cannot learn from these {len(examples)} rows: {error}") from error
        self.learned_marks = frozenset(marks_of(texts))
        return self

    def predict_proba(self, examples: Sequence[Example]) -> Probabilities:
        """Predict as `Classifier.predict_proba` says; a class without an example has a probability of 0."""
        if self.estimator is None:
            raise InputError(FITTED_FIRST)
        probabilities = np.zeros((len(examples), self.classes))
        if texts := only_texts(examples, "an estimator of scikit-learn"):
            probabilities[:, self.estimator.classes_] = self.estimator.predict_proba(texts)  # it may have seen fewer
        return probabilities

    def save(self, folder: str | Path) -> None:
        """Save as `Classifier.save` says, by skops: no pickle, so nothing runs when it is opened."""
        from skops import io

        if self.estimator is None:
            raise InputError(FITTED_FIRST)
        content = {"names": self.names, "classes": self.classes}
        write_kind(Path(folder), "sklearn", content, self.learned_marks, {ESTIMATOR: io.dumps(self.estimator)})

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Load what `save` wrote. Raises InputError for a file with types that are not scikit-learn's or numpy's."""
        from skops import io

        path = Path(folder)
        content = read_kind(path)
        # skops names every type in a file before it opens it; a pickle would run code while it loads
        if unknown := io.get_untrusted_types(file=path / ESTIMATOR):
            raise InputError(f"{path / ESTIMATOR} holds {', '.join(unknown)}, which are not opened")
        classifier = cls(names=content["names"])
        classifier.estimator, classifier.classes = io.load(path / ESTIMATOR), content["classes"]
        classifier.learned_marks = read_learned(path)
        return classifier


def tfidf() -> Pipeline:
    """Return TF-IDF of words that at least two rows have, then logistic regression with little shrinkage."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    # words of two rows and C 10: chosen on SST-2, see docs/decisions/0011
    return make_pipeline(TfidfVectorizer(min_df=2), LogisticRegression(C=10, max_iter=1000))


def _fit(estimator: Estimator, texts: Sequence[str], weighted: Probabilities) -> None:
    """Fit to weighted examples, one for each class with a weight above 0.

    The steps of a pipeline before its last learn from each text once: repeated ones would count as several documents.

    Args:
        weighted: targets times how much a text counts, shape (texts, classes).
    """
    from sklearn.pipeline import Pipeline

    used = np.flatnonzero(weighted.any(-1))
    weighted = weighted[used]
    # one weighted example per row and class with a probability above 0
    rows, columns = np.nonzero(weighted)
    weights = weighted[rows, columns]
    # hard labels: estimators without `sample_weight` can learn these
    weight_arguments = {} if (weights == 1).all() else {"sample_weight": weights}
    used_texts = [texts[row] for row in used.tolist()]
    if not isinstance(estimator, Pipeline) or len(estimator.steps) < 2:
        estimator.fit([used_texts[number] for number in rows.tolist()], columns, **weight_arguments)
        return
    # each text once: repeated ones would give soft labels another vocabulary than hard ones
    features = estimator[:-1].fit_transform(used_texts, weighted.argmax(-1))
    estimator.steps[-1][1].fit(features[rows], columns, **weight_arguments)
