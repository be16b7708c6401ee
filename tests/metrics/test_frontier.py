"""Efficiencies that are known: of optimal policies, of the reference, of policies between them; winners by chance."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.errors import InputError
from penchant.metrics.efficiency import Evaluations, Scale, missing_bracket
from penchant.metrics.frontier import compared_at, efficiency_difference, matched_efficiency, matched_shares
from penchant.metrics.limit import Limit, limit_line
from toy_policies import optimum_at, toy

MATCHED = (0.5, 1.0, 2.0, 3.0)


@cache
def enumerated() -> tuple[np.ndarray, np.ndarray, Scale]:
    """A reference that draws every one of 600 responses equally often: its samples are the vocabulary itself."""
    _, rewards = toy(prompts=12, words=1200)
    rewards = np.tanh(rewards)  # bounded, so that the line is trusted far
    return np.full(rewards.shape, 1 / rewards.shape[1]), rewards, Scale.from_rewards(rewards, MATCHED, resamples=20)


@cache
def best_at(kl_nats: float) -> tuple[np.ndarray, np.ndarray]:
    """KL and reward of the best policy there, by prompt."""
    probabilities, rewards, _ = enumerated()
    return optimum_at(probabilities, rewards, kl_nats)


def optimal(sweep: Sequence[float]) -> Evaluations:
    """Policies that are the best at these KLs."""
    found = [best_at(kl) for kl in sweep]
    return Evaluations(np.stack([kl for kl, _ in found]), np.stack([reward for _, reward in found]))


# -- optimal policies ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sweep", "where"),
    [
        ((3, 6, 9, 12), (3,)),
        ((0.5, 1, 2, 3), MATCHED),
        ((0.4, 3.2), MATCHED),
        ((0.1, 0.9, 1.1), (0.5, 1)),
        ((2.0,), (2,)),
        ((0.2, 0.3), ()),
    ],
)
def test_optimal_policies_score_one_whatever_the_sweep(sweep: tuple[float, ...], where: tuple[float, ...]) -> None:
    scale = enumerated()[2]
    assert scale.limit.trusted_kl > 3.3
    found = matched_shares(scale, [optimal([kl for kl in sweep if kl < 5])])
    assert tuple(one.kl_nats for one in found if one.share) == where
    for one in found:
        if one.share is None:
            assert one.reason.startswith("no point between ")
        else:
            assert one.share.value == pytest.approx(1, abs=0.002)


@settings(max_examples=30)
@given(st.lists(st.sampled_from(np.geomspace(0.05, 5, 40).round(3).tolist()), min_size=1, max_size=8))
def test_optimal_policies_score_one_for_any_sweep(sweep: list[float]) -> None:
    scale = enumerated()[2]
    for one in matched_shares(scale, [optimal(sweep)]):
        inside = [kl for kl in sweep if kl <= scale.limit.trusted_kl]
        bracketed = any(kl <= one.kl_nats - 1e-6 for kl in inside) and any(kl >= one.kl_nats + 1e-6 for kl in inside)
        assert one.share is not None or not bracketed
        if one.share is not None:
            assert one.share.value == pytest.approx(1, abs=0.002)


def test_a_sweep_s_points_move_no_number_of_a_method_that_reaches_the_same_everywhere() -> None:
    _probabilities, rewards, scale = enumerated()
    base = rewards.mean(axis=1)

    def reaching(share: float, sweep: Sequence[float]) -> Evaluations:
        whole = optimal(sweep)
        return Evaluations(whole.kl_nats, base + share * (np.asarray(whole.rewards) - base))

    for sweep in ((0.4, 1.5, 3.1), (0.1, 0.6, 0.9, 3.3), (0.45, 3.05)):
        shares = [one.share for one in matched_shares(scale, [reaching(0.6, sweep)])]
        assert [share.value if share else None for share in shares] == pytest.approx([0.6] * 4, abs=0.002)


LINES: dict[int, Limit] = {}  # of the tables that `uniform` keeps

# -- by hand ------------------------------------------------------------------------------------------------------


def at_shares(
    table: np.ndarray, kls: Sequence[float], shares: Sequence[float], noise: float = 0.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """KLs and rewards, (points, prompts), of policies that reach these shares of the limit's gain."""
    line = LINES.get(id(table)) or LINES.setdefault(id(table), limit_line(table))
    gains = np.asarray(shares) * (line.reward_at(kls) - line.reward[0])
    spread = np.random.default_rng(seed).normal(0, noise, (len(kls), len(table)))
    return np.repeat(np.asarray(kls, dtype=float)[:, None], len(table), axis=1), (
        table.mean(axis=1) + gains[:, None] + spread
    )


@cache
def uniform(prompts: int = 32, samples: int = 512, seed: int = 0) -> np.ndarray:
    """Bounded rewards, whose limit is trusted beyond 3 nats."""
    return np.random.default_rng(seed).random((prompts, samples))


def test_the_share_is_interpolated_over_kl_between_the_closest_of_a_run() -> None:
    table = uniform()
    kls, rewards = at_shares(table, [0.2, 0.5, 1.5, 2.5], [0.1, 0.4, 0.8, 0.6])
    found = matched_efficiency(table, [Evaluations(kls, rewards, [0] * 4)], (0.35, 1.0, 2.0), resamples=50)
    assert [one.share.value if one.share else None for one in found] == pytest.approx([0.25, 0.6, 0.7], abs=0.01)


def test_the_best_run_counts_and_points_of_two_runs_bracket_too() -> None:
    table = uniform()
    kls, rewards = at_shares(table, [0.5, 1.5, 0.6, 1.4], [0.3, 0.3, 0.9, 0.9])
    best = matched_efficiency(table, [Evaluations(kls, rewards, [0, 0, 1, 1])], (1.0,), resamples=50)
    assert best[0].share is not None
    assert best[0].share.value == pytest.approx(0.9, abs=0.01)
    apart = matched_efficiency(table, [Evaluations(kls[1:3], rewards[1:3], [0, 1])], (1.0,), resamples=50)
    assert apart[0].share is not None
    assert 0.3 < apart[0].share.value < 0.9


def test_where_there_is_no_bracket_the_reason_says_between_which_kls_none_lies() -> None:
    assert missing_bracket([0.2, 0.4], 0.5, 2.8) == "no point between 0.5 and 2.8 nats"
    assert missing_bracket([0.7, 4.0], 0.5, 2.8) == "no point between 0 and 0.5 nats"
    assert missing_bracket([0.7, 4.0], 1.0, 2.8) == "no point between 1 and 2.8 nats"  # beyond, no share is known
    assert missing_bracket([0.0, 1.0], 0.5, 2.8) == "no point between 0 and 0.5 nats"  # the reference is none
    assert missing_bracket([0.2, 4.0], 3.0, 2.8) == "the limit line is trusted up to 2.8 nats only"
    assert missing_bracket([0.2, 2.0], 0.5, 2.8) == missing_bracket([0.5], 0.5, 2.8) == ""


def test_a_policy_below_the_reference_has_a_share_below_zero() -> None:
    table = uniform()
    kls, rewards = at_shares(table, [0.5, 1.5], [-0.3, -0.5])
    (found,) = matched_efficiency(table, [Evaluations(kls, rewards)], (1.0,), resamples=50)
    assert found.share is not None
    assert found.share.value == pytest.approx(-0.4, abs=0.01)


# -- luck ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("runs", [2, 14])
def test_many_runs_that_are_the_reference_have_no_good_one_by_luck(runs: int) -> None:
    values, covered, plain = [], 0, []
    for study in range(16):
        rng = np.random.default_rng(study)
        levels = rng.normal(0, 0.3, size=(64, 1))
        table = levels + rng.uniform(-0.7, 0.7, size=(64, 128))
        rewards = levels.T + rng.normal(0, 0.4, size=(2 * runs, 64, 6)).mean(axis=2)
        kls = np.repeat(rng.uniform([0.3, 1.2], [0.8, 2.0], (runs, 2)).reshape(-1, 1), 64, axis=1)
        of_runs = Evaluations(kls, rewards, np.repeat(range(runs), 2).tolist())
        (found,) = matched_efficiency(table, [of_runs], (1.0,), resamples=100)
        assert found.share is not None
        values.append(found.share.value)
        assert found.share.low is not None
        assert found.share.high is not None
        covered += found.share.low <= 0 <= found.share.high
        plain.append(max((rewards.mean(axis=1) - levels.mean()) / 0.5))
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(16) + 0.005
    assert covered >= 13
    assert np.mean(plain) > np.mean(values)  # the best of all points, measured where it was chosen


def test_equal_methods_seldom_seem_different() -> None:
    """Intervals of the difference of two equal methods over 3 seeds, with seeds and prompts that vary."""
    table = uniform(prompts=32)
    scale = Scale.from_rewards(table, (0.5, 1.0, 2.0), resamples=150)
    excluded = 0
    for study in range(40):
        rng = np.random.default_rng(study)
        sides = []
        for _ in range(2):
            draws = []
            for _ in range(3):
                share = 0.5 + rng.normal(0, 0.08)
                kls, rewards = at_shares(table, [0.4, 0.9, 1.6, 2.4], [share] * 4, 0.1, int(rng.integers(1 << 30)))
                draws.append(scale.shares(Evaluations(kls, rewards, [0] * 4)))
            sides.append(np.stack(draws).mean(axis=1, keepdims=True))
        gap = scale.estimate((sides[0] - sides[1])[:, 0], 24)
        assert gap.low is not None
        assert gap.high is not None
        excluded += not gap.low <= 0 <= gap.high
    assert excluded <= 4  # 2 of 40 are expected of 95%


# -- intervals ----------------------------------------------------------------------------------------------------


def test_the_interval_resamples_prompts_and_few_have_none() -> None:
    table = uniform(prompts=24)
    widths = []
    for noise in (0.02, 0.2):
        kls, rewards = at_shares(table, [0.5, 1.5], [0.5, 0.5], noise)
        (found,) = matched_efficiency(table, [Evaluations(kls, rewards)], (1.0,), resamples=300)
        assert found.share is not None
        assert found.share.low is not None
        assert found.share.high is not None
        widths.append(found.share.high - found.share.low)
    assert widths[1] > 1.5 * widths[0]
    few = uniform(prompts=6, samples=2048)
    (found,) = matched_efficiency(few, [Evaluations(*at_shares(few, [0.5, 1.5], [0.5, 0.5]))], (1.0,))
    assert found.share is not None
    assert (found.share.low, found.share.reason) == (None, "no interval: 6 prompts")
    alike = np.tile(uniform(prompts=1), (10, 1))
    (found,) = matched_efficiency(alike, [Evaluations(*at_shares(alike, [0.2, 0.8], [0.5, 0.5]))], (0.5,), resamples=20)
    assert found.share is not None
    assert (found.share.low, found.share.reason) == (None, "no interval: all 10 prompts say the same")


def test_the_interval_of_several_seeds_is_wide_where_they_differ_and_wider_of_few() -> None:
    table = uniform()

    def width(*shares: float) -> float:
        seeds = [Evaluations(*at_shares(table, [0.5, 1.5], [share] * 2, 0.05, n)) for n, share in enumerate(shares)]
        (found,) = matched_efficiency(table, seeds, (1.0,), resamples=200)
        assert found.share is not None
        assert found.share.value == pytest.approx(np.mean(shares), abs=0.06)
        assert found.share.low is not None
        assert found.share.high is not None
        return found.share.high - found.share.low

    assert width(0.4, 0.5, 0.6) > 0.4 > width(0.5, 0.5, 0.5)  # of 3 seeds, 2 x 4.30 x 0.1 / sqrt(3) = 0.5 by t
    assert width(0.4, 0.6) > width(0.4, 0.5, 0.6)
    assert width(0.4, 0.45, 0.5, 0.55, 0.6) < width(0.4, 0.5, 0.6)


def test_the_difference_of_two_methods_is_paired_and_at_kls_that_both_have() -> None:
    table = uniform()
    hard = np.random.default_rng(2).normal(0, 0.1, len(table))  # some prompts are harder, for both alike
    sides = [at_shares(table, [0.4, 1.5, top], [share] * 3) for share, top in ((0.7, 3.2), (0.6, 2.2))]
    one, other = ([Evaluations(kls, rewards + hard, [0] * 3)] for kls, rewards in sides)
    kls, gap = efficiency_difference(table, one, other, MATCHED, resamples=300)
    assert kls == (0.5, 1.0, 2.0)
    assert gap is not None
    assert gap.value == pytest.approx(0.1, abs=0.01)
    assert gap.low is not None
    assert gap.high is not None
    assert 0 < gap.low <= gap.value <= gap.high
    (alone, *_) = matched_efficiency(table, one, MATCHED, resamples=300)
    assert alone.share is not None
    assert alone.share.low is not None
    assert alone.share.high is not None
    assert gap.high - gap.low < 0.5 * (alone.share.high - alone.share.low)
    _, turned = efficiency_difference(table, other, one, MATCHED, resamples=300)
    assert turned is not None
    assert turned.value == pytest.approx(-gap.value)
    far = [Evaluations(*at_shares(table, [3.1, 3.2], [0.5, 0.5]))]
    assert efficiency_difference(table, one, far, MATCHED, resamples=20) == ((), None)


def test_values_alone_are_those_of_all_prompts() -> None:
    scale = Scale.from_rewards(uniform(), (0.5, 1.0), resamples=20)
    one = Evaluations(*at_shares(uniform(), [0.4, 1.5], [0.5, 0.5], 0.1))
    np.testing.assert_allclose(scale.without_resamples().shares(one), scale.shares(one)[:, :1], rtol=1e-12)


def test_a_seed_without_a_bracket_leaves_no_number() -> None:
    table = uniform()
    whole, part = (Evaluations(*at_shares(table, kls, [0.5, 0.5])) for kls in ([0.4, 1.5], [0.4, 0.6]))
    found = matched_efficiency(table, [whole, part], (0.5, 1.0), resamples=20)
    assert found[0].share is not None
    assert (found[1].share, found[1].reason[:23]) == (None, "no point between 1 and ")
    scale = Scale.from_rewards(table, (0.5, 1.0), resamples=20)
    assert compared_at(np.stack([scale.shares(whole), scale.shares(part)])).tolist() == [True, False]


def test_prompts_of_which_few_have_a_gain_leave_a_value_and_at_worst_no_interval() -> None:
    """Resamples without any of them have nothing to gain: they must not end the study."""
    rng = np.random.default_rng(0)
    table = np.zeros((64, 512))
    table[:5] = rng.integers(0, 2, size=(5, 512))
    rewards = table.mean(axis=1)[None] + np.linspace(0.05, 0.2, 3)[:, None] * (table.std(axis=1) > 0)
    found = matched_efficiency(table, [Evaluations(np.full((3, 64), [[0.01], [0.02], [0.04]]), rewards)], (0.03,))
    assert found[0].share is not None
    assert found[0].share.value > 0


ROW = [[1.0, 1.0]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: matched_efficiency(np.zeros((2, 64)), [Evaluations(ROW, ROW)], MATCHED), "nothing to gain"),
        (lambda: matched_efficiency(np.eye(64), [Evaluations(ROW, ROW)], MATCHED), "64 prompts"),
        (lambda: matched_efficiency(np.eye(2), [Evaluations(ROW, ROW, [0, 1])], MATCHED), r"got \(2,\) runs"),
        (lambda: matched_efficiency(np.eye(2), [Evaluations(ROW, [[np.nan, 1]])], MATCHED), "1 of 2 numbers"),
        (lambda: Scale.from_rewards(np.eye(4), ()), "must be numbers above 0"),
        (lambda: Scale.from_rewards(np.eye(4), (1.0, -1.0)), "must be numbers above 0"),
        (lambda: efficiency_difference(np.eye(2), [], [Evaluations(ROW, ROW)], (1,)), "got 0 and 1"),
    ],
)
def test_refused(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=message):
        call()
