"""Labels of a file as a supervisor: which of a task's rows have one, and how much each counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from penchant.errors import InputError
from penchant.types import LabeledExample
from penchant.weak.contract import Example, marks_of
from penchant.weak.rows import read_labelled

WEIGHTS = "weights.npy"
"""How much a supervisor's labels count, beside its `labels.npy`; without such a file all alike."""
Array = NDArray[Any]


class FileLabels(NamedTuple):
    """Labels of some rows.

    Attributes:
        probabilities: shape (rows, classes); classes are equally probable where the file has no such row.
        weights: shape (rows,); 0 where the file has no such row.
        is_known: which rows are in the file, shape (rows,).
    """

    probabilities: Array
    weights: Array
    is_known: Array


def read_file_labels(path: str, names: Sequence[str], examples: Sequence[LabeledExample]) -> FileLabels:
    """Return what a file says of examples, found by their texts, whatever case and punctuation.

    Args:
        names: of the task's classes.

    Raises:
        InputError: the file cannot be read, has other classes, or has two labels for one text.
    """
    # the task's classes: a file that has others is of another task
    rows = read_labelled(path, names=names)
    assert rows.targets is not None
    place_of: dict[str, int] = {}
    for row, mark in enumerate(marks_of(rows.inputs)):
        # texts that come twice have the same votes, and one label
        first = place_of.setdefault(mark, row)
        if not np.allclose(rows.targets[first], rows.targets[row]):
            raise InputError(
                f"{path}: rows {first + 1} and {row + 1} are one text with two labels: take one of them out"
            )
    inputs: list[Example] = [example.classifier_input for example in examples]
    indices = np.array([place_of.get(mark, -1) for mark in marks_of(inputs)])
    is_known = indices >= 0
    # the last row stands in where the file has none, and weighs nothing there
    weights = np.ones(len(rows.examples)) if rows.weights is None else rows.weights
    return FileLabels(
        np.where(is_known[:, None], rows.targets[indices], 1 / len(names)),
        np.where(is_known, weights[indices], 0.0),
        is_known,
    )


def refuse_unlabelled_tests(labels: FileLabels, examples: Sequence[LabeledExample], path: str) -> None:
    """Refuse a file without some test rows: nobody could say how good its labels are.

    Raises:
        InputError: with the first such row.
    """
    missing = np.flatnonzero(~labels.is_known)
    if len(missing):
        raise InputError(
            f"{path} has no label for {len(missing)} of the {len(examples)} test rows (the first: "
            f"{examples[missing[0]].text[:60]!r}): label all of the task's rows, those to test on too"
        )


def write_file_labels(
    path: str, names: Sequence[str], examples: tuple[Sequence[LabeledExample], Sequence[LabeledExample]], folder: Path
) -> dict[str, object]:
    """Write what a supervisor's stage writes, and how much each label counts; return the facts of the stage.

    Args:
        names: of the task's classes. examples: those to label, and those to test on.

    Raises:
        InputError: as `read_file_labels` and `refuse_unlabelled_tests`, or labels of one class.
    """
    labels, on_test = (read_file_labels(path, names, part) for part in examples)
    refuse_unlabelled_tests(on_test, examples[1], path)
    # of rows that count: the others have no label, and no most probable class either
    is_counted = labels.weights > 0
    refuse_one_answer(labels.probabilities[is_counted])
    np.save(folder / "labels.npy", labels.probabilities)
    np.save(folder / WEIGHTS, labels.weights)
    np.save(folder / "test.npy", on_test.probabilities)
    unvoted_tests = int((on_test.weights == 0).sum())
    return {"labelled": len(is_counted), "counted": int(is_counted.sum()), "unvoted_tests": unvoted_tests}


def refuse_one_answer(labels: Array) -> None:
    """Refuse labels of one class, before all students train on a single answer."""
    if len(np.unique(labels.argmax(-1))) < 2:
        raise InputError(
            "the supervisor's most probable class is the same for all rows: no student can learn from that; give it "
            "more rows to learn from, another prompt where it is prompted, or take another one"
        )


def counted_rows(needs: Mapping[str, Path], role: str, rows: int) -> tuple[Array, Array | None]:
    """Return which of the first rows that a supervisor labelled count, and how much each, the largest weight as 1.

    Returns:
        Their indices, and their weights; None where all count alike.
    """
    # neither where no supervisor has a say, nor where its labels count alike
    if role not in needs or not (file := needs[role] / WEIGHTS).exists():
        return np.arange(rows), None
    weights = np.load(file, allow_pickle=False)[:rows]
    indices = np.flatnonzero(weights)
    if not len(indices):
        raise InputError(f"none of the {rows} rows to learn from has a label: nobody voted on them")
    counts = weights[indices] / weights.max()
    return indices, None if (counts == 1).all() else counts
