"""The parts of PPO: by hand, at their limits, and by enumeration."""

from __future__ import annotations

import math

import pytest
import torch

from penchant.losses import policy_gradient as pg


def test_advantages_by_hand() -> None:
    """Two tokens, gamma 0.9, lam 0.5: delta_2 = 2 - 0.5 = 1.5; delta_1 = 1 + 0.9 * 0.5 - 0.25 = 1.2."""
    rewards, values = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.25, 0.5]])
    inside = torch.ones(1, 2, dtype=torch.bool)
    got = pg.advantages(rewards, values, inside, gamma=0.9, lam=0.5)
    assert torch.allclose(got, torch.tensor([[1.2 + 0.45 * 1.5, 1.5]]))


def test_advantages_at_lam_one_are_returns_less_values_and_read_nothing_beyond_the_end() -> None:
    generator = torch.Generator().manual_seed(0)
    rewards, values = torch.randn(3, 5, generator=generator), torch.randn(3, 5, generator=generator)
    lengths = torch.tensor([5, 3, 1])
    inside = torch.arange(5)[None] < lengths[:, None]
    spoiled = rewards.masked_fill(~inside, 1e9), values.masked_fill(~inside, -1e9)
    got = pg.advantages(*spoiled, inside, gamma=1.0, lam=1.0)
    returns = (rewards * inside).flip(1).cumsum(1).flip(1)
    assert torch.allclose(got, (returns - values) * inside, atol=1e-5)
    one_step = pg.advantages(rewards, values, inside, gamma=0.9, lam=0.0)
    following = torch.cat([values[:, 1:] * inside[:, 1:], torch.zeros(3, 1)], 1)
    assert torch.allclose(one_step, (rewards + 0.9 * following - values) * inside, atol=1e-5)


def test_whitening_weighs_a_token_as_often_as_it_was_drawn() -> None:
    values, weights = torch.tensor([1.0, 4.0, 2.0]), torch.tensor([2.0, 1.0, 3.0])
    spelled = torch.tensor([1.0, 1.0, 4.0, 2.0, 2.0, 2.0])
    got = pg.whiten(values, weights)
    assert torch.allclose(got, (values - spelled.mean()) / spelled.std(correction=0), atol=1e-5)
    assert torch.allclose(pg.whiten(values, weights, shift=False), values / spelled.std(correction=0), atol=1e-5)


def test_the_surrogate_is_the_policy_gradient_at_the_old_policy_and_stops_beyond_the_clip() -> None:
    old, advantage = torch.tensor([-1.0, -2.0]), torch.tensor([2.0, -3.0])
    logps = old.clone().requires_grad_()
    losses = pg.clipped_surrogate(logps, old, advantage, clip_ratio=0.2)
    assert losses.tolist() == [-2.0, 3.0]
    losses.sum().backward()
    assert torch.allclose(logps.grad, -advantage)  # type: ignore[arg-type]
    far = torch.tensor([-1.0 + math.log(1.5), -2.0 + math.log(0.5)], requires_grad=True)
    clipped = pg.clipped_surrogate(far, old, advantage, clip_ratio=0.2)
    assert torch.allclose(clipped, torch.tensor([-2.0 * 1.2, 3.0 * 0.8]))
    clipped.sum().backward()
    assert far.grad.tolist() == [0.0, 0.0]  # type: ignore[union-attr]


def test_a_clipped_value_takes_the_worse_of_two_errors() -> None:
    values, old, returns = torch.tensor([1.0, 0.1]), torch.zeros(2), torch.tensor([1.0, 1.0])
    assert torch.allclose(pg.clipped_value(values, old, returns, clip_value=0.2), torch.tensor([0.32, 0.405]))
    assert torch.allclose(pg.clipped_value(values, old, returns, clip_value=None), torch.tensor([0.0, 0.405]))


def test_the_kl_loss_has_the_gradient_of_the_reverse_kl() -> None:
    """In expectation over the policy's own draws, enumerated over a vocabulary of four."""
    logits = torch.tensor([0.3, -0.2, 1.0, 0.1], dtype=torch.float64, requires_grad=True)
    reference = torch.log_softmax(torch.tensor([1.0, 0.0, -0.5, 0.4], dtype=torch.float64), 0)
    logps = torch.log_softmax(logits, 0)
    (exact,) = torch.autograd.grad((logps.exp() * (logps - reference)).sum(), logits, retain_graph=True)
    drawn = (logps.exp().detach() * pg.kl_loss(logps, reference)).sum()
    (ours,) = torch.autograd.grad(drawn, logits)
    assert torch.allclose(ours, exact, atol=1e-12)


def test_the_controller_moves_towards_its_target_by_a_bounded_step() -> None:
    assert pg.adapted(0.1, kl_nats=6.0, target_nats=6.0, gain=0.5) == pytest.approx(0.1)
    assert pg.adapted(0.1, kl_nats=6.6, target_nats=6.0, gain=0.5) == pytest.approx(0.1 * 1.05)
    assert pg.adapted(0.1, kl_nats=600.0, target_nats=6.0, gain=0.5) == pytest.approx(0.1 * 1.1)
    assert pg.adapted(0.1, kl_nats=0.0, target_nats=6.0, gain=0.5) == pytest.approx(0.1 * 0.9)


def test_the_first_coefficient_puts_the_best_policy_at_the_target() -> None:
    """Many normal rewards: tilting them by exp(r / beta) gives the KL that was asked for."""
    scores = 3.0 * torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    for target in (0.5, 2.0):
        beta = pg.first_coefficient(scores, torch.zeros(len(scores), dtype=torch.long), target)
        tilted = torch.softmax(scores / beta, 0)
        assert float((tilted * (tilted * len(scores)).log()).sum()) == pytest.approx(target, rel=0.03)
    assert beta == pytest.approx(3.0 / math.sqrt(2 * 2.0), rel=0.01)


def test_the_first_coefficient_is_blind_to_what_prompts_are_worth_and_has_the_rewards_unit() -> None:
    scores, prompts = torch.tensor([0.0, 1.0, 100.0, 101.0]), torch.tensor([7, 7, 3, 3])
    assert pg.first_coefficient(scores, prompts, 1.0) == pytest.approx(0.5)
    assert pg.first_coefficient(10 * scores, prompts, 1.0) == pytest.approx(5)
    assert pg.first_coefficient(torch.tensor([0.0, 2.0]), torch.tensor([0, 1]), 0.5) == pytest.approx(1)
    assert pg.first_coefficient(torch.ones(4), prompts, 1.0) == 0.1


def test_explained_variance_at_its_limits() -> None:
    returns, weights = torch.tensor([1.0, 2.0, 3.0]), torch.ones(3)
    assert pg.explained_variance(returns, returns, weights) == pytest.approx(1)
    assert pg.explained_variance(torch.full((3,), 7.0), returns, weights) == pytest.approx(0)
    assert pg.explained_variance(-returns, returns, weights) == pytest.approx(-3)
    assert pg.explained_variance(returns, torch.ones(3), weights) is None
