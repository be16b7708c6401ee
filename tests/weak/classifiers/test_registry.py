"""Classifiers beyond their contract, for which see `test_contract.py`: more classes, estimators, folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from penchant.errors import InputError
from penchant.losses.weak_settings import Confidence, Filtered
from penchant.weak.classifiers.language_model import LanguageModelClassifier
from penchant.weak.classifiers.probe import ProbeClassifier
from penchant.weak.classifiers.reading import HeadReading
from penchant.weak.classifiers.registry import load_classifier
from penchant.weak.classifiers.tfidf import SklearnClassifier
from penchant.weak.contract import Classifier, Example
from penchant.weak.settings import LanguageModel

GOOD, BAD = ("fine", "lovely", "warm"), ("dull", "awful", "cold")
NEITHER = ("odd", "plain", "long")


def _texts(seed: int, words: Sequence[Sequence[str]] = (BAD, GOOD), size: int = 60) -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(size) % len(words)
    texts = [f"a {rng.choice(words[label])} film by {rng.choice(['Ann', 'Bob'])} {n}" for n, label in enumerate(labels)]
    return texts, labels


def _bags(texts: Sequence[str]) -> torch.Tensor:
    return torch.tensor([[float(word in text) for word in (*GOOD, *BAD, *NEITHER, "Ann")] for text in texts])


TRAINING = {"epochs": 6, "batch_size": 20, "learning_rate": 2e-3, "head_learning_rate": 1e-2}
Make = Callable[..., Classifier]


def _lm(model: str, **settings: Any) -> LanguageModel:
    return LanguageModel(**{"model": model, "training": TRAINING, "device": "cpu", **settings})


@pytest.fixture(params=["tfidf", "probe", "head", "adapters", "words"])
def make(request: pytest.FixtureRequest, stories: str) -> Make:
    lora = {"rank": 8, "alpha": 32}
    made: dict[str, Make] = {
        "tfidf": SklearnClassifier,
        "probe": lambda: ProbeClassifier(_bags),
        "head": lambda: LanguageModelClassifier(_lm(stories)),
        "adapters": lambda: LanguageModelClassifier(
            _lm(stories, lora=lora, training=TRAINING | {"learning_rate": 1e-2})
        ),
        "words": lambda: LanguageModelClassifier(_lm(stories, reading={"name": "words"})),
    }
    return made[request.param]


def test_it_learns_three_classes(make: Make) -> None:
    words = (BAD, GOOD, NEITHER)
    texts, labels = _texts(0, words)
    unseen, truth = _texts(1, words)
    found = make().fit(texts, labels).predict_proba(unseen)
    assert found.shape == (60, 3)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-6)
    assert (found.argmax(-1) == truth).mean() > 0.95


@pytest.mark.slow
def test_a_class_that_no_example_has_gets_a_column(make: Make) -> None:
    texts, labels = _texts(0)
    found = make().fit(texts, labels, classes=3).predict_proba(texts)
    assert found.shape == (60, 3)
    assert found[:, 2].max() < 0.2


def test_any_estimator_of_scikit_learn_will_do() -> None:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline

    texts, labels = _texts(0)
    found = SklearnClassifier(lambda: make_pipeline(CountVectorizer(), MultinomialNB())).fit(texts, labels)
    assert (found.predict_proba(texts).argmax(-1) == labels).mean() > 0.95


def test_folders_that_hold_no_classifier(tmp_path: Path, stories: str) -> None:
    with pytest.raises(InputError, match="holds no classifier"):
        load_classifier(tmp_path)
    (tmp_path / "classifier.json").write_text('{"kind": "oracle"}')
    with pytest.raises(InputError, match="says 'oracle'"):
        load_classifier(tmp_path)
    texts, labels = _texts(0)
    with pytest.raises(InputError, match="features of your own cannot be saved"):
        ProbeClassifier(_bags).fit(texts, labels).save(tmp_path)


def test_an_estimator_of_a_type_of_ones_own_is_not_opened(tmp_path: Path) -> None:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline

    texts, labels = _texts(0)
    own = SklearnClassifier(
        lambda: make_pipeline(CountVectorizer(tokenizer=_words, token_pattern=None), MultinomialNB())
    )
    own.fit(texts, labels).save(tmp_path)
    with pytest.raises(InputError, match="which are not opened"):
        load_classifier(tmp_path)


def _words(text: str) -> list[str]:
    return text.split()


def test_filtered_labels_leave_the_unsure_ones_out() -> None:
    """Half of the labels are right and sure, the others wrong and unsure: without these it makes no error."""
    texts, labels = _texts(0)
    soft = np.eye(2)[labels]
    wrong = np.arange(60) % 4 < 2
    soft[wrong] = 0.6 * soft[wrong][:, ::-1] + 0.2
    kept = SklearnClassifier(loss=Filtered(share=0.5)).fit(texts, soft)
    assert (kept.predict_proba(texts).argmax(-1) == labels).all()
    everything = SklearnClassifier().fit(texts, soft)
    assert everything.predict_proba(texts).max(-1).mean() < kept.predict_proba(texts).max(-1).mean() - 0.05
    with pytest.raises(InputError, match="cannot learn with the loss confidence"):
        SklearnClassifier(loss=Confidence())


def test_numbers_that_are_not_finite_are_no_answer(stories: str) -> None:
    """Neither a probe's, of features that broke, nor a language model's, of damaged weights."""
    texts, labels = _texts(0)
    broken = {"at": len(texts)}

    def features(asked: Sequence[Example]) -> torch.Tensor:
        found = _bags([str(example) for example in asked])
        found[broken["at"] :] = torch.nan
        return found

    probe = ProbeClassifier(features).fit(texts, labels)
    broken["at"] = 58
    with pytest.raises(InputError, match="the features of 2 examples are not finite"):
        probe.predict_proba(texts)
    model = LanguageModelClassifier(_lm(stories, training={"epochs": 1})).fit(texts[:20], labels[:20])
    assert isinstance(model.reading, HeadReading)
    with torch.no_grad():
        model.reading.linear.weight.fill_(torch.nan)
    with pytest.raises(InputError, match="not finite: its weights are damaged"):
        model.predict_proba(texts)


def test_words_that_two_rows_have_are_those_of_texts_and_not_of_their_classes() -> None:
    """Soft labels teach each text once a class, and its words are no more frequent for that."""
    texts = [f"alone{n} shared" for n in range(20)]
    hard, soft = (
        SklearnClassifier().fit(texts, targets)
        for targets in (np.arange(20) % 2, np.tile([[0.3, 0.7], [0.6, 0.4]], (10, 1)))
    )
    assert set(hard.estimator[0].vocabulary_) == set(soft.estimator[0].vocabulary_) == {"shared"}
    half = SklearnClassifier(loss=Filtered(share=0.5)).fit(texts, np.tile([[0.3, 0.7], [0.6, 0.4]], (10, 1)))
    assert half.estimator[0].idf_.tolist() == hard.estimator[0].idf_.tolist()
    np.testing.assert_allclose(soft.predict_proba(texts[:2]), [[0.45, 0.55]] * 2, atol=0.01)  # as often as it is taught
