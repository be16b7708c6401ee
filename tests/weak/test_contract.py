"""One suite that every classifier has to pass: those of texts, of a prompt's options, and those that learn nothing."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline

from penchant.errors import InputError
from penchant.image import Image
from penchant.types import PromptGroup
from penchant.weak.classifiers.chess_engine import ChessEngineClassifier
from penchant.weak.classifiers.cnn import CnnClassifier
from penchant.weak.classifiers.language_model import LanguageModelClassifier
from penchant.weak.classifiers.mlp import MlpClassifier
from penchant.weak.classifiers.probe import ProbeClassifier
from penchant.weak.classifiers.registry import load_classifier, make_classifier
from penchant.weak.classifiers.tfidf import SklearnClassifier
from penchant.weak.contract import (
    Classifier,
    Example,
    Probabilities,
    in_other_words,
    marks_of,
    only_images,
    width_of,
)
from penchant.weak.settings import ChessEngine, Cnn, LanguageModel, Mlp, Probe, Tfidf, Words

GOOD, BAD, LONG = ("fine", "lovely", "warm"), ("dull", "awful", "cold"), ("long", "slow", "endless")
TRAINING = {"epochs": 6, "batch_size": 14, "learning_rate": 2e-3, "head_learning_rate": 1e-2}
SIZE = 42


def _texts(seed: int, *kinds: Sequence[str]) -> tuple[list[Example], np.ndarray]:
    rng, kinds = np.random.default_rng(seed), kinds or (BAD, GOOD)
    labels = np.arange(SIZE) % len(kinds)
    rows = [f"film {n} by {rng.choice(['Ann', 'Bob'])}: {rng.choice(kinds[label])}" for n, label in enumerate(labels)]
    return list(rows), labels


def _of_three(seed: int) -> tuple[list[Example], np.ndarray]:
    return _texts(seed, BAD, GOOD, LONG)


def _pictures(seed: int) -> tuple[list[Example], np.ndarray]:
    """A bright bar that lies, stands or slants."""
    rng = np.random.default_rng(seed)
    labels = np.arange(SIZE) % 3
    rows: list[Example] = []
    for label in labels.tolist():
        pixels = rng.integers(0, 60, (8, 8), dtype=np.uint8)
        line = np.arange(1, 7)
        middle = np.full(6, rng.integers(3, 5))
        pixels[(middle, line, line)[label], (line, middle, line)[label]] = 255
        rows.append(Image.make(pixels))
    return rows, labels


def _own_estimator() -> Any:
    return make_pipeline(CountVectorizer(), MultinomialNB(alpha=0.01))


def _pairs(seed: int) -> tuple[list[Example], np.ndarray]:
    """Of two films the one with a good word is preferred."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, SIZE)
    rows: list[Example] = []
    for number, label in enumerate(labels):
        options = [f" It was a {rng.choice(words)} film." for words in (BAD, GOOD)]
        rows.append(PromptGroup(f"Ann saw film {number}.", options if label else options[::-1]))
    return rows, labels


def _positions(seed: int) -> tuple[list[Example], np.ndarray]:
    """A queen that can be taken, and a mate on the back rank, each beside a move that does neither."""
    import chess

    from penchant.tasks.positions import prompt_of

    rows: list[Example] = []
    for fen, moves in (
        ("4k3/8/8/3q4/4P3/8/8/4K3 w - -", [" e1e2", " e4d5"]),
        ("6k1/5ppp/8/8/8/8/8/R5K1 w - -", [" a1a8", " a1a2"]),
    ):
        rows.append(PromptGroup(prompt_of(chess.Board(f"{fen} 0 1"), chess.Move.from_uci("a7a6")), moves))
    return rows, np.array([1, 0])


@dataclass(frozen=True)
class Case:
    """A kind of classifier.

    Attributes:
        make: a fresh one. rows: examples with their right answers, of a seed.
        learns: whether it takes anything from targets. right: whether it should be right of unseen rows.
        classes: how many the rows have, or how many options. shown: examples that stand in its prompt.
    """

    make: Callable[[], Classifier]
    rows: Callable[[int], tuple[list[Example], np.ndarray]]
    learns: bool = True
    right: bool = True
    classes: int = 2
    shown: int = 0


QUICK = (
    "tfidf",
    "an estimator of one's own, three classes",
    "small network",
    "convolutional network",
    "probe",
    "probe, three classes",
    "probe of pairs",
)
"""Those that are fitted within a fraction of a second."""
CASES = (
    "tfidf",
    "an estimator of one's own, three classes",
    "probe",
    "probe, three classes",
    "probe of an encoder",
    "small network",
    "convolutional network",
    "head",
    "adapters",
    "words, three classes",
    "prompted",
    "prompted, no shots",
    "probe of pairs",
    "reward",
    "words of pairs",
    "prompted pairs",
    "prompted pairs, no shots",
    "engine",
)


def _case(name: str, stories: str, encoder: str) -> Case:
    def lm(**settings: Any) -> Callable[[], Classifier]:
        spec = LanguageModel(**{"model": stories, "training": TRAINING, "device": "cpu", **settings})
        return lambda: make_classifier(spec)

    words, no_views = {"name": "words"}, {"weak": [], "strong": []}
    cnn = Cnn(steps=40, batch_size=16, width=8, learning_rate=0.01, views=no_views)
    shots = {"reading": words | {"shots": 2}, "training": None}
    own = partial(SklearnClassifier, _own_estimator)
    no_shots = {"reading": words, "training": None}
    lora = {"lora": {"rank": 8, "alpha": 32}, "training": TRAINING | {"learning_rate": 1e-2}}
    probe, mlp = Probe(model=stories, layer=3), Mlp(model=stories, layer=3, steps=80, learning_rate=0.02)
    cases = {
        "tfidf": Case(lambda: make_classifier(Tfidf(), names=["bad", "good"]), _texts),
        "an estimator of one's own, three classes": Case(own, _of_three, classes=3),
        "probe": Case(lambda: make_classifier(probe, names=["bad", "good"]), _texts),
        "probe, three classes": Case(lambda: make_classifier(probe), _of_three, classes=3),
        "probe of an encoder": Case(lambda: make_classifier(Probe(model=encoder)), _texts),
        "small network": Case(lambda: make_classifier(mlp), _of_three, classes=3),
        "convolutional network": Case(lambda: make_classifier(cnn), _pictures, classes=3),
        "head": Case(lm(reading={"name": "head", "init": "unembedding"}), _texts),
        "adapters": Case(lm(**lora), _texts),
        "words, three classes": Case(lm(reading=words), _of_three, classes=3),
        "prompted": Case(lm(**shots), _texts, learns=False, right=False, shown=2),
        "prompted, no shots": Case(lm(**no_shots), _texts, learns=False, right=False),
        "probe of pairs": Case(lambda: make_classifier(probe), _pairs),
        "reward": Case(lm(), _pairs),
        "words of pairs": Case(lm(reading=words), _pairs),
        "prompted pairs": Case(lm(**shots), _pairs, learns=False, right=False, shown=2),
        "prompted pairs, no shots": Case(lm(**no_shots), _pairs, learns=False, right=False),
        "engine": Case(lambda: make_classifier(ChessEngine(depth=4)), _positions, learns=False),
    }
    assert tuple(cases) == CASES
    return cases[name]


@dataclass(frozen=True)
class Fitted:
    """A case with a classifier that was fitted to its rows, once for all tests, and what it says of unseen ones."""

    name: str
    case: Case
    classifier: Classifier
    rows: Sequence[Example]
    labels: np.ndarray
    unseen: Sequence[Example]
    truth: np.ndarray
    said: Probabilities


@pytest.fixture(scope="module", params=CASES)
def fitted(request: pytest.FixtureRequest, stories: str, encoder: str) -> Fitted:
    if request.param == "engine":
        request.getfixturevalue("stockfish")
    case = _case(request.param, stories, encoder)
    (rows, labels), (unseen, truth) = case.rows(0), case.rows(1)
    classifier = case.make().fit(rows, labels)
    return Fitted(request.param, case, classifier, rows, labels, unseen, truth, classifier.predict_proba(unseen))


def test_answers_are_probabilities_and_right_where_it_can_learn(fitted: Fitted) -> None:
    assert fitted.said.shape == (len(fitted.unseen), fitted.case.classes)
    assert fitted.said.dtype == np.float64
    np.testing.assert_allclose(fitted.said.sum(-1), 1, atol=1e-6)
    assert (fitted.said >= 0).all()
    if fitted.case.right:
        assert (fitted.said.argmax(-1) == fitted.truth).mean() > 0.95


def test_one_hot_targets_are_classes_and_the_same_twice(fitted: Fitted) -> None:
    targets = np.eye(fitted.case.classes)[fitted.labels]
    again = fitted.case.make()
    assert again.fit(fitted.rows, targets) is again
    np.testing.assert_array_equal(targets, np.eye(fitted.case.classes)[fitted.labels])  # left as they were
    np.testing.assert_array_equal(again.predict_proba(fitted.unseen), fitted.said)
    np.testing.assert_array_equal(again.predict_proba(fitted.unseen), fitted.said)  # asking changes nothing


def test_soft_targets_teach_how_sure_to_be_and_a_validation_teaches_nothing(fitted: Fitted) -> None:
    other = fitted.unseen, fitted.case.classes - 1 - fitted.truth
    classes = fitted.case.classes
    soft = 0.6 * np.eye(classes)[fitted.labels] + 0.4 / classes
    unsure = fitted.case.make().fit(fitted.rows, soft, validation=other)
    said = unsure.predict_proba(fitted.unseen)
    if fitted.case.learns:
        assert said.max(-1).mean() < fitted.said.max(-1).mean() - 0.05
        assert (said.argmax(-1) == fitted.truth).mean() > 0.8  # not those of the validation
    else:
        np.testing.assert_array_equal(said, fitted.said)


def test_what_is_saved_says_the_same(fitted: Fitted, tmp_path: Path) -> None:
    fitted.classifier.save(tmp_path / "kept")
    opened = load_classifier(tmp_path / "kept")
    # activations are kept with three digits, and the last one depends on which texts are read together
    np.testing.assert_allclose(opened.predict_proba(fitted.unseen), fitted.said, atol=2e-4)
    assert opened.names == fitted.classifier.names
    assert opened.learned_marks == fitted.classifier.learned_marks


def test_it_knows_what_it_learned_from(fitted: Fitted) -> None:
    """All that it was fitted to, the shots that it is shown, or nothing; a validation is no part of it."""
    assert len(fitted.classifier.learned_marks) == (len(fitted.rows) if fitted.case.learns else fitted.case.shown)
    assert fitted.classifier.learned_marks <= set(marks_of(fitted.rows))


def test_marks_do_not_tell_apart_what_a_reader_takes_for_the_same() -> None:
    a, b = PromptGroup("So?", ["Yes.", "No."]), PromptGroup("so", ["no", "yes"])
    assert len(set(marks_of([a, b]))) == 1
    assert len(set(marks_of(["A film!", " a  FILM", "a film"]))) == 1
    assert len(set(marks_of(["a film", "a firm", PromptGroup("a", ["film", "b"])]))) == 3
    assert marks_of(["?!"]) == [""]


@pytest.mark.parametrize(
    ("targets", "classes", "message"),
    [
        (lambda size: np.full(size, 2), 2, "between 0 and 1"),
        (lambda size: np.full(size, -1), 2, "Snorkel"),
        (
            lambda size: [0] * (size - 1) + [-1],
            None,
            r"1 of .* labels are -1 .*example \d+\).* no label, as in Snorkel",
        ),
        (lambda size: [0] * (size - 1), None, "a target for each"),
        (lambda size: [0.5] * size, None, "classes, integers"),
        (lambda size: [np.inf] * size, None, "classes, integers"),
        (lambda size: ["good"] * size, None, "classes, integers .* got <U4 of shape"),
        (lambda size: [[1.0]] * (size - 1) + [[0.5, 0.5]], None, "classes, integers"),
        (lambda size: [[0.5, 0.6]] * size, None, "sum to 1"),
        (lambda size: [[1.5, -0.5]] * size, None, "sum to 1"),
        (lambda size: [[np.nan, 1.0]] * size, None, "sum to 1"),
        (lambda size: [[0.5, 0.5]] * size, 3, "expected 3"),
    ],
)
def test_targets_that_cannot_be(
    fitted: Fitted, targets: Callable[[int], Any], classes: int | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        fitted.case.make().fit(fitted.rows, targets(len(fitted.rows)), classes=classes)


def test_no_examples_one_class_and_the_other_kind_of_example(fitted: Fitted) -> None:
    with pytest.raises(InputError, match="a target for each example"):
        fitted.case.make().fit([], [])
    texts = isinstance(fitted.rows[0], str)
    if fitted.case.learns and not isinstance(fitted.rows[0], PromptGroup):
        with pytest.raises(InputError, match="have the class 1: nothing can be told apart"):
            fitted.case.make().fit(fitted.rows, np.ones(len(fitted.rows), dtype=int))
    other: Example = PromptGroup("Ann", [" ran.", " sat."]) if texts else "a fine film"
    with pytest.raises(InputError, match=r"single texts|have no options|without options|the two do not mix|pictures"):
        fitted.case.make().fit([other, *fitted.rows[1:]], fitted.labels)
    with pytest.raises(
        InputError, match=r"single texts|of the other kind|without (any|options)|the two do not mix|pictures"
    ):
        fitted.classifier.predict_proba([other])


def test_of_no_examples_there_is_no_answer(fitted: Fitted) -> None:
    assert fitted.classifier.predict_proba([]).shape == (0, fitted.case.classes)


def test_fit_comes_first(fitted: Fitted, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="call fit"):
        fitted.case.make().predict_proba(fitted.unseen)
    with pytest.raises(InputError, match="call fit"):
        fitted.case.make().save(tmp_path / "nowhere")


def test_equal_weights_change_nothing_and_a_weight_of_zero_leaves_a_row_out(fitted: Fitted) -> None:
    """Half of the rows have wrong labels and weight 0: what is learned is what the other half alone teaches."""
    if fitted.name in QUICK:
        _check_weights(fitted)


@pytest.mark.slow
def test_weights_of_those_that_are_fine_tuned(fitted: Fitted) -> None:
    if fitted.case.learns and fitted.name not in QUICK:
        _check_weights(fitted)


def _check_weights(fitted: Fitted) -> None:
    size = len(fitted.rows)
    equal = fitted.case.make().fit(fitted.rows, fitted.labels, weights=[3.0] * size).predict_proba(fitted.unseen)
    np.testing.assert_allclose(equal, fitted.said, atol=1e-5)
    kept = np.arange(size) < size // 2
    wrong = np.where(kept, fitted.labels, (fitted.labels + 1) % fitted.case.classes)
    weighted = fitted.case.make().fit(fitted.rows, wrong, weights=kept * 2.0)
    half = fitted.case.make().fit(fitted.rows[: size // 2], fitted.labels[: size // 2], classes=fitted.case.classes)
    # activations are kept with three digits, and the last one depends on which texts are read together
    np.testing.assert_allclose(weighted.predict_proba(fitted.unseen), half.predict_proba(fitted.unseen), atol=2e-4)
    assert weighted.learned_marks == half.learned_marks
    # of rows that contradict each other the heavier ones are learned
    both, size = [*fitted.rows, *fitted.rows], len(fitted.rows)
    labels = np.concatenate([fitted.labels, (fitted.labels + 1) % fitted.case.classes])
    weights = np.repeat([1.0, 0.02], size)
    said = fitted.case.make().fit(both, labels, weights=weights).predict_proba(fitted.unseen)
    assert (said.argmax(-1) == fitted.truth).mean() > 0.8
    said = fitted.case.make().fit(both, labels, weights=weights[::-1]).predict_proba(fitted.unseen)
    assert (said.argmax(-1) == fitted.truth).mean() < 0.4


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (lambda size: [1.0] * (size - 1), "one for each example"),
        (lambda size: [1.0] * (size - 1) + [-0.5], "at least 0, got -0.5 for example"),
        (lambda size: [np.nan] + [1.0] * (size - 1), "got nan for example 0"),
        (lambda size: [0.0] * size, "all .* weights are 0"),
        (lambda size: ["much"] * size, "must be numbers"),
    ],
)
def test_weights_that_cannot_be(fitted: Fitted, weights: Callable[[int], Any], message: str) -> None:
    if fitted.name in ("tfidf", "probe", "words, three classes", "reward"):  # one way in for each kind
        with pytest.raises(InputError, match=message):
            fitted.case.make().fit(fitted.rows, fitted.labels, weights=weights(len(fitted.rows)))


def test_what_learns_from_labelled_rows_alone_refuses_others(fitted: Fitted) -> None:
    # features are standardized over them, and an algorithm may learn from them
    if fitted.name in ("small network", "convolutional network"):
        return
    with pytest.raises(InputError, match="learns from labelled examples alone"):
        fitted.case.make().fit(fitted.rows, fitted.labels, unlabeled=fitted.unseen)


@pytest.mark.parametrize(
    "kind",
    [SklearnClassifier, ProbeClassifier, MlpClassifier, CnnClassifier, LanguageModelClassifier, ChessEngineClassifier],
)
def test_every_kind_has_the_contracts_signatures(kind: type) -> None:
    """Others may follow, by name and not needed."""
    for name in ("fit", "predict_proba", "save"):
        wanted, found = (inspect.signature(getattr(of, name)).parameters.values() for of in (Classifier, kind))
        given = [(one.name, one.kind, one.default) for one in wanted]
        own = [(one.name, one.kind, one.default) for one in found]
        assert own[: len(given)] == given
        assert all(kind == inspect.Parameter.KEYWORD_ONLY and default is None for _, kind, default in own[len(given) :])


def test_pictures_are_known_by_their_pixels_and_refused_by_readers_of_texts(stories: str) -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    images: list[Example] = [Image.make(pixels + number) for number in range(3)]
    again = Image.make(np.stack([pixels] * 3, -1))
    assert marks_of([images[0]]) == marks_of([again])
    assert len(set(marks_of([*images, "picture"]))) == 4
    assert width_of(images) == 0
    with pytest.raises(InputError, match="1 of 2 examples are pictures, the others are not"):
        width_of([images[0], "a text"])
    with pytest.raises(InputError, match=r"write \[example\]"):
        width_of(again)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a picture is a picture, and a template is for texts"):
        in_other_words(images[0], "so: {text}")
    with pytest.raises(InputError, match="a network reads pictures, and 1 of 2 examples are texts"):
        only_images([images[0], "a text"], "a network")
    for spec in (Tfidf(), Probe(model=stories), LanguageModel(model=stories, training=None, reading=Words())):
        with pytest.raises(InputError, match="reads texts, and 3 of 3 examples are pictures: take `name: cnn`"):
            make_classifier(spec, names=["a", "b"]).fit(images, [0, 1, 0])
    with pytest.raises(InputError, match="a picture without options"):
        ChessEngineClassifier(ChessEngine()).fit(images, [0, 1, 0])
