"""Methods compared by the share of the possible gain in reward that they reach at matched KLs.

What that share is, and how it is measured, is in `metrics/efficiency.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from penchant.errors import InputError
from penchant.metrics.efficiency import Evaluations, Scale
from penchant.metrics.estimates import Estimate
from penchant.metrics.resampling import Numbers

MIN_SEEDS = 3  # for naming a winner


@dataclass(frozen=True)
class MatchedShare:
    """A method's efficiency at one KL.

    Attributes:
        kl_nats: the matched KL.
        share: the efficiency, None where no two evaluations bracket that KL.
        reason: why there is none, such as `no point between 1.2 and 2 nats`; empty where there is one.
    """

    kl_nats: float
    share: Estimate | None
    reason: str


def matched_efficiency(
    reference_rewards: ArrayLike,
    evaluations: Sequence[Evaluations],
    matched: Sequence[float],
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[MatchedShare, ...]:
    """Return the share of the possible gain in reward that a method reaches at each matched KL.

    Args:
        reference_rewards: (prompts, N) rewards of the reference's samples.
        evaluations: of the method, for each seed.
        matched: KLs in nats.
        level, resamples, seed: of the interval.

    Returns:
        The efficiency at each KL, or the reason why there is none: every seed needs two evaluations that bracket it.
        It is about 1 at the limit, which noise and the limit's own error may exceed by some 0.01, and below 0 where a
        policy is worse than the reference. With fewer than `FEWEST_CLUSTERS` prompts it has no interval.

    Raises:
        InputError: as `Scale.from_rewards` and `Scale.shares`.
    """
    scale = Scale.from_rewards(reference_rewards, matched, resamples=resamples, seed=seed)
    return matched_shares(scale, evaluations, level=level)


def matched_shares(
    scale: Scale, evaluations: Sequence[Evaluations], *, level: float = 0.95
) -> tuple[MatchedShare, ...]:
    """Return `matched_efficiency` on a scale that was computed before."""
    draws = np.stack([scale.shares(seed_evaluations) for seed_evaluations in evaluations])
    reasons = [scale.reasons(seed_evaluations) for seed_evaluations in evaluations]
    points = sum(len(np.asarray(seed_evaluations.kl_nats)) for seed_evaluations in evaluations)
    estimates = []
    for column, kl in enumerate(scale.matched):
        lacking = list(dict.fromkeys(of_seed[column] for of_seed in reasons if of_seed[column]))
        share = None if lacking else scale.estimate(draws[:, column], points, level=level)
        estimates.append(MatchedShare(kl, share, "; ".join(lacking)))
    return tuple(estimates)


def efficiency_difference(
    reference_rewards: ArrayLike,
    first: Sequence[Evaluations],
    second: Sequence[Evaluations],
    matched: Sequence[float],
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[tuple[float, ...], Estimate | None]:
    """Return the KLs at which two methods can be compared, and the mean difference of their efficiency there.

    Paired: both are computed from the same resampled prompts and from the same seeds, so that what is hard for both
    cancels. None where there is no such KL.

    Args:
        first, second: evaluations of each method by seed, the same seeds in the same order.
        reference_rewards, matched, level, resamples, seed: as in `matched_efficiency`.

    Raises:
        InputError: as `matched_efficiency`, and where the two have different numbers of seeds.
    """
    scale = Scale.from_rewards(reference_rewards, matched, resamples=resamples, seed=seed)
    if len(first) != len(second):
        raise InputError(f"a paired difference needs the same seeds on both sides, got {len(first)} and {len(second)}")
    draws = [np.stack([scale.shares(of_seed) for of_seed in method]) for method in (first, second)]
    points = sum(len(np.asarray(of_seed.kl_nats)) for of_seed in (*first, *second))
    return paired_difference_of(scale, draws[0], draws[1], points, level=level)


def paired_difference_of(
    scale: Scale, first: Numbers, second: Numbers, points: int, *, level: float = 0.95
) -> tuple[tuple[float, ...], Estimate | None]:
    """Return `efficiency_difference` from what `Scale.shares` gave for each seed of two methods.

    Args:
        scale: of the prompts.
        first, second: (seeds, KLs, 1 + resamples) shares of each method.
        points: evaluations behind them.
        level: of the interval.
    """
    shared = compared_at(first) & compared_at(second)
    kls = tuple(kl for kl, is_shared in zip(scale.matched, shared, strict=True) if is_shared)
    if not kls:
        return (), None
    return kls, scale.estimate((first - second)[:, shared].mean(axis=1), points, level=level)


def compared_at(draws: Numbers) -> NDArray[np.bool_]:
    """Return which matched KLs every seed has a number at, from (seeds, KLs, 1 + resamples)."""
    return np.asarray(np.isfinite(draws[:, :, 0]).all(axis=0))
