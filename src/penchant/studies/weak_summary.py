"""From a weak-to-strong study to plain numbers: its `study.json`. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from penchant.metrics.calibration import expected_calibration_error, reliability
from penchant.metrics.imitation import consistency, student_supervisor
from penchant.metrics.intervals import Estimate
from penchant.metrics.pgr import pgr
from penchant.metrics.two_way import two_way_mean
from penchant.studies.measured import seconds_of
from penchant.studies.records import read_object
from penchant.studies.tasks import Task
from penchant.studies.weak_grid import Students, TaskGrid, read_by
from penchant.studies.weak_names import (
    CEILING,
    RANDOM,
    chained_name,
    longer_name,
    noise_name,
    shown_name,
    student_name,
    weak_name,
)
from penchant.studies.weak_settings import TEXTS_FIRST, WeakToStrongConfig
from penchant.weak.settings import LanguageModel, Probe, StudentSpec, labels

BINS = 10
Array = NDArray[Any]


def summarize_weak(
    config: WeakToStrongConfig, grids: Sequence[TaskGrid], study: Path, reasons: Mapping[str, str]
) -> dict[str, Any]:
    """The content of `study.json`.

    Args:
        study: the study's folder. reasons: why stages failed, by address.
    """
    tasks = [task for grid in grids for task in grid.tasks()]
    facts = [{"task": grid.name, **_facts(grid.rows, study)} for grid in grids]
    cells = [cell for grid in grids for cell in _cells(config, grid, study)]
    return {
        "study": config.method,
        "config": config.model_dump(mode="json"),
        "seeds": list(config.seeds),
        "tasks": [{key: value for key, value in one.items() if key != "provenance"} for one in facts if "title" in one],
        "weak": labels(config.weak),
        "chain": labels(config.bootstrap),
        "strong": [_strong(config, number, grids, study) for number in range(len(config.students))],
        "losses": config.columns,
        "shown": config.columns[len(config.columns) - len(config.imitation) :],
        "cells": cells,
        "failures": [
            {"stage": task.label, "reason": reasons[task.address]} for task in tasks if task.address in reasons
        ],
        "cost": {"seconds": sum(seconds_of(task, study) for task in tasks)},
        "provenance": next((one["provenance"] for one in facts if "provenance" in one), {}),
    }


@dataclass(frozen=True)
class _Predictions:
    """What the students of one strong model say of a task's test rows.

    Attributes:
        truth: labels of the test rows.
        probabilities: by student, shape (seeds, rows, classes); students of whom a seed is missing are left out.
        looks: when they were looked at while they trained, by student, in steps or epochs, shape (looks,).
        curves: their accuracy on the truth then, shape (seeds, looks). misfits: likewise the loss on weak labels that
            were kept back, where there were some.
        wordings: classes that they give rows in other words, by student, shape (seeds, wordings, rows); none without
            templates. moved: how far their weights went, mean over seeds, of those that are fine-tuned.
    """

    truth: Array
    probabilities: Mapping[str, Array]
    looks: Mapping[str, Sequence[float]]
    curves: Mapping[str, Array]
    misfits: Mapping[str, Array]
    wordings: Mapping[str, Array]
    moved: Mapping[str, float]


def _facts(task: Task, study: Path) -> dict[str, Any]:
    return read_object(study / task.place / "stage.json")


def _strong(config: WeakToStrongConfig, number: int, grids: Sequence[TaskGrid], study: Path) -> dict[str, Any]:
    """A strong model: its size, and when its students were looked at."""
    one, tuned = config.students[number]
    facts = [_facts(task, study) for grid in grids for task in grid.students[number].tasks()]
    layer = None
    if isinstance(one, Probe):
        read = [_facts(grid.activations[read_by(one, tuned)], study) for grid in grids]
        sizes, depth = ([fact.get(key) for fact in read] for key in ("parameters", "layers"))
        layer = one.layer if one.layer >= 0 else next((one.layer + 1 + deep for deep in depth if deep), None)
    else:
        sizes = [fact.get("parameters") for fact in facts]
    return {
        "label": config.student_labels[number],
        "family": one.model_copy(update={"rows": None}).label + (TEXTS_FIRST if tuned else ""),
        "model": getattr(one, "model", None),
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


def _predictions(config: WeakToStrongConfig, students: Students, study: Path) -> _Predictions | None:
    """None where the ceiling is not there yet."""
    if students.batched is not None:
        folder = study / students.batched.place
        if not _facts(students.batched, study):
            return None
        probabilities, curves = (load_file(folder / f"{name}.safetensors") for name in ("test", "curve"))
        looks = dict.fromkeys(curves, _facts(students.batched, study)["steps"])
        truth, wordings = np.load(folder / "truth.npy", allow_pickle=False), load_file(folder / "wordings.safetensors")
        return _Predictions(truth, probabilities, looks, curves, {}, wordings, {})
    whole: dict[str, list[Path]] = {}
    for name in dict.fromkeys(name for name, _ in students.single):
        tasks = [students.single[name, seed] for seed in config.seeds]
        if all(_facts(task, study) for task in tasks):
            whole[name] = [study / task.place for task in tasks]
    if CEILING not in whole:
        return None
    probabilities = {
        name: np.stack([np.load(f / "test.npy", allow_pickle=False) for f in of]) for name, of in whole.items()
    }
    seen = {name: [json.loads((folder / "curve.json").read_text()) for folder in of] for name, of in whole.items()}
    seen = {name: of for name, of in seen.items() if len({tuple(look for look, *_ in one) for one in of}) == 1}
    known = {name: of for name, of in seen.items() if all(misfit is not None for one in of for _, misfit, _ in one)}
    facts = {name: [_facts(students.single[name, seed], study) for seed in config.seeds] for name in whole}
    moved = {name: [fact["moved"] for fact in of if "moved" in fact] for name, of in facts.items()}
    return _Predictions(
        np.load(whole[CEILING][0] / "truth.npy", allow_pickle=False),
        probabilities,
        {name: [look for look, *_ in of[0]] for name, of in seen.items()},
        {name: np.array([[right for *_, right in one] for one in of]) for name, of in seen.items()},
        {name: np.array([[misfit for _, misfit, _ in one] for one in of]) for name, of in known.items()},
        {name: np.stack([np.load(f / "wordings.npy", allow_pickle=False) for f in of]) for name, of in whole.items()}
        if config.templates
        else {},
        {name: float(np.mean(of)) for name, of in moved.items() if of},
    )


def _cells(config: WeakToStrongConfig, grid: TaskGrid, study: Path) -> Iterator[dict[str, Any]]:
    """One for each student of each supervisor and loss."""
    for place, (strong, students) in enumerate(zip(config.student_labels, grid.students, strict=True)):
        found = _predictions(config, students, study)
        if found is None:
            continue
        for number, weak in enumerate(labels(config.weak)):
            key = weak_name(number)
            supervisors = [grid.labels[key, seed] for seed in config.seeds]
            if not all(_facts(task, study) for task in supervisors):
                continue
            files = [study / task.place / "test.npy" for task in supervisors]
            teacher = np.stack([np.load(file, allow_pickle=False) for file in files]).argmax(-1)
            names = [student_name(key, number) for number in range(len(config.losses))]
            names += [chained_name(key), longer_name(key)] if config.bootstrap else []
            names += [shown_name(key, place) for place in range(len(config.imitation))]
            facts, one = _facts(supervisors[0], study), config.students[place][0]
            for label, name in zip(config.columns, names, strict=True):
                if name not in found.probabilities or names[0] not in found.probabilities:
                    continue
                yield {
                    "task": grid.name,
                    "weak": weak,
                    "strong": strong,
                    "loss": label,
                    **_cell(found, name, teacher, learns=_learns(one)),
                    **_beside(found, name, names[0], noise_name(key)),
                    "over_longer": _over(found, name, longer_name(key)) if name == chained_name(key) else None,
                    "labelled": facts.get("labelled"),
                    "learned_from": facts.get("learned_from"),
                }


def _learns(one: StudentSpec) -> bool:
    """Whether labels make any difference: not to a model that is prompted without examples."""
    return not (isinstance(one, LanguageModel) and one.training is None and not one.shown)


def _cell(found: _Predictions, name: str, teacher: Array, *, learns: bool) -> dict[str, Any]:
    """A student between its supervisor and its ceiling."""
    truth, student = found.truth, found.probabilities[name].argmax(-1)
    measured = pgr(teacher == truth, student == truth, found.probabilities[CEILING].argmax(-1) == truth)
    relation = student_supervisor(teacher, student, truth)
    ratio = {"value": measured.value, "low": measured.low, "high": measured.high, "reason": measured.reason}
    if not learns:  # student and ceiling are one, and the ratio would be 1 whatever the labels
        ratio = {"value": None, "low": None, "high": None, "reason": "learns nothing: prompted, without examples"}
    return {
        "pgr": ratio,
        "warnings": list(measured.warnings),
        **{key: getattr(measured, key).as_dict() for key in ("student", "ceiling", "gain", "gap")},
        "supervisor": measured.weak.as_dict(),
        "agreement": asdict(relation),
        **_calibration(found.probabilities[name], truth),
        "brier": _brier(found.probabilities[name], truth).as_dict(),
        **_stopping(found, name),
        "consistency": _consistency(student, found.wordings[name]) if name in found.wordings else None,
        "moved": found.moved.get(name),
    }


def _beside(found: _Predictions, name: str, naive: str, noise: str) -> dict[str, Any]:
    """A student beside the naive one, and that beside the controls, where these were trained."""
    noisy, blind = _right(found, noise), _right(found, RANDOM)
    return {
        "over_naive": None if name == naive else _over(found, name, naive),
        "noise": None if noisy is None else two_way_mean(noisy, share=True).as_dict(),
        "over_noise": _over(found, naive, noise),
        "random": None if blind is None else two_way_mean(blind, share=True).as_dict(),
    }


def _right(found: _Predictions, name: str) -> Array | None:
    return found.probabilities[name].argmax(-1) == found.truth if name in found.probabilities else None


def _over(found: _Predictions, name: str, other: str) -> dict[str, Any] | None:
    """By how much a student is more accurate than another, on the same rows and seeds; None where one is missing."""
    own, theirs = _right(found, name), _right(found, other)
    return None if own is None or theirs is None else two_way_mean(own * 1.0 - theirs).as_dict()


def _stopping(found: _Predictions, name: str) -> dict[str, Any]:
    """Accuracy on the truth while the student trained; where it was best, which only an oracle knows; and where the
    loss on weak labels that were kept back was lowest. Means over seeds; None where nobody looked."""
    curve = found.curves.get(name)
    if curve is None or not curve.size or np.isnan(curve).any():
        return {"curve": None, "oracle": None, "early": None}
    mean, looks = curve.mean(0), found.looks[name]
    misfits = found.misfits.get(name)
    early = None if misfits is None else float(np.take_along_axis(curve, misfits.argmin(1)[:, None], 1).mean())
    best = int(mean.argmax())
    oracle = {"accuracy": float(mean[best]), "after": looks[best], "last": float(mean[-1])}
    shown = [{"after": look, "accuracy": float(right)} for look, right in zip(looks, mean, strict=True)]
    return {"curve": shown, "oracle": oracle, "early": early}


def _consistency(said: Array, reworded: Array) -> dict[str, Any]:
    """How often students say the same of a row in other words; all seeds together, intervals resample rows."""
    everything = np.concatenate([said[:, None], reworded], 1).transpose(1, 0, 2)
    rows = np.broadcast_to(np.arange(said.shape[1]), said.shape).ravel()
    return consistency(everything.reshape(len(everything), -1), rows).as_dict()


def _brier(probabilities: Array, truth: Array) -> Estimate:
    """Squared distance of the probabilities from the truth, summed over classes; 0 is perfect."""
    return two_way_mean(np.square(probabilities - np.eye(probabilities.shape[-1])[truth]).sum(-1))


def _calibration(probabilities: Array, truth: Array) -> dict[str, Any]:
    """Of all seeds' predictions together; intervals resample rows."""
    sure, said = probabilities.max(-1), probabilities.argmax(-1)
    items = np.broadcast_to(np.arange(len(truth)), sure.shape).ravel()
    curve = reliability(sure.ravel().clip(0, 1), (said == truth).ravel(), items.tolist(), bins=BINS)
    shown = [{"confidence": each.confidence, "accuracy": each.accuracy.as_dict()} for each in curve]
    return {"calibration_error": expected_calibration_error(curve), "reliability": shown}
