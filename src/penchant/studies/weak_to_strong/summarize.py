"""From a weak-to-strong study to plain numbers: its `study.json`. Imports no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.metrics.calibration import expected_calibration_error, reliability
from penchant.metrics.estimates import Estimate
from penchant.metrics.imitation import consistency, student_supervisor
from penchant.metrics.pgr import pgr
from penchant.metrics.two_way import two_way_mean
from penchant.studies.core.results import seconds_of
from penchant.studies.core.stage import Stage
from penchant.studies.weak_to_strong.grid import TaskGrid, read_by
from penchant.studies.weak_to_strong.names import (
    CEILING,
    RANDOM,
    chained_name,
    longer_name,
    noise_name,
    shown_name,
    student_name,
    weak_name,
)
from penchant.studies.weak_to_strong.predictions import Predictions, facts_of, groups_of, predictions_of
from penchant.studies.weak_to_strong.settings import TEXTS_FIRST, WeakToStrongConfig
from penchant.weak.settings import TRIED, LanguageModel, Probe, StudentSpec, labels, rows_learned

BINS = 10
Array = NDArray[Any]


def summarize_weak(
    config: WeakToStrongConfig, grids: Sequence[TaskGrid], study: Path, reasons: Mapping[str, str]
) -> dict[str, Any]:
    """The content of `study.json`.

    Args:
        study: the study's folder. reasons: why stages failed, by address.
    """
    tasks = [task for grid in grids for task in grid.stages()]
    facts = [{"task": grid.name, **facts_of(grid.rows, study)} for grid in grids]
    cells = [cell for grid in grids for cell in _cells(config, grid, study)]
    return {
        "study": config.method,
        "config": config.recorded(),
        "seeds": list(config.seeds),
        "tasks": [
            {key: value for key, value in one.items() if key != "provenance"} | {"groups": _groups(grid, study)}
            for grid, one in zip(grids, facts, strict=True)
            if "title" in one
        ],
        "weak": labels(config.weak),
        "chain": labels(config.bootstrap),
        "strong": _strong(config, grids, study),
        "losses": config.columns,
        "texts_first": [
            {"task": grid.name, "model": network.name, **told}
            for grid in grids
            for network, task in grid.tuned.items()
            if (told := facts_of(task, study))
        ],
        "control": "labels dealt out" if config.controls else None,
        "l2": _shrinkages(config, tasks, study),
        "shown": config.columns[len(config.columns) - len(config.imitation) :],
        "cells": cells,
        "failures": [
            {"stage": task.label, "reason": reasons[task.address]} for task in tasks if task.address in reasons
        ],
        "cost": {"seconds": sum(seconds_of(task, study) for task in tasks)},
        "provenance": next((one["provenance"] for one in facts if "provenance" in one), {}),
    }


def _groups(grid: TaskGrid, study: Path) -> int | None:
    """Return how many groups a task's test rows make; None where every row stands alone."""
    groups = groups_of(grid.rows, study)
    return None if groups is None else len(set(groups.tolist()))


def _shrinkages(config: WeakToStrongConfig, tasks: Sequence[Stage], study: Path) -> dict[str, Any]:
    """How often each l2 was chosen for a set of labels, and how many fits that took beside those of the students."""
    chosen = Counter(value for task in tasks for value in facts_of(task, study).get("l2", ()))
    searched = config.l2 == "auto"
    return {
        "chosen": {f"{value:g}": size for value, size in sorted(chosen.items())},
        "tried": list(TRIED) if searched else [],
        "fits": len(TRIED) * chosen.total() if searched else 0,
    }


def _strong(config: WeakToStrongConfig, grids: Sequence[TaskGrid], study: Path) -> list[dict[str, Any]]:
    """The strong models, with those that differ in nothing but their rows, or in the layer that a probe reads."""
    first = [TEXTS_FIRST if tuned else "" for _, tuned in config.students]
    families = labels([one.model_copy(update={"rows": None}) for one, _ in config.students])
    layers = {"rows": None, "layer": -1}
    readers = labels([one.model_copy(update=layers) if isinstance(one, Probe) else one for one, _ in config.students])
    return [
        {
            **_about(config, number, grids, study),
            "family": families[number] + first[number],
            "reader": readers[number] + first[number],
        }
        for number in range(len(config.students))
    ]


def _about(config: WeakToStrongConfig, number: int, grids: Sequence[TaskGrid], study: Path) -> dict[str, Any]:
    """A strong model: its size, and when its students were looked at."""
    one, tuned = config.students[number]
    facts = [facts_of(task, study) for grid in grids for task in grid.students[number].stages()]
    layer = None
    if isinstance(one, Probe):
        read = [facts_of(grid.activations[read_by(one, tuned)], study) for grid in grids]
        sizes, depth = ([fact.get(key) for fact in read] for key in ("parameters", "layers"))
        layer = one.layer if one.layer >= 0 else next((one.layer + 1 + deep for deep in depth if deep), None)
    else:
        sizes = [fact.get("parameters") for fact in facts]
    return {
        "label": config.student_labels[number],
        "how": _how(one),
        "layer": layer,
        "rows": one.rows,
        "parameters": next((size for size in sizes if size), None),
        "curve_unit": next((fact["unit"] for fact in facts if fact), "steps"),
    }


def _how(one: StudentSpec) -> str:
    """What kind of learning it stands for."""
    if isinstance(one, LanguageModel):
        return "fine-tuned" if one.training else "prompted"
    return "probed" if isinstance(one, Probe) else "word counts"


def _cells(config: WeakToStrongConfig, grid: TaskGrid, study: Path) -> Iterator[dict[str, Any]]:
    """One for each student of each supervisor and loss."""
    rows = facts_of(grid.rows, study).get("train", 0)
    for place, (strong, students) in enumerate(zip(config.student_labels, grid.students, strict=True)):
        bare = predictions_of(config, students, study)
        if bare is None:
            continue
        found = replace(bare, groups=groups_of(grid.rows, study))
        for number, weak in enumerate(labels(config.weak)):
            key = weak_name(number)
            supervisors = [grid.labels[key, seed] for seed in config.seeds]
            if not all(facts_of(task, study) for task in supervisors):
                continue
            files = [study / task.path / "test.npy" for task in supervisors]
            teacher = np.stack([np.load(file, allow_pickle=False) for file in files]).argmax(-1)
            names = [student_name(key, number) for number in range(len(config.losses))]
            names += [chained_name(key), longer_name(key)] if config.bootstrap else []
            names += [shown_name(key, place) for place in range(len(config.imitation))]
            labelled, one = facts_of(supervisors[0], study)["labelled"], config.students[place][0]
            for label, name in zip(config.columns, names, strict=True):
                if name not in found.probabilities or names[0] not in found.probabilities:
                    continue
                yield {
                    "task": grid.name,
                    "weak": weak,
                    "strong": strong,
                    "loss": label,
                    **_cell(found, name, teacher, learns=rows_learned(one, labelled) > 0),
                    **_beside(found, name, names[0], noise_name(key)),
                    "over_longer": _over(found, name, longer_name(key)) if name == chained_name(key) else None,
                    "labelled": labelled,
                    "weak_labels": rows_learned(one, labelled),
                    "learned_from": rows_learned(config.weak[number], rows - labelled),
                }


def _cell(found: Predictions, name: str, teacher: Array, *, learns: bool) -> dict[str, Any]:
    """A student between its supervisor and its ceiling."""
    truth, student = found.truth, found.probabilities[name].argmax(-1)
    ceiling = found.probabilities[CEILING].argmax(-1)
    measured = pgr(teacher == truth, student == truth, ceiling == truth, groups=found.groups)
    relation = student_supervisor(teacher, student, truth, groups=found.groups)
    ratio = {"value": measured.value, "low": measured.low, "high": measured.high, "reason": measured.reason}
    if not learns:  # student and ceiling are one, and the ratio would be 1 whatever the labels
        ratio = {"value": None, "low": None, "high": None, "reason": "learns nothing: prompted, without examples"}
    return {
        "pgr": ratio,
        "warnings": list(measured.warnings),
        **{key: getattr(measured, key).as_dict() for key in ("student", "ceiling", "gain", "gap")},
        "supervisor": measured.weak.as_dict(),
        "agreement": asdict(relation),
        **_calibration(found.probabilities[name], truth, found.groups),
        "brier": _brier(found.probabilities[name], truth, found.groups).as_dict(),
        **_stopping(found, name, teacher == truth),
        "consistency": _consistency(student, found.wordings[name], found.groups) if name in found.wordings else None,
        "moved": found.moved.get(name),
    }


def _beside(found: Predictions, name: str, naive: str, noise: str) -> dict[str, Any]:
    """A student beside the naive one, and that beside the controls, where these were trained."""
    noisy, blind = _right(found, noise), _right(found, RANDOM)
    return {
        "over_naive": None if name == naive else _over(found, name, naive),
        "noise": None if noisy is None else two_way_mean(noisy, share=True, groups=found.groups).as_dict(),
        "over_noise": _over(found, naive, noise),
        "random": None if blind is None else two_way_mean(blind, share=True, groups=found.groups).as_dict(),
    }


def _right(found: Predictions, name: str) -> Array | None:
    return found.probabilities[name].argmax(-1) == found.truth if name in found.probabilities else None


def _over(found: Predictions, name: str, other: str) -> dict[str, Any] | None:
    """By how much a student is more accurate than another, on the same rows and seeds; None where one is missing."""
    own, theirs = _right(found, name), _right(found, other)
    return None if own is None or theirs is None else two_way_mean(own * 1.0 - theirs, groups=found.groups).as_dict()


def _stopping(found: Predictions, name: str, supervisor: Array) -> dict[str, Any]:
    """Accuracy on the truth while the student trained; where it was best, which only an oracle knows; and where the
    loss on weak labels that were kept back was lowest. Means over seeds; None where nobody looked.

    Args:
        supervisor: where it is right, shape (seeds, rows).
    """
    curve = found.curves.get(name)
    if curve is None:
        return {"curve": None, "curve_from": None, "oracle": None, "early": None}
    mean, looks = curve.mean((0, 2)), found.looks[name]
    groups = None if found.groups is None else found.groups[: curve.shape[2]]
    misfits = found.misfits.get(name)
    early = None if misfits is None else float(_at_lowest(curve.mean(2), misfits).mean())
    best = int(mean.argmax())
    oracle = {"accuracy": float(mean[best]), "after": looks[best], "last": float(mean[-1])}
    shown = [{"after": look, "accuracy": float(right)} for look, right in zip(looks, mean, strict=True)]
    return {
        "curve": shown,
        "curve_from": float(supervisor[:, : curve.shape[2]].mean()),
        "oracle": {**oracle, "lost": _lost(curve, misfits, groups).as_dict()},
        "early": early,
    }


def _at_lowest(curve: Array, misfits: Array) -> Array:
    return np.take_along_axis(curve, misfits.argmin(1)[:, None], 1)


def _lost(curve: Array, misfits: Array | None = None, groups: Array | None = None) -> Estimate:
    """By how much the last look, or the one whose weights were kept, is worse than the best one, which is chosen on
    every other row and measured on the rows between: the best of many looks at the same rows would be good by luck.

    Args:
        curve: shape (seeds, looks, rows). misfits: of students that stopped early, shape (seeds, looks).
    """
    lost = np.zeros((curve.shape[0], curve.shape[2]))
    kept = curve[:, -1] if misfits is None else curve[np.arange(len(curve)), misfits.argmin(1)]
    even, odd = slice(0, None, 2), slice(1, None, 2)
    for chosen_on, measured_on in ((even, odd), (odd, even)):
        best = curve[:, :, chosen_on].mean((0, 2)).argmax()
        lost[:, measured_on] = 1.0 * curve[:, best, measured_on] - kept[:, measured_on]
    return two_way_mean(lost, groups=groups)


def _row_groups(shape: tuple[int, ...], groups: Array | None) -> Array:
    """Return what a row's interval resamples it with, in predictions of all seeds one after the other."""
    return np.broadcast_to(np.arange(shape[1]) if groups is None else groups, shape).ravel()


def _consistency(said: Array, reworded: Array, groups: Array | None) -> dict[str, Any]:
    """Return how often students say the same of a row in other words; all seeds together, intervals resample rows."""
    everything = np.concatenate([said[:, None], reworded], 1).transpose(1, 0, 2)
    rows = _row_groups(said.shape, groups)
    return consistency(everything.reshape(len(everything), -1), rows).as_dict()


def _brier(probabilities: Array, truth: Array, groups: Array | None = None) -> Estimate:
    """Squared distance of the probabilities from the truth, summed over classes; 0 is perfect."""
    found = two_way_mean(np.square(probabilities - np.eye(probabilities.shape[-1])[truth]).sum(-1), groups=groups)
    return found if found.low is None else replace(found, low=max(0.0, found.low))


def _calibration(probabilities: Array, truth: Array, groups: Array | None) -> dict[str, Any]:
    """Of all seeds' predictions together; intervals resample rows."""
    sure, said = probabilities.max(-1), probabilities.argmax(-1)
    items = _row_groups(sure.shape, groups)
    curve = reliability(sure.ravel().clip(0, 1), (said == truth).ravel(), items.tolist(), bins=BINS)
    shown = [{"confidence": each.confidence, "accuracy": each.accuracy.as_dict()} for each in curve]
    return {"calibration_error": expected_calibration_error(curve), "reliability": shown}
