"""The votes that sources cast, without the silence between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Answers = NDArray[np.int64]
ABSTAINS = -1
"""Stands in place of a class where a source abstains."""
Numbers = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class VoteMatrix:
    """Rows by sources, of which only votes are kept: sources that are rules are silent on most rows.

    A vote takes as many bytes as its numbers need, six where there are fewer than 256 sources and classes. In a full
    table it would be eight per row and source.

    Attributes:
        shape: how many rows and sources there are.
        vote_rows, vote_sources, vote_classes: of each vote, shape (votes,), in the order of rows, then of sources.
    """

    shape: tuple[int, int]
    vote_rows: Numbers
    vote_sources: Numbers
    vote_classes: Numbers

    @classmethod
    def of_columns(cls, columns: Iterable[Answers], rows: int) -> VoteMatrix:
        """Return the votes of columns, each of shape (rows,) with `ABSTAINS` where a source says nothing.

        One column at a time is held in full, where they come from a generator.
        """
        kept_rows: list[Numbers] = []
        kept_classes: list[Numbers] = []
        for column in columns:
            voted = np.flatnonzero(column != ABSTAINS)
            kept_rows.append(_smallest(voted))
            kept_classes.append(_smallest(column[voted]))
        counts = [len(voted) for voted in kept_rows]
        vote_sources = _smallest(np.repeat(np.arange(len(counts)), counts))
        vote_rows = np.concatenate(kept_rows) if counts else np.zeros(0, np.uint8)
        vote_classes = np.concatenate(kept_classes) if counts else np.zeros(0, np.uint8)
        # by row, and stable: within a row sources stay in the order of the columns
        order = np.argsort(vote_rows, kind="stable")
        return cls((rows, len(counts)), vote_rows[order], vote_sources[order], vote_classes[order])

    @classmethod
    def of_votes(cls, shape: tuple[int, int], rows: Numbers, sources: Numbers, classes: Numbers) -> VoteMatrix:
        """Return votes in any order, each of its row, source and class, arrays of shape (votes,)."""
        order = np.lexsort((sources, rows))
        return cls(shape, _smallest(rows[order]), _smallest(sources[order]), _smallest(classes[order]))

    @classmethod
    def of_table(cls, answers: Answers) -> VoteMatrix:
        """Return the votes of a full table, shape (rows, sources)."""
        return cls.of_columns(answers.T, len(answers))

    def table(self) -> Answers:
        """Return the full table, shape (rows, sources): of many rows it is large."""
        answers = np.full(self.shape, ABSTAINS, dtype=np.int64)
        answers[self.vote_rows, self.vote_sources] = self.vote_classes
        return answers

    def pick(self, sources: Sequence[int]) -> VoteMatrix:
        """Return the votes of some of the sources, in the order given."""
        columns = (self._column(source) for source in sources)
        return VoteMatrix.of_columns(columns, self.shape[0])

    def of_source(self, source: int) -> tuple[NDArray[np.intp], Answers]:
        """Return the rows that a source votes on, ascending, and the classes that it votes for."""
        of_it = self.vote_sources == source
        return self.vote_rows[of_it].astype(np.intp), self.vote_classes[of_it].astype(np.int64)

    def counts_by_source(self, classes: int) -> Answers:
        """Return how often each source votes for each class, shape (sources, classes)."""
        return _count_pairs(self.vote_sources, self.vote_classes, (self.shape[1], classes))

    def counts_by_row(self, classes: int) -> Answers:
        """Return how many sources vote for each class on each row, shape (rows, classes)."""
        return _count_pairs(self.vote_rows, self.vote_classes, (self.shape[0], classes))

    def shared_rows(self) -> Answers:
        """Return on how many rows two sources both vote, shape (sources, sources); on the diagonal, one does."""
        from scipy.sparse import csr_array

        ones = np.ones(len(self.vote_rows), dtype=np.int64)
        voted = csr_array((ones, (self.vote_rows, self.vote_sources)), shape=self.shape)
        return np.asarray((voted.T @ voted).toarray(), dtype=np.int64)

    def distinct_rows(self) -> tuple[VoteMatrix, NDArray[np.intp]]:
        """Return the different rows, and which of them each row is, shape (rows,).

        They stand in the ascending order of a full table, in which an abstention comes before every class.
        """
        rows, sources = self.shape
        lengths = np.bincount(self.vote_rows, minlength=rows)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        # A vote as one number, so that rows compare as in a full table: at the first source by which two differ, the
        # one that has a vote there is the greater, and of two votes that for the later class. 0 is the end of a row.
        step = int(self.vote_classes.max(initial=0)) + 1
        votes = (sources - self.vote_sources.astype(np.int64)) * step + self.vote_classes.astype(np.int64)
        kinds: list[Answers] = []
        kind_of_row = np.zeros(rows, dtype=np.intp)
        # rows with as many votes are rows of one small table: a full one of all rows is what this spares
        for length in np.unique(lengths).tolist():
            of_length = np.flatnonzero(lengths == length)
            of_rows = votes[starts[of_length][:, None] + np.arange(length)] if length else np.zeros((1, 0), np.int64)
            # a row without a vote has nothing to sort by
            distinct, numbers = _distinct(of_rows) if length else (of_rows, np.zeros(len(of_length), dtype=np.intp))
            kind_of_row[of_length] = sum(map(len, kinds)) + numbers
            kinds.append(distinct)
        longest = max(kind.shape[1] for kind in kinds)
        padded = np.concatenate([np.pad(kind, ((0, 0), (0, longest - kind.shape[1]))) for kind in kinds])
        # no two are equal, so this only sorts
        ordered, place_of_kind = _distinct(padded) if longest else (padded, np.zeros(1, dtype=np.intp))
        of_row, of_vote = np.nonzero(ordered)
        codes = ordered[of_row, of_vote]
        matrix = VoteMatrix.of_votes((len(ordered), sources), of_row, sources - codes // step, codes % step)
        return matrix, place_of_kind[kind_of_row]

    def _column(self, source: int) -> Answers:
        column = np.full(self.shape[0], ABSTAINS, dtype=np.int64)
        rows, classes = self.of_source(source)
        column[rows] = classes
        return column


def _distinct(table: Answers) -> tuple[Answers, NDArray[np.intp]]:
    """Return the different rows of a table in ascending order, and which of them each row is."""
    distinct, numbers = np.unique(table, axis=0, return_inverse=True)
    return distinct, numbers.reshape(-1)


def _count_pairs(first: Numbers, second: Numbers, shape: tuple[int, int]) -> Answers:
    """Return how often each pair of numbers comes, shape `shape`."""
    # in 64 bits: small numbers would overflow
    codes = first.astype(np.int64) * shape[1] + second
    return np.bincount(codes, minlength=shape[0] * shape[1]).reshape(shape).astype(np.int64)


def _smallest(numbers: Numbers) -> Numbers:
    """Return numbers that are not negative in the smallest type that holds them."""
    return numbers.astype(np.min_scalar_type(int(numbers.max()) if len(numbers) else 0))
