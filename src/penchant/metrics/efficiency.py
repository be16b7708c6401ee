"""The efficiency of policies, and the scale that it is measured on.

The *efficiency* of a policy is its gain in reward over the reference, as a share of the gain that the limit line has at
the policy's own KL: 1 for the best policy, 0 for the reference. At a matched KL it is interpolated between two
evaluations of a method whose KLs bracket it. What is interpolated is the share, never the reward: so policies that are
optimal have 1 wherever they lie, and a sweep's points move no number but by bringing better policies. Where no two
evaluations bracket a KL there is no number.

A method's frontier is the best of its runs at that KL. The best of noisy runs is better by luck, so it is chosen on one
half of the prompts and measured on the other: `SPLITS` times, both ways, averaged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from penchant.errors import InputError
from penchant.metrics.estimates import FEWEST_CLUSTERS, Estimate, no_interval
from penchant.metrics.limit import NO_GAIN, Limit, limit_by_prompt, reward_table
from penchant.metrics.resampling import Numbers, percentile_interval, t_quantile

SPLITS = 2  # of the prompts into halves, each of which is used both ways
SAME_NATS = 1e-6  # KLs that differ by less are the same
MIN_NATS = 0.01  # below it a policy is the reference, whose share is 0 / 0
MIN_KNOWN_SHARE = 0.9  # share of the resamples that must have a gain to reach, for an interval


@dataclass(frozen=True)
class Evaluations:
    """Evaluations of a method with one seed, on the prompts that the reference was sampled for.

    Attributes:
        kl_nats, rewards: (points, prompts) mean KL and mean reward of each prompt's samples.
        runs: (points,) the run that each belongs to; every one a run of its own if not given.
    """

    kl_nats: ArrayLike
    rewards: ArrayLike
    runs: Sequence[int] | None = None


@dataclass(frozen=True)
class _Half:
    """The limit line of one half of the prompts, once as they are and once per resample.

    Attributes:
        weights: (draws, prompts) weight of each prompt in the half's means, the prompts as they are first, then the
            resamples. A row adds up to 1; it is not a number where a resample has none of the half.
        kl_nats, gain: (draws, points) the limit line: gain in reward over the reference at each KL.
        base: (draws,) the reference's reward.
    """

    weights: Numbers
    kl_nats: Numbers
    gain: Numbers
    base: Numbers

    def first(self) -> _Half:
        """Return the half of the prompts as they are, without resamples."""
        return _Half(self.weights[:1], self.kl_nats[:1], self.gain[:1], self.base[:1])

    def shares(self, kl_nats: Numbers, rewards: Numbers) -> Numbers:
        """Return the efficiency of each evaluation, (points, draws), from its KL and reward, (points, prompts) each."""
        kls, gains = kl_nats @ self.weights.T, rewards @ self.weights.T - self.base
        # each draw has a limit line of its own: what the same resample of the prompts allows
        possible = np.stack([np.interp(kls[:, i], self.kl_nats[i], self.gain[i]) for i in range(kls.shape[1])], axis=1)
        return np.asarray(np.where(possible > NO_GAIN, gains / np.maximum(possible, NO_GAIN), np.nan))


@dataclass(frozen=True)
class Scale:
    """The scale that rewards are measured on: the limit lines of all prompts, of halves of them, and of resamples.

    Attributes:
        limit: the limit line of all prompts.
        matched: the KLs in nats at which methods are compared, in rising order.
        prompts: how many prompts there are.
        splits: `SPLITS` pairs of halves of the prompts.
    """

    limit: Limit
    matched: tuple[float, ...]
    prompts: int
    splits: tuple[tuple[_Half, _Half], ...]

    @classmethod
    def from_rewards(
        cls, reference_rewards: ArrayLike, matched: Sequence[float], *, resamples: int = 1000, seed: int = 0
    ) -> Scale:
        """Compute the scale from samples of the reference.

        Args:
            reference_rewards: (prompts, N) rewards of N samples of the reference for each prompt.
            matched: KLs in nats, above 0.
            resamples, seed: of the prompts, for intervals.

        Raises:
            InputError: a table of another shape, numbers that are not finite, rewards that are all equal, or no KL.
        """
        table = reward_table(reference_rewards)
        if not matched or not all(kl > 0 and math.isfinite(kl) for kl in matched):
            raise InputError(f"efficiency: the matched KLs must be numbers above 0, got {tuple(matched)}")
        (limit, sweep), prompts = limit_by_prompt(table), len(table)
        if limit.reward[-1] - limit.reward[0] <= NO_GAIN:
            raise InputError("efficiency: the reference's samples have equal rewards: there is nothing to gain")
        rng = np.random.default_rng(seed)
        # one set of resamples for both halves of both splits, and so for all methods: differences are paired
        prompt_weights = rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=resamples) / prompts
        weights = np.vstack([np.full(prompts, 1 / prompts), prompt_weights])
        splits = tuple(
            (_half(sweep, weights, mask), _half(sweep, weights, other_mask)) for mask, other_mask in _masks(prompts)
        )
        return cls(limit, tuple(sorted(dict.fromkeys(map(float, matched)))), prompts, splits)

    def without_resamples(self) -> Scale:
        """Return the same scale for values alone, which takes a small part of the time."""
        return replace(self, splits=tuple((half.first(), other_half.first()) for half, other_half in self.splits))

    @property
    def draws(self) -> int:
        """The number of times that everything is computed: from all prompts, and from each resample."""
        return len(self.splits[0][0].base)

    def shares(self, evaluations: Evaluations) -> Numbers:
        """Return the efficiency at each matched KL from all prompts and from each resample, (KLs, 1 + resamples).

        Not a number where no two evaluations bracket a KL within the trusted range.

        Raises:
            InputError: shapes that do not belong together, or numbers that are not finite.
        """
        kls, rewards, runs = self._checked(evaluations)
        means = kls.mean(axis=1)
        brackets = [_brackets(means, runs, kl, self.limit.trusted_kl) for kl in self.matched]
        draws = []
        for halves in self.splits:
            # the best of noisy runs is best by luck too, so it is not measured on the half that chose it
            half_shares, other_shares = (half.shares(kls, rewards) for half in halves)
            draws += [_chosen(half_shares, other_shares, brackets), _chosen(other_shares, half_shares, brackets)]
        return np.asarray(np.mean(draws, axis=0))

    def reasons(self, evaluations: Evaluations) -> tuple[str, ...]:
        """Return for each matched KL why there is no efficiency, empty where there is one."""
        means = self._checked(evaluations)[0].mean(axis=1)
        return tuple(missing_bracket(means, kl, self.limit.trusted_kl) for kl in self.matched)

    def _checked(self, evaluations: Evaluations) -> tuple[Numbers, Numbers, NDArray[np.int64]]:
        kls, rewards = reward_table(evaluations.kl_nats, min_width=1), reward_table(evaluations.rewards, min_width=1)
        runs = np.arange(len(kls)) if evaluations.runs is None else np.asarray(evaluations.runs)
        if kls.shape != rewards.shape or kls.shape[1] != self.prompts or runs.shape != (len(kls),):
            raise InputError(
                f"efficiency: kl_nats {kls.shape} and rewards {rewards.shape} must be (points, prompts), with the "
                f"{self.prompts} prompts of the reference's samples and a run for each point, got {runs.shape} runs"
            )
        return kls, rewards, runs

    def estimate(self, draws: Numbers, points: int, *, level: float = 0.95) -> Estimate:
        """Return the mean over seeds, with an interval for new prompts and, of several seeds, for new seeds too.

        Of one seed the interval is that of resampled prompts. Of several, half-widths by Student's t for prompts and
        for seeds add in quadrature; what seeds and prompts do together counts in both, so it is rather too wide.

        Args:
            draws: (seeds, 1 + resamples) from `shares`, on all prompts first. points: evaluations behind them.
        """
        values, resampled = draws[:, 0], draws[:, 1:].mean(axis=0)
        value, items = float(values.mean()), points * self.prompts
        finite = resampled[np.isfinite(resampled)]
        reason = ""
        if self.prompts < FEWEST_CLUSTERS:
            reason = no_interval(self.prompts)
        elif len(finite) < max(2.0, MIN_KNOWN_SHARE * len(resampled)):
            reason = "no interval: too few prompts have a gain to reach"
        elif len(values) == 1 and np.ptp(finite) < 1e-12:
            reason = no_interval(self.prompts, all_agree=True)
        if reason:
            return Estimate(value, None, None, items, self.prompts, reason)
        if len(values) == 1:
            return Estimate(value, *percentile_interval(finite, value, level, self.prompts), items, self.prompts)
        # resampled means spread by the standard error of a population, a little less than that of a sample
        of_prompts = finite.std(ddof=1) * math.sqrt(self.prompts / (self.prompts - 1))
        of_seeds = values.std(ddof=1) / math.sqrt(len(values))
        t_prompts, t_seeds = (t_quantile(count - 1, level) for count in (self.prompts, len(values)))
        half = math.hypot(t_prompts * of_prompts, t_seeds * of_seeds)
        return Estimate(value, value - half, value + half, items, self.prompts)


def missing_bracket(kl_nats: ArrayLike, matched: float, trusted_kl: float) -> str:
    """Return why evaluations at these mean KLs do not bracket a matched one, empty where they do.

    An evaluation beyond the trusted range is no bracket, for its share is not known; nor is the reference itself.
    """
    if matched > trusted_kl:
        return f"the limit line is trusted up to {trusted_kl:.3g} nats only"
    if not has_point(kl_nats, matched, trusted_kl, above=False):
        return f"no point between 0 and {matched:.3g} nats"
    if not has_point(kl_nats, matched, trusted_kl, above=True):
        return f"no point between {matched:.3g} and {trusted_kl:.3g} nats"
    return ""


def has_point(kl_nats: ArrayLike, matched: float, trusted_kl: float, *, above: bool) -> bool:
    """Return whether an evaluation lies at or on one side of a matched KL, within the trusted range."""
    kls = np.asarray(kl_nats, dtype=np.float64)
    low, high = (matched - SAME_NATS, trusted_kl) if above else (MIN_NATS, matched + SAME_NATS)
    return bool(((kls >= low) & (kls <= high)).any())


def _brackets(
    means: Numbers, runs: NDArray[np.int64], matched: float, trusted_kl: float
) -> list[tuple[int, int, float]]:
    """Return the pairs of evaluations between which a share is interpolated, with the second one's weight.

    They are the closest two of each run around the matched KL, and the closest two of all.
    """
    if missing_bracket(means, matched, trusted_kl):
        return []
    # an evaluation at KL 0 has the share 0 / 0, and beyond the trusted range the limit itself is not known
    usable = (means >= MIN_NATS) & (means <= trusted_kl)
    pairs = []
    for candidates in (usable, *(usable & (runs == run) for run in dict.fromkeys(runs.tolist()))):
        below = np.flatnonzero(candidates & (means <= matched + SAME_NATS))
        above = np.flatnonzero(candidates & (means >= matched - SAME_NATS))
        if below.size and above.size:
            low, high = int(below[means[below].argmax()]), int(above[means[above].argmin()])
            width = means[high] - means[low]
            # an evaluation at the matched KL itself is both ends of its bracket
            pairs.append((low, high, float(np.clip((matched - means[low]) / width, 0, 1)) if width > 0 else 0.0))
    return list(dict.fromkeys(pairs))


def _chosen(chosen_on: Numbers, measured_on: Numbers, brackets: Sequence[list[tuple[int, int, float]]]) -> Numbers:
    """Return the share at each matched KL, (KLs, draws): of the pair that is best on one half, measured on the other.

    Args:
        chosen_on, measured_on: (points, draws) the evaluations' shares on each half.
    """
    shares = np.full((len(brackets), chosen_on.shape[1]), np.nan)
    for row, pairs in enumerate(brackets):
        if pairs:
            choosing, measuring = (
                np.stack([(1 - weight) * half[low] + weight * half[high] for low, high, weight in pairs])
                for half in (chosen_on, measured_on)
            )
            # argmax would take a NaN for the largest
            best = np.where(np.isfinite(choosing), choosing, -np.inf).argmax(axis=0)
            shares[row] = np.take_along_axis(measuring, best[None], axis=0)[0]
    return shares


def _half(sweep: Numbers, weights: Numbers, mask: Numbers) -> _Half:
    """Return a half of the prompts.

    Args:
        sweep: (2, points, prompts) KL and reward of each prompt's optimum. weights: (draws, prompts).
        mask: (prompts,) 1 for those of the half, else 0.
    """
    half_weights = weights * mask
    # 0 / 0 where a resample drew none of the half: its NaN is left out of the interval later
    with np.errstate(invalid="ignore", divide="ignore"):
        half_weights = half_weights / half_weights.sum(axis=1, keepdims=True)
    kl, reward = (part @ half_weights.T for part in sweep)
    return _Half(half_weights, kl.T, reward.T - reward[0][:, None], reward[0])


def _masks(prompts: int) -> list[tuple[Numbers, Numbers]]:
    """Return halves of the prompts, both ways round being used; a prompt alone is both halves."""
    if prompts == 1:
        return [(np.ones(1), np.ones(1))]
    # the same halves for every method and study of as many prompts, so that a difference is no accident of the split
    rng = np.random.default_rng(prompts)
    masks = []
    for _ in range(SPLITS):
        half = np.zeros(prompts)
        half[rng.permutation(prompts)[: prompts // 2]] = 1
        masks.append((half, 1 - half))
    return masks
