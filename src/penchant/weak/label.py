"""Label a file by a weak supervisor: rows of your own in, a file of probabilities out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from penchant.errors import InputError
from penchant.weak.classifiers.registry import load_classifier, make_classifier
from penchant.weak.command_rows import (
    FEWEST,
    TAKE_OUT,
    describe_overlap,
    draw_rows,
    fit_to_rows,
    longer_share,
    read_rows,
    write_probabilities,
)
from penchant.weak.command_settings import WeakLabel, learns_nothing
from penchant.weak.comparisons import OPTIONS
from penchant.weak.contract import Classifier, Probabilities
from penchant.weak.diagnostics import shares_of
from penchant.weak.results import LabelledFile
from penchant.weak.rows import LabelledRows, among, overlap
from penchant.weak.settings import OwnClassifier


def weak_label(config: WeakLabel) -> LabelledFile:
    """Label a file, and return how many rows it has, and how the labels are spread.

    Raises:
        InputError: bad rows; rows to label that the supervisor learned from; a supervisor of other classes.
        RunError: the file cannot be written.
    """
    # before anything is loaded: a mistake in a path must not cost the minutes that a model takes
    out = _new_file(config)
    saved = None if config.saved is None else _opened(config.saved, config)
    rows = read_rows(config.data, config.task, labels=False, columns=config.columns)
    probabilities, names = supervise(config, rows, saved)
    write_probabilities(replace(rows, names=names), probabilities, out, keep_pictures=True)
    return LabelledFile(
        rows=len(probabilities),
        path=str(out),
        shares=dict(zip(names, shares_of(probabilities), strict=True)),
        mean_confidence=float(probabilities.max(-1).mean()),
        longer_share=longer_share(rows, probabilities) if rows.names == OPTIONS else None,
    )


def supervise(
    config: WeakLabel, rows: LabelledRows, saved: Classifier | None = None
) -> tuple[Probabilities, tuple[str, ...]]:
    """Return the supervisor's probabilities for rows, shape (rows, classes), and the names of the classes.

    Args:
        saved: the classifier that `config.saved` names, where it is loaded already.

    Raises:
        InputError: rows that the supervisor learned from, or one of other classes.
    """
    if saved is None and config.saved is not None:
        saved = _opened(config.saved, config)
    classifier, names = _supervisor(config, rows) if saved is None else (saved, _names(saved, config, rows))
    probabilities = classifier.predict_proba(rows.inputs)
    if probabilities.shape[1] != len(names):
        raise InputError(
            f"the supervisor knows {probabilities.shape[1]} classes, but {len(names)} are named: set `classes`"
        )
    return probabilities, names


def _new_file(config: WeakLabel) -> Path:
    """Return the file that labels go to, after a check that it can be written."""
    out = Path(config.out).expanduser()
    # other commands tell a format by its ending
    if out.suffix != ".jsonl":
        raise InputError(f"out={config.out}: weak labels are written as .jsonl")
    # labels would overwrite the rows that they belong to
    for name in (config.data, config.train):
        if name is not None and out.exists() and Path(name).exists() and out.samefile(name):
            raise InputError(f"out={config.out} is the file that is read: choose another")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"out={config.out}: cannot make its folder: {error.strerror}") from error
    return out


def _opened(saved: str, config: WeakLabel) -> Classifier:
    """Load a saved classifier; refuse it where it is for another task or has its classes in another order."""
    # the code of a classifier of the user's: the folder's own word would run whatever its sender likes
    code = config.supervisor.factory if isinstance(config.supervisor, OwnClassifier) else None
    classifier = load_classifier(saved, code=code)
    compares = classifier.names == OPTIONS
    # a probe of pairs gives two columns for texts, too, and they would mean nothing
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
    """Return the names of a saved classifier's classes; it must not have learned from the rows."""
    if not (names := classifier.names or config.classes or rows.names):
        raise InputError(f"{config.saved} does not know the names of its classes: give `classes`")
    # it would label them from memory
    if overlap_rows := among(rows, classifier.learned_marks):
        raise InputError(_learned_before(overlap_rows, rows, config.data))
    return names


def _supervisor(config: WeakLabel, rows: LabelledRows) -> tuple[Classifier, tuple[str, ...]]:
    """Return a supervisor that learned from the labelled rows, or that is prompted and learns nothing."""
    labelled = None
    if config.train is not None:
        labelled = read_rows(config.train, config.task, names=config.classes, columns=config.columns)
    names = labelled.names if labelled is not None else config.classes or rows.names
    classifier = make_classifier(config.supervisor, names=names, seed=config.seed)
    # prompted, or an engine: nothing is learned, but columns and names have to be known
    if labelled is None:
        # `fit` asks for one example per class; one that learns nothing only counts them
        placeholders = rows.inputs[:1] * 2 if rows.names else list(names)
        return classifier.fit(placeholders, np.eye(len(names)), classes=len(names)), names
    if overlap_rows := overlap(labelled, rows):
        raise InputError(_learned_before(overlap_rows, rows, config.data))
    # only now, after the overlap was looked for among all rows: the seed must not decide what is refused
    chosen = draw_rows(labelled, config.supervisor.rows, config.seed)
    if len(chosen.examples) < FEWEST and not learns_nothing(config.supervisor):
        raise InputError(f"{config.train}: {len(chosen.examples)} rows to learn from are too few: at least {FEWEST}")
    fit_to_rows(classifier, chosen, classes=len(names))
    return classifier, names


def _learned_before(overlap_rows: list[int], rows: LabelledRows, source: str) -> str:
    labelled = describe_overlap(overlap_rows, rows, source, "rows to label")
    return f"{labelled} the rows that the supervisor learns from{TAKE_OUT}"
