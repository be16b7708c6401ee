"""Which classifier supervises or learns, and how it is trained. Imports no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from penchant.config import Config
from penchant.config.base import as_mapping
from penchant.config.fields import shape_of
from penchant.config.limits import Arguments
from penchant.extension.door import Door, is_extension
from penchant.models.builtin import ENCODERS
from penchant.models.in_memory import ModelName, model_source
from penchant.models.settings import Dtype, LoRA, ModelConfig
from penchant.session.objects import CodeName, shown_name
from penchant.weak.augmentation.settings import Augmentation, Cutout, RandAugment, Shift, Views
from penchant.weak.semi_supervised.settings import (
    AnyAlgorithm,
    ConfidentLearning,
    OuterAlgorithm,
    SelfTraining,
    Supervised,
)

Count = Annotated[int, Field(ge=1, le=10_000_000)]
Rows = Annotated[int | None, Field(ge=10, le=1_000_000_000)]
Rate = Annotated[float, Field(gt=0)]
Shrinkage = Literal["auto"] | Rate
"""Half of this times a probe's squared weights is added to its loss; `auto` chooses among `L2_CANDIDATES`."""
L2 = 0.3
"""A probe's shrinkage where too few rows could choose one."""
L2_CANDIDATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""What `auto` tries, see `penchant.weak.classifiers.shrinkage`."""


class Tfidf(Config):
    """Logistic regression on TF-IDF weights of words."""

    added_fields: ClassVar[frozenset[str]] = frozenset({"algorithm"})

    name: Literal["tfidf"] = "tfidf"
    algorithm: OuterAlgorithm = Supervised()
    """How often it is trained, and on which labels: once (`supervised`), by `self_training`, `confident_learning`."""
    rows: Rows = None
    """It learns from so many rows of those it could have; all if not given."""

    @property
    def label(self) -> str:
        return f"TF-IDF{_algorithm_suffix(self.algorithm)}{_rows_suffix(self.rows)}"


class Probe(Config):
    """A linear probe of a language model's activations, or an encoder's, which are computed once for all probes."""

    added_fields: ClassVar[frozenset[str]] = frozenset({"algorithm"})

    name: Literal["probe"] = "probe"
    model: Annotated[ModelName, Field(min_length=1)]
    """A built-in name, a folder or a hub id: a language model, read at its last token, an encoder, such as the
    built-in `minilm-l6`, read on average over its tokens, or of pictures an image model, such as `efficientnet-lite0`,
    read on average over the picture."""
    layer: Annotated[int, Field(ge=-10_000, le=10_000)] = -1
    """Activations after this layer; 0 is the embedding, negative ones count from the last."""
    dtype: Dtype = "auto"
    """Of the model's weights. `auto`: float32. With bfloat16, newer processors and GPUs read texts several times as
    fast, and activations have three digits."""
    algorithm: OuterAlgorithm = Supervised()
    """How often it is trained, and on which labels: once (`supervised`), by `self_training`, `confident_learning`."""
    rows: Rows = None
    """It learns from so many rows of those it could have; all if not given."""

    @property
    def label(self) -> str:
        layer = "" if self.layer == -1 else f", layer {self.layer}"
        return f"{short_name(self.model)}{layer}{_algorithm_suffix(self.algorithm)}{_rows_suffix(self.rows)}"


class Mlp(Config):
    """A small network on a model's activations, which are computed once: a hidden layer with dropout."""

    name: Literal["mlp"] = "mlp"
    model: Annotated[ModelName, Field(min_length=1)]
    """A built-in name, a folder or a hub id, as for a probe."""
    layer: Annotated[int, Field(ge=-10_000, le=10_000)] = -1
    """Activations after this layer; 0 is the embedding, negative ones count from the last."""
    dtype: Dtype = "auto"
    """Of the model's weights. `auto`: float32."""
    algorithm: AnyAlgorithm = Supervised()
    """What is made of the labels, and of rows without them."""
    confident_share: Annotated[float | None, Field(gt=0, le=1)] = None
    """Of each class, keep the labels that their supervisor is surest of, this share of them and all that are certain;
    every row then counts as one without a label too. All labels, and no such rows but those given, if not set."""
    views: Views = Views()
    """How rows are augmented, for algorithms that compare two views of one."""
    hidden: Count = 64
    """Width of the hidden layer."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of activations and of hidden states that are set to 0 in training; the noise of the strong view."""
    steps: Count = 500
    """Optimizer steps."""
    batch_size: Count = 64
    """Labelled rows of a step."""
    learning_rate: Rate = 2e-3
    """Of AdamW, constant."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Of AdamW."""
    rows: Rows = None
    """It learns from so many rows of those it could have; all if not given."""

    @property
    def label(self) -> str:
        layer = "" if self.layer == -1 else f", layer {self.layer}"
        suffix = f"{_algorithm_suffix(self.algorithm)}{_rows_suffix(self.rows)}"
        return f"{short_name(self.model)}{layer}, small network{suffix}"


class Cnn(Config):
    """A small convolutional network on pictures, trained from scratch: three layers, and augmented views."""

    name: Literal["cnn"] = "cnn"
    algorithm: AnyAlgorithm = Supervised()
    """What is made of the labels, and of rows without them."""
    views: Views = Views(weak=(Shift(),), strong=(Shift(), RandAugment(), Cutout()))
    """How pictures are augmented, anew at each step. Labelled rows are seen in the weak view."""
    size: Annotated[int | None, Field(ge=4, le=1_024)] = None
    """Width and height that pictures are brought to; null where all have one size."""
    width: Annotated[int, Field(ge=8, le=1_024, multiple_of=8)] = 16
    """Filters of the first layer; the second and the third have twice as many."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of what the last layer sees that is set to 0 in training."""
    steps: Count = 500
    """Optimizer steps."""
    batch_size: Count = 64
    """Labelled rows of a step."""
    learning_rate: Rate = 3e-3
    """Of AdamW, constant."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Of AdamW."""
    rows: Rows = None
    """It learns from so many rows of those it could have; all if not given."""

    @property
    def label(self) -> str:
        return f"small CNN{_algorithm_suffix(self.algorithm)}{_rows_suffix(self.rows)}"


class Training(Config):
    """How a language model is fine-tuned to classify: AdamW, a cosine schedule, no dropout, as in the paper's code."""

    epochs: Count = 2
    """How often to go over the examples."""
    batch_size: Count = 32
    """Examples of an optimizer step. The confidence loss hardens predictions within it."""
    learning_rate: Rate = 5e-5
    """Peak rate of the model's weights, or of its adapters. The paper's code has 1e-5 for its larger models."""
    head_learning_rate: Rate | None = 1e-3
    """Peak rate of a classification head, which starts from nothing; null: that of the weights, as in the paper's code,
    where the head starts from the unembedding."""
    clip: Rate = 1.0
    """Largest norm of the gradient."""
    early_stopping: bool = False
    """Keep the weights with the lowest loss on validation labels, the supervisor's too, of four looks an epoch."""


class Head(Config):
    """A classification head on the state after the text's last token. Where rows have options of their own: a scalar
    head after each option, which is a reward model."""  # noqa: D205 - the help is this text as a whole

    name: Literal["head"] = "head"
    init: Literal["zero", "unembedding"] = "zero"
    """From zeros; or from the rows with which the model predicts the tokens 0, 1, ..., as in the paper."""


class Words(Config):
    """The label words as responses to a prompt, or a row's own options, scored by the model's own language head."""

    name: Literal["words"] = "words"
    words: tuple[str, ...] | None = None
    """A word for each class; the names of the classes if not given."""
    prompt: str | None = None
    """What stands before the word, where {text} is the text; `{text}`, a new line and `Label:` if not given, and before
    options nothing but the text."""
    shots: Annotated[int, Field(ge=0, le=1_000)] = 0
    """Examples with their labels before the text, classes in turn."""


class LanguageModel(Config):
    """A language model that classifies: fine-tuned, in whole or by adapters, or as it is (`training: null`)."""

    added_fields: ClassVar[frozenset[str]] = frozenset({"algorithm", "confident_share", "views"})

    name: Literal["lm"] = "lm"
    model: Annotated[ModelName, Field(min_length=1)]
    """A built-in name, a folder or a hub id."""
    reading: Annotated[Head | Words, Field(discriminator="name")] = Head()
    """How probabilities of classes are read from it."""
    training: Training | None = Training()
    """How it is fine-tuned; null leaves it as it is, which asks for label words."""
    lora: LoRA | None = None
    """Train low-rank adapters instead of all weights: `lora: {}` takes their defaults."""
    dtype: Dtype = "auto"
    """Of the weights. `auto`: float32, but bfloat16 under LoRA on a GPU that has it."""
    device: str = "auto"
    """`auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:1`, `mps`."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model. Only for a source that you trust as much as your own code."""
    longest: Annotated[int, Field(ge=8, le=1_000_000)] = 256
    """Tokens of a text that are read."""
    algorithm: AnyAlgorithm = Supervised()
    """What is made of the labels, and of rows without them."""
    confident_share: Annotated[float | None, Field(gt=0, le=1)] = None
    """Of each class, keep the labels that their supervisor is surest of, this share of them and all that are certain;
    every row then counts as one without a label too. All labels, and no such rows but those given, if not set."""
    views: Views = Views()
    """How texts are changed, anew at each step, for algorithms that compare two views of one. Labelled rows are seen in
    the weak view."""
    rows: Rows = None
    """It learns from so many rows of those it could have; all if not given."""

    @property
    def label(self) -> str:
        mode = "fine-tuned" if self.training else "prompted"
        mode += ", early stopping" if self.stops_early else ""
        lora = ", LoRA" if self.lora else ""
        shots = f"{self.shot_count} shots, " if self.shot_count else ""
        words = "" if isinstance(self.reading, Head) else f", {shots}words"
        return (
            f"{short_name(self.model)}, {mode}{lora}{words}{_algorithm_suffix(self.algorithm)}{_rows_suffix(self.rows)}"
        )

    @property
    def learns_from_unlabeled(self) -> bool:
        """Whether its steps may have rows without labels too; what trains it several times is made around it."""
        return not isinstance(self.algorithm, Supervised | SelfTraining | ConfidentLearning)

    @property
    def stops_early(self) -> bool:
        """Whether it needs validation labels."""
        return self.training is not None and self.training.early_stopping

    @property
    def shot_count(self) -> int:
        """Examples that it is shown in its prompt."""
        return self.reading.shots if isinstance(self.reading, Words) else 0

    @property
    def network(self) -> ModelConfig:
        """The model's settings for `load_policy`."""
        # the fields that both classes have under one name
        settings = {name: getattr(self, name) for name in ("lora", "dtype", "device", "trust_remote_code")}
        return ModelConfig(name=self.model, **settings)

    @model_validator(mode="after")
    def _can_say_something(self) -> Self:
        # an encoder has no language head, and no second way to fine-tune is built for it
        if self.model in ENCODERS:
            raise ValueError(f"{self.model!r} is an encoder, which predicts no text: take `name: probe`")
        if self.learns_from_unlabeled and not (self.training and isinstance(self.reading, Head)):
            raise ValueError(
                f"{self.algorithm.name} trains a model with a head: take `reading: {{name: head}}` with `training`, or "
                "`algorithm: self_training`"
            )
        if self.training is None and isinstance(self.reading, Head):
            raise ValueError(
                "a head that is not trained says nothing: set `reading: {name: words}`, or leave `training` as it is"
            )
        return self


class ChessEngine(Config):
    """A chess engine that speaks UCI, for positions whose options are moves. It learns nothing."""

    name: Literal["engine"] = "engine"
    path: Annotated[str, Field(min_length=1)] = "stockfish"
    """The program, by its name or its path."""
    depth: Annotated[int | None, Field(ge=1, le=200)] = 1
    """Plies that it looks ahead, before it follows captures; null for no limit."""
    nodes: Annotated[int | None, Field(ge=1, le=1_000_000_000)] = None
    """Positions that it looks at, at most."""
    multipv: Annotated[int | None, Field(ge=1, le=500)] = None
    """So many of its best moves have a probability (1: its label is hard); all if not given."""
    temperature: Rate = 100.0
    """Centipawns by which one move must be better than another to be e times as probable."""

    @property
    def label(self) -> str:
        limits = [f"depth {self.depth}"] if self.depth else []
        limits += [f"{self.nodes} nodes"] if self.nodes else []
        best = "" if self.multipv is None else f", best {self.multipv}"
        warm = "" if self.temperature == 100 else f", {self.temperature:g} centipawns"
        return f"{short_name(self.path)}, {', '.join(limits)}{best}{warm}"

    @property
    def rows(self) -> None:
        """None: it could not use any."""
        return None

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.depth is None and self.nodes is None:
            raise ValueError("an engine without a limit thinks for ever: give `depth` or `nodes`")
        return self


KINDS = ("tfidf", "probe", "mlp", "cnn", "lm", "engine")
"""Names of built-in classifiers; another one alone is a model's."""
OWN_CLASSIFIERS = Door("classifier", KINDS, kind="Class")
"""Classifiers of the user's, by `module:attribute`."""


class OwnClassifier(Config):
    """A classifier of your own: a class with `fit`, `predict_proba` and `save`."""

    extension: ClassVar[str] = "factory"
    name: Literal["custom"] = "custom"
    factory: Annotated[CodeName, Field(min_length=1)]
    """`module:attribute`, or `path/to/file.py:attribute`: a class or a function that makes the classifier. It is called
    with `settings`, and with `names`, `loss` and `seed` where it has arguments of these names."""
    settings: Arguments = Field(default_factory=dict)
    """What it is called with, by name."""
    rows: Rows = None
    """It learns from so many rows of those it could have; all if not given."""

    @property
    def label(self) -> str:
        return f"{short_name(self.factory)}{_rows_suffix(self.rows)}"


def add_classifier_name(value: object) -> object:
    """Add a name that is left out: a model alone, loaded or by its name, is a probe of it."""
    value = model_source(value)
    if isinstance(value, str):
        # a model's folder may have a colon in its path, but what follows it there is rarely an identifier
        is_own = is_extension(value) and value.rpartition(":")[2].isidentifier()
        value = {"name": value} if value in KINDS or is_own else {"name": "probe", "model": value}
    if isinstance(value, dict) and "name" not in value:
        value = {"name": "probe", **value}
    return as_mapping(shape_of(_Classifier), value)


_Student = Tfidf | Probe | Mlp | Cnn | LanguageModel | OwnClassifier
_Classifier = _Student | ChessEngine
ClassifierSpec = Annotated[Annotated[_Classifier, Field(discriminator="name")], BeforeValidator(add_classifier_name)]
"""What may supervise."""
StudentSpec = Annotated[Annotated[_Student, Field(discriminator="name")], BeforeValidator(add_classifier_name)]
"""What may learn from a supervisor."""


def augmentations_of(student: StudentSpec) -> tuple[Augmentation, ...]:
    """Return every change of rows that a student learns from: those of its views, and the noise of self-training."""
    views = (
        (*student.views.weak, *student.views.strong_examples) if isinstance(student, Mlp | Cnn | LanguageModel) else ()
    )
    algorithm = getattr(student, "algorithm", None)
    return (*views, *algorithm.noise) if isinstance(algorithm, SelfTraining) else views


def short_name(model: str) -> str:
    """Return the last part of a path or id, as labels have it."""
    return shown_name(model).rstrip("/").rpartition("/")[2]


def _rows_suffix(rows: int | None) -> str:
    return "" if rows is None else f" on {rows} rows"


def _algorithm_suffix(algorithm: AnyAlgorithm) -> str:
    return "" if isinstance(algorithm, Supervised) else f", {algorithm.label}"
