"""One suite that every classifier has to pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from penchant.errors import InputError
from penchant.weak.supervisors import Classifier, ProbeClassifier, SklearnClassifier

GOOD, BAD = ("fine", "lovely", "warm"), ("dull", "awful", "cold")
NEITHER = ("odd", "plain", "long")


def _texts(seed: int, words: Sequence[Sequence[str]] = (BAD, GOOD), size: int = 60) -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(size) % len(words)
    texts = [f"a {rng.choice(words[label])} film by {rng.choice(['Ann', 'Bob'])} {n}" for n, label in enumerate(labels)]
    return texts, labels


def _bags(texts: Sequence[str]) -> torch.Tensor:
    return torch.tensor([[float(word in text) for word in (*GOOD, *BAD, *NEITHER, "Ann")] for text in texts])


@pytest.fixture(params=["tfidf", "probe"])
def make(request: pytest.FixtureRequest) -> Callable[[], Classifier]:
    made: dict[str, Callable[[], Classifier]] = {"tfidf": SklearnClassifier, "probe": lambda: ProbeClassifier(_bags)}
    return made[request.param]


@pytest.mark.parametrize("words", [(BAD, GOOD), (BAD, GOOD, NEITHER)])
def test_it_learns_and_answers_with_probabilities(
    make: Callable[[], Classifier], words: Sequence[Sequence[str]]
) -> None:
    texts, labels = _texts(0, words)
    unseen, truth = _texts(1, words)
    found = make().fit(texts, labels).predict_proba(unseen)
    assert found.shape == (60, len(words))
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-6)
    assert (found.argmax(-1) == truth).mean() > 0.95


def test_classes_and_one_hot_rows_give_the_same(make: Callable[[], Classifier]) -> None:
    texts, labels = _texts(0)
    hard, soft = (make().fit(texts, targets).predict_proba(texts) for targets in (labels, np.eye(2)[labels]))
    np.testing.assert_array_equal(hard, soft)


def test_soft_labels_teach_how_sure_to_be(make: Callable[[], Classifier]) -> None:
    texts, labels = _texts(0)
    sure = make().fit(texts, np.eye(2)[labels]).predict_proba(texts)
    unsure = make().fit(texts, 0.6 * np.eye(2)[labels] + 0.2).predict_proba(texts)
    assert unsure.max(-1).mean() < sure.max(-1).mean() - 0.05


def test_the_same_twice(make: Callable[[], Classifier]) -> None:
    texts, labels = _texts(0)
    one, other = (make().fit(texts, labels).predict_proba(texts) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_a_class_that_no_example_has_gets_a_column(make: Callable[[], Classifier]) -> None:
    texts, labels = _texts(0)
    found = make().fit(texts, labels, classes=3).predict_proba(texts)
    assert found.shape == (60, 3)
    assert found[:, 2].max() < 0.2


@pytest.mark.parametrize(
    ("targets", "classes", "message"),
    [
        ([0, 1, 2] * 20, 2, "between 0 and 1"),
        ([-1, 1] * 30, None, "between 0"),
        ([0, 1], None, "a target for each"),
        ([0.5, 1] * 30, None, "classes, integers"),
        ([[0.5, 0.6]] * 60, None, "sum to 1"),
        ([[np.nan, 1.0]] * 60, None, "sum to 1"),
        ([[0.5, 0.5]] * 60, 3, "expected 3"),
    ],
)
def test_targets_that_cannot_be(
    make: Callable[[], Classifier], targets: list[object], classes: int | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make().fit(_texts(0)[0], targets, classes=classes)  # type: ignore[arg-type]


def test_one_class_and_no_fit() -> None:
    texts, labels = _texts(0)
    with pytest.raises(InputError, match="class 1: nothing can be told apart"):
        SklearnClassifier().fit(texts, np.ones_like(labels))
    for classifier in (SklearnClassifier(), ProbeClassifier(_bags)):
        with pytest.raises(InputError, match="call fit first"):
            classifier.predict_proba(texts)


def test_any_estimator_of_scikit_learn_will_do() -> None:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline

    texts, labels = _texts(0)
    found = SklearnClassifier(lambda: make_pipeline(CountVectorizer(), MultinomialNB())).fit(texts, labels)
    assert (found.predict_proba(texts).argmax(-1) == labels).mean() > 0.95
