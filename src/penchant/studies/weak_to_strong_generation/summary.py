"""The summary of the study, which `study.json` holds and its page shows. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from penchant.metrics.estimates import Estimate, Measure
from penchant.studies.core.summary import Failure, StudyCost
from penchant.typed_json import JsonObject


@dataclass(frozen=True)
class RecoveredGap(Measure):
    """A performance gap recovered, or the reason why it is undefined."""

    value: float | None
    low: float | None
    high: float | None
    reason: str


@dataclass(frozen=True)
class RateResult:
    """A method at one learning rate: its mean scores over seeds, on prompts to choose by and to test on."""

    rate: float
    validation: float
    test: float


@dataclass(frozen=True, kw_only=True)
class StudentResult:
    """A method's students over all seeds.

    Attributes:
        score: on the test prompts, with an interval for new prompts and new seeds.
        pgr: of the gap between supervisor and ceiling; None of the ceiling itself.
        over_naive: paired difference to naive SFT; None of that itself.
        over_naive_of_many: the same with an interval so wide that those of all methods hold together.
        deception: of the prompts that the supervisor has wrong and the ceiling right, the share that the student has
            wrong; None where there are none.
        rate: the learning rate that was chosen. rates: all of them.
        rows: answers that it learned from, the mean over seeds. pairs: of preferences; None without any.
        left_out: of the rows, those without anything that the scorer compares with, which rounds by the scorer leave
            out; None of other methods.
    """

    method: str
    score: Estimate
    pgr: RecoveredGap | None
    over_naive: Estimate | None
    over_naive_of_many: Estimate | None
    deception: Estimate | None
    rate: float
    rates: tuple[RateResult, ...]
    rows: float
    pairs: float | None
    left_out: float | None = None


@dataclass(frozen=True, kw_only=True)
class GenerationResult:
    """A task, and what was measured on it.

    Attributes:
        supervisor: its score on the test prompts. start: of the student before it learns.
        gap: ceiling less supervisor; None without a ceiling.
        labels_right: the score of the answers that students learn from, the mean over seeds.
        agreeing: share of them that the untrained student's own answers agree with.
        empty: answers that were left out for being empty, over all seeds.
        tagged_right: share that the student has right behind the tag of right answers, before it learns; None for a
            file.
        parameters: of supervisor and student; None for a file.
        examples: prompts, with the true answer and the supervisor's.
    """

    task: str
    title: str
    scorer: str
    prompts: int
    test: int
    validation: int
    supervisor: Estimate
    start: Estimate
    gap: Estimate | None
    labels_right: float
    agreeing: float
    empty: int
    tagged_right: float | None
    parameters: tuple[int, int] | None
    examples: tuple[tuple[str, str, str], ...]
    seeds: tuple[int, ...]
    students: tuple[StudentResult, ...]

    def student(self, method: str) -> StudentResult | None:
        """Return a method's result; None where it was not measured."""
        # by its name: methods that a study leaves out have no place
        return next((student for student in self.students if student.method == method), None)


@dataclass(frozen=True)
class GenerationSummary:
    """All that the page of the study shows."""

    study: str
    config: JsonObject
    seeds: tuple[int, ...]
    methods: tuple[str, ...]
    tasks: tuple[GenerationResult, ...]
    failures: tuple[Failure, ...]
    cost: StudyCost
    provenance: Mapping[str, object]
