"""From rows of one's own to weak labels, and from weak labels to a student with its label-free diagnostics."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from penchant.errors import InputError, RunError
from penchant.files import write_atomically
from penchant.metrics.imitation import consistency
from penchant.runs.provenance import surroundings
from penchant.runs.run_folder import RunFolder
from penchant.tasks.spec import normalized
from penchant.train.plan import split_by_prompt
from penchant.types import PromptGroup, RunResult
from penchant.weak.classifiers import ProbeClassifier, load_classifier, make_classifier
from penchant.weak.command_settings import Kind, WeakLabel, WeakTrain, learns_nothing
from penchant.weak.comparisons import OPTIONS, longer_first, read_comparisons, write_comparisons
from penchant.weak.contract import Classifier, Probabilities, Validation, in_other_words
from penchant.weak.diagnostics import clusters_of, decided, diagnostics, row_mean, shares_of
from penchant.weak.page import weak_train_page
from penchant.weak.rows import LabelledRows, among, marks, overlap, read_labelled, write_labels
from penchant.weak.settings import LanguageModel

STOP_SHARE = 0.1  # of the rows to learn from, where a student stops early by them
FEWEST = 10  # rows to learn from


def weak_label(config: WeakLabel) -> dict[str, Any]:
    """Label a file; returns what there is to say of the labels.

    Raises:
        InputError: bad rows; rows to label that the supervisor learned from; a supervisor of other classes.
        RunError: the file cannot be written.
    """
    out = _new_file(config)
    saved = None if config.saved is None else _opened(config.saved, config)
    rows = _read(config.data, config.task, labels=False)
    classifier, names = _supervisor(config, rows) if saved is None else (saved, _names(saved, config, rows))
    found = classifier.predict_proba(rows.asked)
    if found.shape[1] != len(names):
        raise InputError(f"the supervisor knows {found.shape[1]} classes, but {len(names)} are named: set `classes`")
    _write(replace(rows, names=names), found, out)
    shares = dict(zip(names, shares_of(found), strict=True))
    told = {"rows": len(found), "path": str(out), "shares": shares, "mean_confidence": float(found.max(-1).mean())}
    return told if rows.names != OPTIONS else told | {"longer": _longer(rows, found)}


def _read(source: str, task: Kind, **how: Any) -> LabelledRows:
    """Rows of a file: texts with classes, or pairs of responses; `how` as `read_labelled` takes it."""
    if task == "comparisons":
        return read_comparisons(source, labels=how.get("labels", True))
    return read_labelled(source, **how)


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


def _opened(saved: str, config: WeakLabel) -> Classifier:
    """A saved classifier, or an InputError where it is for another task or has its classes in another order."""
    classifier = load_classifier(saved)
    compares = classifier.names == OPTIONS
    if compares != (config.task == "comparisons") and classifier.names:
        is_of = "compares responses" if compares else "knows classes of texts"
        raise InputError(f"{saved} {is_of}, which is not the task {config.task!r}: set `task`")
    if config.classes and classifier.names and config.classes != classifier.names:
        raise InputError(
            f"{saved} knows the classes {', '.join(classifier.names)} in this order, but `classes` has "
            f"{', '.join(config.classes)}: leave it out"
        )
    return classifier


def _names(classifier: Classifier, config: WeakLabel, rows: LabelledRows) -> tuple[str, ...]:
    """Of a saved classifier's classes; it must not have learned from the rows."""
    if not (names := classifier.names or config.classes or rows.names):
        raise InputError(f"{config.saved} does not know the names of its classes: give `classes`")
    if known := among(rows, classifier.learned):
        raise InputError(_learned_before(known, rows, config.data))
    return names


def _supervisor(config: WeakLabel, rows: LabelledRows) -> tuple[Classifier, tuple[str, ...]]:
    """A supervisor that learned from the labelled rows, or that is prompted and learns nothing."""
    learned = None if config.train is None else _read(config.train, config.task, names=config.classes)
    names = learned.names if learned is not None else config.classes or rows.names
    classifier = make_classifier(config.supervisor, names=names, seed=config.seed)
    if learned is None:
        nothing = rows.asked[:1] * 2 if rows.names else list(names)
        return classifier.fit(nothing, np.eye(len(names)), classes=len(names)), names
    if known := overlap(learned, rows):
        raise InputError(_learned_before(known, rows, config.data))
    chosen = _some(learned, config.supervisor.rows, config.seed)
    if len(chosen.examples) < FEWEST and not learns_nothing(config.supervisor):
        raise InputError(f"{config.train}: {len(chosen.examples)} rows to learn from are too few: at least {FEWEST}")
    _fit(classifier, chosen, classes=len(names))
    return classifier, names


def _fit(classifier: Classifier, rows: LabelledRows, *, classes: int, validation: Validation | None = None) -> None:
    """Fit to rows with labels; a probe's shrinkage is chosen on whole groups of related rows."""
    labels = _of_two_classes(rows)
    if isinstance(classifier, ProbeClassifier):
        classifier.fit(rows.asked, labels, classes=classes, groups=_kin(rows))
    else:
        classifier.fit(rows.asked, labels, classes=classes, validation=validation)


def _learned_before(known: list[int], rows: LabelledRows, source: str) -> str:
    return f"{_shared(known, rows, source, 'rows to label')} the rows that the supervisor learns from{_TAKE_OUT}"


_TAKE_OUT = ", or share a group or prompt with one of them: take them out of one of the files"


def _shared(known: list[int], rows: LabelledRows, source: str, what: str) -> str:
    first = rows.examples[known[0]]
    place = f"row {known[0] + 1} of {source}" if isinstance(first, str) else first.source
    return f"{len(known)} of the {len(rows.examples)} {what} (the first is {place}) are among"


def weak_train(config: WeakTrain) -> RunResult:
    """Train the student; everything lands in the run directory: `result.json`, `report.html`, `classifier/`,
    `predictions.jsonl`.

    Raises:
        InputError: bad rows, test rows that are among the training rows, too few rows, no such model. Nothing is left
            behind.
        RunError: training failed, or the disk is full.
    """
    started = time.monotonic()
    folder = RunFolder(config.out, config, resumable=False)
    rows = _read(config.data, config.task, names=config.classes)
    order_known = config.classes is not None
    test = None if config.test is None else _read(config.test, config.task, names=rows.names, order_known=order_known)
    if test is not None and (known := overlap(rows, test)):
        raise InputError(f"{_shared(known, test, str(config.test), 'test rows')} the rows to train on{_TAKE_OUT}")
    learn, kept = (rows.pick(places) for places in _split(rows, config.held_out, config.seed))
    held = decided(kept)
    trained = _some(learn, config.student.rows, config.seed)
    if min(len(trained.examples), len(held.examples)) < FEWEST:
        raise InputError(
            f"{config.data}: {len(trained.examples)} rows to learn from and {len(held.examples)} held out are too few: "
            f"at least {FEWEST} of each"
        )
    stop_by = None
    if isinstance(config.student, LanguageModel) and config.student.stops_early:  # what is held out must stay unseen
        trained, stopping = (trained.pick(places) for places in _split(trained, STOP_SHARE, config.seed))
        assert stopping.targets is not None
        stop_by = stopping.asked, stopping.targets
    student = make_classifier(config.student, names=rows.names, loss=config.loss, seed=config.seed)
    _of_two_classes(trained)  # refused before the folder is made
    folder.open()
    try:
        provenance = surroundings()
        folder.write_json("provenance.json", provenance)
        _fit(student, trained, classes=len(rows.names), validation=stop_by)
        other = student.predict_proba(held.asked)
        numbers: dict[str, Any] = {
            "method": config.method,
            "status": "done",
            "classes": list(rows.names),
            "task": config.task,
            **_measured(config, student, trained, held, other, undecided=len(kept.examples) - len(held.examples)),
        }
        if test is not None:
            numbers["test"] = _tested(student, test)
        numbers["seconds"] = time.monotonic() - started
        _save(student, learn, folder.path / "classifier")
        _write(held, other, folder.path / "predictions.jsonl")
        folder.write_json("result.json", numbers)
        beside = {"config": config.recorded(), "provenance": provenance}
        write_atomically(folder.path / "report.html", weak_train_page({**numbers, **beside}).encode("utf-8"))
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
    held: LabelledRows,
    other: Probabilities,
    *,
    undecided: int,
) -> dict[str, Any]:
    """Measure the student on its own rows and on those held out, for which it says `other`."""
    own = student.predict_proba(trained.asked)
    numbers: dict[str, Any] = {
        "rows": {"learned_from": len(own), "held_out": len(other), "undecided": undecided},
        **diagnostics(trained, own, held, other),
    }
    if isinstance(student, ProbeClassifier):
        numbers["l2"] = student.chosen_l2
    if config.task == "comparisons":
        assert held.targets is not None
        numbers["longer"] = {"student": _longer(held, other), "weak_labels": _longer(held, held.targets)}
    if config.templates:
        asked = [[in_other_words(one, form) for one in held.asked] for form in config.templates]
        classes = [other.argmax(-1), *(student.predict_proba(examples).argmax(-1) for examples in asked)]
        numbers["consistency"] = consistency(classes, clusters_of(held)).as_dict()
    return numbers


def _some(rows: LabelledRows, size: int | None, seed: int) -> LabelledRows:
    """So many of the rows, drawn: a file may be sorted by class."""
    if size is None or size >= len(rows.examples):
        return rows
    return rows.pick(sorted(np.random.default_rng(seed).permutation(len(rows.examples))[:size].tolist()))


def _of_two_classes(rows: LabelledRows) -> Probabilities:
    """The rows' labels, or an InputError where they are all of one class."""
    assert rows.targets is not None
    if len(np.unique(rows.targets.argmax(-1))) < 2:
        raise InputError(f"{rows.source}: all labels are of one class: nothing can be learned from that")
    return rows.targets


def _split(rows: LabelledRows, share: float, seed: int) -> tuple[list[int], list[int]]:
    """Places of rows to learn from and of others; related rows, and texts that a reader takes for the same, stay
    together."""
    return split_by_prompt([PromptGroup(key) for key in _kin(rows)], share, seed)


def _kin(rows: LabelledRows) -> list[str]:
    """A key a row, the same for rows that share a text or a group, or that others link in this way."""
    leader: dict[str, str] = {}

    def first(mark: str) -> str:
        while leader.setdefault(mark, mark) != mark:
            mark = leader[mark]
        return mark

    own = [
        [f"text {normalized(text) or text}", *([f"group {group}"] if group else [])]
        for text, group in zip(rows.texts, rows.groups, strict=True)
    ]
    for text, *group in own:
        for other in group:
            leader[first(other)] = first(text)
    return [first(text) for text, *_ in own]


def _tested(student: Classifier, test: LabelledRows) -> dict[str, Any]:
    """Accuracy on rows with the truth; those whose truth is a tie are counted, and no answer to them is right."""
    clear = decided(test)
    assert clear.targets is not None
    right = student.predict_proba(clear.asked).argmax(-1) == clear.targets.argmax(-1)
    undecided = len(test.examples) - len(right)
    return {"rows": len(right), "undecided": undecided, "accuracy": row_mean(right, clear).as_dict()}


def _longer(rows: LabelledRows, probabilities: Probabilities) -> dict[str, Any] | None:
    """How often the longer of two responses is preferred; None where all are of one length."""
    first = longer_first(rows)
    places = np.flatnonzero(~np.isnan(first))
    if not len(places):
        return None
    longer = (probabilities.argmax(-1) == 0) == (first == 1)
    return row_mean(longer[places], rows.pick(places.tolist())).as_dict()


def _write(rows: LabelledRows, found: Probabilities, path: Path) -> None:
    if rows.names == OPTIONS:
        write_comparisons(rows, found, path)
        return
    try:
        write_labels(rows, found, path)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from error


def _save(student: Classifier, learned: LabelledRows, folder: Path) -> None:
    """With the marks of all rows that it learned from or stopped by, and of their groups."""
    student.learned |= frozenset().union(*marks(learned))
    try:
        student.save(folder)
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error.strerror}") from error
