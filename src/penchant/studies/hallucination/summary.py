"""The summary of a study of hallucinations, which `study.json` holds and its page shows. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from penchant.metrics.estimates import Estimate
from penchant.studies.core.summary import Failure, StudyCost
from penchant.typed_json import OMITTED, JsonObject

Decoding = Literal["greedy", "drawn"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """A measure of a captioner, and how far it is from that before the second step, paired by pictures and seeds.

    Attributes:
        change: None of the captioner before the second step itself.
    """

    value: Estimate
    change: Annotated[Estimate | None, OMITTED] = None


@dataclass(frozen=True, kw_only=True)
class QuestionResult:
    """Answers to questions of one kind: half are about what is there.

    Attributes:
        accuracy: an answer that is neither yes nor no counts as wrong. unreadable: the share of these answers.
        yes: the share of answers that say yes.
    """

    kind: str
    accuracy: Change
    yes: Estimate
    unreadable: float


@dataclass(frozen=True, kw_only=True)
class CaptionerResult:
    """A captioner over all seeds.

    Attributes:
        name: `start`, or what it learned from. label: as pages name it.
        rows: what it learned from, the mean over seeds; None before the second step.
        greedy, sampled: measures of the likeliest captions, and of those drawn at temperature 1, by name.
        companions_kept: share of companions that are there that it names.
        other_picture: measures of its likeliest captions held against another picture.
        no_picture: the same of what it says without a picture.
        kl_nats: of its drawn captions, from the captioner before; None of that itself.
        questions: by kind; empty where none were asked.
    """

    name: str
    label: str
    rows: float | None
    greedy: Mapping[str, Change]
    sampled: Mapping[str, Change]
    companions_kept: Change
    other_picture: Mapping[str, Estimate]
    no_picture: Mapping[str, Estimate]
    kl_nats: Annotated[Estimate | None, OMITTED] = None
    questions: tuple[QuestionResult, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ShownPicture:
    """A picture with its captions.

    Attributes:
        png: the picture, base64. objects: what it shows.
        captions: by captioner, each in parts with whether they are false claims.
    """

    png: str
    objects: tuple[str, ...]
    captions: Mapping[str, tuple[tuple[str, bool], ...]]


@dataclass(frozen=True, kw_only=True)
class WorldResult:
    """All captioners in one world.

    Attributes:
        pictures, together: to measure on, and those that show companions. questions: pictures that were asked of.
        captioners: the one before the second step first.
        examples: some of the pictures.
    """

    name: str
    label: str
    pictures: int
    together: int
    questions: int
    captioners: tuple[CaptionerResult, ...]
    examples: tuple[ShownPicture, ...]

    def captioner(self, name: str) -> CaptionerResult | None:
        """Return a captioner by its name; None where it was not measured."""
        return next((result for result in self.captioners if result.name == name), None)


@dataclass(frozen=True, kw_only=True)
class HallucinationSummary:
    """All that the page shows.

    Attributes:
        model: as the settings name it.
    """

    study: str
    config: JsonObject
    seeds: tuple[int, ...]
    model: str
    worlds: tuple[WorldResult, ...]
    failures: tuple[Failure, ...]
    cost: StudyCost
    provenance: JsonObject
