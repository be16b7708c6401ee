"""Advantages of RLOO and GRPO: their formulas, their expectation on an enumerable bandit, and repeated samples."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from penchant.losses.policy_gradient import (
    clipped_surrogate,
    group_advantages,
    kl_loss,
    positive_kl_loss,
    sequence_log_ratio,
)

ONE_PROMPT = torch.zeros(4, dtype=torch.long)
ONCE = torch.ones(4)


def test_a_sample_is_held_against_the_mean_of_the_others() -> None:
    scores = torch.tensor([1.0, 0.0, 0.5, 4.0])
    found = group_advantages(scores, ONCE, ONE_PROMPT, leave_one_out=True)
    by_hand = torch.tensor([scores[i] - scores[[j for j in range(4) if j != i]].mean() for i in range(4)])
    assert torch.allclose(found, by_hand)
    group = group_advantages(scores, ONCE, ONE_PROMPT, leave_one_out=False)
    # GRPO without the division is (K - 1) / K of RLOO
    assert torch.allclose(group, found * 3 / 4)
    scaled = group_advantages(scores, ONCE, ONE_PROMPT, leave_one_out=False, scale=True)
    assert torch.allclose(scaled, (scores - scores.mean()) / (scores.std() + 1e-4))


@pytest.mark.parametrize("leave_one_out", [True, False])
@pytest.mark.parametrize("scale", [True, False])
def test_prompts_are_apart_and_equal_samples_count_as_often_as_they_were_drawn(
    leave_one_out: bool, scale: bool
) -> None:
    scores = torch.tensor([1.0, 1.0, 1.0, 0.0, 3.0, 5.0])
    prompts = torch.tensor([0, 0, 0, 0, 1, 1])
    apart = group_advantages(scores, torch.ones(6), prompts, leave_one_out=leave_one_out, scale=scale)
    merged = group_advantages(
        torch.tensor([1.0, 0.0, 3.0, 5.0]),
        torch.tensor([3.0, 1.0, 1.0, 1.0]),
        torch.tensor([0, 0, 1, 1]),
        leave_one_out=leave_one_out,
        scale=scale,
    )
    assert torch.allclose(apart[[0, 3, 4, 5]], merged)


def test_equal_rewards_teach_nothing() -> None:
    for scale in (False, True):
        found = group_advantages(torch.full((4,), 0.3), ONCE, ONE_PROMPT, leave_one_out=True, scale=scale)
        assert torch.allclose(found, torch.zeros(4), atol=1e-6)


@pytest.mark.parametrize("samples", [2, 3])
def test_the_expected_gradient_of_rloo_is_that_of_the_reward_exactly(samples: int) -> None:
    """A bandit of three arms, all of whose draws are enumerated."""
    rewards = torch.tensor([0.2, 1.0, -0.5], dtype=torch.float64)
    logits = torch.tensor([0.3, -0.4, 0.1], dtype=torch.float64, requires_grad=True)
    (exact,) = torch.autograd.grad((logits.softmax(0) * rewards).sum(), logits)
    expected = torch.zeros_like(exact)
    probabilities = logits.detach().softmax(0)
    for arms in product(range(3), repeat=samples):
        drawn = torch.tensor(arms)
        advantages = group_advantages(
            rewards[drawn], torch.ones(samples, dtype=torch.float64), torch.zeros_like(drawn), leave_one_out=True
        )
        logps = logits.log_softmax(0)[drawn]
        (gradient,) = torch.autograd.grad(
            -clipped_surrogate(logps, logps.detach(), advantages, clip_ratio=0.2).mean(), logits
        )
        expected += probabilities[drawn].prod() * gradient
    assert torch.allclose(expected, exact)


def test_merged_draws_have_the_gradient_of_single_ones() -> None:
    logits = torch.tensor([0.3, -0.4, 0.1], requires_grad=True)

    def gradient(drawn: Tensor, counts: Tensor) -> Tensor:
        scores = torch.tensor([0.2, 1.0, -0.5])[drawn]
        advantages = group_advantages(scores, counts, torch.zeros_like(drawn), leave_one_out=True)
        logps = logits.log_softmax(0)[drawn]
        losses = clipped_surrogate(logps, logps.detach(), advantages, clip_ratio=0.2)
        (result,) = torch.autograd.grad((losses * counts / counts.sum()).sum(), logits)
        return result

    single = gradient(torch.tensor([1, 1, 1, 0, 2]), torch.ones(5))
    assert torch.allclose(single, gradient(torch.tensor([1, 0, 2]), torch.tensor([3.0, 1.0, 1.0])))


def test_the_upper_bound_of_clipping_may_be_further_away() -> None:
    old = torch.zeros(3)
    now = torch.tensor([0.25, 0.3, -0.3]).exp().log().requires_grad_()
    advantage = torch.tensor([1.0, 1.0, -1.0])
    narrow = clipped_surrogate(now, old, advantage, clip_ratio=0.2)
    wide = clipped_surrogate(now, old, advantage, clip_ratio=0.2, clip_high=0.3)
    assert narrow.tolist() == pytest.approx([-1.2, -1.2, 0.8])
    assert wide.tolist() == pytest.approx([-1.284, -1.3, 0.8], abs=1e-3)


def test_the_positive_estimate_is_unbiased_and_its_gradient_is_not_the_kls() -> None:
    policy = torch.tensor([0.1, 0.7, -0.2], dtype=torch.float64, requires_grad=True)
    reference = torch.tensor([0.4, 0.0, 0.3], dtype=torch.float64).log_softmax(0)
    logps = policy.log_softmax(0)
    probabilities = logps.exp()
    kl = (probabilities * (logps - reference)).sum()
    assert (probabilities * positive_kl_loss(logps, reference)).sum().item() == pytest.approx(kl.item())
    (exact,) = torch.autograd.grad(kl, policy, retain_graph=True)
    weights = probabilities.detach()
    (k2,) = torch.autograd.grad((weights * kl_loss(logps, reference)).sum(), policy, retain_graph=True)
    (k3,) = torch.autograd.grad((weights * positive_kl_loss(logps, reference)).sum(), policy)
    assert torch.allclose(k2, exact)
    assert not torch.allclose(k3, exact, atol=1e-3)


def test_the_ratio_of_a_sample_is_the_geometric_mean_of_its_tokens() -> None:
    log_ratio = torch.tensor([0.1, 0.3, -0.2])
    found = sequence_log_ratio(log_ratio, torch.tensor([0, 0, 1]), torch.tensor([2.0, 1.0]))
    assert found.tolist() == pytest.approx([0.2, 0.2, -0.2])
