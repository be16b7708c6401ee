"""Draw wrong labels of two kinds, and clean labels of a few rows."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from penchant.errors import InputError

Labels = NDArray[np.int64]
CLEAN, WRONG = 31, 32
"""Purposes of random numbers: which labels are clean, and which are wrong."""


def wrong_labels(
    labels: Labels, classes: int, kind: Literal["symmetric", "asymmetric"], rate: float, seed: int
) -> Labels:
    """Return labels of which a share is wrong; none is drawn anew as the true one.

    Args:
        labels: the true ones, shape (rows,).
        kind: `symmetric`: exactly this share of all rows, another class drawn evenly; `asymmetric`: exactly this share
            of the rows of classes 0, 2, 4, ..., the next class (after the last the first).

    Raises:
        InputError: a rate outside [0, 1).
    """
    if not 0 <= rate < 1:
        raise InputError(f"a rate of wrong labels lies in [0, 1), got {rate:g}")
    generator = np.random.default_rng([seed, WRONG, round(1_000_000 * rate)])
    # the true labels stay with who measures
    changed = labels.copy()
    if kind == "symmetric":
        rows = generator.permutation(len(labels))[: round(rate * len(labels))]
        # at least one further on, and never all the way round: always another class
        changed[rows] = (labels[rows] + generator.integers(1, classes, len(rows))) % classes
        return changed
    for number in range(0, classes, 2):
        of_class = generator.permutation(np.flatnonzero(labels == number))
        changed[of_class[: round(rate * len(of_class))]] = (number + 1) % classes
    return changed


def clean_rows(labels: Labels, count: int, seed: int) -> NDArray[np.intp]:
    """Return the rows that keep their true label: as many of each class as there can be, in a random order.

    Fewer rows are a part of more, so that the sizes of a seed are nested.

    Raises:
        InputError: fewer than one for each class, or no row would be left without.
    """
    classes = np.unique(labels)
    if count < len(classes):
        raise InputError(f"{count} clean labels are too few for {len(classes)} classes: at least one of each")
    if count >= len(labels):
        raise InputError(
            f"{count} clean labels are asked for, and there are {len(labels)} rows, of which some must be left without "
            "one: lower `few.counts`"
        )
    generator = np.random.default_rng([seed, CLEAN])
    # each class in an order of its own
    shuffled = [generator.permutation(np.flatnonzero(labels == number)) for number in classes]
    # one of each class in turn: a class that has no more leaves its turn to the others
    ranks = np.concatenate([np.arange(len(rows)) for rows in shuffled])
    rows = np.concatenate(shuffled)
    starts = np.concatenate([np.full(len(rows), number) for number, rows in enumerate(shuffled)])
    # classes take turns in an order of their own, or the first would always have the odd label
    turns = generator.permutation(len(classes))[starts]
    return np.asarray(rows[np.lexsort((turns, ranks))[:count]])
