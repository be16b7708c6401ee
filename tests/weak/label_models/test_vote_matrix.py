"""The matrix of votes beside a full table: the same numbers, without the silence."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from penchant.weak.label_models.vote_matrix import VoteMatrix
from penchant.weak.label_models.votes import Votes, one_hot, patterns_of


def full_table(rows: int, sources: int, classes: int, coverage: float) -> NDArray[np.int64]:
    random = np.random.default_rng(rows)
    votes = random.integers(classes, size=(rows, sources))
    return np.where(random.random(votes.shape) < coverage, votes, -1)


# silent rows and sources, full ones, and more sources or classes than a byte has numbers
@pytest.mark.parametrize("size", [(300, 6, 2, 0.2), (200, 5, 3, 1.0), (40, 4, 2, 0.0), (90, 300, 400, 0.05)])
def test_all_numbers_are_those_of_a_full_table(size: tuple[int, int, int, float]) -> None:
    table, classes = full_table(*size), size[2]
    matrix = VoteMatrix.of_table(table)
    np.testing.assert_array_equal(matrix.table(), table)
    votes = one_hot(table, classes)[:, :, :-1]
    np.testing.assert_array_equal(matrix.counts_by_source(classes), votes.sum(0))
    np.testing.assert_array_equal(matrix.counts_by_row(classes), votes.sum(1))
    voted = (table >= 0).astype(int)
    np.testing.assert_array_equal(matrix.shared_rows(), voted.T @ voted)
    # in the order of numpy's, on which the last bit of sums over patterns depends
    expected, which, counts = np.unique(table, axis=0, return_inverse=True, return_counts=True)
    patterns = patterns_of(matrix, classes)
    np.testing.assert_array_equal(patterns.answers, expected)
    np.testing.assert_array_equal(patterns.pattern_of_row, which.reshape(-1))
    np.testing.assert_array_equal(patterns.counts, counts)


def test_sources_are_picked_in_the_order_given() -> None:
    table = full_table(50, 5, 3, 0.4)
    votes = Votes(VoteMatrix.of_table(table), tuple("abcde"), ("x", "y", "z"))
    picked = votes.pick([3, 0])
    assert (picked.sources, picked.rows) == (("d", "a"), 50)
    np.testing.assert_array_equal(picked.answers, table[:, [3, 0]])
    rows, classes = votes.matrix.of_source(1)
    np.testing.assert_array_equal(rows, np.flatnonzero(table[:, 1] >= 0))
    np.testing.assert_array_equal(classes, table[rows, 1])


def test_silence_takes_no_memory() -> None:
    matrix = VoteMatrix.of_columns((full_table(70_000, 1, 2, 0.02)[:, 0] for _ in range(20)), 70_000)
    kept = matrix.vote_rows.nbytes + matrix.vote_sources.nbytes + matrix.vote_classes.nbytes
    assert kept == 6 * len(matrix.vote_rows)  # four bytes for the row, one each for source and class
    assert kept < 0.02 * 70_000 * 20 * 8
