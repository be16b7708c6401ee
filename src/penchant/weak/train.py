"""Train a student on a file of weak labels, and measure what can be measured of it without any truth."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from penchant.errors import InputError, RunError
from penchant.files import atomic_write
from penchant.metrics.imitation import consistency
from penchant.runs.provenance import surroundings
from penchant.runs.run_folder import RunFolder
from penchant.types import RunResult
from penchant.weak.classifiers.probe import ProbeClassifier
from penchant.weak.classifiers.registry import make_classifier
from penchant.weak.command_rows import (
    FEWEST,
    TAKE_OUT,
    describe_overlap,
    draw_rows,
    fit_to_rows,
    labels_of_two_classes,
    longer_share,
    read_rows,
    split_rows,
    write_probabilities,
)
from penchant.weak.command_settings import WeakTrain
from penchant.weak.contract import Classifier, Probabilities, in_other_words
from penchant.weak.diagnostics import clusters_of, diagnostics, drop_undecided, row_mean
from penchant.weak.page import weak_train_page
from penchant.weak.rows import LabelledRows, marks, overlap
from penchant.weak.settings import LanguageModel

STOP_SHARE = 0.1  # of the rows to learn from, where a student stops early by them


def weak_train(config: WeakTrain) -> RunResult:
    """Train the student into a run directory.

    It holds `result.json`, `report.html`, `classifier/` and `predictions.jsonl`.

    Raises:
        InputError: bad rows, test rows that are among the training rows, too few rows, no such model. Nothing is left
            behind.
        RunError: training failed, or the disk is full.
    """
    started = time.monotonic()
    folder = RunFolder(config.out, config, resumable=False)
    rows = read_rows(config.data, config.task, names=config.classes)
    order_known = config.classes is not None
    test = (
        None if config.test is None else read_rows(config.test, config.task, names=rows.names, order_known=order_known)
    )
    if test is not None and (overlap_rows := overlap(rows, test)):
        raise InputError(
            f"{describe_overlap(overlap_rows, test, str(config.test), 'test rows')} the rows to train on{TAKE_OUT}"
        )
    learn, held_out_rows = (rows.pick(indices) for indices in split_rows(rows, config.held_out, config.seed))
    decided_rows = drop_undecided(held_out_rows)
    trained = draw_rows(learn, config.student.rows, config.seed)
    if min(len(trained.examples), len(decided_rows.examples)) < FEWEST:
        raise InputError(
            f"{config.data}: {len(trained.examples)} rows to learn from and {len(decided_rows.examples)} held out are "
            f"too few: at least {FEWEST} of each"
        )
    stop_by = None
    if isinstance(config.student, LanguageModel) and config.student.stops_early:  # what is held out must stay unseen
        trained, stopping = (trained.pick(indices) for indices in split_rows(trained, STOP_SHARE, config.seed))
        assert stopping.targets is not None
        stop_by = stopping.asked, stopping.targets
    student = make_classifier(config.student, names=rows.names, loss=config.loss, seed=config.seed)
    labels_of_two_classes(trained)  # refused before the folder is made
    folder.open()
    try:
        provenance = surroundings()
        folder.write_json("provenance.json", provenance)
        fit_to_rows(student, trained, classes=len(rows.names), validation=stop_by)
        other = student.predict_proba(decided_rows.asked)
        numbers: dict[str, Any] = {
            "method": config.method,
            "status": "done",
            "classes": list(rows.names),
            "task": config.task,
            **_measured(
                config,
                student,
                trained,
                decided_rows,
                other,
                undecided=len(held_out_rows.examples) - len(decided_rows.examples),
            ),
        }
        if test is not None:
            numbers["test"] = _tested(student, test)
        numbers["seconds"] = time.monotonic() - started
        _save(student, learn, folder.path / "classifier")
        write_probabilities(decided_rows, other, folder.path / "predictions.jsonl")
        folder.write_json("result.json", numbers)
        context = {"config": config.recorded(), "provenance": provenance}
        atomic_write(folder.path / "report.html", weak_train_page({**numbers, **context}).encode("utf-8"))
        return RunResult(config.method, folder.path, numbers)
    except InputError:  # of the model: nothing was learned yet
        folder.discard()
        raise
    finally:
        folder.close()


def _measured(
    config: WeakTrain,
    student: Classifier,
    trained: LabelledRows,
    held_out: LabelledRows,
    on_held_out: Probabilities,
    *,
    undecided: int,
) -> dict[str, Any]:
    """Measure the student on its own rows and on those held out, for which it says `other`."""
    on_trained = student.predict_proba(trained.asked)
    numbers: dict[str, Any] = {
        "rows": {"learned_from": len(on_trained), "held_out": len(on_held_out), "undecided": undecided},
        **diagnostics(trained, on_trained, held_out, on_held_out),
    }
    if isinstance(student, ProbeClassifier):
        numbers["l2"] = student.chosen_l2
    if config.task == "comparisons":
        assert held_out.targets is not None
        numbers["longer"] = {
            "student": longer_share(held_out, on_held_out),
            "weak_labels": longer_share(held_out, held_out.targets),
        }
    if config.templates:
        reworded = [[in_other_words(example, form) for example in held_out.asked] for form in config.templates]
        classes = [on_held_out.argmax(-1), *(student.predict_proba(examples).argmax(-1) for examples in reworded)]
        numbers["consistency"] = consistency(classes, clusters_of(held_out)).as_dict()
    return numbers


def _tested(student: Classifier, test: LabelledRows) -> dict[str, Any]:
    """Measure accuracy on rows with the truth; those whose truth is a tie are only counted."""
    clear = drop_undecided(test)
    assert clear.targets is not None
    right = student.predict_proba(clear.asked).argmax(-1) == clear.targets.argmax(-1)
    undecided = len(test.examples) - len(right)
    return {"rows": len(right), "undecided": undecided, "accuracy": row_mean(right, clear).as_dict()}


def _save(student: Classifier, learned_rows: LabelledRows, folder: Path) -> None:
    """Save the student with the marks of all rows that it learned from or stopped by, and of their groups."""
    student.learned |= frozenset().union(*marks(learned_rows))
    try:
        student.save(folder)
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error.strerror}") from error
