"""What `penchant weak label` and `penchant weak train` return: frozen classes, whose fields are the keys of files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from penchant.metrics.estimates import Coefficient, Estimate
from penchant.typed_json import INLINED, OMITTED
from penchant.weak.semi_supervised.report import NoiseReport, UnlabeledReport


@dataclass(frozen=True)
class LabelledFile:
    """A file of weak labels, and how they are spread.

    Attributes:
        rows: how many were labelled. path: the file.
        shares: of each class, by name, how often it is the most probable one.
        mean_confidence: the mean probability of the most probable class.
        longer_share: how often the longer of two responses is preferred; None for texts, and where all are as long.
    """

    rows: int
    path: str
    shares: Mapping[str, float]
    mean_confidence: float
    longer_share: Estimate | None = None


@dataclass(frozen=True)
class RowCounts:
    """The rows of a training; `undecided` are held-out rows whose weak label is a tie, which nothing counts.

    Attributes:
        without_weight: rows whose weight is 0, such as those that no source votes on: they are left out.
    """

    learned_from: int
    held_out: int
    undecided: int
    without_weight: int = 0


@dataclass(frozen=True)
class AgreementByRows:
    """Agreement of a student with the weak labels, as shares of rows.

    A student that agrees far more on rows that it learned from has learned the supervisor's errors by heart.

    Attributes:
        where_unsure, where_sure: on the halves of held-out rows of which the supervisor was less and more sure; None
            for an empty half. A student that generalizes departs where its teacher was unsure.
    """

    held_out: Estimate
    learned_from: Estimate
    where_unsure: Estimate | None
    where_sure: Estimate | None


@dataclass(frozen=True)
class Misfit:
    """Cross-entropy of a student to the weak labels, less their own entropy, in nats."""

    held_out: Estimate
    learned_from: Estimate


@dataclass(frozen=True)
class ReliabilityPoint:
    """Accuracy of answers of about the same confidence."""

    confidence: float
    accuracy: Estimate


@dataclass(frozen=True)
class Disagreement:
    """A row where student and weak label differ, each with its class and how probable it finds it."""

    text: str
    weak_label: tuple[str, float]
    student: tuple[str, float]


@dataclass(frozen=True)
class ClassShares:
    """Shares of held-out rows for which each class is the most probable one."""

    weak_labels: tuple[float, ...]
    student: tuple[float, ...]


@dataclass(frozen=True)
class Diagnostics:
    """Measures of a student of weak labels that need no truth.

    Attributes:
        calibration_error: of the student's confidence that it agrees, which `reliability` shows in bins.
        disagreements: rows to read, the student's surest first.
    """

    agreement: AgreementByRows
    misfit: Misfit
    calibration_error: float
    reliability: tuple[ReliabilityPoint, ...]
    disagreements: tuple[Disagreement, ...]
    shares: ClassShares


@dataclass(frozen=True)
class LongerPreference:
    """Shares of pairs in which the longer response is preferred; None where all are as long."""

    student: Estimate | None
    weak_labels: Estimate | None


@dataclass(frozen=True)
class TruthAccuracy:
    """Accuracy on rows with the truth; those whose truth is a tie are only counted."""

    rows: int
    undecided: int
    accuracy: Estimate


@dataclass(frozen=True, kw_only=True)
class UnlabeledUse:
    """What a student made of rows without labels, beside the same student that learned from the labels alone.

    Attributes:
        rows: without labels. left_out: more of them that were among the rows with labels.
        control_agreement: of the control with its supervisor, on held-out rows.
        control_accuracy, gain: of the control on test rows, and the student's accuracy less that, row by row.
    """

    algorithm: str
    rows: int
    left_out: int
    report: UnlabeledReport
    control_agreement: Estimate
    control_accuracy: Annotated[Estimate | None, OMITTED] = None
    gain: Annotated[Estimate | None, OMITTED] = None


@dataclass(frozen=True, kw_only=True)
class StudentResult:
    """A student of weak labels: the content of `result.json`.

    Attributes:
        l2: the shrinkage of a probe. longer: of comparisons. consistency: where other wordings were tried.
        test: where there were rows with the truth. label_noise: then, the estimated share of wrong weak labels.
        unlabeled: of a student whose algorithm learned from rows without labels.
        confident: of a student by confident learning: how many labels its cross-validation holds to be wrong.
        seconds: from the command's start to its last number.
    """

    method: str
    status: str
    classes: tuple[str, ...]
    task: str
    rows: RowCounts
    diagnostics: Annotated[Diagnostics, INLINED]
    l2: Annotated[float | None, OMITTED] = None
    longer: Annotated[LongerPreference | None, OMITTED] = None
    consistency: Annotated[Estimate | None, OMITTED] = None
    test: Annotated[TruthAccuracy | None, OMITTED] = None
    label_noise: Annotated[Coefficient | None, OMITTED] = None
    unlabeled: Annotated[UnlabeledUse | None, OMITTED] = None
    confident: Annotated[NoiseReport | None, OMITTED] = None
    seconds: float
