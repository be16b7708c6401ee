"""Settings of `penchant weak sources`: where votes come from, and what makes labels of them. Imports no torch."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from penchant.config import Config
from penchant.config.base import as_mapping
from penchant.config.fields import shape_of
from penchant.config.limits import Seed
from penchant.data.in_memory import DataPath
from penchant.session.objects import CodeName
from penchant.weak.command_settings import Classes, Kind
from penchant.weak.settings import ClassifierSpec, Tfidf

Smoothing = Annotated[float, Field(ge=0, le=1e6)]
Iterations = Annotated[int, Field(ge=1, le=1_000_000)]
Tolerance = Annotated[float, Field(gt=0, lt=1)]


class Majority(Config):
    """The share of the votes: what every other model has to beat."""

    name: Literal["majority"] = "majority"
    smoothing: Smoothing = 1.0
    """Votes spread evenly over the classes: at 1, a single vote of two classes is .75; at 0 it is 1."""
    weights: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """By source, how much its votes count; 1 for those that are not named."""

    @property
    def label(self) -> str:
        return "weighted majority" if self.weights else "majority"


class DawidSkene(Config):
    """A table of what each source answers for each true class, found by expectation maximization."""

    name: Literal["dawid_skene"] = "dawid_skene"
    abstention: Literal["auto", "answer", "missing"] = "auto"
    """`answer`: that a source keeps silent is evidence too, as for rules that fire on one class; `missing`: it is none,
    as for people who were not asked; `auto`: evidence of sources that vote for one class alone."""
    smoothing: Smoothing = 1.0
    """Added to each count of an answer. 0 is the maximum of the likelihood."""
    learn_prior: bool = False
    """Find the shares of the classes too, as the paper does: with few votes, a class may be lost."""
    iterations: Iterations = 100
    """At most."""
    tolerance: Tolerance = 1e-5
    """It ends where the log-likelihood per vote rises by less."""

    @property
    def label(self) -> str:
        return "Dawid-Skene" + ("" if self.abstention == "auto" else f", abstention {self.abstention}")


class OneCoin(Config):
    """One accuracy per source, whatever the class: for people and judges, and for votes on pairs."""

    name: Literal["one_coin"] = "one_coin"
    smoothing: Smoothing = 1.0
    """Right and wrong votes that are added to each source."""
    iterations: Iterations = 100
    """At most."""
    tolerance: Tolerance = 1e-5
    """It ends where the log-likelihood per vote rises by less."""

    @property
    def label(self) -> str:
        return "one coin"


class NoisyBradleyTerry(Config):
    """A score per response and a skill per annotator, for votes on pairs: pairs of one prompt tell of each other."""

    name: Literal["noisy_bt"] = "noisy_bt"
    score_prior: Annotated[float, Field(gt=0)] = 1.0
    """Comparisons that each response has won and lost against an average one beforehand."""
    smoothing: Annotated[float, Field(gt=0)] = 1.0
    """Answers known and guessed that are added to each annotator."""
    iterations: Iterations = 200
    """At most."""
    tolerance: Tolerance = 1e-7
    """It ends where the objective falls by a smaller share of its size."""

    @property
    def label(self) -> str:
        return "noisy Bradley-Terry"


class Moments(Config):
    """Snorkel's label model: accuracies by how often two sources vote together, by gradient descent."""

    name: Literal["moments"] = "moments"
    learning_rate: Annotated[float, Field(gt=0)] = 0.01
    """Of the descent."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Of the descent."""
    epochs: Iterations = 100
    """Steps, each over all rows."""
    start_scale: Annotated[float, Field(gt=0, le=1)] = 0.5
    """The start is Snorkel's times this; Snorkel draws it."""
    l2: Annotated[float, Field(ge=0)] = 0.0
    """Pull towards the start."""

    @property
    def label(self) -> str:
        return "moment matching"


class Triplets(Config):
    """Accuracies from three sources at a time, in closed form; for two classes, with a known prior."""

    name: Literal["triplets"] = "triplets"
    combine: Literal["median", "mean"] = "median"
    """Over all pairs of partners of a source."""

    @property
    def label(self) -> str:
        return "triplets"


_Model = Majority | DawidSkene | OneCoin | NoisyBradleyTerry | Moments | Triplets


def _as_list(value: object) -> object:
    """Return a function alone as a list of one."""
    return value if isinstance(value, list | tuple) else (value,)


def _add_name(value: object) -> object:
    """Return the settings of a model, whose name alone may stand for them."""
    return as_mapping(shape_of(_Model), value)


LabelModel = Annotated[Annotated[_Model, Field(discriminator="name")], BeforeValidator(_add_name)]
"""What makes labels of votes."""


class Keywords(Config):
    """Vote for a class where a text has one of some words, whole and in any case."""

    name: Literal["keywords"] = "keywords"
    vote: Annotated[str, Field(min_length=1)]
    """The class."""
    words: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
    """Words or phrases."""
    title: str | None = None
    """The name of the source; of the class and the first word if not given."""

    @property
    def column(self) -> str:
        return self.title or f"{self.vote}: {self.words[0]}"


class Pattern(Config):
    """Vote for a class where a regular expression is found in a text, in any case."""

    name: Literal["regex"] = "regex"
    vote: Annotated[str, Field(min_length=1)]
    """The class."""
    pattern: Annotated[str, Field(min_length=1)]
    """A regular expression of Python's."""
    title: str | None = None
    """The name of the source; of the class and the expression if not given."""

    @property
    def column(self) -> str:
        return self.title or f"{self.vote}: {self.pattern}"

    @model_validator(mode="after")
    def _compiles(self) -> Self:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"`pattern` is no regular expression: {error}") from error
        return self


class ClassifierSource(Config):
    """Vote by a classifier: one that was saved, one that learns from labelled rows, or a prompted language model."""

    name: Literal["classifier"] = "classifier"
    classifier: ClassifierSpec = Tfidf()
    """What votes, as `supervisor` of `penchant weak label`."""
    saved: str | None = None
    """The folder of a classifier that was saved."""
    train: DataPath | None = None
    """Labelled rows that it learns from; none of them may be among the rows to vote on."""
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.0
    """It abstains where its most probable class is less probable."""
    title: str | None = None
    """The name of the source; of the classifier if not given."""

    @property
    def column(self) -> str:
        return self.title or self.saved or self.classifier.label


_Source = Keywords | Pattern | ClassifierSource


class WeakSources(Config):
    """Make labels of the votes of many weak sources, and say how good each source may be."""

    method: ClassVar[str] = "sources"

    votes: Annotated[DataPath, Field(min_length=1)] | None = None
    """A file with a column per source, whose cells are classes by name or number; an empty cell, null or -1 abstains.
    Columns of text or of row numbers are left out, aloud."""
    task: Kind = "classes"
    """Which class a text has; or `comparisons`: `votes` is a preference file of any layout with several annotators or
    judges, and each pair of responses gets the probability that one is better. Then the model is `one_coin` if not
    given, which has no side."""
    data: Annotated[DataPath, Field(min_length=1)] | None = None
    """Rows with a text, on which `functions` and `sources` vote, in place of a file of votes."""
    functions: Annotated[tuple[CodeName, ...], BeforeValidator(_as_list)] = ()
    """Labelling functions of your own: a file, all of whose functions marked by `@pt.labelling_function` vote, or
    `module:function`. They return a class, or None to abstain; one that raises an error abstains, and is counted."""
    sources: tuple[Annotated[_Source, Field(discriminator="name")], ...] = ()
    """Further sources: `{name: keywords, vote: spam, words: [subscribe]}`, `{name: regex, vote: spam, pattern: ...}`,
    `{name: classifier, saved: FOLDER, threshold: 0.8}`."""
    jobs: Annotated[int, Field(ge=1, le=1024)] = 1
    """Processes that call the functions."""
    text: str | None = None
    """The column with the text; `text`, `sentence`, `content` or `prompt` if not given."""
    truth: str | None = None
    """The column with the true class, where there is one. It is measured by, and nothing learns from it."""
    ignore: tuple[str, ...] = ()
    """Columns that are no sources."""
    classes: Classes | None = None
    """Names of the classes, in order, so that numbers may stand for them; those of the votes, sorted, if not given."""
    probabilities: Literal["refuse", "argmax"] = "refuse"
    """What to do with a column of probabilities of the second of two classes: `argmax` takes the more probable class,
    and abstains at .5."""
    model: LabelModel = DawidSkene()
    """What makes the labels: `dawid_skene`, `majority`, `one_coin`, `moments` or `triplets`; of comparisons
    `one_coin`, `noisy_bt` or `majority`. Majority stands beside each."""
    compare: tuple[LabelModel, ...] = ()
    """Further models to measure beside it, such as `[moments, triplets]`."""
    prior: Literal["uniform", "votes"] | dict[str, Annotated[float, Field(ge=0, le=1)]] = "uniform"
    """Shares of the classes among the rows: all alike, those of the votes, or by class (`{spam: 0.4, ham: 0.6}`). Never
    those of the truth."""
    ties: Literal["soft", "abstain"] = "soft"
    """What a row is whose most probable classes tie: `soft` shares it between them, `abstain` takes it for a row that
    nobody votes on."""
    downweight_copies: bool = False
    """Give sources that answer alike, beyond what the classes explain, the weight of one together."""
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Coverage of the intervals, which resample rows."""
    resamples: Annotated[int, Field(ge=0, le=100_000)] = 200
    """How often the model is fitted again for the intervals of its accuracies; 0 for none."""
    seed: Seed = 0
    """Fixes the resampling."""
    out: str | None = None
    """The folder for `labels.jsonl`, which `penchant weak train` reads, `sources.json` and `report.html`;
    `runs/sources-DATE-TIME` if not given."""

    @model_validator(mode="before")
    @classmethod
    def _symmetric(cls, values: object) -> object:
        # a table per class would learn that one of two responses, which have no names, wins more often
        is_of_pairs = isinstance(values, dict) and values.get("task") == "comparisons" and "model" not in values
        return {**values, "model": {"name": "one_coin"}} if is_of_pairs and isinstance(values, dict) else values

    @model_validator(mode="after")
    def _of_pairs(self) -> Self:
        models = (self.model, *self.compare)
        if self.task != "comparisons":
            if any(isinstance(model, NoisyBradleyTerry) for model in models):
                raise ValueError(
                    "`noisy_bt` scores responses that are compared: set task=comparisons, or take one_coin"
                )
            return self
        if any(not isinstance(model, OneCoin | NoisyBradleyTerry | Majority) for model in models):
            raise ValueError(
                "the two responses of a pair have no names: take `model=one_coin`, `model=noisy_bt` or `model=majority`"
            )
        unread = [name for name in ("truth", "text", "classes", "ignore", "data") if getattr(self, name)]
        if unread or self.prior != "uniform":
            raise ValueError(
                f"of a preference file nothing but verdicts is read: leave out {', '.join(unread) or 'prior'}"
            )
        return self

    @model_validator(mode="after")
    def _some_votes(self) -> Self:
        if (self.votes is None) == (self.data is None):
            raise ValueError(
                "give `votes`, a file with a column per source, or `data` with `functions` or `sources` that vote on it"
            )
        if (self.data is None) != (not self.functions and not self.sources):
            raise ValueError("`functions` and `sources` vote on `data`: give both, or `votes` alone")
        if isinstance(self.prior, dict) and abs(sum(self.prior.values()) - 1) > 1e-6:
            raise ValueError(f"`prior` must sum to 1, got {sum(self.prior.values()):g}")
        return self
