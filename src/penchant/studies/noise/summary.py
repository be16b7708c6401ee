"""The summary of a study of wrong labels, which `study.json` holds and its page shows. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from penchant.metrics.estimates import Estimate
from penchant.studies.core.summary import Failure, PromptCounts, StudyCost
from penchant.typed_json import JsonObject


@dataclass(frozen=True, kw_only=True)
class NoisePoint:
    """A learner at one share of wrong labels, over the seeds that were judged.

    Attributes:
        accuracy: on unseen, clean comparisons.
        reward, kl_nats: of samples after the last step; None for the reward model, which samples nothing.
        above_dpo, above_first: the paired difference of the accuracy to DPO's at this share, and to the learner's own
            at the first share; None where there is nothing to compare with.
    """

    share: float
    seeds: int
    accuracy: Estimate
    reward: Estimate | None
    kl_nats: Estimate | None
    # Files from before paired differences lack these two.
    above_dpo: Estimate | None = None
    above_first: Estimate | None = None


@dataclass(frozen=True)
class LearnerSummary:
    """A learner over the shares of wrong labels."""

    name: str
    label: str
    points: tuple[NoisePoint, ...]

    def point_at(self, share: float) -> NoisePoint | None:
        """Return the point at a share; None where there is none."""
        return next((point for point in self.points if point.share == share), None)


@dataclass(frozen=True)
class FewPoint:
    """An evaluation of the run that sees few comparisons many times.

    Attributes:
        epoch: how often it has seen them. seen_accuracy: its accuracy on just these, None where it was not measured.
    """

    step: int
    epoch: float
    reward: Estimate
    kl_nats: Estimate
    seen_accuracy: float | None


@dataclass(frozen=True)
class FewSummary:
    """The run that sees few comparisons many times; `fall` is the change of its reward from its best to its end."""

    prompts: int
    epochs: int
    points: tuple[FewPoint, ...]
    fall: Estimate | None = None  # older files have none


@dataclass(frozen=True)
class NoiseSummary:
    """All that the page of a study of wrong labels shows.

    Attributes:
        comparisons: how many there are to learn from.
        reference: the reference's mean reward, None where nothing was evaluated yet.
    """

    study: str
    config: JsonObject
    prompts: PromptCounts
    comparisons: int | None
    seeds: tuple[int, ...]
    reference: Estimate | None
    methods: tuple[LearnerSummary, ...]
    few: FewSummary | None
    failures: tuple[Failure, ...]
    cost: StudyCost
    provenance: Mapping[str, object]

    @cached_property
    def shares(self) -> list[float]:
        """The shares of wrong labels that were measured, ascending."""
        # Of all learners: some may lack a share that others have already.
        return sorted({point.share for method in self.methods for point in method.points})

    def method(self, name: str) -> LearnerSummary | None:
        """Return a learner by its name; None where the study does not have it."""
        return next((method for method in self.methods if method.name == name), None)
