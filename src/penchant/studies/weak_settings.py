"""What the weak-to-strong study may be told. Imports no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from penchant.config import Config
from penchant.losses.weak_settings import AdaptiveConfidence, Confidence, CrossEntropy, Filtered, Product, WeakLoss
from penchant.studies.settings import Count, Study
from penchant.tasks.load import NAMES

Rows = Annotated[int | None, Field(ge=10)]


class TfidfSupervisor(Config):
    """Logistic regression on TF-IDF weights of words and pairs of words."""

    name: Literal["tfidf"] = "tfidf"
    rows: Rows = None
    """It learns from so many rows of its half; all if not given."""

    @property
    def label(self) -> str:
        return f"TF-IDF{_of(self.rows)}"


class ProbeSupervisor(Config):
    """A linear probe of a (small) language model's activations."""

    name: Literal["probe"] = "probe"
    model: Annotated[str, Field(min_length=1)]
    """A built-in name, a folder or a hub id."""
    layer: int = -1
    """Activations after this layer; 0 is the embedding, negative ones count from the last."""
    rows: Rows = None
    """It learns from so many rows of its half; all if not given."""

    @property
    def label(self) -> str:
        return f"{_short(self.model)}{_at(self.layer)}{_of(self.rows)}"


Supervisor = Annotated[TfidfSupervisor | ProbeSupervisor, Field(discriminator="name")]


class Student(Config):
    """A linear probe of a language model's activations."""

    shorthand: ClassVar[str] = "model"

    model: Annotated[str, Field(min_length=1)]
    """A built-in name, a folder or a hub id."""
    layer: int = -1
    """Activations after this layer; 0 is the embedding, negative ones count from the last."""

    @property
    def label(self) -> str:
        return f"{_short(self.model)}{_at(self.layer)}"


class WeakToStrongConfig(Study):
    """How much of the gap between a weak supervisor and a strong model's ceiling is recovered by a student that learns
    from the supervisor's labels alone."""

    method: ClassVar[str] = "weak-to-strong"

    tasks: Annotated[tuple[str, ...], Field(min_length=1)] = ("sst2",)
    """Names of tasks: files in the folder that PENCHANT_DATA names, or the hub."""
    train: Annotated[int | None, Field(ge=40)] = 5000
    """Rows to train on, at most; half of them for the supervisor, half for it to label."""
    test: Annotated[int | None, Field(ge=20)] = None
    """Rows to test on, at most."""
    longest: Annotated[int, Field(ge=8)] = 256
    """Tokens of a text that a language model reads."""
    weak: Annotated[tuple[Supervisor, ...], Field(min_length=1)] = (TfidfSupervisor(),)
    """The supervisors."""
    strong: Annotated[tuple[Student, ...], Field(min_length=1)]
    """The students."""
    losses: Annotated[tuple[WeakLoss, ...], Field(min_length=1)] = (CrossEntropy(), Confidence())
    """What students are trained with; the first is the naive way that the others are held against."""
    l2: Annotated[float, Field(gt=0)] = 0.03
    """Of every probe."""
    steps: Count = 100
    """Of every probe's training."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if unknown := [name for name in self.tasks if name not in NAMES]:
            raise ValueError(f"`tasks` has {', '.join(unknown)}; there are {', '.join(NAMES)}")
        for name, labels in (
            ("weak", [one.label for one in self.weak]),
            ("strong", [one.label for one in self.strong]),
            ("losses", [loss_label(loss) for loss in self.losses]),
        ):
            if len(set(labels)) < len(labels):
                raise ValueError(f"`{name}` has one of {', '.join(labels)} twice")
        return self


def loss_label(loss: WeakLoss) -> str:
    """For people and for tables."""
    match loss:
        case CrossEntropy():
            return "naive" if loss.labels == "soft" else "naive, hard labels"
        case Confidence():
            return f"confidence {loss.alpha:g}"
        case Product():
            return f"product p^{loss.student_power:g} w^{loss.weak_power:g}"
        case AdaptiveConfidence():
            return f"adaptive confidence {loss.alpha:g}"
        case Filtered():
            return f"surest {100 * loss.share:g}%"


def _short(model: str) -> str:
    return model.rstrip("/").rpartition("/")[2]


def _at(layer: int) -> str:
    return "" if layer == -1 else f", layer {layer}"


def _of(rows: int | None) -> str:
    return "" if rows is None else f" on {rows} rows"
