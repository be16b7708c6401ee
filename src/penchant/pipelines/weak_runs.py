"""From rows of one's own to weak labels, and from weak labels to a student with its label-free diagnostics."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.errors import InputError, RunError
from penchant.metrics.calibration import expected_calibration_error, reliability
from penchant.metrics.imitation import consistency
from penchant.metrics.intervals import Estimate, cluster_mean
from penchant.pipelines.weak_settings import WeakLabel, WeakTrain
from penchant.reports.render import write_file
from penchant.reports.weak_train import weak_train_page
from penchant.tasks.spec import normalized
from penchant.train.plan import split_by_prompt
from penchant.train.provenance import surroundings
from penchant.train.run_folder import RunFolder
from penchant.types import PromptGroup, RunResult
from penchant.weak.classifiers import load_classifier, make_classifier
from penchant.weak.contract import Classifier, Probabilities
from penchant.weak.rows import LabelledTexts, overlap, read_labelled, write_labels
from penchant.weak.settings import LanguageModel

BINS = 5
MOST_READ = 20
TINY = 1e-12
STOP_SHARE = 0.1  # of the rows to learn from, where a student stops early by them
Array = NDArray[Any]


def weak_label(config: WeakLabel) -> dict[str, Any]:
    """Label a file; returns what there is to say of the labels.

    Raises:
        InputError: bad rows; rows to label that the supervisor learned from; a supervisor of other classes.
        RunError: the file cannot be written.
    """
    out = _new_file(config)
    rows = read_labelled(config.data, labels=False)
    classifier, names = _saved(config) if config.saved is not None else _supervisor(config, rows)
    found = classifier.predict_proba(rows.texts)
    if found.shape[1] != len(names):
        raise InputError(f"the supervisor knows {found.shape[1]} classes, but {len(names)} are named: set `classes`")
    _write(LabelledTexts(rows.source, rows.texts, names, None, rows.groups), found, out)
    shares = dict(zip(names, _shares(found), strict=True))
    return {"rows": len(found), "path": str(out), "shares": shares, "mean_confidence": float(found.max(-1).mean())}


def _new_file(config: WeakLabel) -> Path:
    """Where labels go, looked at before any work."""
    out = Path(config.out).expanduser()
    if out.suffix != ".jsonl":
        raise InputError(f"out={config.out}: weak labels are written as .jsonl")
    for name in (config.data, config.train):
        if name is not None and out.exists() and Path(name).exists() and out.samefile(name):
            raise InputError(f"out={config.out} is the file that is read: choose another")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"out={config.out}: cannot make its folder: {error.strerror}") from error
    return out


def _saved(config: WeakLabel) -> tuple[Classifier, tuple[str, ...]]:
    classifier = load_classifier(config.saved or "")
    if config.classes and classifier.names and config.classes != classifier.names:
        raise InputError(
            f"{config.saved} knows the classes {', '.join(classifier.names)} in this order, but `classes` has "
            f"{', '.join(config.classes)}: leave it out"
        )
    if not (names := classifier.names or config.classes):
        raise InputError(f"{config.saved} does not know the names of its classes: give `classes`")
    return classifier, names


def _supervisor(config: WeakLabel, rows: LabelledTexts) -> tuple[Classifier, tuple[str, ...]]:
    """A supervisor that learned from the labelled rows, or that is prompted and learns nothing."""
    learned = None if config.train is None else read_labelled(config.train, names=config.classes)
    names = learned.names if learned is not None else config.classes or ()
    classifier = make_classifier(config.supervisor, names=names, seed=config.seed)
    if learned is None:
        return classifier.fit(names, np.eye(len(names)), classes=len(names)), names
    if known := overlap(learned, rows):
        raise InputError(
            f"{len(known)} of the {len(rows.texts)} rows to label are among those that the supervisor learns from, the "
            f"first is row {known[0] + 1} of {config.data}: take them out of one of the files"
        )
    chosen = _some(learned, config.supervisor.rows, config.seed)
    targets = _of_two_classes(chosen)
    return classifier.fit(chosen.texts, targets, classes=len(names)), names


def weak_train(config: WeakTrain) -> RunResult:
    """Train the student; everything lands in the run directory: `result.json`, `report.html`, `classifier/`,
    `predictions.jsonl`.

    Raises:
        InputError: bad rows, test rows that are among the training rows, too few rows, no such model. Nothing is left
            behind.
        RunError: training failed, or the disk is full.
    """
    started = time.monotonic()
    folder = RunFolder(config.out, config)
    rows = read_labelled(config.data, names=config.classes)
    test = None if config.test is None else read_labelled(config.test, names=rows.names)
    if test is not None and (known := overlap(rows, test)):
        raise InputError(
            f"{len(known)} of the {len(test.texts)} test rows are among the rows to train on, the first is row "
            f"{known[0] + 1} of {config.test}: take them out of one of the files"
        )
    learn, held = (rows.pick(places) for places in _split(rows, config.held_out, config.seed))
    trained = _some(learn, config.student.rows, config.seed)
    if min(len(trained.texts), len(held.texts)) < 10:
        raise InputError(
            f"{config.data}: {len(trained.texts)} rows to learn from and {len(held.texts)} held out are too few: at "
            "least 10 of each"
        )
    stop_by = None
    if isinstance(config.student, LanguageModel) and config.student.stops_early:  # what is held out must stay unseen
        trained, stopping = (trained.pick(places) for places in _split(trained, STOP_SHARE, config.seed))
        assert stopping.targets is not None
        stop_by = stopping.texts, stopping.targets
    student = make_classifier(config.student, names=rows.names, loss=config.loss, seed=config.seed)
    labels = _of_two_classes(trained)
    folder.open()
    try:
        provenance = surroundings()
        folder.write_json("provenance.json", provenance)
        student.fit(trained.texts, labels, validation=stop_by, classes=len(rows.names))
        own, other = (student.predict_proba(of.texts) for of in (trained, held))
        numbers: dict[str, Any] = {
            "method": config.method,
            "status": "done",
            "classes": list(rows.names),
            "rows": {"learned_from": len(own), "held_out": len(other)},
            **diagnostics(trained, own, held, other),
        }
        if config.templates:
            asked = [[form.replace("{text}", text) for text in held.texts] for form in config.templates]
            said = [other.argmax(-1), *(student.predict_proba(texts).argmax(-1) for texts in asked)]
            numbers["consistency"] = consistency(said, _clusters(held)).as_dict()
        if test is not None:
            assert test.targets is not None
            right = student.predict_proba(test.texts).argmax(-1) == test.targets.argmax(-1)
            numbers["test"] = {"rows": len(right), "accuracy": _mean(right, test).as_dict()}
        numbers["seconds"] = time.monotonic() - started
        _save(student, folder.path / "classifier")
        _write(held, other, folder.path / "predictions.jsonl")
        folder.write_json("result.json", numbers)
        beside = {"config": config.model_dump(mode="json"), "provenance": provenance}
        write_file(folder.path / "report.html", weak_train_page({**numbers, **beside}).encode("utf-8"))
        return RunResult(config.method, folder.path, numbers)
    except InputError:  # of the model: nothing was learned yet
        folder.discard()
        raise
    finally:
        folder.close()


def diagnostics(
    trained: LabelledTexts, own: Probabilities, kept: LabelledTexts, other: Probabilities
) -> dict[str, Any]:
    """What can be said of a student without any truth.

    Args:
        trained, kept: rows it learned from and rows held out, with their weak labels. own, other: its probabilities
            for them.

    Returns:
        `agreement`: with the weak labels, on held-out rows, and on rows it learned from: a student that agrees far more
        there has learned the supervisor's errors by heart. `misfit`: cross-entropy to the weak labels less their own
        entropy, in nats, likewise. `where_unsure`, `where_sure`: agreement on the halves of held-out rows of which
        the supervisor was less and more sure: a student that generalizes departs where its teacher was unsure.
        `calibration_error` and `reliability`: of the student's confidence that it agrees. `shares`: of each class.
        `disagreements`: rows to read.
    """
    assert trained.targets is not None
    assert kept.targets is not None
    same = other.argmax(-1) == kept.targets.argmax(-1)
    sure = kept.targets.max(-1)
    split = sure > np.median(sure)
    clusters = _clusters(kept)
    halves = {
        name: cluster_mean(same[where], clusters[where]).as_dict() if where.any() else None
        for name, where in (("where_unsure", ~split), ("where_sure", split))
    }
    curve = reliability(other.max(-1).clip(0, 1), same, clusters.tolist(), bins=BINS)
    return {
        "agreement": {
            "held_out": _mean(same, kept).as_dict(),
            "learned_from": _mean(own.argmax(-1) == trained.targets.argmax(-1), trained).as_dict(),
            **halves,
        },
        "misfit": {
            "held_out": _mean(_misfit(kept.targets, other), kept).as_dict(),
            "learned_from": _mean(_misfit(trained.targets, own), trained).as_dict(),
        },
        "calibration_error": expected_calibration_error(curve),
        "reliability": [{"confidence": each.confidence, "accuracy": each.accuracy.as_dict()} for each in curve],
        "disagreements": _disagreements(kept, other),
        "shares": {
            "weak_labels": _shares(kept.targets),
            "student": _shares(other),
        },
    }


def _disagreements(kept: LabelledTexts, other: Probabilities) -> list[dict[str, Any]]:
    """Rows where student and weak label differ, the student's surest first."""
    assert kept.targets is not None
    weak, own = kept.targets.argmax(-1), other.argmax(-1)
    places = sorted((weak != own).nonzero()[0].tolist(), key=lambda place: (-float(other[place].max()), place))
    return [
        {
            "text": kept.texts[place],
            "weak_label": [kept.names[weak[place]], float(kept.targets[place].max())],
            "student": [kept.names[own[place]], float(other[place].max())],
        }
        for place in places[:MOST_READ]
    ]


def _misfit(targets: Probabilities, said: Probabilities) -> Array:
    """The divergence of the student from each weak label, in nats."""
    logs = np.log(np.maximum(targets, TINY)) - np.log(np.maximum(said, TINY))
    return np.asarray((targets * logs).sum(-1))


def _shares(probabilities: Probabilities) -> list[float]:
    counts = np.bincount(probabilities.argmax(-1), minlength=probabilities.shape[1])
    return [float(count) for count in counts / counts.sum()]


def _some(rows: LabelledTexts, size: int | None, seed: int) -> LabelledTexts:
    """So many of the rows, drawn: a file may be sorted by class."""
    if size is None or size >= len(rows.texts):
        return rows
    return rows.pick(sorted(np.random.default_rng(seed).permutation(len(rows.texts))[:size].tolist()))


def _of_two_classes(rows: LabelledTexts) -> Probabilities:
    """The rows' labels, or an InputError where they are all of one class."""
    assert rows.targets is not None
    if len(np.unique(rows.targets.argmax(-1))) < 2:
        raise InputError(f"{rows.source}: all labels are of one class: nothing can be learned from that")
    return rows.targets


def _split(rows: LabelledTexts, share: float, seed: int) -> tuple[list[int], list[int]]:
    """Places of rows to learn from and of others; related rows, and texts that a reader takes for the same, stay
    together."""
    keys = [group or normalized(text) or text for group, text in zip(rows.groups, rows.texts, strict=True)]
    return split_by_prompt([PromptGroup(key) for key in keys], share, seed)


def _clusters(rows: LabelledTexts) -> Array:
    """A number for each row; related rows have the same."""
    numbers: dict[str, int] = {}
    keys = [group or text for group, text in zip(rows.groups, rows.texts, strict=True)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys])


def _mean(values: Array, rows: LabelledTexts) -> Estimate:
    return cluster_mean(np.asarray(values, dtype=np.float64), _clusters(rows))


def _write(rows: LabelledTexts, found: Probabilities, path: Path) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        write_labels(rows, found, temporary)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RunError(f"cannot write {path}: {error.strerror}") from error


def _save(student: Any, folder: Path) -> None:
    try:
        student.save(folder)
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error.strerror}") from error
