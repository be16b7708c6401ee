"""What each kind of stage of the study of oversight depends on: one frozen class for each kind. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from penchant.models.settings import Dtype
from penchant.rounds.oversight.settings import AdvisorSpec, ClassifierReader, OverlapReader, ProtocolSpec
from penchant.studies.core.stage_settings import StageSettings
from penchant.typed_json import OMITTED
from penchant.weak.settings import StudentSpec

ROWS = "rows.json"
LABELS, TEST, SIDES, OWN_ANSWERS = "labels.npy", "test.npy", "sides.npy", "own.npy"
"""Files of probabilities of first answers: of a protocol for the questions that it labels, shape (seeds, questions),
and for the tests; of a consultancy for the tests where its advisor holds the first and the second answer, shape (seeds,
tests, 2); of the advisor itself, shape (tests,). Of a student, those for the tests."""


@dataclass(frozen=True, kw_only=True)
class OversightRowsSettings(StageSettings):
    """The questions of a study.

    Attributes:
        kind: made up, or from files. data: digests of the files. columns, test_share: of a file of the user's.
    """

    # made-up questions come of the code, which is a part of every address
    kind: Literal["viewers", "file"]
    data: tuple[str, ...]
    train: int | None
    test: int | None
    columns: Mapping[str, str]
    test_share: Annotated[float | None, OMITTED] = None


@dataclass(frozen=True, kw_only=True)
class ProtocolSettings(StageSettings):
    """The labels of one protocol, for all seeds; models by their content.

    Attributes:
        reader: None where a judge reads. judge: what its verdicts depend on, which names and addresses are no part of.
        reader_tokens, reader_rows: of the reader, whoever reads.
        advisor: None where nobody argues. address: where it is an endpoint, without what is secret in it.
    """

    protocol: ProtocolSpec
    # left out where they are None, so that a kind of reader more moves no address
    reader: Annotated[OverlapReader | ClassifierReader | None, OMITTED] = None
    judge: Annotated[Mapping[str, object] | None, OMITTED] = None
    reader_tokens: int
    reader_rows: int
    advisor: Annotated[AdvisorSpec | None, OMITTED] = None
    address: Annotated[str | None, OMITTED] = None
    seeds: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class OwnAnswersSettings(StageSettings):
    """The advisor's own answers to the tests.

    Attributes:
        address: of an endpoint, without what is secret in it.
    """

    advisor: AdvisorSpec
    address: Annotated[str | None, OMITTED] = None


@dataclass(frozen=True, kw_only=True)
class StudentFeaturesSettings(StageSettings):
    """Activations that the students share.

    Attributes:
        passage: whether questions stand below their passage.
    """

    model: str
    layer: int
    dtype: Dtype
    passage: bool


@dataclass(frozen=True, kw_only=True)
class OversightStudentsSettings(StageSettings):
    """Students of one protocol's labels, one for each seed; of the truth where the stage needs no labels.

    Attributes:
        reader_rows: labelled questions of the reader, which no student learns from.
    """

    classifier: StudentSpec
    passage: bool
    reader_rows: int
    seeds: tuple[int, ...]
