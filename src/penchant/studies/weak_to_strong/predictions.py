"""What a weak-to-strong study's stages left on disk of its students. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from penchant.metrics.resampling import cluster_codes
from penchant.studies.core.records import read_object
from penchant.studies.core.stage import Stage
from penchant.studies.weak_to_strong.grid import Students
from penchant.studies.weak_to_strong.names import CEILING, WEAK
from penchant.studies.weak_to_strong.settings import WeakToStrongConfig
from penchant.tasks import group_of
from penchant.typed_json import JsonObject
from penchant.types import LabeledExample

Array = NDArray[Any]


@dataclass(frozen=True)
class Predictions:
    """The predictions of the students of one strong model of a task's test rows.

    Attributes:
        truth: labels of the test rows.
        probabilities: by student, shape (seeds, rows, classes); students of whom a seed is missing are left out.
        looks: when they were looked at while they trained, by student, in steps or epochs, shape (looks,).
        curves: which of the first rows they got right then, shape (seeds, looks, rows). misfits: the loss on weak
            labels that were kept back, where there were some, shape (seeds, looks).
        wordings: classes that they give rows in other words, by student, shape (seeds, wordings, rows); none without
            templates. weight_distances: how far their weights went, mean over seeds, of those that are fine-tuned.
        groups: of each test row, what rows that move together share; None where every row stands alone.
    """

    truth: Array
    probabilities: Mapping[str, Array]
    looks: Mapping[str, Sequence[float]]
    curves: Mapping[str, Array]
    misfits: Mapping[str, Array]
    wordings: Mapping[str, Array]
    weight_distances: Mapping[str, float]
    groups: Array | None = None


def facts_of(task: Stage, study: Path) -> JsonObject:
    """Return a stage's own record; empty where it is not done."""
    return read_object(study / task.path / "stage.json")


def predictions_of(config: WeakToStrongConfig, students: Students, study: Path) -> Predictions | None:
    """Return the predictions of the students that are done; None where the ceiling is not there yet."""
    if students.batched:
        return _of_probes(students.batched, study)
    folders_of: dict[str, list[Path]] = {}
    for name in dict.fromkeys(name for name, _ in students.single):
        tasks = [students.single[name, seed] for seed in config.seeds]
        if all(facts_of(task, study) for task in tasks):
            folders_of[name] = [study / task.path for task in tasks]
    if CEILING not in folders_of:
        return None
    probabilities = {
        name: np.stack([np.load(folder / "test.npy", allow_pickle=False) for folder in folders])
        for name, folders in folders_of.items()
    }
    curves = {
        name: [json.loads((folder / "curve.json").read_text()) for folder in folders]
        for name, folders in folders_of.items()
    }
    # by their number: where seeds have other numbers of steps, their looks are not after the very same ones
    curves = {
        name: by_seed for name, by_seed in curves.items() if len({len(curve) for curve in by_seed}) == 1 and by_seed[0]
    }
    with_misfits = {
        name: by_seed
        for name, by_seed in curves.items()
        if all(misfit is not None for curve in by_seed for _, misfit in curve)
    }
    facts = {name: [facts_of(students.single[name, seed], study) for seed in config.seeds] for name in folders_of}
    distances = {name: [fact["moved"] for fact in by_seed if "moved" in fact] for name, by_seed in facts.items()}
    return Predictions(
        np.load(folders_of[CEILING][0] / "truth.npy", allow_pickle=False),
        probabilities,
        {
            name: np.mean([[look for look, _ in curve] for curve in by_seed], 0).tolist()
            for name, by_seed in curves.items()
        },
        {
            name: np.stack([np.load(folder / "curve.npy", allow_pickle=False) for folder in folders_of[name]])
            for name in curves
        },
        {
            name: np.array([[misfit for _, misfit in curve] for curve in by_seed])
            for name, by_seed in with_misfits.items()
        },
        {
            name: np.stack([np.load(folder / "wordings.npy", allow_pickle=False) for folder in folders])
            for name, folders in folders_of.items()
        }
        if config.templates
        else {},
        {name: float(np.mean(by_seed)) for name, by_seed in distances.items() if by_seed},
    )


def groups_of(rows: Stage, study: Path) -> Array | None:
    """Return a number for each test row, the same for related rows, shape (rows,); None where no rows are related."""
    content = json.loads((study / rows.path / "rows.json").read_text(encoding="utf-8", errors="surrogatepass"))
    names = [group_of(LabeledExample(**row)) for row in content["test"]]
    codes = cluster_codes(names)
    return codes if len(set(names)) < len(names) else None


def _of_probes(batched: Mapping[str, Stage], study: Path) -> Predictions | None:
    """Return the predictions of the ceiling's stage with those of the supervisors that are done."""
    folder = study / batched[CEILING].path
    if not facts_of(batched[CEILING], study):
        return None
    arrays: dict[str, dict[str, Array]] = {"test": {}, "curve": {}, "wordings": {}}
    for supervisor, stage in batched.items():
        if not facts_of(stage, study):
            continue
        for kind, by_student in arrays.items():
            stored = load_file(study / stage.path / f"{kind}.safetensors")
            by_student |= {name.replace(f"{WEAK}|", f"{supervisor}|"): array for name, array in stored.items()}
    steps: list[float] = facts_of(batched[CEILING], study)["steps"]
    looks = dict.fromkeys(arrays["curve"], steps)
    truth = np.load(folder / "truth.npy", allow_pickle=False)
    return Predictions(truth, arrays["test"], looks, arrays["curve"], {}, arrays["wordings"], {})
