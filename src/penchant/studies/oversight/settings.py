"""Settings of the study of oversight. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from penchant.rounds.oversight.settings import (
    ARGUED,
    AdvisorSpec,
    Blind,
    ClassifierReader,
    Consultancy,
    Debate,
    Ensemble,
    Informed,
    ProtocolSpec,
    ReaderSpec,
    Scripted,
)
from penchant.studies.core.settings import LimitedStudy
from penchant.weak.settings import Cnn, Probe, StudentSpec, Tfidf

FEWEST_LABELLED = 10
"""Questions that are left for a protocol to label, and that members of an ensemble learn from."""
Count = Annotated[int, Field(ge=20, le=1_000_000_000)]


class OversightConfig(LimitedStudy):
    """How well does a weak reader supervise those who know more than it does? The accuracy of each protocol, of blind
    and informed readers and of the advisors themselves; and of a student that is trained on each protocol's labels."""  # noqa: D205 - the help is this text as a whole

    method: ClassVar[str] = "oversight"
    fewest: ClassVar[Mapping[str, int]] = {"train": 60, "test": 20, "rows": 20}

    data: Annotated[str, Field(min_length=1)] = "sciq"
    """Questions with answers and a passage: `viewers` (made up, comes with Penchant), `sciq` (files in the folder
    `data`, or what PENCHANT_DATA names), or a file of your own with the columns below."""
    columns: dict[Literal["question", "right", "wrong", "passage"], str] = Field(default_factory=dict)
    """Which columns hold what; by default those of SciQ: `question`, `correct_answer`, `distractor` (all columns whose
    names begin so, or one with a list) and `support`."""
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.4
    """Of a file of your own: the share of passages whose questions are to test on, by content."""
    train: Count | None = 500
    """Questions to learn from, at most: the reader's labelled ones among them, and those that protocols label."""
    test: Count | None = 300
    """Questions to test on, at most."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, le=2**31 - 1)], ...], Field(min_length=1)] = (0, 1, 2, 3, 4)
    """Each draws other labelled questions for the reader, and sends other advisors to consultancies."""
    reader: ReaderSpec = ClassifierReader(classifier=Probe(model="minilm-l6"))
    """Who reads and decides. It is the same for all protocols, and learns from as many labelled questions."""
    advisor: AdvisorSpec = Scripted()
    """Who argues, in consultancies and on both sides of debates. Whoever argues has read the passage."""
    protocols: Annotated[tuple[ProtocolSpec, ...], Field(min_length=1)] = (
        Consultancy(),
        Debate(),
        Ensemble(),
        Informed(),
    )
    """What the reader is shown, and how labels are made of what it says. The blind reader always stands beside them."""
    student: StudentSpec | None = Probe(model="minilm-l6")
    """What learns from each protocol's labels; null leaves students out."""
    student_reads_passage: bool = True
    """Whether the student has the passage, as the advisors have: it stands for a strong model that is supervised by one
    which knows less. Without it a student can only learn what the questions themselves give away."""

    @property
    def all_protocols(self) -> tuple[ProtocolSpec, ...]:
        """The protocols, the blind reader first."""
        return (Blind(), *(protocol for protocol in self.protocols if not isinstance(protocol, Blind)))

    @model_validator(mode="after")
    def _check(self) -> Self:
        labels = [protocol.label for protocol in self.all_protocols]
        # they are told apart by their labels, on the page and among the stages
        if repeated := sorted({label for label in labels if labels.count(label) > 1}):
            raise ValueError(f"`protocols` has {', '.join(repeated)} more than once: give each once")
        if self.train is not None and self.reader.rows + FEWEST_LABELLED > self.train:
            raise ValueError(
                f"`reader.rows` are {self.reader.rows} of {self.train} questions to learn from: that leaves too few to "
                f"label; at least {FEWEST_LABELLED} have to be left"
            )
        # a judge needs none of them, and has none by default
        if self.reader.rows < FEWEST_LABELLED and any(
            protocol.members for protocol in self.protocols if isinstance(protocol, Ensemble)
        ):
            raise ValueError(
                f"`reader.rows` are {self.reader.rows}, from which the `members` of an ensemble would learn: set at "
                f"least {FEWEST_LABELLED}"
            )
        # of texts alone or of pictures: each would fail in its stage, after all others had run
        members = [
            member for protocol in self.protocols if isinstance(protocol, Ensemble) for member in protocol.members
        ]
        for name, classifier in (("student", self.student), *(("protocols.members", member) for member in members)):
            if isinstance(classifier, Tfidf | Cnn):
                raise ValueError(
                    f"`{name}` is {classifier.label}, which cannot compare two answers: name a model, for a probe of "
                    "it, or `{name: lm, ...}`"
                )
        return self

    @property
    def argues(self) -> bool:
        """Whether some protocol needs the advisor."""
        return any(isinstance(protocol, ARGUED) for protocol in self.protocols)
