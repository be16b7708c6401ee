"""Self-training and confident learning around any classifier: limits, reports, files, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from penchant.errors import InputError
from penchant.weak.classifiers.mlp import MlpClassifier
from penchant.weak.classifiers.registry import load_classifier, make_classifier
from penchant.weak.classifiers.tfidf import SklearnClassifier
from penchant.weak.contract import marks_of
from penchant.weak.semi_supervised.confident_learning import ConfidentClassifier
from penchant.weak.semi_supervised.self_training import SelfTrainedClassifier, pseudo_labels
from penchant.weak.semi_supervised.settings import SelfTraining
from penchant.weak.settings import Mlp, Probe, Tfidf

WORDS = (("dull", "slow", "flat"), ("fine", "warm", "keen"))
TEXTS = [f"a {WORDS[row % 2][row // 2 % 3]} film, number {row}" for row in range(120)]
LABELS = np.arange(120) % 2


def _fit(algorithm: object, labeled: int = 12, **settings: object) -> SelfTrainedClassifier:
    classifier = make_classifier(Tfidf(algorithm=algorithm), **settings)  # type: ignore[arg-type]
    assert isinstance(classifier, SelfTrainedClassifier)
    return classifier.fit(TEXTS[:labeled], LABELS[:labeled], unlabeled=TEXTS[labeled:80])


def test_each_round_is_reported_and_the_last_student_is_saved(tmp_path: Path) -> None:
    classifier = _fit({"name": "self_training", "rounds": 2}, names=["bad", "good"])
    assert len(classifier.reports) == 2
    assert classifier.report is classifier.reports[-1]
    assert classifier.reports[0].mask_rate == pytest.approx(0.5)
    assert classifier.reports[0].class_shares == pytest.approx((0.5, 0.5))
    assert classifier.reports[0].label_shares == (0.5, 0.5)
    classifier.save(tmp_path)
    loaded = load_classifier(tmp_path)
    assert isinstance(loaded, SklearnClassifier)
    assert loaded.learned_marks == set(marks_of(TEXTS[:80]))
    np.testing.assert_allclose(loaded.predict_proba(TEXTS[80:]), classifier.predict_proba(TEXTS[80:]))


def test_a_word_that_no_label_has_is_learned_from_pseudo_labels() -> None:
    """`keen` and `flat` are in no labelled row; unlabelled ones have them beside words that are known."""
    known = ["a dull film here", "a fine film here", "so dull a film", "so fine a film"]
    unlabeled = ["dull and flat", "fine and keen", "flat so dull", "keen so fine"] * 4
    plain = make_classifier(Tfidf()).fit(known, [0, 1, 0, 1])
    student = make_classifier(Tfidf(algorithm="self_training")).fit(known, [0, 1, 0, 1], unlabeled=unlabeled)
    np.testing.assert_allclose(plain.predict_proba(["keen", "flat"]), 0.5, atol=1e-3)
    assert student.predict_proba(["flat", "keen"]).argmax(1).tolist() == [0, 1]


def test_a_row_counts_by_its_confidence_within_its_class_and_classes_are_balanced() -> None:
    beliefs = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4], [0.45, 0.55], [0.2, 0.8]])
    shares = np.array([0.5, 0.5])
    # 2 of 4 rows of class 0 and 1 of 2 of class 1, which weighs 1.5 / 1 against 1.5 / 2
    chosen = pseudo_labels(SelfTraining(share=0.5), beliefs, shares)
    np.testing.assert_allclose(chosen.weights, [0.75, 0.75, 0, 0, 0, 1.5])
    np.testing.assert_allclose(chosen.targets, beliefs)
    as_they_come = pseudo_labels(SelfTraining(share=1.0, balance="none", labels="hard", weight=2.0), beliefs, shares)
    np.testing.assert_allclose(as_they_come.weights, 2.0)
    np.testing.assert_allclose(as_they_come.targets[4], [0, 1])
    # a threshold leaves none of class 1, and a lone row is not made to weigh for all
    sure = pseudo_labels(SelfTraining(share=1.0, threshold=0.85), beliefs, shares)
    np.testing.assert_allclose(sure.weights, [0.5, 0, 0, 0, 0, 0])
    rare = pseudo_labels(SelfTraining(share=1.0), np.array([[0.9, 0.1]] * 99 + [[0.1, 0.9]]), shares)
    assert rare.weights[-1] == 5.0
    uniform = pseudo_labels(SelfTraining(share=1.0, balance="uniform"), beliefs, np.array([0.9, 0.1]))
    assert uniform.weights[:4].sum() == pytest.approx(uniform.weights[4:].sum())


def test_where_no_row_is_sure_enough_the_student_is_the_teacher() -> None:
    classifier = _fit({"name": "self_training", "threshold": 1.0})
    plain = make_classifier(Tfidf()).fit(TEXTS[:12], LABELS[:12])
    np.testing.assert_allclose(classifier.predict_proba(TEXTS[80:]), plain.predict_proba(TEXTS[80:]))
    assert classifier.report is not None
    assert "the mask was empty, and this is supervised training" in classifier.report.warnings[0]


def test_a_class_that_no_pseudo_label_has_is_said() -> None:
    skewed = [text for text, label in zip(TEXTS[12:], LABELS[12:], strict=True) if label == 0]
    classifier = make_classifier(Tfidf(algorithm="self_training"))
    classifier.fit(TEXTS[:12], LABELS[:12], unlabeled=skewed)
    assert isinstance(classifier, SelfTrainedClassifier)
    assert classifier.report is not None
    assert "class 1 has 0.0% of the pseudo-labels and 50.0% of the labels" in classifier.report.warnings


def test_noise_and_a_larger_student_are_the_students_alone(encoder: str) -> None:
    settings = {"name": "self_training", "rounds": 1, "student": {"hidden": 24}, "noise": ["word_dropout"]}
    plain = Mlp(model=encoder, steps=20, hidden=8)
    classifier = make_classifier(plain.replace(algorithm=settings))
    assert isinstance(classifier, SelfTrainedClassifier)
    teacher, student = classifier.make(0), classifier.make(1)
    assert isinstance(teacher, MlpClassifier)
    assert isinstance(student, MlpClassifier)
    assert (teacher.settings.hidden, student.settings.hidden) == (8, 24)
    # read once for all rounds
    assert teacher.features is student.features
    classifier.fit(TEXTS[:12], LABELS[:12], unlabeled=TEXTS[12:40])
    with pytest.raises(InputError, match="hiden"):
        make_classifier(plain.replace(algorithm={"name": "self_training", "student": {"hiden": 24}}))


def test_each_student_may_be_larger_than_its_teacher(encoder: str, tmp_path: Path) -> None:
    growth = ({"hidden": 4}, {"hidden": 8, "dropout": 0.2}, {"hidden": 16})
    algorithm = SelfTraining(rounds=4, student={"dropout": 0.1}, growth=growth)
    classifier = make_classifier(Mlp(model=encoder, steps=10, hidden=2, algorithm=algorithm))
    assert isinstance(classifier, SelfTrainedClassifier)
    sizes = []
    for number in range(5):
        student = classifier.make(number)
        assert isinstance(student, MlpClassifier)
        sizes.append((student.settings.hidden, student.settings.dropout))
    assert sizes == [(2, 0.5), (4, 0.1), (8, 0.2), (16, 0.1), (16, 0.1)]
    classifier.fit(TEXTS[:12], LABELS[:12], unlabeled=TEXTS[12:40])
    assert len(classifier.reports) == 4
    # the largest one is what is left
    classifier.save(tmp_path)
    saved = load_classifier(tmp_path)
    assert isinstance(saved, MlpClassifier)
    assert saved.settings.hidden == 16
    with pytest.raises(InputError, match="hiden"):
        make_classifier(Tfidf(algorithm={"name": "self_training", "growth": [{"hiden": 4}]}))
    # what has no growth keeps the address that it had
    assert "growth" not in SelfTraining().addressed()
    assert "growth" in algorithm.addressed()


def test_without_such_rows_the_surest_labels_are_kept_and_all_rows_count_as_unlabelled(encoder: str) -> None:
    sureness = np.where(np.arange(80) % 4 < 2, 0.9, 0.6)
    soft = np.where(np.eye(2)[LABELS[:80]] == 1, sureness[:, None], 1 - sureness[:, None])
    classifier = make_classifier(Tfidf(algorithm={"name": "self_training", "confident_share": 0.5}))
    classifier.fit(TEXTS[:80], soft)
    # what it would be with these labels and rows given apart
    kept = np.flatnonzero(sureness == 0.9)
    apart = make_classifier(Tfidf(algorithm="self_training"))
    apart.fit([TEXTS[row] for row in kept], soft[kept], unlabeled=TEXTS[:80])
    np.testing.assert_allclose(classifier.predict_proba(TEXTS[80:]), apart.predict_proba(TEXTS[80:]))
    # a small network's own share says the same, and its students keep all of their labels
    network = Mlp(model=encoder, steps=10, hidden=8, algorithm="self_training", confident_share=0.5)
    outer = make_classifier(network)
    assert isinstance(outer, SelfTrainedClassifier)
    assert outer.settings.confident_share == 0.5
    student = outer.make(1)
    assert isinstance(student, MlpClassifier)
    assert student.settings.confident_share is None


def test_rows_without_labels_are_needed_by_the_one_and_refused_by_the_other() -> None:
    with pytest.raises(InputError, match="rows without labels, and none are given: give `unlabeled`"):
        make_classifier(Tfidf(algorithm="self_training")).fit(TEXTS, LABELS)
    with pytest.raises(InputError, match="leave them out, or choose an algorithm"):
        make_classifier(Tfidf(algorithm="confident_learning")).fit(TEXTS, LABELS, unlabeled=TEXTS)
    for algorithm in ("self_training", "confident_learning"):
        with pytest.raises(InputError, match="weights must be finite and at least 0"):
            make_classifier(Tfidf(algorithm=algorithm)).fit(
                TEXTS, LABELS, weights=[-1.0] * 120, unlabeled=TEXTS if algorithm == "self_training" else None
            )
        with pytest.raises(InputError, match="make the classifier by `make_classifier`"):
            MlpClassifier(Mlp(model="m", algorithm=algorithm), features=_no_features).fit(TEXTS, LABELS)


def _no_features(examples: object) -> object:
    import torch

    return torch.zeros(len(examples), 3)  # type: ignore[arg-type]


def _confident(treatment: str = "drop", wrong: int = 12, **fit: object) -> ConfidentClassifier:
    labels = np.where(np.arange(120) < wrong, 1 - LABELS, LABELS)
    settings = {"name": "confident_learning", "treatment": treatment}
    classifier = make_classifier(Tfidf(algorithm=settings))
    assert isinstance(classifier, ConfidentClassifier)
    return classifier.fit(TEXTS, labels, **fit)  # type: ignore[arg-type]


def test_wrong_labels_are_found_ranked_and_left_out(tmp_path: Path) -> None:
    classifier = _confident()
    assert classifier.noise is not None
    assert {suspect.row for suspect in classifier.suspects} == set(range(12))
    assert [suspect.probability for suspect in classifier.suspects] == sorted(
        suspect.probability for suspect in classifier.suspects
    )
    first = classifier.suspects[0]
    assert (first.given, first.suggested) == (1 - LABELS[first.row], LABELS[first.row])
    assert classifier.noise.rate.value == pytest.approx(0.1, abs=0.02)
    np.testing.assert_allclose(np.array(classifier.noise.matrix).sum(1), 1)
    left = make_classifier(Tfidf()).fit(TEXTS[12:], LABELS[12:])
    np.testing.assert_allclose(classifier.predict_proba(TEXTS), left.predict_proba(TEXTS), atol=1e-6)
    classifier.save(tmp_path)
    assert load_classifier(tmp_path).learned_marks == set(marks_of(TEXTS))


def test_suspects_may_count_less_instead(tmp_path: Path) -> None:
    dropped, weighed = _confident(), _confident("reweight")
    assert dropped.suspects == weighed.suspects
    assert not np.allclose(dropped.predict_proba(TEXTS), weighed.predict_proba(TEXTS), atol=1e-4)


def test_related_rows_are_in_one_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = make_classifier(Probe(model="none", algorithm="confident_learning"))
    assert isinstance(classifier, ConfidentClassifier)
    folds: list[list[str]] = []

    class Recorder:
        learned_marks: frozenset[str] = frozenset()
        names = None

        def fit(self, examples: list[str], targets: object, **options: object) -> Recorder:
            folds.append(list(examples))
            return self

        def predict_proba(self, examples: list[str]) -> np.ndarray:  # type: ignore[type-arg]
            return np.full((len(examples), 2), 0.5)

    classifier.make = lambda part: Recorder()  # type: ignore[assignment, return-value]
    classifier.fit(TEXTS[:40], LABELS[:40], groups=[str(row // 4) for row in range(40)])
    for learned in folds[:-1]:
        rows = {TEXTS.index(text) for text in learned}
        assert all({4 * group + part for part in range(4)} <= rows for group in {row // 4 for row in rows})
    with pytest.raises(InputError, match="2 groups of related rows cannot be spread over 5 folds"):
        classifier.fit(TEXTS[:4], LABELS[:4], groups=["a", "a", "b", "b"])


def test_labels_name_the_algorithm_and_its_default_leaves_addresses_as_they_were() -> None:
    assert Tfidf(algorithm="confident_learning").label == "TF-IDF, confident learning, drop"
    assert Probe(model="m", algorithm="self_training").label == "m, self-training, 3 rounds"
    assert "algorithm" not in Tfidf().addressed()
    assert "algorithm" in Tfidf(algorithm="confident_learning").addressed()
