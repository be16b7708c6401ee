"""Votes of many sources on rows: a class or an abstention each, and equal rows counted together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse

from penchant.weak.contract import Probabilities
from penchant.weak.label_models.vote_matrix import ABSTAINS, Answers, VoteMatrix

__all__ = [
    "ABSTAINS",
    "Answers",
    "Indicators",
    "Patterns",
    "VoteMatrix",
    "Votes",
    "most_probable",
    "one_hot",
    "patterns_of",
    "patterns_of_pairs",
    "second_products",
]


Indicators: TypeAlias = Probabilities
"""1 for each vote: a full table, or a sparse one (scipy has no types), whose products are written alike."""
MOST_IN_FULL = 2**20  # numbers of a table that is not sparse: 8 MB, where each sparse product costs more than all of it


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
        matrix: patterns by sources. counts: shape (patterns,).
        pattern_of_row: shape (rows,), the pattern of each row.
        classes: how many there are.
        items: of pairs, the numbers of the first and the second response, shape (patterns, 2); then each row is a
            pattern of its own, since pairs with equal votes compare other responses.
    """

    matrix: VoteMatrix
    counts: Probabilities
    pattern_of_row: NDArray[np.intp]
    classes: int
    items: NDArray[np.intp] | None = None

    @property
    def sources(self) -> int:
        """How many sources there are."""
        return self.matrix.shape[1]

    @property
    def answers(self) -> Answers:
        """The full table, shape (patterns, sources): a class or `ABSTAINS`. It is made anew each time, and large."""
        return self.matrix.table()

    @cached_property
    def indicators(self) -> Indicators:
        """1 for each vote, shape (patterns, sources * classes): the column of a vote is source * classes + class.

        Sparse where there are many, so that models take time and memory by votes and not by patterns times sources.
        """
        matrix = self.matrix
        shape = matrix.shape[0], self.sources * self.classes
        columns = matrix.vote_sources.astype(np.int64) * self.classes + matrix.vote_classes
        if shape[0] * shape[1] > MOST_IN_FULL:
            # the declared type is that of a full table
            sparse: Indicators = csr_array((np.ones(len(columns)), (matrix.vote_rows, columns)), shape=shape)
            return sparse
        table = np.zeros(shape)
        table[matrix.vote_rows, columns] = 1.0
        return table

    def with_counts(self, counts: Probabilities) -> Patterns:
        """Return the same patterns with other counts, as a resample has them."""
        resampled = replace(self, counts=counts)
        # made once for hundreds of resamples
        vars(resampled)["indicators"] = self.indicators
        return resampled

    @property
    def votes_by_source(self) -> Probabilities:
        """How many rows each source votes on, by the counts of the patterns, shape (sources,)."""
        weights = self.counts[self.matrix.vote_rows]
        # of no votes at all numpy makes whole numbers
        return np.bincount(self.matrix.vote_sources, weights=weights, minlength=self.sources).astype(np.float64)

    @property
    def is_voted(self) -> NDArray[np.bool_]:
        """Which patterns have a vote, shape (patterns,)."""
        return np.bincount(self.matrix.vote_rows, minlength=self.matrix.shape[0]) > 0


def patterns_of(votes: VoteMatrix | Answers, classes: int) -> Patterns:
    """Return the distinct rows of votes with their counts; a full table of votes will do."""
    matrix = votes if isinstance(votes, VoteMatrix) else VoteMatrix.of_table(votes)
    patterns, pattern_of_row = matrix.distinct_rows()
    counts = np.bincount(pattern_of_row, minlength=patterns.shape[0])
    return Patterns(patterns, counts.astype(np.float64), pattern_of_row, classes)


def patterns_of_pairs(matrix: VoteMatrix, items: NDArray[np.intp]) -> Patterns:
    """Return each pair of responses as a pattern, for a model that knows which responses it compares.

    Args:
        items: the numbers of the two responses, shape (rows, 2).
    """
    rows = matrix.shape[0]
    return Patterns(matrix, np.ones(rows), np.arange(rows), 2, items)


def second_products(first: Indicators, second: Indicators, weights: Probabilities) -> Probabilities:
    """Return the weighted sums of products of columns, shape (columns of first, columns of second).

    Args:
        weights: of the rows, shape (rows,).
    """
    products = (first * weights[:, None]).T @ second
    return np.asarray(csr_array(products).toarray() if issparse(products) else products)


def one_hot(answers: Answers, classes: int) -> Probabilities:
    """Return answers as indicators, shape (rows, sources, classes + 1); the last column is the abstention."""
    return np.eye(classes + 1)[np.where(answers == ABSTAINS, classes, answers)]


def most_probable(probabilities: Probabilities) -> NDArray[np.bool_]:
    """Return which classes of each row are the most probable ones, shape (rows, classes): several where they tie."""
    # equal but for rounding is a tie: shares such as .1 + .2 and .3 differ in the last bit
    return np.asarray(probabilities >= probabilities.max(-1, keepdims=True) - 1e-9)
