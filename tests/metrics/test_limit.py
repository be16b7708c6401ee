"""The limit line against an enumerated optimum and closed forms, and Best-of-n against all subsets."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from penchant.errors import InputError
from penchant.metrics.limit import best_of_n, best_of_n_by_prompt, best_of_n_kl, limit_line
from toy_policies import draws, optimum, toy


def test_the_line_is_the_optimum_of_a_toy_vocabulary() -> None:
    probabilities, rewards = toy()
    line = limit_line(draws(probabilities, rewards, 4096))
    checked = 0
    for beta in np.geomspace(0.1, 10, 25):
        kl, reward = (float(part.mean()) for part in optimum(probabilities, rewards, beta))
        if 0.05 < kl < line.trusted_kl:
            assert float(line.reward_at(kl)) == pytest.approx(reward, rel=0.01, abs=0.01)
            checked += 1
    assert checked >= 10
    assert line.kl_nats[0] == 0
    assert (np.diff(line.kl_nats) > -1e-9).all()
    assert (np.diff(line.reward) > -1e-9).all()


GRID = np.linspace(0.05, 8, 160)
UNIT = np.linspace(1e-6, 1 - 1e-9, 200_001)


def gaussian() -> np.ndarray:
    """Return the gain at each KL of the grid: the best policy is a normal one moved by t, at t^2 / 2 nats."""
    return np.sqrt(2 * GRID)


def exponential() -> np.ndarray:
    """Return it for Exp(1): the best policy is exponential with the rate 1 - t."""
    return np.interp(GRID, np.log1p(-UNIT) + UNIT / (1 - UNIT), 1 / (1 - UNIT)) - 1


def rare(share: float) -> np.ndarray:
    """Return it for a reward of 1 with this probability, else 0: the best policy has a larger one, p."""
    p = share + (1 - share) * UNIT
    return np.interp(GRID, p * np.log(p / share) + (1 - p) * np.log((1 - p) / (1 - share)), p) - share


TAILS = {
    "gaussian": (lambda rng, shape: rng.normal(size=shape), gaussian()),
    "exponential": (lambda rng, shape: rng.exponential(size=shape), exponential()),
    "1 in 100": (lambda rng, shape: (rng.random(shape) < 0.01) * 1.0, rare(0.01)),
    "1 in 1,000": (lambda rng, shape: (rng.random(shape) < 0.001) * 1.0, rare(0.001)),
}


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("prompts", [16, 64])
def test_what_is_trusted_is_true_whatever_the_tail(tail: str, prompts: int) -> None:
    """On average the line lacks 1 to 2% of the gain where it is trusted; by the rule ln N - 2 it lacked far more."""
    draw, truth = TAILS[tail]
    lack, by_old_rule = [], []
    for seed in range(6):
        for samples in (160, 400):
            line = limit_line(draw(np.random.default_rng(seed), (prompts, samples)))
            missing = 1 - (line.reward_at(GRID) - line.reward[0]) / truth
            lack.append(missing[line.trusted_kl >= GRID].max(initial=0.0))
            by_old_rule.append(missing[math.log(samples) - 2 >= GRID].max())
    assert max(lack) < 0.12  # of one table, which is noisy itself
    assert np.mean(lack) < 0.025
    assert np.mean(lack) < np.mean(by_old_rule) / 2


@pytest.mark.parametrize("prompts", [12, 64])
def test_one_prompt_with_all_the_gain_is_not_trusted(prompts: int) -> None:
    """Its halves and quarters agree to the last bit, and still nothing is known of other prompts."""
    rewards = np.zeros((prompts, 256))
    rewards[0, [0, 64, 128, 192]] = 1
    assert limit_line(rewards).trusted_kl == 0


def test_bounded_rewards_are_trusted_farther_with_more_samples() -> None:
    rng = np.random.default_rng(0)
    few, many = (limit_line(rng.random((64, samples))).trusted_kl for samples in (128, 512))
    assert 1 < few < many
    assert many > math.log(512) - 2


def test_nothing_is_trusted_of_too_few_samples_or_of_equal_rewards() -> None:
    assert limit_line(np.random.default_rng(0).normal(size=(8, 7))).trusted_kl == 0
    assert limit_line(np.ones((8, 64))).trusted_kl == 0


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
    assert (values[n - 1] <= line.reward_at(kls) + 1e-3).all()
    assert (values[n - 1] >= line.reward_at(0) + 0.5 * (line.reward_at(kls) - line.reward_at(0))).all()


def test_the_kl_bound_by_hand() -> None:
    assert best_of_n_kl(1) == 0
    assert best_of_n_kl(4) == pytest.approx(math.log(4) - 0.75)


def test_best_of_n_of_each_prompt_averages_to_that_of_all() -> None:
    rewards = np.random.default_rng(0).normal(size=(3, 6))
    np.testing.assert_allclose(best_of_n_by_prompt(rewards, [1, 3]).mean(axis=1), best_of_n(rewards, [1, 3]))
    np.testing.assert_allclose(best_of_n_by_prompt(rewards, 1)[0], rewards.mean(axis=1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: limit_line([1.0, 2.0]), "two dimensions"),
        (lambda: limit_line([[1.0, math.nan]]), "1 of 2 numbers are not finite"),
        (lambda: best_of_n([[1.0, 2.0]], [2, 3, 128]), "2 samples per prompt .*but 3, 128 was asked for; draw more"),
        (lambda: best_of_n([[1.0, 2.0]], 0), "but 0 was asked for"),
        (lambda: best_of_n([[1.0, 2.0]], 1.5), "but 1.5 was asked for"),
    ],
)
def test_refused(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=message):
        call()
