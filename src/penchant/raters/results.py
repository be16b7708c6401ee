"""Hold the results of `penchant agree`: the content of `agree.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from penchant.metrics.agreement import Pair
from penchant.metrics.estimates import Coefficient, Estimate
from penchant.typed_json import INLINED


# The names of fields are the keys of `agree.json`, and files that users have are read ever after: they stay.
@dataclass(frozen=True, slots=True)
class RaterPair:
    """The agreement of two raters."""

    one: str
    other: str
    agreement: Annotated[Pair, INLINED]


@dataclass(frozen=True, slots=True)
class RaterResult:
    """The results of one rater, by itself and against the others.

    Attributes:
        kind: `person` and `judge` where there are people, else `rater`.
        judged, ties: comparisons that it judged, and ties among its verdicts.
        longer: how often it prefers the longer response.
        first_shown: how often it prefers the response that it saw first; None where nobody knows the order. `n` counts
            judgments: two of a pair that it judged in both orders.
        majority: against the majority of all; None where two raters are all there are.
        left_out: against the majority of the others.
    """

    name: str
    kind: Literal["person", "judge", "rater"]
    judged: int
    ties: int
    longer: Estimate | None
    first_shown: Estimate | None
    majority: Pair | None
    left_out: Pair


@dataclass(frozen=True, slots=True)
class GroupAgreement:
    """The agreement of all raters on one group of comparisons.

    Attributes:
        comparisons, prompts: how many there are.
        agreement: share of pairs of verdicts that are the same.
        alpha: Krippendorff's.
    """

    comparisons: int
    prompts: int
    agreement: Coefficient
    alpha: Coefficient


@dataclass(frozen=True, slots=True)
class LengthGroup:
    """Comparisons whose responses differ by `least` to `most` characters in length."""

    least: int
    most: int
    group: Annotated[GroupAgreement, INLINED]


@dataclass(frozen=True, slots=True)
class TopicGroup:
    """Comparisons about one topic; `topic` is None for those that are left over."""

    topic: str | None
    group: Annotated[GroupAgreement, INLINED]


@dataclass(frozen=True, slots=True)
class Topics:
    """Agreement by topic.

    Attributes:
        field: the field that names the topics; None where they are clusters of the prompts' words.
        left_out: topics that share the last row.
    """

    field: str | None
    left_out: int
    rows: tuple[TopicGroup, ...]


@dataclass(frozen=True, slots=True)
class Orders:
    """Agreement of two raters who saw the responses in the same order, and in opposite orders."""

    same: Estimate | None
    opposite: Estimate | None


@dataclass(frozen=True, slots=True)
class MatchupWins:
    """The win rates of the first of two models: by each judge, and by people."""

    judges: tuple[Estimate | None, ...]
    people: Estimate | None


@dataclass(frozen=True, slots=True)
class Matchup:
    """A row of the human study: two models, or everything where `models` is None.

    Attributes:
        judge_people: agreement of each judge with people.
        people_people: agreement of people with each other.
    """

    models: tuple[str, ...] | None
    comparisons: int
    wins: MatchupWins | None
    judge_people: tuple[Coefficient, ...]
    people_people: Coefficient


@dataclass(frozen=True, slots=True)
class HumanStudy:
    """Judges and people on the same comparisons; `people` counts the people."""

    judges: tuple[str, ...]
    people: int
    rows: tuple[Matchup, ...]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A comparison of which raters say different things; `said` has each rater's verdict."""

    prompt: str
    responses: tuple[str, str]
    models: tuple[str, ...] | None
    said: Mapping[str, str]


@dataclass(frozen=True)
class Agreement:
    """The agreement of raters: the content of `agree.json`.

    Attributes:
        level: coverage of the intervals.
        comparisons, shared, prompts: all comparisons, those that two or more judged, and their prompts.
        skipped_rows, alike, contradicted: as in `Ratings`.
        alpha, alpha_people: Krippendorff's, of all raters and of people alone.
    """

    method: str
    files: tuple[str, ...]
    people_files: tuple[str, ...]
    level: float
    raters: tuple[RaterResult, ...]
    comparisons: int
    shared: int
    prompts: int
    skipped_rows: int
    alike: int
    contradicted: int
    pairs: tuple[RaterPair, ...]
    alpha: Coefficient
    alpha_people: Coefficient | None
    lengths: tuple[LengthGroup, ...]
    orders: Orders | None
    topics: Topics | None
    human_study: HumanStudy | None
    disagreements: tuple[Disagreement, ...]
