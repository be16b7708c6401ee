"""A small network as a classifier: algorithms with unlabelled rows and views, and what is written of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from penchant.errors import InputError
from penchant.weak.classifiers.features import ModelFeatures
from penchant.weak.classifiers.mlp import MlpClassifier
from penchant.weak.classifiers.registry import load_classifier, make_classifier
from penchant.weak.classifiers.tfidf import SklearnClassifier
from penchant.weak.contract import Example, marks_of
from penchant.weak.settings import Mlp

TEXTS = [f"{word} film number {number} of this long year" for number in range(30) for word in ("dull", "fine")]
LABELS = np.arange(60) % 2


def letters(examples: Sequence[Example]) -> torch.Tensor:
    """Features without a model: how often each letter comes."""
    return torch.tensor([[str(example).count(letter) for letter in "abcdefiklmnouy"] for example in examples]).half()


def _fitted(unlabeled: Sequence[Example] | None = TEXTS[12:40], seed: int = 0, **settings: object) -> MlpClassifier:
    spec = Mlp(model="letters", steps=40, **settings)  # type: ignore[arg-type]
    return MlpClassifier(spec, features=letters, seed=seed).fit(TEXTS[:12], LABELS[:12], unlabeled=unlabeled)


def test_it_learns_from_rows_without_labels_and_knows_them_later() -> None:
    supervised, fixmatch = _fitted(), _fitted(algorithm="fixmatch", views={"strong": ["word_dropout"]})
    assert supervised.report is None
    assert fixmatch.report is not None
    assert fixmatch.report.mask_rate > 0
    unseen = TEXTS[40:]
    assert (fixmatch.predict_proba(unseen).argmax(-1) == LABELS[40:]).mean() > 0.9
    assert not np.allclose(fixmatch.predict_proba(unseen), supervised.predict_proba(unseen), atol=1e-4)
    assert fixmatch.learned_marks == set(marks_of(TEXTS[:40]))


def test_views_are_drawn_by_the_seed_and_differ() -> None:
    views = {"strong": ["word_dropout"], "weak": [{"name": "word_dropout", "share": 0.05}], "copies": 3}
    one, same, other = (
        _fitted(algorithm="mean_teacher", views=views, seed=seed).predict_proba(TEXTS[40:]) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other, atol=1e-4)


def test_an_algorithm_without_rows_to_learn_from_is_refused() -> None:
    with pytest.raises(InputError, match=r"rows without labels, and none are given: give `unlabeled`"):
        _fitted(unlabeled=None, algorithm="uda")
    with pytest.raises(InputError, match="strong view of a row is its weak one"):
        _fitted(algorithm="uda", dropout=0.0)


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_features_that_are_not_finite_are_named(number: float) -> None:
    def broken(examples: Sequence[Example]) -> torch.Tensor:
        features = letters(examples).float()
        features[[str(example).startswith("dull film number 3 ") for example in examples], 1] = number
        return features

    student = MlpClassifier(Mlp(model="letters", steps=5, algorithm="fixmatch"), features=broken)
    with pytest.raises(
        InputError, match=r"features of 1 of 40 examples are not finite, the first is .*dull film number 3"
    ):
        student.fit(TEXTS[:12], LABELS[:12], unlabeled=TEXTS[12:40])


def test_only_the_surest_labels_are_kept_and_all_rows_are_views() -> None:
    """A supervisor that is sure where it is right: what it is unsure of would teach the reverse."""
    is_sure = np.arange(40) % 5 < 2
    of_truth = np.where(is_sure, 0.97, 0.1)
    soft = np.where(LABELS[:40, None] == [0, 1], of_truth[:, None], 1 - of_truth[:, None])
    accuracies = {}
    for share in (None, 0.4):
        spec = Mlp(model="letters", steps=60, algorithm="fixmatch" if share else "supervised", confident_share=share)
        student = MlpClassifier(spec, features=letters).fit(TEXTS[:40], soft)
        accuracies[share] = (student.predict_proba(TEXTS[40:]).argmax(-1) == LABELS[40:]).mean()
        assert student.learned_marks == set(marks_of(TEXTS[:40]))
    assert accuracies[None] < 0.5 < 0.9 < accuracies[0.4]


def test_labels_that_are_certain_are_all_kept() -> None:
    def said(share: float | None, **fit: object) -> np.ndarray:
        spec = Mlp(model="letters", steps=20, confident_share=share)
        student = MlpClassifier(spec, features=letters).fit(TEXTS[:20], LABELS[:20])
        return student.predict_proba(TEXTS[40:])

    np.testing.assert_array_equal(said(0.1), said(None))


def test_classifiers_of_other_attributes_are_learned_with_the_task(tmp_path: Path) -> None:
    many = [f"{text}, {('tall', 'wide')[number % 3 == 0]}" for number, text in enumerate(TEXTS)]
    shape = SklearnClassifier(names=["tall", "wide"]).fit(many, np.array([number % 3 == 0 for number in range(60)]) * 1)
    shape.save(tmp_path / "shape")
    settings = Mlp(model="letters", steps=40, algorithm={"name": "label_vectors", "vectors": [str(tmp_path / "shape")]})
    made = make_classifier(settings)
    assert isinstance(made, MlpClassifier)
    assert len(made.vectors) == 1
    student = MlpClassifier(settings, features=letters, vectors=made.vectors)
    student.fit(many[:12], LABELS[:12], unlabeled=many[12:40])
    assert student.predict_proba(many[40:]).shape == (20, 2)  # the task's classes alone
    assert (student.predict_proba(many[40:]).argmax(-1) == LABELS[40:]).mean() > 0.9
    assert settings.label == "letters, small network, 1 label vectors"


def test_features_of_ones_own_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="features of your own cannot be saved"):
        _fitted().save(tmp_path)


def test_labels_tell_algorithms_apart() -> None:
    threshold = {"name": "flex"}
    assert Mlp(model="minilm-l6").label == "minilm-l6, small network"
    assert (
        Mlp(model="minilm-l6", layer=3, algorithm="mean_teacher").label
        == "minilm-l6, layer 3, small network, Mean Teacher"
    )
    assert Mlp(model="m", algorithm={"name": "fixmatch", "threshold": threshold}).label == "m, small network, FlexMatch"


def test_two_networks_of_wrong_labels_predict_by_their_mean(tmp_path: Path) -> None:
    features = ModelFeatures("penchant-0.5m", 2)
    network = MlpClassifier(Mlp(model="penchant-0.5m", layer=2, steps=20, algorithm="divide_mix"), features=features)
    wrong = np.where(np.arange(60) % 10 < 3, 1 - LABELS, LABELS)
    network.fit(TEXTS, wrong)
    assert network.report is not None
    assert network.report.division is not None
    network.save(tmp_path)
    loaded = load_classifier(tmp_path)
    np.testing.assert_allclose(loaded.predict_proba(TEXTS[:5]), network.predict_proba(TEXTS[:5]), atol=1e-6)
    assert network._weights is not None
    assert len(network._weights.out_bias) == 2
