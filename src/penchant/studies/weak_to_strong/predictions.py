"""What a weak-to-strong study's stages left on disk of its students. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from penchant.metrics.resampling import cluster_codes
from penchant.models.settings import ModelConfig
from penchant.studies.core.results import facts_of
from penchant.studies.core.stage import Stage
from penchant.studies.weak_to_strong.names import CEILING, WEAK
from penchant.studies.weak_to_strong.settings import WeakToStrongConfig
from penchant.studies.weak_to_strong.task_grid import Students
from penchant.tasks import group_of
from penchant.types import LabeledExample

Array = NDArray[Any]


@dataclass(frozen=True)
class Predictions:
    """What the students of one strong model predict for a task's test rows.

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


def predictions_of(config: WeakToStrongConfig, students: Students, study: Path) -> Predictions | None:
    """Return the predictions of the students that are done; None where the ceiling is not there yet."""
    # a model's students are probes, all in a few stages, or others with a stage each
    if students.batched:
        return _of_probes(students.batched, study)
    stages = {name: [students.single[name, seed] for seed in config.seeds] for name, _ in students.single}
    facts = {name: [facts_of(stage, study) for stage in by_seed] for name, by_seed in stages.items()}
    # a student of whom a seed is missing is left out: means over other seeds could not be paired
    done = [name for name, by_seed in facts.items() if all(by_seed)]
    if CEILING not in done:
        return None

    def stacked(file: str, names: Iterable[str]) -> dict[str, Array]:
        """Read an array of each student, of all seeds, shape (seeds, ...)."""
        paths = {name: [study / stage.path / file for stage in stages[name]] for name in names}
        # without pickle, which would run code from a folder that somebody else made (decision 11)
        return {
            name: np.stack([np.load(path, allow_pickle=False) for path in paths_of_seeds])
            for name, paths_of_seeds in paths.items()
        }

    # by student and seed: of each look when it was, and the loss on weak labels that were kept back
    curves: dict[str, list[list[tuple[float, float | None]]]] = {}
    for name in done:
        by_seed = [json.loads((study / stage.path / "curve.json").read_text()) for stage in stages[name]]
        # looks go together by their number: seeds with other numbers of steps did not look after the very same ones
        if len({len(curve) for curve in by_seed}) == 1 and by_seed[0]:
            curves[name] = by_seed
    misfits = {name: [[misfit for _, misfit in curve] for curve in by_seed] for name, by_seed in curves.items()}
    distances = {name: [fact["moved"] for fact in facts[name] if "moved" in fact] for name in done}
    return Predictions(
        truth=np.load(study / stages[CEILING][0].path / "truth.npy", allow_pickle=False),
        probabilities=stacked("test.npy", done),
        looks={
            name: np.mean([[after for after, _ in curve] for curve in by_seed], 0).tolist()
            for name, by_seed in curves.items()
        },
        curves=stacked("curve.npy", curves),
        misfits={
            name: np.array(by_seed)
            for name, by_seed in misfits.items()
            # only students that may stop early keep weak labels back; the others have no such loss
            if not any(misfit is None for seed_misfits in by_seed for misfit in seed_misfits)
        },
        wordings=stacked("wordings.npy", done if config.templates else ()),
        weight_distances={name: float(np.mean(by_seed)) for name, by_seed in distances.items() if by_seed},
    )


def prompted_accuracies(prompted: Mapping[tuple[ModelConfig, int], Stage], study: Path) -> dict[ModelConfig, Array]:
    """Return where each language model that was asked in words is right, shape (seeds, rows); those that are done."""
    by_model: dict[ModelConfig, list[Path]] = {}
    for (model, _), stage in prompted.items():
        # with examples in its prompt a model is asked once per seed
        by_model.setdefault(model, []).extend([study / stage.path] if facts_of(stage, study) else [])
    return {
        model: np.stack(
            [
                np.load(folder / "test.npy", allow_pickle=False).argmax(-1)
                == np.load(folder / "truth.npy", allow_pickle=False)
                for folder in folders
            ]
        )
        for model, folders in by_model.items()
        if folders
    }


def groups_of(rows: Stage, study: Path) -> Array | None:
    """Return a number for each test row, the same for related rows, shape (rows,); None where no rows are related."""
    content = json.loads((study / rows.path / "rows.json").read_text(encoding="utf-8", errors="surrogatepass"))
    # rows of one question, say, are right or wrong together, so intervals draw them together
    names = [group_of(LabeledExample(**row)) for row in content["test"]]
    codes = cluster_codes(names)
    return codes if len(set(names)) < len(names) else None


def _of_probes(batched: Mapping[str, Stage], study: Path) -> Predictions | None:
    """Return the predictions of the ceiling's stage with those of the supervisors that are done."""
    ceiling = facts_of(batched[CEILING], study)
    if not ceiling:
        return None
    steps: list[float] = ceiling["steps"]
    arrays: dict[str, dict[str, Array]] = {"test": {}, "curve": {}, "wordings": {}}
    for supervisor, stage in batched.items():
        if not facts_of(stage, study):
            continue
        for kind, by_student in arrays.items():
            stored = load_file(study / stage.path / f"{kind}.safetensors")
            # a stage knows of one supervisor only, so that it stays valid when another is put before it
            by_student |= {name.replace(f"{WEAK}|", f"{supervisor}|"): array for name, array in stored.items()}
    return Predictions(
        truth=np.load(study / batched[CEILING].path / "truth.npy", allow_pickle=False),
        probabilities=arrays["test"],
        # probes of a batch take their steps together, so that all were looked at after the same ones
        looks=dict.fromkeys(arrays["curve"], steps),
        curves=arrays["curve"],
        # probes keep no labels back, and they move no weights of the model that they read
        misfits={},
        wordings=arrays["wordings"],
        weight_distances={},
    )
