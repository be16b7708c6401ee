"""The summary of a study of kinds, which `study.json` holds and its page shows. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from penchant.metrics.estimates import Estimate
from penchant.studies.core.summary import Failure, StudyCost
from penchant.typed_json import OMITTED, JsonObject


@dataclass(frozen=True, kw_only=True)
class LearnedKind:
    """One kind of output by the models of one arrangement, over all seeds.

    Attributes:
        learner: what they learned: a kind, or `together`.
        reward, guard: means; `guard` is None where nothing had to be kept.
        gain, guard_change: paired differences to the model before.
        kl_nats: per response, from the model before.
    """

    learner: str
    reward: Estimate
    gain: Estimate
    kl_nats: Estimate
    guard: Annotated[Estimate | None, OMITTED] = None
    guard_change: Annotated[Estimate | None, OMITTED] = None


@dataclass(frozen=True, kw_only=True)
class ShownPrompt:
    """Samples of one prompt: before, learned alone, learned together."""

    prompt: str
    texts: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class KindResult:
    """One kind of output.

    Attributes:
        reward, guard: names. before: mean reward of the model before. before_guard: of the guard.
        results: of the models that were measured on it, its own first and `together` last.
        interference: mean reward learned together less that learned alone, paired. guard_interference: of the guard.
        comparisons: of the first seed.
    """

    name: str
    reward: str
    guard: str
    before: Estimate
    before_guard: Annotated[Estimate | None, OMITTED] = None
    results: tuple[LearnedKind, ...]
    interference: Annotated[Estimate | None, OMITTED] = None
    guard_interference: Annotated[Estimate | None, OMITTED] = None
    comparisons: int
    examples: tuple[ShownPrompt, ...]

    def by(self, learner: str) -> LearnedKind | None:
        """Return the result of one arrangement; None where it was not measured."""
        return next((result for result in self.results if result.learner == learner), None)


@dataclass(frozen=True, kw_only=True)
class KindsSummary:
    """The summary: one result per kind."""

    study: str
    config: JsonObject
    seeds: tuple[int, ...]
    kinds: tuple[KindResult, ...]
    failures: tuple[Failure, ...]
    cost: StudyCost
    provenance: JsonObject
