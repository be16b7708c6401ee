"""Summarize a weak-to-strong study from its stages. Imports no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from penchant.studies.core.results import facts_of
from penchant.studies.core.stage import Stage
from penchant.studies.core.summary import cost_of_stages, failures_of
from penchant.studies.weak_to_strong.predictions import groups_of
from penchant.studies.weak_to_strong.settings import TEXTS_FIRST, WeakToStrongConfig
from penchant.studies.weak_to_strong.student_results import student_results
from penchant.studies.weak_to_strong.summary import (
    Shrinkage,
    StrongModel,
    TaskFacts,
    TextsFirst,
    WeakToStrongSummary,
)
from penchant.studies.weak_to_strong.task_grid import TaskGrid, read_by
from penchant.typed_json import from_json
from penchant.weak.labels import labels
from penchant.weak.settings import (
    L2_CANDIDATES,
    Cnn,
    LanguageModel,
    Mlp,
    OwnClassifier,
    Probe,
    StudentSpec,
)


def summarize_weak(
    config: WeakToStrongConfig, grids: Sequence[TaskGrid], study: Path, reasons: Mapping[str, str]
) -> WeakToStrongSummary:
    """Return what the study found, the content of `study.json`.

    Args:
        study: the study's folder. reasons: why stages failed, by address.
    """
    stages = [stage for grid in grids for stage in grid.stages()]
    facts = [facts_of(grid.rows, study) for grid in grids]
    return WeakToStrongSummary(
        study=config.method,
        config=config.recorded(),
        seeds=tuple(config.seeds),
        tasks=tuple(
            from_json(TaskFacts, {"task": grid.name, **fact, "groups": _group_count(grid, study)})
            for grid, fact in zip(grids, facts, strict=True)
            if "title" in fact
        ),
        # labels of all together: those that would read alike say where they differ
        weak=tuple(labels(config.weak)),
        chain=tuple(labels(config.bootstrap)),
        strong=_strong_models(config, grids, study),
        losses=tuple(config.loss_columns),
        texts_first=tuple(
            from_json(TextsFirst, {"task": grid.name, "model": network.name, **fact})
            for grid in grids
            for network, stage in grid.tuned.items()
            if (fact := facts_of(stage, study))
        ),
        control="labels dealt out" if config.controls else None,
        l2=_shrinkage(config, stages, study),
        leaked=tuple(config.disanalogies),
        cells=tuple(student for grid in grids for student in student_results(config, grid, study)),
        failures=failures_of(stages, reasons),
        cost=cost_of_stages(stages, study),
        provenance=next((fact["provenance"] for fact in facts if "provenance" in fact), {}),
    )


def _group_count(grid: TaskGrid, study: Path) -> int | None:
    """Return how many groups a task's test rows make; None where every row stands alone."""
    groups = groups_of(grid.rows, study)
    return None if groups is None else len(set(groups.tolist()))


def _shrinkage(config: WeakToStrongConfig, stages: Sequence[Stage], study: Path) -> Shrinkage:
    """Count how often each l2 was chosen for a set of labels, and how many more fits the choices took."""
    facts = [facts_of(stage, study) for stage in stages]
    chosen = Counter(value for fact in facts for value in fact.get("l2", ()))
    by_value = {f"{value:g}": size for value, size in sorted(chosen.items())}
    return (
        Shrinkage(by_value, tuple(L2_CANDIDATES), sum(fact.get("l2_fits", 0) for fact in facts))
        if config.l2 == "auto"
        else Shrinkage(by_value)
    )


def _strong_models(config: WeakToStrongConfig, grids: Sequence[TaskGrid], study: Path) -> tuple[StrongModel, ...]:
    """Return the strong models, with the label of those that differ only in rows, or in the layer that is read."""
    suffixes = [TEXTS_FIRST if tuned else "" for _, tuned in config.students]
    # without rows: students that differ in these alone make one line of a figure
    families = labels([spec.model_copy(update={"rows": None}) for spec, _ in config.students])
    # without rows and layer: one model's layers make the figure of layers
    layers = {"rows": None, "layer": -1}
    readers = labels(
        [spec.model_copy(update=layers) if isinstance(spec, Probe) else spec for spec, _ in config.students]
    )
    return tuple(
        _strong_model(config, number, families[number] + suffix, readers[number] + suffix, grids, study)
        for number, suffix in enumerate(suffixes)
    )


def _strong_model(
    config: WeakToStrongConfig, number: int, family: str, reader: str, grids: Sequence[TaskGrid], study: Path
) -> StrongModel:
    """Return a strong model with its size, and the unit of its students' training curves."""
    spec, tuned = config.students[number]
    facts = [facts_of(stage, study) for grid in grids for stage in grid.students[number].stages()]
    layer = None
    if isinstance(spec, Probe):
        activations = [facts_of(grid.activations[read_by(spec, tuned)], study) for grid in grids]
        sizes, depths = ([fact.get(key) for fact in activations] for key in ("parameters", "layers"))
        # A negative layer counts from the last one, which only the model's own depth tells.
        layer = spec.layer if spec.layer >= 0 else next((spec.layer + 1 + depth for depth in depths if depth), None)
    else:
        sizes = [fact.get("parameters") for fact in facts]  # of a fine-tuned model each student says it
    return StrongModel(
        label=config.student_labels[number],
        learning=_kind_of_learning(spec),
        layer=layer,
        rows=spec.rows,
        parameters=next((size for size in sizes if size), None),
        curve_unit=next((fact["unit"] for fact in facts if fact), "steps"),
        family=family,
        reader=reader,
    )


def _kind_of_learning(spec: StudentSpec) -> str:
    """Return how a student learns, in the words of the page."""
    if isinstance(spec, LanguageModel):
        return "fine-tuned" if spec.training else "prompted"
    if isinstance(spec, OwnClassifier):
        return "own code"
    if isinstance(spec, Mlp):
        return "small network"
    if isinstance(spec, Cnn):
        return "convolutional network"
    return "probed" if isinstance(spec, Probe) else "word counts"
