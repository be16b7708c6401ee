"""Hold the results of `penchant rank`: the content of `rank.json`, whose keys are the names of the fields."""

from __future__ import annotations

from dataclasses import dataclass

from penchant.metrics.estimates import Estimate


@dataclass(frozen=True, slots=True)
class RankedItem:
    """A model, response or annotator with its strength.

    Attributes:
        strength: log-odds, of which the mean over all items is zero.
        elo: the same on the Elo scale.
        places: the first and last place among the middle of the resamples; None without intervals.
        wins, losses: ties are half of each.
        win_rate: the share of wins among its comparisons, ties half; the interval resamples what those of strengths do.
    """

    name: str
    strength: Estimate
    elo: Estimate
    places: tuple[int, int] | None
    wins: float
    losses: float
    win_rate: Estimate


@dataclass(frozen=True)
class Ranking:
    """Strengths of all items, the strongest first.

    Attributes:
        by, fit, prior, level: settings.
        resampled: what the intervals resample, such as `prompts`; `clusters` is how many of these there are.
        rankings: None where comparisons were fitted one by one.
        skipped_rows, against_itself, unranked, unmet: what was left out, as in `Games`.
        reason: why there are no intervals; empty where there are.
        wins: of each item (row) over each (column).
    """

    method: str
    file: str
    by: str
    fit: str
    prior: float
    level: float
    resampled: str
    comparisons: int
    rankings: int | None
    ties: int
    clusters: int
    skipped_rows: int
    against_itself: int
    unranked: int
    unmet: tuple[str, ...]
    reason: str
    items: tuple[RankedItem, ...]
    wins: tuple[tuple[float, ...], ...]
