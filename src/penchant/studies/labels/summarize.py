"""Summarize the cells of a study of labels. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penchant.metrics.two_way import two_way_mean
from penchant.studies.core.records import read_object
from penchant.studies.core.stage import Stage
from penchant.studies.core.summary import cost_of_stages, failures_of
from penchant.studies.labels.grid import CHOSEN, Cell, Condition, LabelsGrid, LabelTask, label_of
from penchant.studies.labels.names import is_pictures
from penchant.studies.labels.settings import LabelsConfig
from penchant.studies.labels.stage_settings import BEST, GROUPS, LAST
from penchant.studies.labels.summary import ConditionResult, LabelsSummary, MethodResult, TaskResult
from penchant.typed_json import JsonObject
from penchant.weak.augmentation.settings import Augmentation, StrongAugmentation
from penchant.weak.semi_supervised.settings import Supervised

CONTROL = label_of(Supervised())
BEST_EPOCH = ", best epoch"
CLEAN_ALONE, WRONG_ALONE = "{}: clean labels", "{}: wrong labels"
"""What stands in the part of both together for methods that use one kind of labels alone."""
ON_BOTH = (": both", "")
Right = NDArray[np.float64]
Groups = NDArray[np.intp]


def summarize_labels(config: LabelsConfig, grid: LabelsGrid, study: Path, reasons: Mapping[str, str]) -> LabelsSummary:
    """Return the content of `study.json`.

    Args:
        study: the study's folder. reasons: why stages failed, by address.
    """
    # those of every task, once each
    stages = grid.stages()
    tasks = [_task(config, task, study) for task in grid if _facts(task.rows, study)]
    # in the order of the settings, whatever was measured so far
    names = list(dict.fromkeys(cell.method for task in grid for cell in task.cells))
    provenance: JsonObject = next((facts["provenance"] for task in grid if (facts := _facts(task.rows, study))), {})
    return LabelsSummary(
        study=config.method,
        config=config.recorded(),
        seeds=tuple(config.seeds),
        methods=tuple(names),
        tasks=tuple(tasks),
        failures=failures_of(stages, reasons),
        cost=cost_of_stages(stages, study),
        provenance=provenance,
    )


def _facts(stage: Stage, study: Path) -> JsonObject:
    return read_object(study / stage.path / "stage.json")


def _task(config: LabelsConfig, task: LabelTask, study: Path) -> TaskResult:
    facts = _facts(task.rows, study)
    cells: dict[Condition, list[Cell]] = {}
    for cell in task.cells:
        if _facts(cell.stage, study):
            cells.setdefault(cell.condition, []).append(cell)
    measured_at = {condition: _measured(its_cells, study) for condition, its_cells in cells.items()}
    groups = _groups(study / task.rows.path / GROUPS)
    conditions = [
        result for condition in measured_at if (result := _condition(condition, measured_at, groups)) is not None
    ]
    pictures = is_pictures(task.name)
    network = config.pictures if pictures else config.texts
    copies = not pictures and any(_facts(stage, study).get("own_copies") for stage in task.before)
    return TaskResult(
        task=task.name,
        title=facts["title"],
        source=facts["source"],
        classes=tuple(facts["classes"]),
        train=facts["train"],
        test=facts["test"],
        chance=facts["chance"],
        groups=None if groups is None else int(groups.max()) + 1,
        dropped=facts["dropped"],
        network=network.label,
        views=_views(network.views.weak, network.views.strong, own_copies=copies),
        conditions=tuple(conditions),
    )


def _views(weak: Sequence[Augmentation], strong: Sequence[StrongAugmentation], *, own_copies: bool) -> str:
    """Return in words how the two views of a row differ."""
    names = [", ".join(getattr(item, "label", item.name) for item in view) or "as it is" for view in (weak, strong)]
    return f"weak: {names[0]}; strong: {'the back-translations of the data set' if own_copies else names[1]}"


@dataclass(frozen=True)
class _Measured:
    """A method's answers at a condition.

    Attributes:
        right: whether each test row is right, shape (seeds, tests). facts: of the stage that it came from.
    """

    method: str
    right: Right
    facts: JsonObject


def _measured(cells: Sequence[Cell], study: Path) -> list[_Measured]:
    """Return what the cells of one condition left, each with its best epoch where one was chosen."""
    results = []
    for cell in cells:
        # a cell that failed has no facts, and is not among these
        folder, facts = study / cell.stage.path, _facts(cell.stage, study)
        best = _read(folder / BEST) if (folder / BEST).is_file() else None
        # at its end this one is nothing that anybody would take
        if cell.method != CHOSEN:
            results.append(_Measured(cell.method, _read(folder / LAST), facts))
        if best is not None:
            name = cell.method if cell.method == CHOSEN else f"{cell.method}{BEST_EPOCH}"
            results.append(_Measured(name, best, facts))
    return results


def _read(file: Path) -> Right:
    return np.asarray(np.load(file, allow_pickle=False), dtype=np.float64)


def _groups(file: Path) -> Groups | None:
    """Return a number for each test row, the same for related ones; None where no rows are related."""
    return np.asarray(np.load(file, allow_pickle=False), dtype=np.intp) if file.is_file() else None


def _condition(
    condition: Condition, measured_at: Mapping[Condition, Sequence[_Measured]], groups: Groups | None
) -> ConditionResult | None:
    """Return the methods at a condition, each less the control there; None where nothing was measured."""
    methods = list(measured_at[condition])
    if condition.part == "together":
        methods = _alternatives(condition, measured_at) + [
            replace(item, method=f"{item.method}{ON_BOTH[item.method == CHOSEN]}") for item in methods
        ]
    if not methods:
        return None
    # without a control there are accuracies and no gains
    control = methods[0] if methods[0].method in (CONTROL, CLEAN_ALONE.format(CONTROL)) else None
    # labels are those of the seed, whatever the method
    labels, wrong = _labels_of(measured_at[condition][0], condition)
    return ConditionResult(
        part=condition.part,
        clean=condition.clean,
        kind=condition.kind,
        rate=condition.rate,
        wrong=wrong,
        labels=labels,
        unlabeled=measured_at[condition][0].facts["unlabeled"],
        methods=tuple(_method(item, control, len(methods) - 1, groups) for item in methods),
    )


def _labels_of(item: _Measured, condition: Condition) -> tuple[int, float]:
    """Return how many labels there are at a condition, and the share of them that is wrong, the mean over seeds."""
    labels, wrong = int(item.facts["labels"]), float(np.mean(item.facts["wrong"]))
    # clean labels that choose an epoch are no part of what was learned
    clean = condition.clean or 0 if item.method == CHOSEN else 0
    return labels + clean, wrong * labels / (labels + clean)


def _alternatives(condition: Condition, measured_at: Mapping[Condition, Sequence[_Measured]]) -> list[_Measured]:
    """Return what one can do with the clean labels alone, and with the wrong ones alone; the control first."""
    clean_alone = measured_at.get(Condition("few", clean=condition.clean), [])
    wrong = measured_at.get(Condition("wrong", kind=condition.kind, rate=condition.rate), [])
    return [
        *(replace(item, method=CLEAN_ALONE.format(item.method)) for item in clean_alone),
        *(replace(item, method=WRONG_ALONE.format(item.method)) for item in wrong),
    ]


def _method(item: _Measured, control: _Measured | None, compared: int, groups: Groups | None) -> MethodResult:
    """Return a method's numbers; `compared` is how many methods are held against the control."""
    facts = item.facts
    warnings = [text for seed in facts["warnings"] for text in seed[:1]]
    difference = None if control is None or control is item else item.right - control.right
    return MethodResult(
        method=item.method,
        # new seeds draw other labels, and new rows are as hard as these: both count
        accuracy=two_way_mean(item.right, share=True, groups=groups),
        gain=None if difference is None else two_way_mean(difference, groups=groups),
        # Bonferroni: the largest of several gains is large by luck, too
        gain_of_many=None if difference is None else two_way_mean(difference, level=1 - 0.05 / compared, groups=groups),
        warnings=len(warnings),
        first_warning=warnings[0] if warnings else "",
        mask_rate=float(np.mean(facts["mask_rates"])) if facts["mask_rates"] else None,
        seconds=facts["processor_seconds"] / len(item.right),
    )
