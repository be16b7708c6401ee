"""Rankings as choices of the best of those left, again and again, and Luce's model fitted to choices of some weight.

choix's fit of rankings (`ilsr_rankings`, iterative Luce spectral ranking: Maystre and Grossglauser 2015) knows no
weights and walks over every ranking in Python, so a bootstrap would take minutes. Here equal choices are kept once. A
choice among many is, to a step of that algorithm, so much of a comparison with each of the others: the step itself is
choix's for pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import choix
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from penchant.metrics.resampling import Numbers

ITERATIONS, CONVERGED = 100, 1e-8  # choix's own


@dataclass(frozen=True, slots=True)
class Choices:
    """The different choices that rankings are made of.

    Attributes:
        table: (clusters, choices) how often each cluster has each.
        among: (choices, items) 1 for who was left, the winner too. chosen: (items, choices) 1 for the winner.
    """

    table: csr_array
    among: csr_array
    chosen: csr_array

    @classmethod
    def from_rankings(cls, rankings: Sequence[Sequence[int]], clusters: NDArray[np.intp], items: int) -> Choices:
        """Return the choices of rankings, best first, with the number of each one's cluster."""
        # equal choices are kept once: 300 rankings and 3,000 take the same 2.4 ms per resample
        row_of: dict[tuple[int, ...], int] = {}  # the winner, then the others that were left
        where = []
        for ranking, cluster in zip(rankings, clusters.tolist(), strict=True):
            for row in range(len(ranking) - 1):
                # the winner first; how the others are ordered is decided by the next choices
                key = (int(ranking[row]), *sorted(int(item) for item in ranking[row + 1 :]))
                where.append((cluster, row_of.setdefault(key, len(row_of))))
        left = [(row, item) for key, row in row_of.items() for item in key]
        winners = [(key[0], row) for key, row in row_of.items()]
        return cls(
            _counts(where, int(clusters.max()) + 1, len(row_of)),
            _counts(left, len(row_of), items),
            _counts(winners, items, len(row_of)),
        )

    def wins(self, amounts: Numbers) -> Numbers:
        """Count how often the row was chosen where the column was left too, (items, items).

        Args:
            amounts: (choices,) how often each was made.
        """
        wins = np.asarray((self.chosen.multiply(amounts[None, :]) @ self.among).todense())
        np.fill_diagonal(wins, 0)
        return wins

    def fit(self, amounts: Numbers, start: Numbers | None) -> Numbers:
        """Fit the strengths of the items, log-odds with mean zero: maximum likelihood.

        Raises:
            RuntimeError, ValueError: it does not converge.
        """
        params = np.zeros(self.among.shape[1]) if start is None else start
        for _ in range(ITERATIONS):
            before, strengths = params, np.exp(params)
            # a choice weighs 1 / (sum of the strengths that were left); choix's step divides by the sum of two of them,
            # which is right for pairs alone and is taken back here
            wins = self.wins(amounts / (self.among @ strengths)) * (strengths[:, None] + strengths[None, :])
            params = np.asarray(choix.lsr_pairwise_dense(wins, initial_params=before))
            params = params - params.mean()  # a constant changes no odds
            if np.abs(params - before).sum() < CONVERGED:
                return params
        raise RuntimeError(f"did not converge after {ITERATIONS} iterations")


def _counts(entries: Sequence[tuple[int, int]], rows: int, columns: int) -> csr_array:
    row, column = np.array(entries).T
    return csr_array((np.ones(len(row)), (row, column)), shape=(rows, columns))
