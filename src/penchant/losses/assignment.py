"""Classes for a batch of rows, each as often as it should be, with the largest sum of scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ROUNDS = 30
TEMPERATURE_SHARES = (0.3, 0.03)
"""Temperatures of the first guess, as shares of the spread of the scores: hot first, then cold."""


def assign(scores: NDArray[np.float64], counts: Sequence[int]) -> NDArray[np.int64]:
    """Assign rows to classes with these counts so that the sum of scores is largest.

    This is a transport problem with few sinks.

    If each row takes the class with the largest score plus that class's offset, then no assignment with the same counts
    is better, whatever the offsets. So guess offsets that give about the right counts, and move one row at a time along
    the cheapest path from a class with too many to one with too few, which keeps it the best with its counts
    (successive shortest paths).

    Args:
        scores: finite, shape (rows, classes). counts: one a class, with sum rows.

    Returns:
        Classes, shape (rows,).
    """
    rows, classes = scores.shape
    # about right for nearly all rows; what is left over is moved below, one row at a time
    chosen = (scores + _offsets(scores, np.asarray(counts))).argmax(1)
    surplus = np.bincount(chosen, minlength=classes) - counts
    row_numbers = np.arange(rows)
    # each turn shifts one row along every edge of the cheapest path from a class with too many rows to one with too
    # few, so there are as many turns as rows left over
    while surplus.any():
        loss = scores[row_numbers, chosen][:, None] - scores  # of moving each row to each class
        cost, best = np.full((classes, classes), np.inf), np.zeros((classes, classes), dtype=np.int64)
        for source in range(classes):
            members = np.flatnonzero(chosen == source)
            if len(members):
                # for each other class, the row of this one that loses least by going there
                best[source] = members[loss[members].argmin(0)]
                cost[source] = loss[best[source], np.arange(classes)]
        for source, target in _cheapest(cost, surplus):
            chosen[best[source, target]] = target
            surplus[source] -= 1
            surplus[target] += 1
    return chosen


def _offsets(scores: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return offsets with which rows that choose softly (Sinkhorn) take each class about as often as its count."""
    spread = float(scores.std()) or 1.0  # all scores equal: any offsets will do
    log_counts = np.log(np.maximum(counts, 1e-9))  # a class that gets no row has a finite logarithm
    offsets = np.zeros(scores.shape[1])
    # hot: all rows pull at the offsets, which settle fast; cold: they settle where a hard choice has the counts
    for temperature_share in TEMPERATURE_SHARES:
        temperature = temperature_share * spread
        for _ in range(ROUNDS):
            tilted = (scores + offsets) / temperature
            top = tilted.max(1, keepdims=True)  # the largest exponent becomes 0: no overflow
            soft = np.exp(tilted - top)
            soft /= soft.sum(1, keepdims=True)
            offsets += temperature * (log_counts - np.log(np.maximum(soft.sum(0), 1e-9)))
    return offsets


def _cheapest(cost: NDArray[np.float64], surplus: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return the moves of the cheapest path from a class with too many rows to one with too few (Bellman and Ford)."""
    classes = len(surplus)
    distance = np.where(surplus > 0, 0.0, np.inf)
    before = np.full(classes, -1)
    # a cheapest path visits no class twice, so it has at most classes - 1 moves
    for _ in range(classes - 1):
        through = distance[:, None] + cost
        source, through_cost = through.argmin(0), through.min(0)
        # rounding must not make a cycle look cheaper: following it back would never end
        better = through_cost < distance - 1e-12
        if not better.any():
            break
        distance, before = np.where(better, through_cost, distance), np.where(better, source, before)
    # the class with too few rows that is cheapest to reach
    end = int(np.where(surplus < 0, distance, np.inf).argmin())
    path = []
    while before[end] >= 0:
        path.append((int(before[end]), end))
        end = int(before[end])
    return path
