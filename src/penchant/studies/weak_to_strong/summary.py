"""The summary of a weak-to-strong study, which `study.json` holds and its page shows. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from penchant.metrics.estimates import Estimate, Measure
from penchant.metrics.imitation import Agreement
from penchant.studies.core.summary import Failure, StudyCost
from penchant.typed_json import INLINED, OMITTED, JsonObject, StoredAs
from penchant.weak.results import ReliabilityPoint

Pairing = tuple[str, str, str]
"""A task, a supervisor and a strong model."""


@dataclass(frozen=True, kw_only=True)
class TaskFacts:
    """The rows of a task.

    Attributes:
        classes: their names; empty where each row has options of its own.
        train, test: rows.
        chance: the share of the largest class, or of one option.
        dropped: how many rows were left out, by reason.
        groups: how many groups the test rows make; None where every row stands alone.
    """

    task: str
    title: str
    source: str
    classes: tuple[str, ...]
    train: int
    test: int
    chance: float
    dropped: Mapping[str, int]
    # every stage notes these two, and they came into the file with its other facts
    seconds: Annotated[float | None, OMITTED] = None
    peak_memory_bytes: Annotated[int | None, OMITTED] = None
    groups: int | None = None


@dataclass(frozen=True, kw_only=True)
class StrongModel:
    """A strong model.

    Attributes:
        learning: what its students learn: `probed`, `fine-tuned`, `prompted`, `word counts` or `own code`.
        layer: the layer that a probe reads. rows: how many weak labels it sees; None for all.
        curve_unit: of training, `steps` or `epochs`.
        family: its label without the number of rows. reader: its label without rows and layer.
    """

    label: str
    learning: Annotated[str, StoredAs("how")]
    layer: int | None
    rows: int | None
    parameters: int | None
    curve_unit: str
    family: str
    reader: str


@dataclass(frozen=True, kw_only=True)
class TextsFirst:
    """The texts that a model learned to predict before it learned from labels."""

    task: str
    model: str
    held_out_loss: Annotated[tuple[float, ...] | None, OMITTED] = None
    texts: int
    pieces: int
    held_out: int
    dropped: int
    seconds: Annotated[float | None, OMITTED] = None
    peak_memory_bytes: Annotated[int | None, OMITTED] = None


@dataclass(frozen=True)
class Shrinkage:
    """How often each l2 was chosen for a set of labels, among which values, and by how many fits."""

    chosen: Mapping[str, int] = field(default_factory=dict)
    candidates: Annotated[tuple[float, ...], StoredAs("tried")] = ()
    fits: int = 0


@dataclass(frozen=True, slots=True)
class Ratio(Measure):
    """A performance gap recovered, or the reason why it is undefined."""

    value: float | None
    low: float | None
    high: float | None
    reason: str


@dataclass(frozen=True)
class Recovery:
    """Accuracies of supervisor, student and ceiling on the test rows, and what follows from them.

    Attributes:
        pgr: the performance gap recovered.
        gain: student less supervisor. gap: ceiling less supervisor.
    """

    pgr: Ratio
    warnings: tuple[str, ...]
    student: Estimate
    ceiling: Estimate
    gain: Estimate
    gap: Estimate
    supervisor: Estimate


@dataclass(frozen=True)
class Calibration:
    """The expected calibration error, and accuracy by confidence."""

    calibration_error: float
    reliability: tuple[ReliabilityPoint, ...]


@dataclass(frozen=True)
class Look:
    """The accuracy on the truth after so many steps or epochs, mean over seeds.

    Attributes:
        agreement: with the supervisor's answers on the same rows; None for more than two classes, where which rows are
            right does not say it.
    """

    after: float
    accuracy: float
    agreement: Annotated[float | None, OMITTED] = None


@dataclass(frozen=True)
class Oracle:
    """The best look, which only the truth tells.

    Attributes:
        accuracy, after: of that look. last: the accuracy at the end.
        cost: by how much the end is worse, measured on other rows than those that chose the look.
    """

    accuracy: float
    after: float
    last: float
    cost: Annotated[Estimate, StoredAs("lost")]


@dataclass(frozen=True)
class Training:
    """Accuracy on the truth while a student trained; all None where nobody looked.

    Attributes:
        curve_from: the supervisor's accuracy on the rows of these looks.
        early: the accuracy where the loss on weak labels that were kept back was lowest.
    """

    curve: tuple[Look, ...] | None = None
    curve_from: float | None = None
    oracle: Oracle | None = None
    early: float | None = None


@dataclass(frozen=True)
class Comparisons:
    """A student beside the naive one, and the naive one beside the controls, where these were trained.

    Attributes:
        over_naive: accuracy more than the naive student's; None for the naive student itself.
        noise: accuracy of the student of labels dealt out at random. over_noise: the naive student's more than that.
        random: accuracy of the student of labels that know nothing.
    """

    over_naive: Estimate | None
    noise: Estimate | None
    over_noise: Estimate | None
    random: Estimate | None


@dataclass(frozen=True, kw_only=True)
class StudentResult:
    """A student of one supervisor, trained with one loss.

    Attributes:
        agreement: of student and supervisor.
        brier: the Brier score.
        consistency: how often the student says the same of a row in other words.
        weight_distance: how far fine-tuning moved the weights, relative to their length.
        over_longer: accuracy more than that of a student without a chain, trained as long.
        prior_agreement: agreement with what its model knew, a student of a few true labels.
        prior_accuracy: that of the latter.
        prompted_accuracy: of its model as it is, asked in words.
        over_control: accuracy more than the control's, of a student whose control is not the naive one.
        labelled: rows that the supervisor labelled. weak_labels: how many of these the student learned from.
        learned_from: rows that the supervisor learned from.
    """

    task: str
    weak: str
    strong: str
    loss: str
    # inlined: `study.json` has the measures of a cell side by side, as it had them before there were these classes
    recovery: Annotated[Recovery, INLINED]
    agreement: Agreement
    calibration: Annotated[Calibration, INLINED]
    brier: Estimate
    training: Annotated[Training, INLINED]
    consistency: Estimate | None
    weight_distance: Annotated[float | None, StoredAs("moved")]
    comparisons: Annotated[Comparisons, INLINED]
    over_longer: Estimate | None
    prior_agreement: Annotated[Estimate | None, OMITTED] = None
    prior_accuracy: Annotated[Estimate | None, OMITTED] = None
    prompted_accuracy: Annotated[Estimate | None, OMITTED] = None
    over_control: Annotated[Estimate | None, OMITTED] = None
    labelled: int
    weak_labels: int
    learned_from: int

    @property
    def pgr(self) -> Ratio:
        """The performance gap recovered."""
        return self.recovery.pgr

    @property
    def pairing(self) -> Pairing:
        """Its task, supervisor and strong model."""
        return self.task, self.weak, self.strong

    @property
    def over_naive(self) -> Estimate | None:
        """The gain in accuracy over the naive student; None for the naive student itself."""
        return self.comparisons.over_naive

    @property
    def is_naive(self) -> bool:
        """True for the naive student."""
        # every other student is compared with it
        return self.over_naive is None


@dataclass(frozen=True, kw_only=True)
class WeakToStrongSummary:
    """All that the page of a weak-to-strong study shows.

    Attributes:
        weak, chain: labels of the supervisors, and of the students between them and the last.
        losses: what students are called by how they learned, the naive way first.
        leaked: those of `losses` whose students learn under other conditions: they see their supervisor's label or
            confidence, its errors lie in certain rows, or it learned before the classes drifted.
        control: what the students of errors at random learned; None in studies of version 0.3.
    """

    study: str
    config: JsonObject
    seeds: tuple[int, ...]
    tasks: tuple[TaskFacts, ...]
    weak: tuple[str, ...]
    chain: tuple[str, ...]
    strong: tuple[StrongModel, ...]
    losses: tuple[str, ...]
    texts_first: tuple[TextsFirst, ...]
    control: str | None = None
    l2: Shrinkage = Shrinkage()
    leaked: Annotated[tuple[str, ...], StoredAs("shown")]
    cells: tuple[StudentResult, ...]
    failures: tuple[Failure, ...]
    cost: StudyCost
    provenance: Mapping[str, object]
