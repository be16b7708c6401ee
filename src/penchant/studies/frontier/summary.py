"""The summary of a frontier study, which `study.json` holds and its page shows. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar

from penchant.metrics.estimates import Estimate
from penchant.metrics.frontier import MatchedShare
from penchant.studies.core.methods import BEST_OF_N
from penchant.studies.core.summary import Failure, PromptCounts, StudyCost
from penchant.typed_json import OMITTED, JsonObject


@dataclass(frozen=True)
class Reference:
    """The reference's samples: how many for each prompt, and their mean reward."""

    samples: int
    reward: Estimate


@dataclass(frozen=True)
class Limit:
    """The largest mean reward that any policy reaches at a KL.

    Attributes:
        kl_nats, reward: places of the line.
        trusted_kl: up to which KL it is trusted. tolerance: the share of the gain by which it may be too low there.
    """

    kl_nats: tuple[float, ...]
    reward: tuple[float, ...]
    trusted_kl: float
    tolerance: float


@dataclass(frozen=True)
class MatchedKLs:
    """The KLs at which methods are compared, and those of them at which all that can be compared have a number."""

    kl_nats: tuple[float, ...]
    common: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """An evaluation of one setting, as the mean over the seeds that have it; for Best-of-N a value of N."""

    value: float | None
    rate: float | None = None  # files from before several learning rates have no such key
    step: int | None
    seeds: int | None
    kl_nats: Estimate
    reward: Estimate


@dataclass(frozen=True, kw_only=True)
class SettingShare:
    """The efficiency that one setting of a method reaches by itself."""

    value: float | None
    rate: float | None = None
    efficiency: float | None


@dataclass(frozen=True)
class SeedShare:
    """The efficiency that one seed of a method reaches, from all prompts."""

    seed: int
    efficiency: float | None


@dataclass(frozen=True)
class RunCounts:
    """The number of runs of a method, and how many of them failed, ran away or are unfinished."""

    all: int
    failed: int
    runaway: int
    unfinished: int = 0  # older files do not count these


@dataclass(frozen=True)
class MethodCost:
    """The cost of a run of a method: means over its runs that ended, but the most of any for memory.

    Attributes:
        preparation_seconds: of what has to be there before: comparisons, and PPO's reward model.
        samples_drawn: by the run and for its comparisons.
        trained_tokens: tokens that went through the model while it learned.
    """

    seconds: float
    training_seconds: float
    preparation_seconds: float
    peak_memory_bytes: float
    samples_drawn: float
    trained_tokens: float
    steps: float
    optimizer_steps: float = 0.0  # older files do not have it; the table then shows a dash


@dataclass(frozen=True)
class MethodSummary:
    """A method over its sweep.

    Attributes:
        setting: what its sweep goes over, None where there is nothing.
        efficiency: its mean share of the possible gain over the KLs that all share; None where it lacks one.
        seed_deviation: of the efficiencies of its seeds; None with fewer than two.
        cost: None for Best-of-N, which trains nothing, and where no run ended.
    """

    name: str
    label: str
    setting: str | None
    efficiency: Estimate | None
    matched: tuple[MatchedShare, ...]
    points: tuple[CurvePoint, ...]
    by_value: tuple[SettingShare, ...]
    by_seed: tuple[SeedShare, ...]
    seed_deviation: float | None
    runs: RunCounts
    cost: MethodCost | None


@dataclass(frozen=True)
class MethodDifference:
    """The efficiency of `one` minus that of `other`, at the KLs where both have a number."""

    one: str
    other: str
    kl_nats: tuple[float, ...]
    difference: Estimate | None


@dataclass(frozen=True, kw_only=True)
class Winner:
    """The method that lies above each of the others, or the reason why none is named.

    Attributes:
        leader: the method with the highest efficiency. close: those that cannot be told apart from it.
        left_out: methods that cannot be compared.
    """

    name: str | None
    # Left out of the file where there were not two methods, or not enough seeds, to look for a winner.
    leader: Annotated[str | None, OMITTED] = None
    close: Annotated[tuple[str, ...] | None, OMITTED] = None
    left_out: Annotated[tuple[str, ...] | None, OMITTED] = None
    reason: str


@dataclass(frozen=True)
class SearchState:
    """The state of the search: `open` while results may still add runs to the grid."""

    open: bool


@dataclass(frozen=True)
class RewardModelAccuracy:
    """The accuracy of the reward model of a seed on comparisons of unseen prompts."""

    seed: int
    accuracy: Estimate | None


@dataclass(frozen=True)
class RunPoint:
    """An evaluation of one run; `repetition` is the share of 4-grams that repeat."""

    step: int
    kl_nats: Estimate
    reward: Estimate
    repetition: float | None


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """A run as it ended. `evaluations_lost`: how many had numbers that are not finite, or lacked prompts."""

    method: str
    value: float | None
    rate: float | None = None
    seed: int | None
    folder: str
    status: str
    reason: str
    seconds: float | None
    peak_memory_bytes: float | None
    samples_drawn: int | None
    evaluations_lost: int
    points: tuple[RunPoint, ...]


@dataclass(frozen=True)
class SampleText:
    """A sample and its true reward."""

    text: str
    reward: float


@dataclass(frozen=True, kw_only=True)
class MethodTexts:
    """The texts of a method's evaluation whose KL comes nearest to the target, one for each prompt."""

    name: str
    label: str
    setting: str | None
    value: float | None
    rate: float | None
    step: int | None
    kl_nats: float
    texts: tuple[SampleText, ...]


@dataclass(frozen=True)
class BestOfNTexts:
    """The best texts by the true reward of the first N samples of each prompt, N being the `value`."""

    # No fields, since `study.json` has no such keys of it; pages ask all kinds of columns alike.
    rate: ClassVar[None] = None
    step: ClassVar[None] = None

    name: str
    label: str
    setting: str | None
    value: float | None
    kl_nats: float
    texts: tuple[SampleText, ...]


@dataclass(frozen=True)
class ReferenceTexts:
    """The first sample of the reference for each prompt."""

    name: str
    label: str
    kl_nats: float
    texts: tuple[SampleText, ...]


# A file does not say which kind a column is: they are told apart by their keys, in this order.
TextColumn = MethodTexts | BestOfNTexts | ReferenceTexts


@dataclass(frozen=True)
class SideBySideTexts:
    """Texts of all methods for the first prompts, at about the same KL."""

    target_kl: float
    prompts: tuple[str, ...]
    columns: tuple[TextColumn, ...]


@dataclass(frozen=True, kw_only=True)
class FrontierSummary:
    """All that the page of a frontier study shows."""

    study: str
    version: int = 1  # of files that do not say
    config: JsonObject
    prompts: PromptCounts
    seeds: tuple[int, ...]
    reference: Reference
    limit: Limit
    matched: MatchedKLs
    methods: tuple[MethodSummary, ...]
    differences: tuple[MethodDifference, ...]
    winner: Winner
    search: SearchState = SearchState(False)
    reward_models: tuple[RewardModelAccuracy, ...]
    runs: tuple[RunSummary, ...]
    failures: tuple[Failure, ...]
    samples: SideBySideTexts
    cost: StudyCost
    provenance: Mapping[str, object]

    @cached_property
    def trained(self) -> tuple[MethodSummary, ...]:
        """The methods that train."""
        return tuple(method for method in self.methods if method.name != BEST_OF_N)

    def method(self, name: str | None) -> MethodSummary | None:
        """Return a method by its name; None where the study does not have it."""
        return next((method for method in self.methods if method.name == name), None)

    def label(self, name: str) -> str:
        """Return a method's label by its name."""
        method = self.method(name)
        return method.label if method else name

    def difference(self, first: str, second: str) -> tuple[tuple[float, ...], Estimate | None]:
        """Return the KLs at which two methods are compared, and the first one's efficiency minus the second's.

        The difference is None where there is no such KL.
        """
        # Each pair is written once; whoever asks the other way round gets the other sign.
        for row in self.differences:
            if (row.one, row.other) == (first, second):
                return row.kl_nats, row.difference
            if (row.other, row.one) == (first, second):
                return row.kl_nats, row.difference.negated() if row.difference else None
        return (), None
