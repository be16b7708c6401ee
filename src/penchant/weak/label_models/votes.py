"""Votes of many sources on rows: a class or an abstention each, and equal rows counted together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from penchant.weak.contract import Probabilities
from penchant.weak.label_models.vote_matrix import ABSTAINS, Answers, VoteMatrix

__all__ = [
    "ABSTAINS",
    "Answers",
    "Patterns",
    "VoteMatrix",
    "Votes",
    "most_probable",
    "one_hot",
    "patterns_of",
    "patterns_of_pairs",
]


@dataclass(frozen=True)
class Votes:
    """What each source says of each row.

    Attributes:
        matrix: rows by sources; a vote is for a class, counted from 0.
        sources: names of the columns. classes: names, in order.
        texts: of the rows; None where the file has none.
        truth: shape (rows,): the true class, or `ABSTAINS` where nobody knows it; None without such a column.
    """

    matrix: VoteMatrix
    sources: tuple[str, ...]
    classes: tuple[str, ...]
    texts: tuple[str, ...] | None = None
    truth: Answers | None = None

    @property
    def rows(self) -> int:
        """How many rows there are, voted or not."""
        return self.matrix.shape[0]

    @property
    def answers(self) -> Answers:
        """The full table, shape (rows, sources): a class or `ABSTAINS`. It is made anew each time, and large."""
        return self.matrix.table()

    def pick(self, sources: Sequence[int]) -> Votes:
        """Return the votes of some of the sources."""
        names = tuple(self.sources[index] for index in sources)
        return replace(self, matrix=self.matrix.pick(sources), sources=names)


@dataclass(frozen=True)
class Patterns:
    """Rows with equal votes as one row with a count: models read each pattern once, and resamples only change counts.

    Attributes:
        answers: shape (patterns, sources). counts: shape (patterns,).
        pattern_of_row: shape (rows,), the pattern of each row.
        classes: how many there are.
        items: of pairs, the numbers of the first and the second response, shape (patterns, 2); then each row is a
            pattern of its own, since pairs with equal votes compare other responses.
    """

    answers: Answers
    counts: Probabilities
    pattern_of_row: NDArray[np.intp]
    classes: int
    items: NDArray[np.intp] | None = None

    @property
    def is_voted(self) -> NDArray[np.bool_]:
        """Which patterns have a vote, shape (patterns,)."""
        return np.asarray((self.answers != ABSTAINS).any(-1))


def patterns_of(votes: VoteMatrix | Answers, classes: int) -> Patterns:
    """Return the distinct rows of votes with their counts; a full table of votes will do."""
    matrix = votes if isinstance(votes, VoteMatrix) else VoteMatrix.of_table(votes)
    patterns, pattern_of_row = matrix.distinct_rows()
    counts = np.bincount(pattern_of_row, minlength=len(patterns))
    return Patterns(patterns, counts.astype(np.float64), pattern_of_row, classes)


def patterns_of_pairs(matrix: VoteMatrix, items: NDArray[np.intp]) -> Patterns:
    """Return each pair of responses as a pattern, for a model that knows which responses it compares.

    Args:
        items: the numbers of the two responses, shape (rows, 2).
    """
    rows = matrix.shape[0]
    return Patterns(matrix.table(), np.ones(rows), np.arange(rows), 2, items)


def one_hot(answers: Answers, classes: int) -> Probabilities:
    """Return answers as indicators, shape (rows, sources, classes + 1); the last column is the abstention."""
    return np.eye(classes + 1)[np.where(answers == ABSTAINS, classes, answers)]


def most_probable(probabilities: Probabilities) -> NDArray[np.bool_]:
    """Return which classes of each row are the most probable ones, shape (rows, classes): several where they tie."""
    # equal but for rounding is a tie: shares such as .1 + .2 and .3 differ in the last bit
    return np.asarray(probabilities >= probabilities.max(-1, keepdims=True) - 1e-9)
