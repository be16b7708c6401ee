"""Summarize the answers of a study of instruction tuning. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penchant.metrics.estimates import Estimate
from penchant.metrics.two_way import two_way_mean
from penchant.studies.core.records import read_object
from penchant.studies.core.stage import Stage
from penchant.studies.core.summary import cost_of_stages, failures_of
from penchant.studies.instructions.grid import InstructionsGrid, MeasuredCluster
from penchant.studies.instructions.settings import InstructionsConfig
from penchant.studies.instructions.summary import (
    ClusterResult,
    InstructionsSummary,
    MixtureFacts,
    ModelAccuracies,
    TaskResult,
)
from penchant.typed_json import JsonObject

Table = NDArray[np.float64]
"""Whether each row is right, shape (seeds, rows); a part where answers tie."""
MODELS = ("untuned", "transfer", "full")
DIFFERENCES = {
    "gain": ("transfer", "untuned"),
    "over_majority": ("transfer", "majority"),
    "added": ("full", "transfer"),
}


@dataclass(frozen=True)
class _TaskTables:
    """What was right of a task, by model and number of examples.

    Attributes:
        right: by model, a table for each number of examples; models without an answer are missing.
        groups: of the rows.
    """

    facts: JsonObject
    counts: Sequence[Mapping[str, int]]
    right: Mapping[str, Sequence[Table]]
    groups: NDArray[np.int64]


def summarize_instructions(
    config: InstructionsConfig, grid: InstructionsGrid, study: Path, reasons: Mapping[str, str]
) -> InstructionsSummary:
    """Return the content of `study.json`.

    Args:
        study: the study's folder. reasons: why stages failed, by address.
    """
    tables = [(cluster, _read_cluster(cluster, study, config.normalize == "tokens")) for cluster in grid.clusters]
    measured = [(cluster, tasks) for cluster, tasks in tables if tasks]
    # how many verdicts the page gives, which shall hold together
    compared = len(measured) * len(config.shots)
    clusters = tuple(_cluster(cluster.name, tasks, config.shots, compared) for cluster, tasks in measured)
    stages = grid.stages()
    facts = (read_object(study / stage.path / "stage.json") for stage in grid.rows.values())
    provenance: JsonObject = next((item["provenance"] for item in facts if item), {})
    return InstructionsSummary(
        study=config.method,
        config=config.recorded(),
        seeds=tuple(config.seeds),
        clusters=clusters,
        over_tasks=tuple(
            _over_tasks([task.accuracies[index] for cluster in clusters for task in cluster.tasks])
            for index in range(len(config.shots))
            if clusters
        ),
        mixtures=tuple(_mixtures(grid, study)),
        failures=failures_of(stages, reasons),
        cost=cost_of_stages(stages, study),
        provenance=provenance,
    )


# -- what stages wrote ---------------------------------------------------------------------------------------------


def _read_cluster(cluster: MeasuredCluster, study: Path, per_token: bool) -> list[_TaskTables]:
    """Return the tables of a cluster's tasks, in the order of the configuration; none where it was not asked yet."""
    untuned_facts = read_object(study / cluster.untuned.path / "stage.json")
    # without the baseline there is nothing that a tuned model could be compared with
    if not untuned_facts:
        return []
    # in this order its answers are numbered
    order = [str(task["task"]) for task in untuned_facts["tasks"]]
    tables = []
    for task, rows in zip(cluster.tasks, cluster.rows, strict=True):
        file, number = f"{order.index(task):03d}.npz", order.index(task)
        facts = read_object(study / rows.path / "stage.json")
        right = {}
        for model, stages in (
            ("untuned", (cluster.untuned,)),
            ("transfer", cluster.transfer),
            ("full", cluster.full),
        ):
            # all seeds or none: differences are taken seed by seed
            if all(_is_done(stage, study) for stage in stages):
                answers = [_right(study / stage.path / file, per_token) for stage in stages]
                # (shots, seeds, rows)
                right[model] = list(np.stack(answers, axis=1))
        content = np.load(study / cluster.untuned.path / file, allow_pickle=False)
        always = (content["labels"] == facts["majority"]).astype(np.float64)[None]
        right["majority"] = [always] * len(right["untuned"])
        tables.append(_TaskTables(facts, untuned_facts["tasks"][number]["counts"], right, content["groups"]))
    return tables


def _is_done(stage: Stage, study: Path) -> bool:
    return (study / stage.path / "stage.json").exists()


def _right(file: Path, per_token: bool) -> Table:
    """Return whether each row is right, shape (shots, rows)."""
    content = np.load(file, allow_pickle=False)
    scores = content["logps"] / content["tokens"] if per_token else content["logps"]
    is_best = scores == scores.max(-1, keepdims=True)
    chosen = np.take_along_axis(is_best, content["labels"][None, :, None], -1)[..., 0]
    # answers of equal score are drawn from, in expectation: the first is no better than the second
    return chosen / is_best.sum(-1)


def _mixtures(grid: InstructionsGrid, study: Path) -> list[MixtureFacts]:
    mixtures = []
    # those that failed are listed with the failures
    for (left_out, seed), stage in grid.mixtures.items():
        if facts := read_object(study / stage.path / "stage.json"):
            mixtures.append(
                MixtureFacts(
                    left_out_cluster=left_out,
                    seed=seed,
                    tasks=facts["tasks"],
                    left_out=facts["left_out"],
                    cut=facts["cut"],
                )
            )
    return mixtures


# -- numbers -------------------------------------------------------------------------------------------------------


def _cluster(name: str, tasks: Sequence[_TaskTables], shots: Sequence[int], compared: int) -> ClusterResult:
    results = tuple(
        TaskResult(
            task=task.facts["task"],
            title=task.facts["title"],
            source=task.facts["source"],
            classes=tuple(task.facts["classes"]),
            train=task.facts["train"],
            test=task.facts["test"],
            cut=tuple(counts["cut"] for counts in task.counts),
            left_out=tuple(counts["examples_left_out"] for counts in task.counts),
            accuracies=tuple(_accuracies([task], index, count, compared) for index, count in enumerate(shots)),
        )
        for task in tasks
    )
    means = tuple(_accuracies(tasks, index, count, compared) for index, count in enumerate(shots))
    return ClusterResult(name=name, tasks=results, accuracies=means)


def _accuracies(tasks: Sequence[_TaskTables], index: int, shots: int, compared: int) -> ModelAccuracies:
    """Return the accuracies of all models on the rows of some tasks, each task with the same weight."""
    groups = _joined_groups([task.groups for task in tasks])

    def tables(model: str) -> list[Table]:
        return [task.right[model][index] for task in tasks if model in task.right]

    def mean(parts: Sequence[Table], level: float = 0.95, *, share: bool = False) -> Estimate | None:
        # a mean over some of the tasks would be another number under the same name
        if len(parts) < len(tasks):
            return None
        # of one task the rows are plain rights and wrongs, which have an exact interval
        is_exact = share and len(parts) == 1
        estimate = two_way_mean(_stratified(parts), share=is_exact, groups=groups, level=level)
        return _as_share(estimate) if share else estimate

    values = {model: mean(tables(model), share=True) for model in (*MODELS, "majority")}
    gaps = {
        name: [a - b for a, b in zip(tables(minuend), tables(subtrahend), strict=False)]
        for name, (minuend, subtrahend) in DIFFERENCES.items()
    }
    return ModelAccuracies(
        shots=shots,
        **values,
        **{name: mean(parts) for name, parts in gaps.items()},
        # Bonferroni: the largest of several gains is large by luck, too
        gain_of_many=mean(gaps["gain"], 1 - 0.05 / compared),
    )


def _stratified(parts: Sequence[Table]) -> Table:
    """Return one table of several tasks whose mean is the mean of their means, and whose spread is that within tasks.

    The tasks are those that were chosen, so differences between them are no noise of this mean; how it varies over
    tasks is another question, see `_over_tasks`.
    """
    if len(parts) == 1:
        return parts[0]
    size = sum(part.shape[1] for part in parts)
    mean = float(np.mean([part.mean() for part in parts]))
    # so that each task has the same weight, however many rows it has
    scales = [size / (len(parts) * part.shape[1]) for part in parts]
    return np.concatenate(
        [mean + scale * (part - part.mean()) for part, scale in zip(parts, scales, strict=True)], axis=1
    )


def _as_share(estimate: Estimate) -> Estimate:
    """Return a mean of shares with its interval within 0 and 1, which that of few seeds may leave."""
    if estimate.low is None or estimate.high is None:
        return estimate
    return replace(estimate, low=max(0.0, estimate.low), high=min(1.0, estimate.high))


def _joined_groups(groups: Sequence[NDArray[np.int64]]) -> list[tuple[int, int]]:
    # a number per task, since each counts its groups from 0
    return [(number, int(code)) for number, codes in enumerate(groups) for code in codes]


def _over_tasks(accuracies: Sequence[ModelAccuracies]) -> ModelAccuracies:
    """Return means over tasks, whose intervals are for other tasks like these."""
    names = ("majority", *MODELS, *DIFFERENCES)
    means: dict[str, Estimate | None] = {}
    for name in names:
        values = [estimate.value for item in accuracies if (estimate := getattr(item, name)) is not None]
        complete = len(values) == len(accuracies)
        # as few as tasks are, t's quantile holds where resampling would not
        mean = two_way_mean([values]) if complete else None
        means[name] = _as_share(mean) if mean is not None and name not in DIFFERENCES else mean
    return ModelAccuracies(shots=accuracies[0].shots, **means)
