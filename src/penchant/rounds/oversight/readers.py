"""Those who read what advisors say, and give the probability that the first of two answers is right.

A reader is a classifier of prompts with two options, a judge, or counts how words overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from penchant.errors import InputError, RunError
from penchant.judges import Judge, Question, VerdictStore, ask, make_judge
from penchant.models.encoder import is_encoder, load_encoder
from penchant.models.load import load_renderer
from penchant.models.settings import ModelConfig
from penchant.rounds.oversight.calibration import Shares, fit_slope, scaled
from penchant.rounds.oversight.overlap import OverlapModel
from penchant.rounds.oversight.settings import ClassifierReader, JudgeReader, OverlapReader, ReaderSpec
from penchant.types import PromptGroup, Verdict
from penchant.weak.classifiers.features import ModelFeatures
from penchant.weak.classifiers.registry import load_classifier, make_classifier
from penchant.weak.contract import FITTED_FIRST, Classifier
from penchant.weak.settings import LanguageModel, Mlp, OwnClassifier, Probe, StudentSpec

HELD_OUT = 4
"""Of a classifier that learns, every so many-th labelled question is kept back, and settles how sure it may be."""
Truth = NDArray[np.int64]
"""Which answer is right, 0 or 1, shape (questions,)."""


@dataclass(frozen=True)
class Case:
    """A question as a reader is shown it.

    Attributes:
        text_above: what stands above the question, such as what advisors say; empty where nothing does.
    """

    question: str
    answers: tuple[str, str]
    text_above: str = ""

    @property
    def prompt(self) -> str:
        """The text that the answers follow."""
        # without a line of its own where nothing is shown: a blind reader sees the question as everybody asks it
        above = f"{self.text_above}\n\n" if self.text_above else ""
        return f"{above}Question: {self.question}\nAnswer:"

    @property
    def example(self) -> PromptGroup:
        """The case as classifiers take it."""
        # with the space that a model would write before an answer
        return PromptGroup(self.prompt, [f" {answer}" for answer in self.answers])


@dataclass
class Readings:
    """What was read already, so that another seed, which shows the same texts, reads none of them again.

    Attributes:
        folders: where activations of models may lie.
        prompted: classifiers that learn nothing, by their settings: one of them serves all seeds.
        shares: what these said of a case, by their settings and the case.
    """

    folders: tuple[Path, ...] = ()
    prompted: dict[str, Classifier] = field(default_factory=dict)
    shares: dict[tuple[str, Case], float] = field(default_factory=dict)


class Reader(Protocol):
    """Anything that says which of two answers is right.

    Attributes:
        has_order: whether it may prefer a place, so that it is asked in both orders.
        tokens: that it reads at once. unreadable: answers so far that named no winner. billed: tokens that endpoints
            counted.
    """

    has_order: bool
    tokens: int
    unreadable: int
    billed: int

    def length(self, text: str) -> int:
        """Return the length of a text in its tokens."""

    def fit(self, cases: Sequence[Case], truth: Truth) -> Self:
        """Learn from cases whose right answer is known."""

    def probabilities(self, cases: Sequence[Case]) -> Shares:
        """Return the probability that the first answer is right, shape (cases,)."""

    def save(self, folder: Path) -> dict[str, object]:
        """Write what it learned into a folder, and return the numbers that are not there."""

    def restore(self, folder: Path, numbers: Mapping[str, Any]) -> None:
        """Take back what `save` left."""


class WordCounts:
    """A reader that knows no word: a logistic regression on overlaps."""

    # it takes a difference of two answers, which is turned round with them
    has_order, unreadable, billed = False, 0, 0

    def __init__(self, settings: OverlapReader) -> None:
        self.tokens = settings.tokens
        self.model: OverlapModel | None = None

    def length(self, text: str) -> int:
        """Return the number of words."""
        return len(text.split())

    def fit(self, cases: Sequence[Case], truth: Truth) -> Self:
        """Fit the weights of overlaps; few weights on many questions need no calibration of their own."""
        self.model = OverlapModel.fit([(case.question, case.answers, case.text_above) for case in cases], truth)
        return self

    def probabilities(self, cases: Sequence[Case]) -> Shares:
        """Return the regression's probabilities.

        Raises:
            InputError: before `fit`.
        """
        if self.model is None:
            raise InputError(FITTED_FIRST)
        return self.model.predict([(case.question, case.answers, case.text_above) for case in cases])

    def save(self, folder: Path) -> dict[str, object]:
        """Return the weights: a handful of numbers."""
        return {"weights": [] if self.model is None else self.model.weights.tolist()}

    def restore(self, folder: Path, numbers: Mapping[str, Any]) -> None:
        """Take back the weights."""
        self.model = OverlapModel(np.array(numbers["weights"]))


class ReadingClassifier:
    """A reader that is a classifier of prompts with two options, with calibrated probabilities.

    Attributes:
        slope: by which its log-odds are multiplied.
    """

    has_order, unreadable, billed = False, 0, 0

    def __init__(self, settings: ClassifierReader, seed: int = 0, readings: Readings | None = None) -> None:
        self.tokens, self.slope, self.readings = settings.tokens, 1.0, readings or Readings()
        self.spec: StudentSpec = settings.classifier
        if isinstance(self.spec, LanguageModel):
            # its own limit would cut silently what is cut and counted here
            self.spec = self.spec.replace(longest=max(8, settings.tokens))
        self.classifier: Classifier = make_classifier(
            self.spec, names=("first", "second"), seed=seed, activations=self.readings.folders
        )
        # one that is shown examples in its prompt reads otherwise with every seed
        is_fixed = isinstance(self.spec, LanguageModel) and self.spec.training is None and not self.spec.shot_count
        self._shared_key = repr(self.spec) if is_fixed else ""
        self._length = counter_of(self.spec)

    def length(self, text: str) -> int:
        """Return the number of tokens, or of words where the classifier has no tokenizer."""
        return self._length(text)

    def fit(self, cases: Sequence[Case], truth: Truth) -> Self:
        """Fit the classifier, and settle how sure it may be by questions that it did not learn from."""
        indices = np.arange(len(cases))
        # by question: a debate shows each in two orders, of which one would tell what the other asks
        numbers = {question: number for number, question in enumerate(dict.fromkeys(case.question for case in cases))}
        is_held_out = np.array([numbers[case.question] % HELD_OUT == HELD_OUT - 1 for case in cases], dtype=bool)
        # one that learns nothing knows none of them by heart, so all of them settle it
        learned_places, held_indices = (
            (indices, indices) if is_prompted(self.spec) else (indices[~is_held_out], indices[is_held_out])
        )
        learned_examples = [cases[index].example for index in learned_places.tolist()]
        # a prompted model is loaded once for all seeds: its weights are the same, and its slope is each seed's own
        if self._shared_key in self.readings.prompted:
            self.classifier = self.readings.prompted[self._shared_key]
        else:
            self.classifier.fit(learned_examples, truth[learned_places], classes=2)
        if self._shared_key:
            self.readings.prompted[self._shared_key] = self.classifier
        # of an earlier fit, or the new one would be a slope of scaled numbers
        self.slope = 1.0
        self.slope = fit_slope(
            self.probabilities([cases[index] for index in held_indices.tolist()]), truth[held_indices] == 0
        )
        return self

    def probabilities(self, cases: Sequence[Case]) -> Shares:
        """Return the classifier's probabilities, calibrated."""
        if not cases:
            return np.zeros(0)
        if not self._shared_key:
            return scaled(self._read(cases), self.slope)
        # before they are scaled: the slope is what differs between seeds
        known_shares = self.readings.shares
        missing = [case for case in dict.fromkeys(cases) if (self._shared_key, case) not in known_shares]
        if missing:
            read = self._read(missing).tolist()
            known_shares |= {(self._shared_key, case): share for case, share in zip(missing, read, strict=True)}
        return scaled(np.array([known_shares[self._shared_key, case] for case in cases]), self.slope)

    def _read(self, cases: Sequence[Case]) -> Shares:
        predicted = self.classifier.predict_proba([case.example for case in cases])
        return np.asarray(predicted[:, 0], dtype=np.float64)

    def save(self, folder: Path) -> dict[str, object]:
        """Write the classifier, and return the slope of its log-odds."""
        self.classifier.save(folder)
        return {"slope": self.slope}

    def restore(self, folder: Path, numbers: Mapping[str, Any]) -> None:
        """Take back classifier and slope."""
        # of a class of the user's the settings name the code, which the folder's own word may not
        code = self.spec.factory if isinstance(self.spec, OwnClassifier) else None
        self.classifier, self.slope = load_classifier(folder, code=code), float(numbers["slope"])


class ReadingJudge:
    """A reader that is a judge; every verdict is kept in the store as it comes."""

    # judges prefer a place, some of them strongly
    has_order = True

    def __init__(self, settings: JudgeReader, store: VerdictStore | None = None) -> None:
        self.tokens, self.store = settings.tokens, store
        self.judge: Judge = make_judge(settings.judge)
        self.unreadable = self.billed = 0

    def length(self, text: str) -> int:
        """Return the number of words: the tokens of a model elsewhere are not known here."""
        return len(text.split())

    def fit(self, cases: Sequence[Case], truth: Truth) -> Self:
        """Learn nothing: a judge says what it says."""
        return self

    def probabilities(self, cases: Sequence[Case]) -> Shares:
        """Return what the judge's verdicts say: its confidence where it states one, else 1; a half where it names none.

        Raises:
            RunError: calls failed. Verdicts that came are in the store, and the same command asks for the others.
        """
        pairs = [Question(_judge_prompt(case), *case.answers) for case in cases]
        # both orders are the protocol's work: it changes the advisors' order with that of the answers
        answers = ask(self.judge, pairs, store=self.store, orders="one")
        verdicts = [answer.first for answer in answers]
        if waiting := sum(verdict is None or not verdict.final for verdict in verdicts):
            raise RunError(
                f"{waiting} of {len(pairs)} questions have no verdict, since calls of the judge failed. Those that "
                "came are kept: give the same command again"
            )
        self.unreadable += sum(verdict is not None and verdict.winner == "unparseable" for verdict in verdicts)
        self.billed += sum(verdict.tokens for verdict in verdicts if verdict is not None)
        return np.array([_share(verdict) for verdict in verdicts if verdict is not None])

    def save(self, folder: Path) -> dict[str, object]:
        """Return nothing: its verdicts lie in the store."""
        return {}

    def restore(self, folder: Path, numbers: Mapping[str, Any]) -> None:
        """Take back nothing."""


def make_reader(
    settings: ReaderSpec, *, store: VerdictStore | None = None, seed: int = 0, readings: Readings | None = None
) -> Reader:
    """Return the reader that settings describe.

    Args:
        store: where a judge's verdicts are kept. seed: of what a classifier draws. readings: what was read already.
    """
    match settings:
        case OverlapReader():
            return WordCounts(settings)
        case ClassifierReader():
            return ReadingClassifier(settings, seed, readings)
        case JudgeReader():
            return ReadingJudge(settings, store)


def is_prompted(spec: StudentSpec) -> bool:
    """Return whether a classifier is a model as it is, which learns nothing."""
    return isinstance(spec, LanguageModel) and spec.training is None


def read_once(settings: ReaderSpec, cases: Sequence[Case], folder: Path) -> tuple[Path, ...]:
    """Write the activations of all cases that a probe will read, so that its seeds share them; return where they lie.

    Nothing is written for another reader.
    """
    spec = settings.classifier if isinstance(settings, ClassifierReader) else None
    if not isinstance(spec, Probe | Mlp) or not cases:
        return ()
    # seeds that learn from other questions show the same texts, and reading them takes nearly all of the time
    folder.mkdir(parents=True, exist_ok=True)
    features = ModelFeatures(spec.model, spec.layer, dtype=spec.dtype, folder=folder)
    features([case.example for case in cases])
    return (folder,)


def counter_of(spec: StudentSpec) -> Callable[[str], int]:
    """Return what counts the tokens of a classifier's model; its words where it has no model."""
    name = getattr(spec, "model", None)
    if not isinstance(name, str):
        return lambda text: len(text.split())
    # built-in encoders are no language models, and their tokenizer comes with the weights
    encoder = is_encoder(name)
    tokenizer = load_encoder(ModelConfig(name=name)).tokenizer if encoder else load_renderer(name).tokenizer
    return lambda text: len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]) if text else 0


def _judge_prompt(case: Case) -> str:
    """Return what a judge is asked: the question, and below it what was said."""
    return f"{case.question}\n\nWhat was said on it:\n{case.text_above}" if case.text_above else case.question


def _share(verdict: Verdict) -> float:
    """Return the probability of the first answer that a verdict states."""
    # a tie, or no answer that can be read: of which one is right nothing is known
    if verdict.winner not in ("a", "b"):
        return 0.5
    # a model may state a confidence in its winner below a half, which would turn it round
    confidence = 1.0 if verdict.confidence is None else max(verdict.confidence, 0.5)
    return confidence if verdict.winner == "a" else 1 - confidence
