"""Strengths from comparisons: Bradley and Terry 1952 for pairs, Plackett 1975 and Luce 1959 for rankings.

P(i beats j) = 1 / (1 + exp(s_j - s_i)), and a ranking is such a choice of the best of those left, again and again.
Strengths are log-odds with mean zero, fitted by the package `choix` (iterative Luce spectral ranking: maximum
likelihood). A tie is half a win each way. Intervals draw clusters (prompts) anew and fit again.

A strength exists only where everybody can be reached from everybody over wins: whoever never lost is infinitely strong.
`groups_apart` says who is separate; `prior` gives every two items so many virtual ties, which keeps all finite.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import choix
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from penchant.errors import InputError
from penchant.metrics.choices import Choices
from penchant.metrics.estimates import FEWEST_CLUSTERS, Estimate, no_interval
from penchant.metrics.intervals import finite_vector
from penchant.metrics.resampling import Clusters, Numbers, cluster_codes, percentile_interval, resampled_counts

ELO_CENTRE, ELO_UNIT = 1000.0, 400.0 / math.log(10.0)
LARGEST_FAILING_SHARE = 0.01  # of the resamples may fall apart; where more do, there is no interval
SAME_STRENGTH = 1e-6  # log-odds: less than this is rounding of the fits


@dataclass(frozen=True, slots=True)
class Strengths:
    """Fitted strengths with their intervals, an entry per item, in the order of the items.

    Attributes:
        values: log-odds, mean zero; `n` counts the comparisons (or rankings) that the item is in.
        ranks: (best, worst) place among the resamples' middle 95%, 1 the strongest; None without an interval.
        wins, losses: ties half (for rankings: over every two members).
        reason: why there are no intervals; empty where there are.
    """

    values: tuple[Estimate, ...]
    ranks: tuple[tuple[int, int] | None, ...]
    wins: tuple[float, ...]
    losses: tuple[float, ...]
    reason: str = ""


def bradley_terry(
    winners: ArrayLike,
    losers: ArrayLike,
    tied: ArrayLike | None,
    clusters: Clusters,
    *,
    items: int,
    prior: float = 0.0,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    unit: str = "prompt",
) -> Strengths:
    """Fit strengths of items that were compared in pairs.

    Args:
        winners, losers: (comparisons,) items, counted from 0. tied: (comparisons,) whether neither won; None for never.
        clusters: (comparisons,) the prompt of each. items: how many there are.
        prior: virtual ties between every two items, 0 or more.
        level, resamples, seed: of the bootstrap. unit: what a cluster is, in the singular.

    Raises:
        InputError: other lengths, nothing to compare, an item against itself, or items that fall apart (without a
            prior): the numbers of the items say which.
    """
    winner_codes, loser_codes = np.asarray(winners, dtype=np.intp), np.asarray(losers, dtype=np.intp)
    draw = np.zeros(len(winner_codes), dtype=bool) if tied is None else np.asarray(tied, dtype=bool)
    sizes = {len(winner_codes), len(loser_codes), len(draw), len(clusters)}
    if winner_codes.ndim != 1 or len(sizes) > 1 or 0 in sizes:
        raise InputError(
            f"a winner, a loser and a cluster per comparison are needed, got {len(winner_codes)}, "
            f"{len(loser_codes)} and {len(clusters)}"
        )
    _require_items(np.concatenate([winner_codes, loser_codes]), items)
    if (winner_codes == loser_codes).any():
        raise InputError("an item cannot be compared with itself")
    if not prior >= 0 or not math.isfinite(prior):
        raise InputError(f"prior must be a number of virtual ties, 0 or more, got {prior}")
    codes = cluster_codes(clusters)
    # a tie is half a win each way, so it stands in two cells
    half = np.where(draw, 0.5, 1.0)
    rows = np.concatenate([codes, codes[draw]])  # a row per cluster: a resample is a product with its counts
    columns = np.concatenate([winner_codes * items + loser_codes, loser_codes[draw] * items + winner_codes[draw]])
    count = int(codes.max()) + 1
    table = csr_array((np.concatenate([half, half[draw]]), (rows, columns)), shape=(count, items * items))
    # a virtual tie, too, is half a win each way
    virtual = prior / 2 * (1 - np.eye(items))

    def fit(weights: Numbers, start: Numbers | None) -> Numbers | None:
        wins = (weights @ table).reshape(items, items) + virtual
        # a resample may leave out the only comparisons that connect everybody
        if len(groups_apart(wins)) > 1:
            return None
        return _converged(lambda: choix.ilsr_pairwise_dense(wins, initial_params=start))

    all_wins = wins_table(winner_codes, loser_codes, draw, items)
    games = np.bincount(np.concatenate([winner_codes, loser_codes]), minlength=items)
    return _strengths(fit, all_wins, virtual, games, count, unit, level, resamples, seed)


def plackett_luce(
    rankings: Sequence[Sequence[int]],
    clusters: Clusters,
    *,
    items: int,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    unit: str = "prompt",
) -> Strengths:
    """Fit strengths of items from rankings, best first, each of two members or more, without ties.

    Args:
        rankings: items, counted from 0. clusters: the prompt of each. items, level, resamples, seed, unit: as
            in `bradley_terry`.

    Raises:
        InputError: no rankings, one that is too short or names an item twice, other lengths, items that fall apart.
    """
    if not len(rankings) or len(rankings) != len(clusters):
        raise InputError(f"a cluster per ranking is needed, got {len(clusters)} for {len(rankings)} rankings")
    for ranking in rankings:
        if len(ranking) < 2 or len(set(ranking)) < len(ranking):
            raise InputError(f"a ranking needs two different items or more, got {list(ranking)}")
    members = np.concatenate([np.asarray(ranking, dtype=np.intp) for ranking in rankings])
    _require_items(members, items)
    choices = Choices.from_rankings(rankings, cluster_codes(clusters), items)

    def fit(weights: Numbers, start: Numbers | None) -> Numbers | None:
        amounts = weights @ choices.table
        if len(groups_apart(choices.wins(amounts))) > 1:
            return None
        return _converged(lambda: choices.fit(amounts, start))

    wins = choices.wins(np.asarray(choices.table.sum(axis=0)).ravel())
    games, count = np.bincount(members, minlength=items), choices.table.shape[0]
    return _strengths(fit, wins, np.zeros((items, items)), games, count, unit, level, resamples, seed)


def groups_apart(wins: ArrayLike) -> list[list[int]]:
    """Return the items that can all be reached from each other over wins, group by group.

    There is one group where strengths exist.

    Args:
        wins: (items, items) how often the row beat the column.
    """
    beaten = np.asarray(wins, dtype=np.float64) > 0
    count, group = connected_components(csr_array(beaten), directed=True, connection="strong")
    groups = [np.flatnonzero(group == number).tolist() for number in range(count)]
    # the group that beats the most others first
    return sorted(groups, key=lambda members: -(beaten[members].any(0).sum() - beaten[:, members].any(1).sum()))


def wins_table(winners: ArrayLike, losers: ArrayLike, tied: ArrayLike, items: int) -> Numbers:
    """Count how often the row beat the column, ties half, (items, items)."""
    winner_codes, loser_codes, draw = np.asarray(winners), np.asarray(losers), np.asarray(tied, dtype=bool)
    wins = np.zeros((items, items))
    np.add.at(wins, (winner_codes, loser_codes), np.where(draw, 0.5, 1.0))
    np.add.at(wins, (loser_codes[draw], winner_codes[draw]), 0.5)
    return wins


def elo(strength: float) -> float:
    """Return a strength on a scale like Elo's: 1000 is the mean, 400 points more are odds of ten to one."""
    return ELO_CENTRE + ELO_UNIT * float(finite_vector([strength], "strength")[0])


def _require_items(members: NDArray[np.intp], items: int) -> None:
    if members.min() < 0 or members.max() >= items:
        raise InputError(f"items are counted from 0 and there are {items}, got {members.min()} to {members.max()}")


def _converged(fit: Callable[[], Numbers]) -> Numbers | None:
    try:
        fitted = fit()
    except (RuntimeError, ValueError):  # odds beyond what doubles hold
        return None
    return np.asarray(fitted - fitted.mean())


def _strengths(
    fit: Callable[[Numbers, Numbers | None], Numbers | None],
    wins: Numbers,
    virtual: Numbers,
    games: NDArray[np.intp],
    count: int,
    unit: str,
    level: float,
    resamples: int,
    seed: int,
) -> Strengths:
    groups = groups_apart(wins + virtual)
    if len(groups) > 1:
        raise InputError(
            f"strengths do not exist: the items fall apart into {len(groups)} groups that do not beat each other both "
            f"ways: {groups}"
        )
    fitted = fit(np.ones(count), None)
    if fitted is None:
        raise InputError("the strengths did not converge: some odds are too far apart; use a prior")
    numbers = (tuple(wins.sum(1).tolist()), tuple(wins.sum(0).tolist()))

    def without_intervals(reason: str, item_reason: str) -> Strengths:
        values = (
            Estimate(float(s), None, None, int(n), count, item_reason) for s, n in zip(fitted, games, strict=True)
        )
        return Strengths(tuple(values), (None,) * len(fitted), *numbers, reason)

    if count < FEWEST_CLUSTERS:
        too_few = no_interval(count, unit)
        return without_intervals(
            f"{too_few.removeprefix('no interval: ')} {'is' if count == 1 else 'are'} too few", too_few
        )
    # every fit starts from the strengths of all data, which are near its own
    fits = [
        fit(weights, fitted)
        for counts in resampled_counts(count, resamples, seed, width=max(count, fitted.size**2))
        for weights in counts
    ]
    resampled = np.array([strengths for strengths in fits if strengths is not None]).reshape(-1, len(fitted))
    if (failed := resamples - len(resampled)) > LARGEST_FAILING_SHARE * resamples:
        reason = f"in {failed} of {resamples} resamples somebody won (or lost) everything; a prior would give intervals"
        return without_intervals(reason, "no interval")
    # clusters that all say the same leave nothing to resample, which does not make the next one say so
    if np.ptp(resampled, axis=0).max() < SAME_STRENGTH:
        all_same = no_interval(count, unit, all_agree=True)
        return without_intervals(all_same.removeprefix("no interval: "), all_same)
    ranks = (-resampled).argsort(1).argsort(1) + 1
    # a rank is a place that somebody had, never one and a half
    low, high = np.quantile(ranks, [(1 - level) / 2, (1 + level) / 2], axis=0, method="closest_observation")
    values = tuple(
        Estimate(float(s), *percentile_interval(resampled[:, item], float(s), level, count), int(games[item]), count)
        for item, s in enumerate(fitted)
    )
    return Strengths(values, tuple((int(a), int(b)) for a, b in zip(low, high, strict=True)), *numbers)
