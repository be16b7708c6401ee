"""The limit line against an enumerated optimum, Best-of-n against all subsets, efficiencies that are known."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from penchant.errors import InputError
from penchant.metrics.frontier import (
    best_of_n,
    best_of_n_kl,
    efficiency,
    efficiency_difference,
    hull,
    limit_line,
    peak_share,
    reached_share,
    trusted_kl,
)


def toy(prompts: int = 24, words: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Reference probabilities and rewards of every response of a toy vocabulary, (prompts, words)."""
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(words), prompts), rng.normal(size=(prompts, words))


def draws(probabilities: np.ndarray, rewards: np.ndarray, count: int, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([row[rng.choice(len(p), size=count, p=p)] for p, row in zip(probabilities, rewards, strict=True)])


def optimum(probabilities: np.ndarray, rewards: np.ndarray, beta: float) -> tuple[float, float]:
    """KL in nats and reward of the best policy at beta, by enumeration."""
    policy = softmax(np.log(probabilities) + rewards / beta, axis=1)
    kl = (policy * (np.log(policy) - np.log(probabilities))).sum(1).mean()
    return float(kl), float((policy * rewards).sum(1).mean())


def test_the_line_is_the_optimum_of_a_toy_vocabulary() -> None:
    probabilities, rewards = toy()
    line = limit_line(draws(probabilities, rewards, 4096))
    checked = 0
    for beta in np.geomspace(0.1, 10, 25):
        kl, reward = optimum(probabilities, rewards, beta)
        if 0.05 < kl < line.trusted_kl:
            assert float(line.at(kl)) == pytest.approx(reward, rel=0.01, abs=0.01)
            checked += 1
    assert checked >= 10
    assert line.kl_nats[0] == 0
    assert (np.diff(line.kl_nats) > -1e-9).all()
    assert (np.diff(line.reward) > -1e-9).all()


def test_best_of_n_is_the_mean_over_all_subsets() -> None:
    rewards = np.random.default_rng(0).normal(size=(3, 6))
    expected = [
        np.mean([max(subset) for row in rewards for subset in combinations(row.tolist(), n)]) for n in range(1, 7)
    ]
    np.testing.assert_allclose(best_of_n(rewards), expected)


def test_some_n_are_those_of_all() -> None:
    rewards = np.random.default_rng(0).normal(size=(3, 6))
    np.testing.assert_array_equal(best_of_n(rewards, [4, 1]), best_of_n(rewards)[[3, 0]])
    np.testing.assert_array_equal(best_of_n(rewards, 6), best_of_n(rewards)[[5]])


def test_best_of_many_stays_finite_and_rises() -> None:
    values = best_of_n(np.random.default_rng(0).normal(size=(4, 512)))
    assert np.isfinite(values).all()
    assert (np.diff(values) >= 0).all()


def test_best_of_n_lies_under_the_limit() -> None:
    rewards = draws(*toy(), 1024)
    line, values = limit_line(rewards), best_of_n(rewards)
    n = np.arange(2, 65)
    kls = best_of_n_kl(n)
    assert (values[n - 1] <= line.at(kls) + 1e-3).all()
    assert (values[n - 1] >= line.at(0) + 0.5 * (line.at(kls) - line.at(0))).all()


def test_the_kl_bound_by_hand() -> None:
    assert best_of_n_kl(1) == 0
    assert best_of_n_kl(4) == pytest.approx(math.log(4) - 0.75)


def on_the_limit(rewards: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """A method with so much of each prompt's gain, at KLs from 0.2 to 4, (points, prompts)."""
    lines = [limit_line(row[None]) for row in rewards]
    grid = np.linspace(0.2, 4, 40)
    base = rewards.mean(axis=1)
    gains = np.stack([line.at(grid) for line in lines], axis=1) - base
    return np.repeat(grid[:, None], len(rewards), axis=1), base + share * gains


def test_efficiencies_that_are_known() -> None:
    rewards = draws(*toy(prompts=40), 2048)
    line = limit_line(rewards)
    # the optimum has one beta for all prompts, so a method with one KL for all has a little less
    for share in (0.0, 0.4, 1.0):
        kls, reached = on_the_limit(rewards, share)
        found = efficiency(rewards, kls, reached, resamples=200)
        assert found.value == pytest.approx(share, abs=0.05)
        assert found.low is not None
        assert found.low <= found.value <= found.high
        assert found.clusters == 40
    assert line.trusted_kl == trusted_kl(2048) > 3


@pytest.mark.parametrize("points", [5, 28])
def test_a_method_that_is_the_reference_gets_nothing_however_many_points_it_has(points: int) -> None:
    """The best of noisy points is better by luck; here it must not be: 16 studies, 64 prompts, 6 samples a point."""
    values, covered = [], 0
    for study in range(16):
        rng = np.random.default_rng(study)
        levels = rng.normal(0, 0.3, size=(64, 1))
        table = levels + rng.normal(0, 0.4, size=(64, 160))
        rewards = levels.T + rng.normal(0, 0.4, size=(points, 64, 6)).mean(axis=2)
        kls = np.repeat(rng.uniform(0.2, 6, points)[:, None], 64, axis=1)
        found = efficiency(table, kls, rewards, resamples=100)
        values.append(found.value)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0 <= found.high
    assert abs(np.mean(values)) < 3 * np.std(values) / 4 + 0.005
    assert covered >= 13


def test_a_method_below_the_reference_is_given_the_reference() -> None:
    rewards = draws(*toy(), 256)
    kls = np.full((3, len(rewards)), 2.0)
    found = efficiency(rewards, kls, np.repeat(rewards.mean(axis=1)[None] - 0.5, 3, axis=0), resamples=50)
    assert found.value == 0


def test_prompts_of_which_few_have_a_gain_leave_a_value_and_at_worst_no_interval() -> None:
    """Resamples without any of them have nothing to gain: they must not end the study."""
    rng = np.random.default_rng(0)
    table = np.zeros((64, 160))
    table[:5] = rng.integers(0, 2, size=(5, 160))
    rewards = table.mean(axis=1)[None] + np.linspace(0.05, 0.2, 3)[:, None] * (table.std(axis=1) > 0)
    found = efficiency(table, np.full((3, 64), [[0.5], [1.0], [2.0]]), rewards, resamples=200)
    assert found.value > 0


def test_the_interval_resamples_prompts() -> None:
    rewards = draws(*toy(prompts=12), 256)
    kls, reached = on_the_limit(rewards, 0.5)
    noise = np.random.default_rng(0).normal(size=12)
    narrow, wide = (efficiency(rewards, kls, reached + scale * noise, resamples=300) for scale in (0.0, 0.3))
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


@given(
    st.lists(st.tuples(st.floats(0.01, 20), st.floats(-5, 5)), min_size=1, max_size=12),
)
def test_the_hull_is_above_every_point_concave_and_never_falls(points: list[tuple[float, float]]) -> None:
    x, y = np.array(points).T
    x = np.append(0.0, x)
    y = np.append(-6.0, y)
    assert (hull(x, y, x) >= y - 1e-9).all()
    grid = np.linspace(0, 20, 101)
    curve = hull(x, y, grid)
    assert (np.diff(curve) >= -1e-9).all()
    assert (np.diff(curve, 2) <= 1e-6).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: limit_line([1.0, 2.0]), "two dimensions"),
        (lambda: limit_line([[1.0, math.nan]]), "1 of 2 numbers are not finite"),
        (lambda: best_of_n([[1.0, 2.0]], [2, 3, 128]), "2 samples a prompt .*but 3, 128 was asked for; draw more"),
        (lambda: best_of_n([[1.0, 2.0]], 0), "but 0 was asked for"),
        (lambda: best_of_n([[1.0, 2.0]], 1.5), "but 1.5 was asked for"),
        (lambda: efficiency(np.zeros((2, 8)), [[1.0, 1.0]], [[1.0, 1.0]]), "at least 14 are needed"),
        (lambda: efficiency(np.zeros((2, 64)), [[1.0, 1.0]], [[1.0, 1.0]]), "nothing to gain"),
        (lambda: efficiency(np.eye(64), [[1.0, 1.0]], [[1.0, 1.0]]), "64 prompts"),
    ],
)
def test_refused(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=message):
        call()


def test_the_best_policy_is_measured_at_its_own_kl() -> None:
    table = np.random.default_rng(0).normal(size=(40, 400))
    line = limit_line(table)
    kls = np.array([0.2, 1.0, 2.0, 3.8])
    gains = line.at(kls) - line.reward[0]
    shares = np.array([1.0, 0.6, 0.8, 1.0])  # the outer two are outside 0.5 to 3 nats
    spread = np.random.default_rng(1).normal(0, 0.01, (4, 40))
    rewards = table.mean(axis=1) + (shares * gains)[:, None] + spread
    peak = peak_share(table, np.repeat(kls[:, None], 40, axis=1), rewards, resamples=200)
    assert peak is not None
    assert peak.low is not None
    assert peak.high is not None
    assert peak.value == pytest.approx(0.8, abs=0.05)
    assert peak.low < peak.value < peak.high


def test_many_policies_that_are_the_reference_have_no_best_one() -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(20):
        table = rng.normal(size=(40, 100))
        rewards = rng.normal(0, 0.3, (30, 40))
        peak = peak_share(table, np.full((30, 40), 1.5), rewards, resamples=1)
        assert peak is not None
        found.append(peak.value)
    assert abs(np.mean(found)) < 0.03
    assert max(abs(share) for share in found) < 0.2


def test_no_policy_in_the_range_is_no_share() -> None:
    table = np.random.default_rng(0).normal(size=(10, 100))
    assert peak_share(table, np.full((2, 10), 9.0), np.zeros((2, 10))) is None


def test_the_difference_of_two_efficiencies_is_paired() -> None:
    probabilities, rewards = toy()
    table = draws(probabilities, rewards, 256)
    line = limit_line(table)
    kls = np.repeat(np.linspace(0.5, 3, 6)[:, None], 24, axis=1)
    hard = np.random.default_rng(2).normal(0, 0.3, 24)  # some prompts are harder, for both alike
    curves = [
        (kls, table.mean(axis=1) + hard + share * (line.at(kls[:, 0]) - line.reward[0])[:, None])
        for share in (0.7, 0.6)
    ]
    gap = efficiency_difference(table, *curves, resamples=300)
    shares = [efficiency(table, *curve, resamples=300) for curve in curves]
    assert gap.value == pytest.approx(shares[0].value - shares[1].value)
    assert gap.low is not None
    assert gap.high is not None
    assert 0 < gap.low <= gap.value <= gap.high
    assert shares[0].high is not None
    assert shares[0].low is not None
    assert gap.high - gap.low < 0.5 * (shares[0].high - shares[0].low)
    assert reached_share(table, *curves[0]) == shares[0].value
    assert efficiency_difference(table, curves[1], curves[0], resamples=300).value == pytest.approx(-gap.value)
