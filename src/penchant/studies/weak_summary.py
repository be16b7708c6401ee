"""From a weak-to-strong study to plain numbers: its `study.json`. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from penchant.metrics.agreement import student_supervisor
from penchant.metrics.calibration import expected_calibration_error, reliability
from penchant.metrics.pgr import pgr
from penchant.metrics.two_way import two_way_mean
from penchant.studies.measured import seconds_of
from penchant.studies.records import read_object
from penchant.studies.tasks import Task
from penchant.studies.weak_grid import CEILING, RANDOM, TaskGrid, noise_name, student_name, weak_name
from penchant.studies.weak_settings import WeakToStrongConfig, loss_label

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
        "weak": [one.label for one in config.weak],
        "strong": [_strong(config, number, grids, study) for number in range(len(config.strong))],
        "losses": [loss_label(loss) for loss in config.losses],
        "cells": cells,
        "curve_steps": next((_facts(task, study)["steps"] for task in _whole(grids, study)), []),
        "failures": [
            {"stage": task.label, "reason": reasons[task.address]} for task in tasks if task.address in reasons
        ],
        "cost": {"seconds": sum(seconds_of(task, study) for task in tasks)},
        "provenance": next((one["provenance"] for one in facts if "provenance" in one), {}),
    }


def _facts(task: Task, study: Path) -> dict[str, Any]:
    return read_object(study / task.place / "stage.json")


def _whole(grids: Sequence[TaskGrid], study: Path) -> Iterator[Task]:
    return (task for grid in grids for task in grid.students if _facts(task, study))


def _strong(config: WeakToStrongConfig, number: int, grids: Sequence[TaskGrid], study: Path) -> dict[str, Any]:
    one = config.strong[number]
    sizes = (_facts(grid.activations[one.model], study).get("parameters") for grid in grids)
    return {"label": one.label, "parameters": next((size for size in sizes if size), None)}


def _cells(config: WeakToStrongConfig, grid: TaskGrid, study: Path) -> Iterator[dict[str, Any]]:
    """One for each student of each supervisor and loss."""
    for strong, task in zip(config.strong, grid.students, strict=True):
        if not _facts(task, study):
            continue
        folder = study / task.place
        predicted, curves = (load_file(folder / f"{name}.safetensors") for name in ("test", "curve"))
        truth = np.load(folder / "truth.npy", allow_pickle=False)
        for number, weak in enumerate(config.weak):
            supervisors = [study / grid.supervisors[number, seed].place / "test.npy" for seed in config.seeds]
            teacher = np.stack([np.load(file, allow_pickle=False) for file in supervisors]).argmax(-1)
            key = weak_name(number)
            naive = predicted[student_name(key, 0)].argmax(-1) == truth
            noise = predicted[noise_name(key)].argmax(-1) == truth
            for place, loss in enumerate(config.losses):
                name = student_name(key, place)
                cell = _cell(predicted, name, teacher, truth)
                right = predicted[name].argmax(-1) == truth
                yield {
                    "task": grid.name,
                    "weak": weak.label,
                    "strong": strong.label,
                    "loss": loss_label(loss),
                    **cell,
                    "over_naive": None if place == 0 else two_way_mean(right * 1.0 - naive).as_dict(),
                    "noise": two_way_mean(noise).as_dict(),
                    "over_noise": two_way_mean(naive * 1.0 - noise).as_dict(),
                    "random": two_way_mean(predicted[RANDOM].argmax(-1) == truth).as_dict(),
                    "curve": curves[name].mean(0).tolist(),
                    "labelled": _facts(grid.supervisors[number, config.seeds[0]], study).get("labelled"),
                    "learned_from": _facts(grid.supervisors[number, config.seeds[0]], study).get("learned_from"),
                }


def _cell(predicted: Mapping[str, Array], name: str, teacher: Array, truth: Array) -> dict[str, Any]:
    student = predicted[name].argmax(-1)
    found = pgr(teacher == truth, student == truth, predicted[CEILING].argmax(-1) == truth)
    relation = student_supervisor(teacher, student, truth)
    return {
        "pgr": {"value": found.value, "low": found.low, "high": found.high, "reason": found.reason},
        "warnings": list(found.warnings),
        **{key: getattr(found, key).as_dict() for key in ("student", "ceiling", "gain", "gap")},
        "supervisor": found.weak.as_dict(),
        "agreement": asdict(relation),
        "calibration_error": _calibration_error(predicted[name], truth),
    }


def _calibration_error(probabilities: Array, truth: Array) -> float:
    """Of all seeds' predictions together."""
    sure, said = probabilities.max(-1), probabilities.argmax(-1)
    items = np.broadcast_to(np.arange(len(truth)), sure.shape).ravel()
    curve = reliability(sure.ravel().clip(0, 1), (said == truth).ravel(), items.tolist(), bins=BINS)
    return expected_calibration_error(curve)
