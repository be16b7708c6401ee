"""What each kind of stage of the weak-to-strong study depends on: one frozen class for each kind. Imports no torch.

A classifier stands in them as its own settings, with the digest of its model's content in place of the name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from penchant.losses.weak_settings import WeakLoss
from penchant.models.settings import Dtype, ModelConfig
from penchant.studies.core.stage_settings import StageSettings
from penchant.typed_json import INLINED, OMITTED, StoredAs
from penchant.weak.settings import ChessEngine, Cnn, LanguageModel, Mlp, OwnClassifier, Shrinkage, Tfidf
from penchant.weak.supervision import LabelsFile


@dataclass(frozen=True)
class Split:
    """Which rows of a task are trained and tested on, by how hard they are.

    Attributes:
        by: `measured` by word counts, or a `column` of the user's file.
        share: of each class, how many of the easiest rows to train on and of the hardest to test on are kept.
        trains_on: the `easy` rows; or, as the control, as many of `any`.
    """

    by: Literal["measured", "column"]
    share: float
    trains_on: Literal["easy", "any"]


@dataclass(frozen=True, kw_only=True)
class RowsSettings(StageSettings):
    """The rows of a task.

    Attributes:
        task: its name, or the digest of the code of the user's that reads it.
        train, test: how many rows at most; None for all.
        data: digests of its files, or its hub id.
        columns: of a file of the user's, by field the column that holds it. test_share: of such a file that is divided.
        split: by difficulty; None keeps all rows.
    """

    task: str
    train: int | None
    test: int | None
    data: tuple[str | None, ...]
    columns: Annotated[Mapping[str, str | None] | None, OMITTED] = None
    test_share: Annotated[float | None, OMITTED] = None
    split: Annotated[Split | None, OMITTED] = None


@dataclass(frozen=True, kw_only=True)
class GenerativeSettings(StageSettings):
    """Language modelling of a task's own texts, without labels; the fields of `Generative` with the model."""

    model: ModelConfig
    longest: int
    epochs: int
    learning_rate: float
    batch_size: int
    texts: Literal["train", "all"]


@dataclass(frozen=True, kw_only=True)
class ActivationsSettings(StageSettings):
    """Activations of a model on a task's rows.

    Attributes:
        model: the digest of its content.
        longest: tokens of a text that are read.
        deepest: the last layer that is kept; None for all.
        template: other words around the test rows, which are then the only rows.
    """

    # a probe of a later layer computes these anew, and the students of earlier layers stay (decision 11)
    extent: ClassVar[tuple[str, ...]] = ("deepest",)

    model: str
    dtype: Dtype
    longest: int
    deepest: int | None
    template: Annotated[str | None, OMITTED] = None


@dataclass(frozen=True)
class TaskClasses:
    """The number of a task's classes and their names; 0 where rows have options of their own."""

    classes: int
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ProbeSettings:
    """A probe of activations; which model's they are stands in the address of the stage that computes them.

    Attributes:
        model, dtype: of a probe that computes the activations that it needs itself: the digest of its model's content.
    """

    name: Literal["probe"] = "probe"
    layer: int
    rows: int | None
    model: Annotated[str | None, OMITTED] = None
    dtype: Annotated[Dtype | None, OMITTED] = None


Where = Literal["class", "topic", "long"]
"""Where a supervisor's errors are put, see `penchant.studies.weak_to_strong.truth`."""
StageClassifier = ProbeSettings | Tfidf | Mlp | Cnn | LanguageModel | OwnClassifier | ChessEngine | LabelsFile


@dataclass(frozen=True, kw_only=True)
class LabelsSettings(StageSettings):
    """Labels of a supervisor, or of a student of the chain; `l2` and `steps` are of a probe's training.

    Attributes:
        drift: of all classes but one, the share of the supervisor's own rows that is missing; None for no drift.
        drifts: False for its control, which learns from as many rows of all classes.
    """

    # its two keys stand beside the others, as addresses had them before it was a class
    task: Annotated[TaskClasses, INLINED]
    seed: int
    classifier: StageClassifier
    # left out for other classifiers, which have no such settings
    l2: Annotated[Shrinkage | None, OMITTED] = None
    steps: Annotated[int | None, OMITTED] = None
    drift: Annotated[float | None, OMITTED] = None
    drifts: Annotated[bool | None, OMITTED] = None


@dataclass(frozen=True, kw_only=True)
class ProbesSettings(StageSettings):
    """All probes of one model that learn from one supervisor's labels, or without one from the truth.

    Attributes:
        layer, rows: of each probe. l2, steps: of its training.
        controls: whether the controls are among them.
        wordings: how many stages there are of test rows in other words.
        few_rows: of the stage of what the model knows, the number of true labels that its probe learns from.
    """

    task: Annotated[TaskClasses, INLINED]
    l2: Shrinkage
    steps: int
    seeds: tuple[int, ...]
    controls: bool
    layer: int
    rows: int | None
    wordings: int
    few_rows: Annotated[int | None, OMITTED] = None
    supervised: bool = False  # the class says it too, and the key keeps the two kinds of address apart


@dataclass(frozen=True, kw_only=True)
class SupervisedProbesSettings(ProbesSettings):
    """Probes that learn from a supervisor's labels.

    Attributes:
        losses: the naive one first.
        chain: students between the supervisor and these.
        imitation: shares of the rows in which a student is shown the supervisor's label.
        errors: where the supervisor's errors are put, a student for each.
        sees_confidence: whether a student sees the supervisor's probabilities.
    """

    supervised: bool = True
    losses: tuple[WeakLoss, ...]
    chain: int
    imitation: tuple[float, ...]
    errors: Annotated[tuple[Where, ...] | None, OMITTED] = None
    sees_confidence: Annotated[bool | None, OMITTED] = None


@dataclass(frozen=True, kw_only=True)
class StudentSettings(StageSettings):
    """A student that trains alone.

    Attributes:
        truth: how it sees the truth: `all` of it, none of it but `random` labels, or as the `noise` that a supervisor's
            labels are dealt out by; None for a student of weak labels.
        times_as_long: how many times as long it trains as its classifier's settings say.
        leaked_share: the share of the rows in which it is shown the supervisor's label.
        templates: other words around the test rows.
        errors: of `noise`, the rows where the errors are put; any if not given.
    """

    task: Annotated[TaskClasses, INLINED]
    seed: int
    classifier: StageClassifier
    loss: WeakLoss
    truth: Literal["all", "random", "noise"] | None
    # under the keys of before they were renamed, or every student would have another address (decision 26)
    times_as_long: Annotated[int, StoredAs("longer")] = 1
    leaked_share: Annotated[float | None, StoredAs("shown")] = None
    templates: tuple[str, ...]
    errors: Annotated[Where | None, OMITTED] = None
