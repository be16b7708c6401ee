"""The subset Ties of RewardBench 2: right answers above wrong ones, and closer to each other than to these.

Formula: `process_single_model` in `rewardbench/utils.py` of github.com/allenai/reward-bench.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penchant.errors import InputError
from penchant.evaluation.grades import BenchmarkRow, Grade
from penchant.metrics.estimates import FEWEST_CLUSTERS, Coefficient, no_interval
from penchant.metrics.resampling import percentile_interval, resampled_counts
from penchant.runs.evaluations import OutsideScore

TIES_METRIC = "ties score"
ACCURATE, MARGIN, MARGIN_TERM = 0.3, 0.2, 0.01  # weights of the accuracies, of the margins, and of how large these are
RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class _Terms:
    """Numbers of each prompt, in their order; NaN where a prompt has no such row.

    Attributes:
        ref_right, tied_right: whether every right answer is above every wrong one.
        tied_clear, both_clear: whether the right answers are closer to each other than to the wrong ones; and to those
            of the reference prompt, too.
        margin: how much closer, squashed.
    """

    ref_right: NDArray[np.float64]
    tied_right: NDArray[np.float64]
    tied_clear: NDArray[np.float64]
    both_clear: NDArray[np.float64]
    margin: NDArray[np.float64]

    def score(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the score of each resample.

        Args:
            counts: (resamples, prompts), how often each prompt was drawn.
        """
        columns = (
            (ACCURATE, self.tied_right),
            (ACCURATE, self.ref_right),
            (MARGIN, self.tied_clear),
            (MARGIN, self.both_clear),
            (MARGIN_TERM, self.margin),
        )
        total = np.zeros(len(counts))
        for share, values in columns:
            is_defined = ~np.isnan(values)
            weights = counts[:, is_defined]
            sums = weights @ values[is_defined]
            total += share * np.divide(sums, weights.sum(1), out=np.zeros(len(counts)), where=weights.sum(1) > 0)
        return total


def ties_scores(
    rows: Sequence[BenchmarkRow], grades: Sequence[Grade], other_grades: Sequence[Grade] | None = None
) -> OutsideScore:
    """Return the score of the subset Ties, with an interval over prompts.

    Raises:
        InputError: an id that is not `ref:NUMBER` or `tied:NUMBER`.
    """
    terms = _terms(rows, grades)
    other_terms = _terms(rows, other_grades) if other_grades else None
    prompts = len(terms.ref_right)
    each_once = np.ones((1, prompts))
    resampled = np.concatenate([terms.score(part) for part in _draws(prompts)])
    after = _measure(float(terms.score(each_once)[0]), resampled, len(rows), prompts)
    if other_terms is None:
        return OutsideScore("Ties", TIES_METRIC, after, higher_is_better=True, is_share=True)
    other_resampled = np.concatenate([other_terms.score(part) for part in _draws(prompts)])
    value = float(other_terms.score(each_once)[0])
    assert after.value is not None
    return OutsideScore(
        "Ties",
        TIES_METRIC,
        after,
        _measure(value, other_resampled, len(rows), prompts),
        # the same draws on both sides: paired by prompt
        _measure(after.value - value, resampled - other_resampled, len(rows), prompts),
        higher_is_better=True,
        is_share=True,
    )


def _draws(prompts: int) -> list[NDArray[np.float64]]:
    return list(resampled_counts(prompts, RESAMPLES, 0, width=prompts))


def _measure(value: float, resampled: NDArray[np.float64], rows: int, prompts: int) -> Coefficient:
    # a reference prompt and its tied one are one cluster: both were made of the same question
    if prompts < FEWEST_CLUSTERS:
        return Coefficient(value, None, None, rows, prompts, no_interval(prompts))
    low, high = percentile_interval(resampled, value, LEVEL, prompts)
    return Coefficient(value, low, high, rows, prompts)


def _terms(rows: Sequence[BenchmarkRow], grades: Sequence[Grade]) -> _Terms:
    stats: dict[str, dict[str, tuple[float, float, float]]] = {}
    for row, grade in zip(rows, grades, strict=True):
        kind, colon, number = row.key.partition(":")
        if not colon or kind not in ("ref", "tied"):
            raise InputError(
                f"{row.source}: expected the id of a row of Ties as ref:NUMBER or tied:NUMBER, got {row.key!r}"
            )
        assert grade.scores is not None
        right, wrong = grade.scores[: len(row.right)], grade.scores[len(row.right) :]
        # by the worst right answer: one that is below a wrong one makes the whole row wrong
        gap = min(right) - max(wrong)
        stats.setdefault(number, {})[kind] = (float(gap > 0), max(right) - min(right), gap)
    blank = (np.nan, np.nan, np.nan)
    ref, tied = (np.array([parts.get(kind, blank) for parts in stats.values()]) for kind in ("ref", "tied"))
    spread, tied_gap, ref_gap = tied[:, 1], tied[:, 2], ref[:, 2]
    is_paired = ~np.isnan(tied_gap) & ~np.isnan(ref_gap)
    smaller = np.minimum(tied_gap, ref_gap)
    with np.errstate(divide="ignore", invalid="ignore"):
        # 0 / 0: no spread and no gap, which counts as none
        margin = np.nan_to_num(np.tanh(smaller / spread - 1), nan=0.0)
    return _Terms(
        ref[:, 0],
        tied[:, 0],
        np.where(is_paired, tied_gap > spread, np.nan),
        np.where(is_paired, smaller > spread, np.nan),
        np.where(is_paired, margin, np.nan),
    )
