"""The best reward that any policy could reach at each KL, and Best-of-N, from samples of the reference alone.

The optimum of E[r] - beta KL(pi || pi_ref) is pi_ref exp(r / beta) / Z (Rafailov et al. 2023, eq. 4). So weight a
prompt's N samples by w = softmax(r / beta), then

    reward(beta) = sum w r,    KL(beta) = sum w log(N w),

averaged over prompts, beta swept. The line cannot see beyond its samples and is too low where few of them carry the
weight. How far it can be trusted depends on the tail of the rewards, not on N alone: `Limit.trusted_kl`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from penchant.errors import InputError
from penchant.metrics.resampling import Numbers, resampled_counts

POINTS = 160  # betas of a line, from far above the rewards' spread to far below it
TOLERANCE = 0.01  # share of the gain that the line may lack where it is trusted
LEAST_SAMPLES = 8  # for quarters of two samples
SLOWEST = 0.9  # what the lack keeps of itself per doubling of the samples, at most: beyond, it could be anything
FASTEST = 0.5  # and at least: an error of order 1 / N halves
PRIOR = 0.005  # share of the gain below which both rises are mostly noise, whose ratio is then taken for `FASTEST`
CHECKED = 400  # KLs at which the line is checked
RESAMPLES = 200  # of the prompts, for how sure the trust is
LEAST_SURE_SHARE = 0.9  # share of these in which the line must lack little:
SURE_TOLERANCE = 0.02  # at most this share of the gain
NO_GAIN = 1e-12  # a gain that is none


@dataclass(frozen=True)
class Limit:
    """The limit line of some prompts.

    Attributes:
        kl_nats: (points,) from 0 upwards. reward: (points,) the most that a policy reaches there, at beta.
        trusted_kl: in nats; up to here the line lacks about `TOLERANCE` of its gain at most, beside the noise of its
            samples. 0 where nothing is known.
    """

    kl_nats: Numbers
    reward: Numbers
    trusted_kl: float

    def reward_at(self, kl_nats: ArrayLike) -> Numbers:
        """Interpolate the limit at KLs in nats, of any shape; beyond the line's end it is the last reward."""
        return np.interp(np.asarray(kl_nats, dtype=np.float64), self.kl_nats, self.reward)


def limit_line(rewards: ArrayLike) -> Limit:
    """Estimate the limit line from samples of the reference.

    Args:
        rewards: (prompts, N) true rewards of N independent samples per prompt, N >= 2.

    Raises:
        InputError: another shape, or numbers that are not finite.
    """
    return limit_by_prompt(rewards)[0]


def limit_by_prompt(rewards: ArrayLike) -> tuple[Limit, Numbers]:
    """Return the limit line, and KL in nats and reward of each prompt's optimum on it, (2, points, prompts)."""
    table = reward_table(rewards)
    # at 100 times the widest prompt's spread all samples of every prompt weigh about the same: KL 0
    spread = float(table.std(axis=1).max()) or 1.0
    betas = np.geomspace(100 * spread, 1e-3 * spread, POINTS)
    size = table.shape[1] // 4
    # four quarters, and what is left where N is no multiple of four: sums of parts give every half and the whole
    ends = [0, size, 2 * size, 3 * size, 4 * size, table.shape[1]]
    parts = [_Part.from_table(table[:, start:end], betas) for start, end in itertools.pairwise(ends) if end > start]
    optimum = _optimum(parts, betas, table)
    line = optimum.mean(axis=2)
    trusted = 0.0
    if table.shape[1] >= LEAST_SAMPLES:
        halves = [_optimum(parts[:2], betas, table), _optimum(parts[2:4], betas, table)]
        quarters = [_optimum([part], betas, table) for part in parts[:4]]
        trusted = _trusted_kl(table.shape[1], optimum, halves, quarters)
    return Limit(line[0], line[1], trusted), optimum


@dataclass(frozen=True)
class _Part:
    """Some samples of every prompt, summed up with the weights e = exp((r - top) / beta).

    Attributes:
        samples: how many of each prompt. top: (prompts,) their largest reward.
        weights, rewards, logs: (betas, prompts) sums of e, of e r, and of e (r - top) / beta.
    """

    samples: int
    top: Numbers
    weights: Numbers
    rewards: Numbers
    logs: Numbers

    @classmethod
    def from_table(cls, table: Numbers, betas: Numbers) -> _Part:
        # less the largest reward, so that no exponential overflows at the smallest beta
        below = table - table.max(axis=1, keepdims=True)
        sums = np.empty((3, len(betas), len(table)))
        for row, beta in enumerate(betas):
            weights = np.exp(below / beta)
            sums[:2, row] = weights.sum(axis=1), np.einsum("ij,ij->i", weights, table)
            sums[2, row] = np.einsum("ij,ij->i", weights, below) / beta
        return cls(table.shape[1], table.max(axis=1), *sums)


def _optimum(parts: Sequence[_Part], betas: Numbers, table: Numbers) -> Numbers:
    """Return KL and reward of each prompt's optimum by the samples of these parts, KL 0 first; (2, points, prompts)."""
    top = np.max([part.top for part in parts], axis=0)
    weights, rewards, logs = np.zeros((3, len(betas), len(top)))
    for part in parts:
        below = (part.top - top) / betas[:, None]
        factor = np.exp(below)
        weights += factor * part.weights
        rewards += factor * part.rewards
        logs += factor * (part.logs + part.weights * below)
    kl = (math.log(sum(part.samples for part in parts)) + logs / weights - np.log(weights)).clip(min=0)
    start = np.stack([np.zeros(len(top)), table.mean(axis=1)])
    return np.concatenate([start[:, None], np.stack([kl, rewards / weights])], axis=1)


def _trusted_kl(samples: int, full_line: Numbers, halves: Sequence[Numbers], quarters: Sequence[Numbers]) -> float:
    """Return the KL up to which the line lacks at most `TOLERANCE` of its gain, by what fewer samples lack.

    Lines of halves and of quarters of the samples lie below that of all of them. From N / 4 to N / 2 to N samples the
    line rises by d2 and then by d1, shares of the gain; if it goes on so, by d1 / d2 at each doubling, it lacks
    d1 q / (1 - q) in the end, q = d1 / d2. With heavy tails q is near 1 and the lack large, with rare rewards d1 is.

    Both rises are noisy, the more so where few prompts carry the gain. So the lack is also computed for `RESAMPLES`
    resamples of the prompts, and has to be at most `SURE_TOLERANCE` in `LEAST_SURE_SHARE` of these. A resample
    without any gain, as where one prompt has all of it, says that nothing is known.

    Args:
        samples: N. full_line, halves, quarters: KL and reward of each prompt's optimum, (2, points, prompts) each.
    """
    # as far as ln N, the largest KL that N samples can show; the line is flat past its own end
    end = max(float(full_line[0, -1].mean()), math.log(samples))
    grid = np.linspace(0, end, CHECKED)[1:]
    prompts = full_line.shape[2]
    resamples = resampled_counts(prompts, RESAMPLES, 0, width=prompts)
    counts = np.concatenate([np.ones((1, prompts)), *resamples])  # the prompts as they are come first
    line, half, quarter = (_lines(optima, counts, grid) for optima in ([full_line], halves, quarters))
    gain = line - (counts @ full_line[1, 0] / prompts)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        last, before = (line - half) / gain, (half - quarter) / gain
        # d1 / d2 of the docstring, drawn towards that of an error of order 1 / N where both are noise
        ratio = np.clip((last + PRIOR * FASTEST) / (before + PRIOR), FASTEST, SLOWEST)
        lacks = last * ratio / (1 - ratio)
    # not a number is not at most anything
    fine = (lacks[0] <= TOLERANCE) & ((lacks[1:] <= SURE_TOLERANCE).mean(axis=0) >= LEAST_SURE_SHARE)
    good = len(grid) if fine.all() else int(np.argmin(fine))
    return float(grid[good - 1]) if good else 0.0


def _lines(optima: Sequence[Numbers], counts: Numbers, grid: Numbers) -> Numbers:
    """Return the reward at each KL of the grid for each resample of the prompts, (resamples, grid).

    It is a mean over the optima.
    """
    lines = np.zeros((len(counts), len(grid)))
    for optimum in optima:
        kls, rewards = np.tensordot(optimum, counts / counts.shape[1], axes=(2, 1))
        lines += [np.interp(grid, kl, reward) for kl, reward in zip(kls.T, rewards.T, strict=True)]
    return lines / len(optima)


def best_of_n(rewards: ArrayLike, n: ArrayLike | None = None) -> Numbers:
    """Return the expected reward of Best-of-n for every n up to N, exactly, from one set of N samples per prompt.

    The mean of the largest of n over all subsets of n of the N samples (no resampling), averaged over prompts.

    Args:
        rewards: (prompts, N).
        n: which n, (k,) or a single one; all from 1 to N if None.

    Returns:
        (k,), a number for each n: of all N, entry n - 1 belongs to n.

    Raises:
        InputError: another shape, numbers that are not finite, or an n that N samples cannot tell of.
    """
    return best_of_n_by_prompt(rewards, n).mean(axis=1)


def best_of_n_by_prompt(rewards: ArrayLike, n: ArrayLike | None = None) -> Numbers:
    """Return `best_of_n` of each prompt by itself, (k, prompts)."""
    ordered = np.sort(reward_table(rewards, min_width=1), axis=1)
    count = ordered.shape[1]
    rank = np.arange(1, count + 1)
    sizes = rank if n is None else np.atleast_1d(np.asarray(n))
    if not np.isin(sizes, rank).all():
        raise InputError(
            f"best_of_n: {count} samples per prompt tell of the whole numbers n from 1 to {count}, but "
            f"{', '.join(map(str, sizes[~np.isin(sizes, rank)].tolist()))} was asked for; draw more samples"
        )
    draws = sizes[:, None]
    with np.errstate(invalid="ignore"):
        # the i-th smallest is the largest of a subset of n in C(i - 1, n - 1) of C(N, n) cases
        logs = _log_binomial(rank - 1, draws - 1) - _log_binomial(count, draws)
        shares = np.where(rank >= draws, np.exp(logs), 0.0)
    return np.asarray(shares @ ordered.T)


def best_of_n_kl(n: ArrayLike) -> Numbers:
    """Return ln n - (n - 1) / n: an upper bound, in nats, of the KL of Best-of-n from the reference."""
    count = np.asarray(n, dtype=np.float64)
    return np.log(count) - (count - 1) / count


def _log_binomial(n: ArrayLike, k: ArrayLike) -> Numbers:
    n, k = np.asarray(n, dtype=np.float64), np.asarray(k, dtype=np.float64)
    # as logarithms: binomials of some thousand samples exceed what doubles hold
    logs: Numbers = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return logs


def reward_table(values: ArrayLike, min_width: int = 2) -> Numbers:
    """Return a table of finite numbers, at least `min_width` wide.

    Raises:
        InputError: another shape, or numbers that are not finite.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] < 1 or table.shape[1] < min_width:
        raise InputError(f"expected a table of two dimensions, at least {min_width} wide, got shape {table.shape}")
    if not np.isfinite(table).all():
        raise InputError(f"{int((~np.isfinite(table)).sum())} of {table.size} numbers are not finite")
    return table
