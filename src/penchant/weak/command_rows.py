"""What `penchant weak label` and `penchant weak train` do alike: read rows, split them, fit to them, write labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from penchant.data.options import Columns
from penchant.errors import InputError, RunError
from penchant.files import atomic_write
from penchant.metrics.estimates import Estimate
from penchant.tasks.spec import normalized
from penchant.train.plan import split_by_prompt
from penchant.types import PromptGroup
from penchant.weak.classifiers.probe import ProbeClassifier
from penchant.weak.command_settings import Kind
from penchant.weak.comparisons import OPTIONS, longer_first, read_comparisons, write_comparisons
from penchant.weak.contract import Classifier, Example, Probabilities, Validation
from penchant.weak.diagnostics import row_mean
from penchant.weak.picture_sets import Part, is_picture_set, read_picture_set
from penchant.weak.rows import LabelledRows, example_fields, read_labelled, write_labels
from penchant.weak.semi_supervised.confident_learning import ConfidentClassifier
from penchant.weak.semi_supervised.report import Suspect

FEWEST = 10  # rows to learn from
TAKE_OUT = ", or share a group or prompt with one of them: take them out of one of the files"


def read_rows(
    source: str,
    task: Kind,
    *,
    names: Sequence[str] | None = None,
    order_known: bool = True,
    labels: bool = True,
    columns: Columns | None = None,
    part: Part = "train",
) -> LabelledRows:
    """Read a file's rows: texts or pictures with classes, or pairs of responses; arguments as for `read_labelled`.

    Args:
        part: which part of a set of pictures is read.
    """
    if task == "comparisons":
        return read_comparisons(source, labels=labels, columns=columns)
    if is_picture_set(source):
        return read_picture_set(source, part, names=names, labels=labels)
    return read_labelled(source, names=names, order_known=order_known, labels=labels, columns=columns)


def draw_rows(rows: LabelledRows, size: int | None, seed: int) -> LabelledRows:
    """Draw `size` of the rows, since a file may be sorted by class; all where there are no more."""
    if size is None or size >= len(rows.examples):
        return rows
    # sorted again: which rows, and not their order, is what the seed decides
    return rows.pick(sorted(np.random.default_rng(seed).permutation(len(rows.examples))[:size].tolist()))


def split_rows(rows: LabelledRows, share: float, seed: int) -> tuple[list[int], list[int]]:
    """Return the positions of rows to learn from, and of the others.

    Related rows, and texts that a reader takes for the same, stay together.
    """
    return split_by_prompt([PromptGroup(key) for key in related_keys(rows)], share, seed)


def related_keys(rows: LabelledRows) -> list[str]:
    """Return one key per row, the same for rows that share a text or a group, or that others link in this way."""
    leader: dict[str, str] = {}

    def first(mark: str) -> str:
        # union-find: a mark leads to the first mark of all rows that are linked with it
        while leader.setdefault(mark, mark) != mark:
            mark = leader[mark]
        return mark

    marks_per_row = [
        [f"text {normalized(text) or text}", *([f"group {group}"] if group else [])]
        for text, group in zip(rows.texts, rows.groups, strict=True)
    ]
    for text, *group in marks_per_row:
        for other in group:
            leader[first(other)] = first(text)
    return [first(text) for text, *_ in marks_per_row]


def drop_without_weight(rows: LabelledRows) -> tuple[LabelledRows, int]:
    """Return the rows whose weight is above 0, and how many others there were.

    Nobody said anything of the others, so neither learning nor measuring has a use for their labels.

    Raises:
        InputError: all weights are 0.
    """
    if rows.weights is None or rows.weights.all():
        return rows, 0
    if not rows.weights.any():
        raise InputError(f"{rows.source}: all {len(rows.examples)} weights are 0: there is nothing to learn from")
    rows_that_count = np.flatnonzero(rows.weights).tolist()
    return rows.pick(rows_that_count), len(rows.examples) - len(rows_that_count)


def labels_of_two_classes(rows: LabelledRows) -> Probabilities:
    """Return the rows' labels; refuse them where they are all of one class."""
    assert rows.targets is not None
    if len(np.unique(rows.targets.argmax(-1))) < 2:
        raise InputError(f"{rows.source}: all labels are of one class: nothing can be learned from that")
    return rows.targets


def fit_to_rows(
    classifier: Classifier,
    rows: LabelledRows,
    *,
    classes: int,
    validation: Validation | None = None,
    unlabeled: Sequence[Example] | None = None,
) -> None:
    """Fit to rows with labels; whole groups of related rows choose a probe's shrinkage, and make a fold."""
    labels = labels_of_two_classes(rows)
    # a group held out only in part would choose the shrinkage by rows that the probe has nearly seen
    if isinstance(classifier, ProbeClassifier):
        classifier.fit(
            rows.inputs,
            labels,
            weights=rows.weights,
            unlabeled=unlabeled,
            classes=classes,
            groups=related_keys(rows),
        )
    elif isinstance(classifier, ConfidentClassifier):
        classifier.fit(
            rows.inputs,
            labels,
            weights=rows.weights,
            unlabeled=unlabeled,
            classes=classes,
            validation=validation,
            groups=related_keys(rows),
        )
    else:
        classifier.fit(
            rows.inputs, labels, weights=rows.weights, unlabeled=unlabeled, classes=classes, validation=validation
        )


def describe_overlap(overlap: list[int], rows: LabelledRows, source: str, name: str) -> str:
    """Return the beginning of a message about rows that are among others: how many, and where the first one is."""
    first = rows.examples[overlap[0]]
    # comparisons know their line; texts only their place
    location = first.source if isinstance(first, PromptGroup) else f"row {overlap[0] + 1} of {source}"
    return f"{len(overlap)} of the {len(rows.examples)} {name} (the first is {location}) are among"


def longer_share(rows: LabelledRows, probabilities: Probabilities) -> Estimate | None:
    """Measure how often the longer of two responses is preferred; None where all are of one length."""
    first = longer_first(rows)
    # of responses of one length none is the longer
    indices = np.flatnonzero(~np.isnan(first))
    if not len(indices):
        return None
    prefers_longer = (probabilities.argmax(-1) == 0) == (first == 1)
    return row_mean(prefers_longer[indices], rows.pick(indices.tolist()))


def write_probabilities(
    rows: LabelledRows, probabilities: Probabilities, path: Path, *, keep_pictures: bool = False
) -> None:
    """Write rows with their probabilities: texts and pictures as JSON lines, comparisons as a preference file.

    Args:
        keep_pictures: see `write_labels`.

    Raises:
        RunError: the file cannot be written.
    """
    if rows.names == OPTIONS:
        write_comparisons(rows, probabilities, path)
        return
    try:
        write_labels(rows, probabilities, path, keep_pictures=keep_pictures)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from error


def write_suspects(suspects: Sequence[Suspect], rows: LabelledRows, path: Path) -> None:
    """Write labels that are held to be wrong as JSON lines: text, label, the suggested one, probability of the label.

    Raises:
        RunError: the file cannot be written.
    """
    texts = rows.texts
    lines = [
        json.dumps(
            {
                **example_fields(rows.examples[suspect.row], texts[suspect.row]),
                "label": rows.names[suspect.given],
                "suggested": rows.names[suspect.suggested],
                "probability": round(suspect.probability, 6),
            },
            ensure_ascii=False,
        )
        for suspect in suspects
    ]
    try:
        # lone surrogates of a broken file must not keep the others from being written
        atomic_write(path, "".join(f"{line}\n" for line in lines).encode("utf-8", errors="surrogatepass"))
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from error
