"""Settings of the study of few and wrong labels. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from penchant.config import Config
from penchant.config.limits import Seed
from penchant.studies.core.settings import LimitedStudy
from penchant.studies.labels.names import unknown_task
from penchant.tasks.own_file import TaskName
from penchant.weak.augmentation.settings import SlowAugmentation, Views, WordDropout
from penchant.weak.semi_supervised.settings import (
    AnyAlgorithm,
    ConfidentLearning,
    DivideMix,
    FixMatch,
    FlexThreshold,
    FreeThreshold,
    LabelVectors,
    MeanTeacher,
    SelfTraining,
    SoftThreshold,
    Supervised,
    Uda,
)
from penchant.weak.settings import Cnn, Mlp, augmentations_of

Algorithms = tuple[AnyAlgorithm, ...]
Rate = Annotated[float, Field(ge=0, lt=1)]
NoiseKind = Literal["symmetric", "asymmetric", "model"]
LARGEST_ASYMMETRIC = 0.5
"""Rate below which the true class is still the more frequent one."""
NEEDS_UNLABELED = (SelfTraining, MeanTeacher, FixMatch, Uda)


class FewLabels(Config):
    """Clean labels of a few rows, beside rows without a label."""

    counts: Annotated[tuple[Annotated[int, Field(ge=2, le=1_000_000)], ...], Field(min_length=1)] = (
        10,
        20,
        50,
        100,
        200,
        500,
        1000,
    )
    """Numbers of clean labels in all, as many of each class as there can be; all other rows keep no label."""
    algorithms: Algorithms = (
        SelfTraining(),
        MeanTeacher(),
        FixMatch(),
        FixMatch(threshold=FlexThreshold()),
        FixMatch(threshold=FreeThreshold()),
        FixMatch(threshold=SoftThreshold()),
        Uda(),
    )
    """What is made of rows without a label. Supervised training of the same network, and a linear classifier on the
    same labels, always stand beside them."""


class WrongLabels(Config):
    """A label for every row, of which some are wrong."""

    kinds: Annotated[tuple[NoiseKind, ...], Field(min_length=1)] = ("symmetric", "asymmetric", "model")
    """Which labels are wrong: `symmetric`: another class, drawn evenly, and never the true one; `asymmetric`: of every
    second class the next one, at this rate within these classes; `model`: the mistakes of a weak model (TF-IDF of
    texts, a linear classifier of pixels) that learned from a few true labels of other rows."""
    rates: Annotated[tuple[Rate, ...], Field(min_length=1)] = (0.2, 0.4, 0.6)
    """Shares of wrong labels, for the first two kinds; an asymmetric rate from one half on is left out, since the wrong
    class would be the more frequent one."""
    model_rows: Annotated[tuple[Annotated[int, Field(ge=4, le=1_000_000)], ...], Field(min_length=1)] = (20, 100, 400)
    """True labels that weak models learn from. How often each is wrong is measured."""
    held_out: Annotated[float, Field(gt=0, lt=0.9)] = 0.1
    """Share of the rows by whose wrong labels the best epoch is chosen; nothing learns from them."""
    algorithms: Algorithms = (DivideMix(divide=False), DivideMix(), ConfidentLearning())
    """What is made of wrong labels. Supervised training (at its last step, and at its best epoch by labels that were
    held out) and a linear classifier always stand beside them."""


class Together(Config):
    """A few clean labels beside a wrong one for every other row."""

    kind: NoiseKind = "symmetric"
    """Which of the other labels are wrong, as above."""
    rate: Rate = 0.4
    """Share of wrong labels, for the first two kinds."""
    model_rows: Annotated[int, Field(ge=4, le=1_000_000)] = 100
    """True labels that the weak model learns from, for `model`."""
    algorithms: Algorithms = (Supervised(), DivideMix())
    """What is made of both together, without telling them apart. Beside them stands training on the wrong labels whose
    best epoch the clean labels choose."""


class LabelsConfig(LimitedStudy):
    """I have n clean labels, m weak ones and p rows without any: what should I do? Accuracy against the number of clean
    labels, and against the rate and kind of wrong ones, for every method beside its controls."""  # noqa: D205 - the help is this text as a whole

    method: ClassVar[str] = "labels"
    # every class has to be among the tests
    fewest: ClassVar[Mapping[str, int]] = {"train": 200, "test": 100}

    tasks: Annotated[tuple[TaskName, ...], Field(min_length=1)] = ("digits",)
    """Texts: names of tasks such as `subjectivity` (files in the folder `data`, or what PENCHANT_DATA names, or the
    hub), a file of your own with a text and a label per row, or `usb:FOLDER`, a data set of the benchmark USB with its
    back-translations (`train.json`, `test.json`). Pictures: `digits` (comes with scikit-learn), `fashion_mnist`, a
    folder with a folder per class, or `hub:org/name`."""
    columns: dict[Literal["text", "label", "group", "split"], str | None] = Field(default_factory=dict)
    """Of files of your own: which columns hold what, as in `study weak-to-strong`."""
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """Of a file of your own without a column of splits: the share of rows to test on, by content."""
    train: Annotated[int | None, Field(ge=40, le=1_000_000_000)] = 3000
    """Rows to learn from, at most; clean labels, wrong labels and rows without one are all of these."""
    test: Annotated[int | None, Field(ge=20, le=1_000_000_000)] = 2000
    """Rows to test on, at most."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0, 1, 2, 3, 4)
    """Each draws other clean labels and other wrong ones, and starts the network elsewhere. All seeds of a cell train
    in one pass."""
    texts: Mlp = Mlp(model="minilm-l6", views=Views(strong=(WordDropout(),)))
    """The network on texts: a small one on the features of a frozen model. Its steps and batches are those of every
    method; its `algorithm` is what the methods below replace."""
    pictures: Cnn = Cnn()
    """The network on pictures, trained from scratch."""
    few: FewLabels | None = FewLabels()
    """Accuracy against the number of clean labels; null leaves it out, here and below."""
    wrong: WrongLabels | None = WrongLabels()
    """Accuracy against the rate of wrong labels."""
    together: Together | None = Together()
    """Clean labels beside wrong ones, for each number in `few.counts`."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if problems := [problem for name in self.tasks if (problem := unknown_task(name))]:
            raise ValueError("; ".join(problems))
        # its cells would be one set, and be reported as two
        if len(set(self.tasks)) < len(self.tasks):
            raise ValueError("`tasks` names one more than once: give each once")
        if self.few is None and self.wrong is None:
            raise ValueError("there is nothing to compare: `few` and `wrong` are both null")
        # its cells would be left out without a word
        if self.few is None and self.together is not None:
            raise ValueError(
                "`together` takes its numbers of clean labels from `few.counts`, and `few` is null: set "
                "`together: null` too, or give `few`"
            )
        # a setting that the study replaces would be ignored without a word
        for name in ("texts", "pictures"):
            network = getattr(self, name)
            if not isinstance(network.algorithm, Supervised) or network.rows is not None:
                raise ValueError(
                    f"`{name}.algorithm` and `{name}.rows` are what this study varies: set `few.algorithms`, "
                    "`wrong.algorithms` and `few.counts`"
                )
        changes = (*augmentations_of(self.texts), *augmentations_of(self.pictures))
        # the address of a stage would hold their names, and not what these do
        if any(isinstance(change, SlowAugmentation) for change in changes):
            raise ValueError(
                "a function of your own and a translation are no augmentations of this study: take those that are "
                "built in, or train such a student by `penchant weak train`"
            )
        if self.texts.confident_share is not None:
            raise ValueError("`texts.confident_share` keeps a part of weak labels, which this study has no use for")
        return self

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        # each would fail in its cell, after all others had trained
        parts = {"few": self.few, "wrong": self.wrong, "together": self.together}
        for name, part in parts.items():
            for algorithm in part.algorithms if part is not None else ():
                if problem := _unusable(algorithm, with_unlabeled=name == "few"):
                    raise ValueError(f"`{name}.algorithms` has {algorithm.name}: {problem}")
        if self.wrong is not None and set(self.wrong.kinds) == {"asymmetric"}:
            _check_asymmetric("wrong.rates", min(self.wrong.rates))
        if self.together is not None and self.together.kind == "asymmetric":
            _check_asymmetric("together.rate", self.together.rate)
        return self


def _unusable(algorithm: AnyAlgorithm, *, with_unlabeled: bool) -> str:
    """Return why a part of this study has no use for an algorithm; empty where it has."""
    if isinstance(algorithm, LabelVectors):
        return "it needs classifiers of other attributes, which this study has none of: see `penchant weak train`"
    if isinstance(algorithm, SelfTraining) and algorithm.noise:
        return "its `noise` changes texts, and this study keeps features: leave it out"
    if not with_unlabeled and isinstance(algorithm, NEEDS_UNLABELED):
        return "it learns from rows without labels, and here every row has one: it belongs to `few.algorithms`"
    return ""


def _check_asymmetric(name: str, rate: float) -> None:
    if rate >= LARGEST_ASYMMETRIC:
        raise ValueError(
            f"`{name}`: asymmetric labels of which {rate:g} are wrong have the wrong class more often than the true "
            f"one: give a rate below {LARGEST_ASYMMETRIC:g}"
        )
