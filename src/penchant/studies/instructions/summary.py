"""The summary of a study of instruction tuning, which `study.json` holds and its page shows. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from penchant.metrics.estimates import Estimate
from penchant.studies.core.summary import Failure, StudyCost
from penchant.typed_json import OMITTED, JsonObject


@dataclass(frozen=True, kw_only=True)
class ModelAccuracies:
    """The accuracies of all models on the same rows, after the same number of examples.

    Attributes:
        shots: examples before a question.
        majority: always the answer that is most frequent among the rows to tune on.
        untuned: the model as it was.
        transfer, full: tuned on the other clusters alone, and on all.
        gain, gain_of_many: transfer less untuned, paired; the second with an interval so wide that those of all
            clusters and numbers of examples hold together.
        over_majority: transfer less majority. added: full less transfer.
    """

    shots: int
    majority: Annotated[Estimate | None, OMITTED] = None
    untuned: Annotated[Estimate | None, OMITTED] = None
    transfer: Annotated[Estimate | None, OMITTED] = None
    full: Annotated[Estimate | None, OMITTED] = None
    gain: Annotated[Estimate | None, OMITTED] = None
    gain_of_many: Annotated[Estimate | None, OMITTED] = None
    over_majority: Annotated[Estimate | None, OMITTED] = None
    added: Annotated[Estimate | None, OMITTED] = None


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """A task of a cluster that was held out.

    Attributes:
        train, test: rows to tune on (and to show as examples), and to measure on.
        cut: test rows whose text or examples were shortened, by number of examples.
        left_out: examples that had no room, likewise.
    """

    task: str
    title: str
    source: str
    classes: tuple[str, ...]
    train: int
    test: int
    cut: tuple[int, ...]
    left_out: tuple[int, ...]
    accuracies: tuple[ModelAccuracies, ...]


@dataclass(frozen=True, kw_only=True)
class ClusterResult:
    """A cluster that was held out; its accuracies are the means over its tasks."""

    name: str
    tasks: tuple[TaskResult, ...]
    accuracies: tuple[ModelAccuracies, ...]


@dataclass(frozen=True, kw_only=True)
class MixtureFacts:
    """The demonstrations of a run.

    Attributes:
        left_out_cluster: empty for the run on all. tasks: rows by task.
        left_out: rows by task that stand in what is measured, too. cut: texts that were shortened.
    """

    left_out_cluster: str
    seed: int
    tasks: Mapping[str, int]
    left_out: Mapping[str, int]
    cut: int


@dataclass(frozen=True, kw_only=True)
class InstructionsSummary:
    """All that the page of a study of instruction tuning shows.

    Attributes:
        over_tasks: means over all held-out tasks, with the task as the unit.
    """

    study: str
    config: JsonObject
    seeds: tuple[int, ...]
    clusters: tuple[ClusterResult, ...]
    over_tasks: tuple[ModelAccuracies, ...]
    mixtures: tuple[MixtureFacts, ...]
    failures: tuple[Failure, ...]
    cost: StudyCost
    provenance: Mapping[str, object]
