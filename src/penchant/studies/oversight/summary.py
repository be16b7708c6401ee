"""The summary of a study of oversight, which `study.json` holds and its page shows. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from penchant.metrics.estimates import Estimate
from penchant.metrics.pgr import PGR
from penchant.studies.core.summary import Failure, StudyCost
from penchant.typed_json import OMITTED, JsonObject


@dataclass(frozen=True, kw_only=True)
class LabelCost:
    """What the labels of one seed took, over all questions that were labelled.

    Attributes:
        questions: how many. read: tokens that the reader read. written: tokens that advisors wrote, in the reader's.
        billed: tokens that endpoints counted.
        statements, empty: of advisors, and those that say nothing. quotes, verified: in statements, and those that
            stand in the passage. texts_shown, cut: above questions, and those that were cut to the reader's room.
        unreadable: answers of a judge that name no winner. passages_cut: statements of an advisor that had no room for
            the whole passage.
    """

    questions: int
    read: int
    written: int
    billed: int
    statements: int
    empty: int
    quotes: int
    verified: int
    texts_shown: int
    cut: int
    unreadable: int
    passages_cut: int = 0

    # of what was labelled, and not of the tests: these are there for the page alone
    def per_question(self, tokens: int) -> float:
        """Return a count of tokens per question."""
        return tokens / self.questions if self.questions else 0.0


@dataclass(frozen=True, kw_only=True)
class ProtocolResult:
    """A protocol over all seeds.

    Attributes:
        name: which kind. label: as pages name it.
        accuracy: on the tests; of a consultancy the mean over right and wrong advisors.
        right_advisor, wrong_advisor: of a consultancy, where the advisor holds the right answer, and the wrong one.
        gain: paired difference to the blind reader; None for that.
        recovered: the share of the gap between the blind reader and the advisor's own answers.
        against: of a debate, paired differences to consultancies and to the informed reader, by their labels.
        label_accuracy: of the labels that students learn from, without an interval.
        student: accuracy of students of its labels. student_gain: paired difference to the students of the blind
            reader's labels. student_pgr: the share that they recover of the gap between the protocol itself and the
            student of the truth. All None without students.
    """

    name: str
    label: str
    accuracy: Estimate
    # left out of `study.json` where a protocol has none, so that a reader sees at once what belongs to it
    right_advisor: Annotated[Estimate | None, OMITTED] = None
    wrong_advisor: Annotated[Estimate | None, OMITTED] = None
    gain: Annotated[Estimate | None, OMITTED] = None
    recovered: Annotated[PGR | None, OMITTED] = None
    against: Annotated[Mapping[str, Estimate] | None, OMITTED] = None
    label_accuracy: float
    student: Annotated[Estimate | None, OMITTED] = None
    student_gain: Annotated[Estimate | None, OMITTED] = None
    student_pgr: Annotated[PGR | None, OMITTED] = None
    cost: LabelCost


@dataclass(frozen=True, kw_only=True)
class OversightSummary:
    """The summary.

    Attributes:
        reader, advisor, student: as pages name them. source: of the questions.
        train, test, labelled: questions to learn from and to test on, and those that protocols label.
        own_accuracy: of the advisor's own answers; None where they were not measured.
        ceiling: that of students of the truth; None without students.
        protocols: the blind reader first.
    """

    study: str
    config: JsonObject
    seeds: tuple[int, ...]
    source: str
    reader: str
    advisor: str
    student: str
    train: int
    test: int
    labelled: int
    dropped: Mapping[str, int]
    own_accuracy: Estimate | None
    ceiling: Estimate | None
    protocols: tuple[ProtocolResult, ...]
    failures: tuple[Failure, ...]
    cost: StudyCost
    provenance: JsonObject

    @property
    def blind(self) -> ProtocolResult | None:
        """The blind reader; None where it was not measured."""
        return next((result for result in self.protocols if result.name == "blind"), None)
