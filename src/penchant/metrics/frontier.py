"""Reward against KL: the best that any policy could reach, Best-of-N, and how much of the possible a method reaches.

The optimum of E[r] - beta KL(pi || pi_ref) is pi_ref exp(r / beta) / Z (Rafailov et al. 2023, eq. 4), so samples of the
reference alone say how much reward is to be had at each KL: weight a prompt's N samples by w = softmax(r / beta), then

    reward(beta) = sum w r,    KL(beta) = sum w log(N w),

averaged over prompts, beta swept. It cannot see beyond its samples: trust it for KL <= ln N - 2 nats.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, log_softmax, xlogy

from penchant.errors import InputError
from penchant.metrics.intervals import Estimate, percentile_interval

Numbers = NDArray[np.float64]

POINTS = 240  # betas of a line, from far above the rewards' spread to far below it
FROM_KL = 0.5  # nats where a method's efficiency begins to count
TO_KL = 3.0  # and where it ends, unless the trusted range ends before
GRID = 51  # KLs in between
FOLDS = 4  # halves of the prompts, on one of which mixtures are chosen and on the other measured
LEAST_PROMPTS = 8  # for an interval: half of them is chosen on, the other measured
NOTHING = 1e-12  # a gain that is none


@dataclass(frozen=True)
class Limit:
    """The limit line of some prompts.

    Attributes:
        kl_nats: (points,) from 0 upwards. reward: (points,) the most that a policy reaches there, at beta.
        trusted_kl: the line is an estimate up to here, in nats.
    """

    kl_nats: Numbers
    reward: Numbers
    trusted_kl: float

    def at(self, kl_nats: ArrayLike) -> Numbers:
        """The limit at some KLs, any shape; beyond the line's end its last reward."""
        return np.interp(np.asarray(kl_nats, dtype=np.float64), self.kl_nats, self.reward)


def limit_line(rewards: ArrayLike) -> Limit:
    """The limit line from samples of the reference.

    Args:
        rewards: (prompts, N) true rewards of N independent samples a prompt, N >= 2.

    Raises:
        InputError: another shape, or numbers that are not finite.
    """
    table = _table(rewards)
    line = _sweep(table).mean(axis=2)
    return Limit(line[0], line[1], trusted_kl(table.shape[1]))


def trusted_kl(samples: int) -> float:
    """Up to which KL, in nats, so many samples a prompt can estimate the limit."""
    return math.log(samples) - 2


def best_of_n(rewards: ArrayLike, n: ArrayLike | None = None) -> Numbers:
    """The expected reward of Best-of-n for every n up to N, exactly, from one set of N samples a prompt.

    The mean of the largest of n over all subsets of n of the N samples (no resampling), averaged over prompts.

    Args:
        rewards: (prompts, N).
        n: which n, (k,) or a single one; all from 1 to N if None.

    Returns:
        (k,), a number for each n: of all N, entry n - 1 belongs to n.

    Raises:
        InputError: another shape, numbers that are not finite, or an n that N samples cannot tell of.
    """
    ordered = np.sort(_table(rewards, least=1), axis=1)
    count = ordered.shape[1]
    place = np.arange(1, count + 1)
    asked = place if n is None else np.atleast_1d(np.asarray(n))
    if not np.isin(asked, place).all():
        raise InputError(
            f"best_of_n: {count} samples a prompt tell of the whole numbers n from 1 to {count}, but "
            f"{', '.join(map(str, asked[~np.isin(asked, place)].tolist()))} was asked for; draw more samples"
        )
    drawn = asked[:, None]
    with np.errstate(invalid="ignore"):
        # the i-th smallest is the largest of a subset of n in C(i - 1, n - 1) of C(N, n) cases
        logs = _log_binomial(place - 1, drawn - 1) - _log_binomial(count, drawn)
        shares = np.where(place >= drawn, np.exp(logs), 0.0)
    return (shares @ ordered.T).mean(axis=1)


def best_of_n_kl(n: ArrayLike) -> Numbers:
    """ln n - (n - 1) / n: an upper bound, in nats, of the KL of Best-of-n from the reference."""
    count = np.asarray(n, dtype=np.float64)
    return np.log(count) - (count - 1) / count


def efficiency(
    reference_rewards: ArrayLike,
    kl_nats: ArrayLike,
    rewards: ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """The share of the limit's gain in reward that a method reaches, averaged over KL 0.5 to min(3, ln N - 2) nats.

    A method's curve is the upper hull of its points and of the reference at KL 0: between two policies a mixture of
    both reaches at least the line, and a smaller KL is within a larger budget. The best of noisy points is better by
    luck, so the mixtures are chosen on one half of the prompts and measured on the other (`FOLDS` such halves,
    averaged): a method that is the reference gets 0 on average, however many points it has.

    Args:
        reference_rewards: (prompts, N) rewards of the reference's samples.
        kl_nats, rewards: (points, prompts) mean KL and reward of each policy of the method, on the same prompts.
        level, resamples, seed: of the interval, which resamples prompts (of all inputs together).

    Returns:
        About 1 at the limit, 0 at the reference. Whoever does not do better than the reference is given the reference's
        0, give or take noise: how far below it a policy fell does not show here. It can exceed 1 by the limit's bias of
        some 0.01. Without an interval where there are fewer than `LEAST_PROMPTS`.

    Raises:
        InputError: shapes that do not belong together, numbers that are not finite, N too small for any trusted range,
            or rewards that leave nothing to gain.
    """
    share, points, prompts = _share_of(reference_rewards, kl_nats, rewards)
    return _with_interval(share, points * prompts, prompts, level, resamples, seed)


def efficiency_difference(
    reference_rewards: ArrayLike,
    one: tuple[ArrayLike, ArrayLike],
    other: tuple[ArrayLike, ArrayLike],
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """How much more of the possible gain one method reaches than another, on the same prompts.

    Paired: both are computed from the same resampled prompts, so that what is hard for both cancels.

    Args:
        one, other: (kl_nats, rewards) of each method, as for `efficiency`; so are the rest and the errors.
    """
    first, points, prompts = _share_of(reference_rewards, *one)
    second, more, _ = _share_of(reference_rewards, *other)
    return _with_interval(
        lambda weights: first(weights) - second(weights), (points + more) * prompts, prompts, level, resamples, seed
    )


def reached_share(reference_rewards: ArrayLike, kl_nats: ArrayLike, rewards: ArrayLike) -> float:
    """The value of `efficiency` alone, for where an interval would take too long."""
    share, _, prompts = _share_of(reference_rewards, kl_nats, rewards)
    return share(np.full(prompts, 1 / prompts))


def peak_share(
    reference_rewards: ArrayLike,
    kl_nats: ArrayLike,
    rewards: ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate | None:
    """The share of the limit's gain that a method's best single policy reaches, at that policy's own KL.

    Only policies within `efficiency_range` take part. As in `efficiency` the best is chosen on one half of the prompts
    and measured on the other, so that a long sweep is not better by luck.

    Args and errors as of `efficiency`.

    Returns:
        None where no policy's KL is in the range.
    """
    low, high = efficiency_range(_table(reference_rewards).shape[1])

    def best(kls: Numbers, gains: Numbers, line: Numbers) -> Numbers:
        inside = (kls >= low) & (kls <= high)
        possible = np.interp(kls, line[0], line[1]) - line[1, 0]
        shares = np.where(inside & (possible > NOTHING), gains / np.maximum(possible, NOTHING), -np.inf)
        chosen = np.zeros((1, len(kls)))
        if np.isfinite(shares).any():
            chosen[0, shares.argmax()] = 1
        return chosen

    means = _table(kl_nats, least=1).mean(axis=1)
    if not ((means >= low) & (means <= high)).any():
        return None
    share, points, prompts = _share_of(reference_rewards, kl_nats, rewards, best)
    return _with_interval(share, points * prompts, prompts, level, resamples, seed)


def efficiency_range(samples: int) -> tuple[float, float]:
    """Between which KLs, in nats, efficiency is averaged with so many samples a prompt.

    Raises:
        InputError: too few for any trusted range.
    """
    end = min(TO_KL, trusted_kl(samples))
    if end <= FROM_KL:
        raise InputError(
            f"efficiency: {samples} samples a prompt estimate the limit up to {trusted_kl(samples):.2f} "
            f"nats only; at least {math.ceil(math.exp(FROM_KL + 2)) + 1} are needed"
        )
    return FROM_KL, end


def _share_of(
    reference_rewards: ArrayLike,
    kl_nats: ArrayLike,
    rewards: ArrayLike,
    choose: Callable[[Numbers, Numbers, Numbers], Numbers] | None = None,
) -> tuple[Callable[[Numbers], float], int, int]:
    """The share as a function of the prompts' weights (which sum to 1), and the numbers of points and prompts.

    Args:
        choose: from the points' KLs and gains and the limit line, all on one half of the prompts, to the mixtures
            whose share is measured on the other half, at their own KL; (mixtures, points), a row of zeros for none.
            Without it they are the hull's at each KL of the grid.
    """
    table = _table(reference_rewards)
    kls, gains = _table(kl_nats, least=1), _table(rewards, least=1)
    prompts = table.shape[0]
    if kls.shape != gains.shape or kls.shape[1] != prompts:
        raise InputError(
            f"efficiency: kl_nats {kls.shape} and rewards {gains.shape} must be (points, prompts), with the {prompts} "
            "prompts of the reference's samples"
        )
    grid = np.linspace(*efficiency_range(table.shape[1]), GRID)
    sweep = _sweep(table)
    line = sweep.mean(axis=2)
    if not (np.interp(grid, line[0], line[1]) - line[1, 0] > NOTHING).all():
        raise InputError("efficiency: the reference's samples have equal rewards: there is nothing to gain")
    halves = _halves(prompts)

    def share(weights: Numbers) -> float:
        shares = []
        for chosen, measured in halves:
            on, off = weights * chosen, weights * measured
            if not on.any() or not off.any():
                continue
            on, off = on / on.sum(), off / off.sum()
            gained = gains @ on - float(sweep[1, 0] @ on)
            mixtures = choose(kls @ on, gained, sweep @ on) if choose else _mixtures(kls @ on, gained, grid)
            line = sweep @ off
            possible = np.interp(mixtures @ (kls @ off) if choose else grid, line[0], line[1]) - line[1, 0]
            if (possible > NOTHING).all():  # some draws of few prompts have nothing to gain
                shares.append(float((mixtures @ (gains @ off - line[1, 0]) / possible).mean()))
        return float(np.mean(shares)) if shares else math.nan

    return share, kls.shape[0], prompts


def _halves(prompts: int) -> list[tuple[Numbers, Numbers]]:
    """(choose on, measure on) as masks of the prompts; a prompt alone is used for both."""
    if prompts == 1:
        return [(np.ones(1), np.ones(1))]
    rng = np.random.default_rng(prompts)
    found = []
    for _ in range(FOLDS // 2):
        half = np.zeros(prompts)
        half[rng.permutation(prompts)[: prompts // 2]] = 1
        found += [(half, 1 - half), (1 - half, half)]
    return found


def _mixtures(kl_nats: Numbers, gains: Numbers, grid: Numbers) -> Numbers:
    """(grid, points): how much of each policy the hull's mixture has at each KL; the rest is the reference."""
    corners = _corners(kl_nats, gains)
    shares = np.zeros((len(grid), len(kl_nats)))
    at = np.array([0.0, *(kl_nats[corner] for corner in corners)])
    for place, kl in enumerate(grid):
        right = int(np.searchsorted(at, kl))
        if right == len(at):  # beyond the last corner, whose KL is within the budget
            parts = [(right - 1, 1.0)]
        else:
            part = (kl - at[right - 1]) / (at[right] - at[right - 1])
            parts = [(right - 1, 1 - part), (right, part)]
        for corner, part in parts:
            if corner:
                shares[place, corners[corner - 1]] += part
    return shares


def _with_interval(
    share: Callable[[Numbers], float], items: int, prompts: int, level: float, resamples: int, seed: int
) -> Estimate:
    value = share(np.full(prompts, 1 / prompts))
    if prompts < LEAST_PROMPTS:
        return Estimate(value, None, None, items, prompts)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=resamples) / prompts
    drawn = np.array([share(weights) for weights in draws])
    known = drawn[np.isfinite(drawn)]
    if len(known) < 0.9 * resamples:  # too few prompts carry a gain for an interval to mean anything
        return Estimate(value, None, None, items, prompts)
    return Estimate(value, *percentile_interval(known, value, level, prompts), items, prompts)


def hull(kl_nats: Numbers, rewards: Numbers, grid: Numbers) -> Numbers:
    """The least concave, never falling curve above some points (the first is the reference's), at the grid's KLs."""
    corners = [0, *(place + 1 for place in _corners(kl_nats[1:], rewards[1:] - rewards[0]))]
    return np.interp(grid, kl_nats[corners], rewards[corners])


def _corners(kl_nats: Numbers, gains: Numbers) -> list[int]:
    """The points that are corners of the hull above them and (0, 0), by KL."""
    corners: list[tuple[float, float, int]] = [(0.0, 0.0, -1)]
    for x, y, place in sorted(zip(kl_nats.tolist(), gains.tolist(), range(len(kl_nats)), strict=True)):
        if y <= corners[-1][1]:
            continue  # less reward for more KL
        while len(corners) > 1 and (x <= corners[-1][0] or _below(corners[-2], corners[-1], (x, y, place))):
            corners.pop()
        if x > corners[-1][0]:
            corners.append((x, y, place))
    return [place for _, _, place in corners[1:]]


def _below(left: tuple[float, float, int], middle: tuple[float, float, int], right: tuple[float, float, int]) -> bool:
    slope = (right[1] - left[1]) / (right[0] - left[0])
    return middle[1] <= left[1] + slope * (middle[0] - left[0])


def _sweep(table: Numbers) -> Numbers:
    """(2, points, prompts): KL in nats and reward of each prompt's optimum, from the largest beta (KL 0) down."""
    spread = float(table.std(axis=1).max()) or 1.0
    lines = [(np.zeros(len(table)), table.mean(axis=1))]
    for beta in np.geomspace(100 * spread, 1e-3 * spread, POINTS):
        logs = log_softmax(table / beta, axis=1)
        weights = np.exp(logs)
        kl = math.log(table.shape[1]) + xlogy(weights, weights).sum(axis=1)
        lines.append((kl.clip(min=0), (weights * table).sum(axis=1)))
    return np.array(lines).transpose(1, 0, 2)


def _log_binomial(n: ArrayLike, k: ArrayLike) -> Numbers:
    n, k = np.asarray(n, dtype=np.float64), np.asarray(k, dtype=np.float64)
    logs: Numbers = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return logs


def _table(values: ArrayLike, least: int = 2) -> Numbers:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] < 1 or table.shape[1] < least:
        raise InputError(f"expected a table of two dimensions, at least {least} wide, got shape {table.shape}")
    if not np.isfinite(table).all():
        raise InputError(f"{int((~np.isfinite(table)).sum())} of {table.size} numbers are not finite")
    return table
