"""Compare methods at matched KLs, for a study's summary. Imports no torch."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np

from penchant.metrics.efficiency import Evaluations, Scale
from penchant.metrics.estimates import Estimate
from penchant.metrics.frontier import MIN_SEEDS, MatchedShare, compared_at, matched_shares, paired_difference_of
from penchant.metrics.limit import best_of_n_by_prompt, best_of_n_kl
from penchant.studies.core.results import MeasuredRun, Numbers
from penchant.studies.frontier.summary import MethodDifference, Winner

NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True)
class Contender:
    """A method with its evaluations by seed, and how much of the possible gain they reach.

    Attributes:
        evaluations: for each seed; None where a seed has none.
        draws: (seeds, KLs, 1 + resamples), see `Scale.shares`.
    """

    name: str
    evaluations: tuple[Evaluations | None, ...]
    draws: Numbers

    @classmethod
    def of_runs(cls, name: str, runs: Sequence[MeasuredRun], seeds: Sequence[int], scale: Scale) -> Contender:
        """Return a method made of its runs that ended."""
        evaluations = tuple(_evaluations([run for run in runs if run.stage.seed == seed]) for seed in seeds)
        return cls(name, evaluations, _draws(evaluations, scale))

    @classmethod
    def best_of_n(cls, name: str, reference_rewards: Numbers, scale: Scale) -> Contender:
        """Return Best-of-n for every n that the samples allow, at the upper bound of its KL; it has no seed."""
        n = np.arange(1, reference_rewards.shape[1] + 1)
        # The bound is above the true KL, so Best-of-n stands too far right and never too high.
        kls = np.repeat(best_of_n_kl(n)[:, None], len(reference_rewards), axis=1)
        evaluations = (Evaluations(kls, best_of_n_by_prompt(reference_rewards), [0] * len(n)),)
        return cls(name, evaluations, _draws(evaluations, scale))

    @cached_property
    def points(self) -> int:
        """The number of its evaluations, over all seeds."""
        return sum(len(np.asarray(of_seed.kl_nats)) for of_seed in self.evaluations if of_seed is not None)

    def shares_at_matched_kls(self, scale: Scale) -> tuple[MatchedShare, ...]:
        """Return its efficiency at each matched KL, or why there is none."""
        if None in self.evaluations:
            lacking = f"{NOT_COMPARABLE}: a seed has no evaluation"
            return tuple(MatchedShare(kl, None, lacking) for kl in scale.matched)
        evaluations = [of_seed for of_seed in self.evaluations if of_seed is not None]
        return tuple(
            replace(row, reason=f"{NOT_COMPARABLE}: {row.reason}") if row.reason else row
            for row in matched_shares(scale, evaluations)
        )

    def over(self, columns: Sequence[int], scale: Scale) -> Estimate | None:
        """Return its mean efficiency over some of the matched KLs, by their columns; None where it lacks one."""
        if not columns or not compared_at(self.draws)[list(columns)].all():
            return None
        return scale.estimate(self.draws[:, list(columns)].mean(axis=1), self.points)

    def by_seed(self, columns: Sequence[int]) -> list[float | None]:
        """Return the mean efficiency of each seed by itself, from all prompts; None where it lacks a KL."""
        # Of the last axis 0 is all prompts; what follows are resamples of them.
        shares = self.draws[:, list(columns), 0].mean(axis=1) if columns else np.full(len(self.draws), np.nan)
        return [float(share) if np.isfinite(share) else None for share in shares]


def common_columns(contenders: Sequence[Contender]) -> list[int]:
    """Return the columns of the matched KLs at which all of these have a number, leaving out those that have none."""
    # A method without any number would leave no KL to share, so it is left out, and the page names it.
    coverage = [compared_at(contender.draws) for contender in contenders]
    comparable = [columns for columns in coverage if columns.any()]
    return np.flatnonzero(np.all(comparable, axis=0)).tolist() if comparable else []


def differences(contenders: Sequence[Contender], scale: Scale) -> tuple[MethodDifference, ...]:
    """Return the paired difference of every two methods, at the KLs where both have a number."""
    rows = []
    # Paired: both were measured on the same prompts with the same draws, which takes the prompts' differences out.
    for first, second in combinations(contenders, 2):
        kls, gap = paired_difference_of(scale, first.draws, second.draws, first.points + second.points)
        rows.append(MethodDifference(first.name, second.name, tuple(kls), gap))
    return tuple(rows)


def winner(contenders: Sequence[Contender], columns: Sequence[int], scale: Scale) -> Winner:
    """Return the method that is above each of the others, or why none can be named.

    Named is only who leads over the KLs that all share, from three or more seeds, by a paired interval over prompts and
    seeds that excludes 0 against each of the others.
    """
    # Only methods with a number at all common KLs, so that nobody leads over an easier range.
    ranked = sorted(
        ((share.value, contender) for contender in contenders if (share := contender.over(columns, scale)) is not None),
        key=lambda pair: -pair[0],
    )
    if len(ranked) < 2:
        return Winner(name=None, reason="there are no two methods to compare")
    seeds = len(ranked[0][1].draws)
    # Prompts alone would name a method whose one training happened to go well.
    if seeds < MIN_SEEDS:
        subject = "one seed tells" if seeds == 1 else f"{seeds} seeds tell"
        return Winner(name=None, reason=f"{subject} too little of how another would have trained")
    (_, leader), *rest = ranked
    close, unsure = [], ""
    for _, other in rest:
        # Shape (seeds, 1 + resamples); both were resampled by the same prompts, so the difference is paired.
        draws = (leader.draws - other.draws)[:, list(columns)].mean(axis=1)
        gap = scale.estimate(draws, leader.points + other.points)
        if not gap.above(0):
            close.append(other.name)
            unsure = unsure if gap.has_interval else gap.reason
    if unsure:  # too few prompts for any interval, which is no finding about these methods
        return Winner(name=None, reason=unsure)
    if close:
        reason = "the interval of a difference includes 0"
        return Winner(name=None, leader=leader.name, close=tuple(close), reason=reason)
    left_out = tuple(contender.name for contender in contenders if contender.over(columns, scale) is None)
    return Winner(name=leader.name, leader=leader.name, close=(), left_out=left_out, reason="")


def setting_alone(
    runs: Sequence[MeasuredRun], seeds: Sequence[int], columns: Sequence[int], scale: Scale
) -> float | None:
    """Return what the runs of one setting reach by themselves; None where they do not bracket all of these KLs."""
    # The page shows the value alone, so no interval is resampled.
    contender = Contender.of_runs("", runs, seeds, scale.without_resamples())
    measured = [share for share in contender.by_seed(columns) if share is not None]
    return statistics.fmean(measured) if len(measured) == len(seeds) else None


def _evaluations(runs: Sequence[MeasuredRun]) -> Evaluations | None:
    points = [(number, point) for number, run in enumerate(runs) for point in run.points]
    if not points:
        return None
    kls, rewards = (np.array([getattr(point, name) for _, point in points]) for name in ("kl_nats", "reward"))
    # With the run of each: candidates at a KL are the closest two of each run and the closest two of all (decision 17).
    return Evaluations(kls, rewards, [number for number, _ in points])


def _draws(evaluations: Sequence[Evaluations | None], scale: Scale) -> Numbers:
    # NaN and not 0: a seed without evaluations has no share, and must not lower a mean.
    no_shares = np.full((len(scale.matched), scale.draws), np.nan)
    return np.stack([no_shares if of_seed is None else scale.shares(of_seed) for of_seed in evaluations])
