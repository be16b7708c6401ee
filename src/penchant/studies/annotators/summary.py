"""The summary of a study of annotators, which `study.json` holds and its page shows. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

from penchant.metrics.estimates import Estimate
from penchant.studies.core.summary import Failure, StudyCost
from penchant.typed_json import INLINED, JsonObject, StoredAs

ALL = "all in turn"
"""Names the row of all annotators together on the page."""


@dataclass(frozen=True)
class JudgeName:
    """A learner whose model is judged: its name in the numbers and its label on the page."""

    name: str
    label: str


@dataclass(frozen=True)
class PairedDifference:
    """How much more a learner agrees with the annotator than a baseline does, on the same comparisons."""

    learner: Annotated[str, StoredAs("one")]
    baseline: Annotated[str, StoredAs("other")]
    difference: Estimate


@dataclass(frozen=True)
class Agreement:
    """The share of verdicts in which each judge agrees with an annotator who was left out.

    Attributes:
        comparisons, prompts: how many the annotator decided, and on how many prompts.
        agreement: of each learner, of the `others` and of the rule that the `longer` response wins; None where nothing
            was judged.
        differences: of each learner to the others and to length.
    """

    comparisons: int
    prompts: int
    agreement: Mapping[str, Estimate | None]
    differences: tuple[PairedDifference, ...]


@dataclass(frozen=True)
class AnnotatorRow:
    """The agreement with one annotator; `trained_on` is how many comparisons of the others were learned from."""

    annotator: str
    trained_on: int | None
    measured: Annotated[Agreement, INLINED]


@dataclass(frozen=True)
class AnnotatorsSummary:
    """All that the page of a study of annotators shows.

    Attributes:
        annotators: all that are left out in turn.
        too_long: prompts that the model has no room for. skipped_rows: rows that cannot be used.
        rows: of each annotator who was judged. all: of all of them together.
    """

    study: str
    config: JsonObject
    annotators: tuple[str, ...]
    seeds: tuple[int, ...]
    too_long: int
    skipped_rows: int
    judges: tuple[JudgeName, ...]
    rows: tuple[AnnotatorRow, ...]
    all: Agreement
    failures: tuple[Failure, ...]
    cost: StudyCost
    provenance: Mapping[str, object]

    def named_rows(self) -> Iterator[tuple[str, Agreement]]:
        """Yield the name and agreement of each annotator, and of all in turn."""
        for row in self.rows:
            yield row.annotator, row.measured
        yield ALL, self.all
