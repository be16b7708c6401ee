"""The summary of a study of labels, which `study.json` holds and its page shows. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from penchant.metrics.estimates import Estimate
from penchant.studies.core.summary import Failure, StudyCost
from penchant.typed_json import JsonObject


@dataclass(frozen=True, kw_only=True)
class MethodResult:
    """A method at one condition, over all seeds.

    Attributes:
        accuracy: on the test rows, with an interval for new rows and new seeds.
        gain: paired difference to the control of its condition; None for the control itself.
        gain_of_many: the same with an interval so wide that those of all methods of the condition hold together.
        warnings: how many seeds had one. first_warning: the text of the first; empty without any.
        mask_rate: share of rows without a label that counted, the mean over seeds; None where there are none.
        seconds: of processor time for one seed, with its tests.
    """

    method: str
    accuracy: Estimate
    gain: Estimate | None
    gain_of_many: Estimate | None
    warnings: int
    first_warning: str
    mask_rate: float | None
    seconds: float


@dataclass(frozen=True, kw_only=True)
class ConditionResult:
    """All methods at one condition.

    Attributes:
        part: of the page: `few`, `wrong` or `together`.
        clean: clean labels. kind: of wrong labels. rate: asked for; of a weak model the rows that it learned from.
        wrong: share of wrong labels among those that were learned, the mean over seeds.
        labels, unlabeled: rows with and without a label.
        methods: the control first.
    """

    part: str
    clean: int | None
    kind: str | None
    rate: float | None
    wrong: float
    labels: int
    unlabeled: int
    methods: tuple[MethodResult, ...]

    def method(self, name: str) -> MethodResult | None:
        """Return a method's result; None where it was not measured."""
        return next((result for result in self.methods if result.method == name), None)


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """A task's rows, and what was measured on them.

    Attributes:
        chance: share of the largest class among the test rows. dropped: rows that were left out, by reason.
        network: what learned. views: how its views differ, in words.
        groups: how many groups the test rows make; None where every row stands alone.
    """

    task: str
    title: str
    source: str
    classes: tuple[str, ...]
    train: int
    test: int
    chance: float
    dropped: Mapping[str, int]
    network: str
    views: str
    conditions: tuple[ConditionResult, ...]
    groups: int | None = None

    def part(self, name: str) -> list[ConditionResult]:
        """Return the conditions of a part of the page."""
        return [condition for condition in self.conditions if condition.part == name]


@dataclass(frozen=True)
class LabelsSummary:
    """All that the page of a study of labels shows.

    Attributes:
        methods: all of them, in the order of the page.
    """

    study: str
    config: JsonObject
    seeds: tuple[int, ...]
    methods: tuple[str, ...]
    tasks: tuple[TaskResult, ...]
    failures: tuple[Failure, ...]
    cost: StudyCost
    provenance: Mapping[str, object]
