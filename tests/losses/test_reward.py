"""Bradley and Terry's loss."""

from __future__ import annotations

import math

import pytest
import torch

from penchant.errors import InputError
from penchant.losses.reward import bradley_terry


def test_equal_rewards_give_ln_2_and_a_lead_of_one_ln_of_one_plus_one_over_e() -> None:
    losses = bradley_terry(torch.tensor([3.0, 1.0]), torch.tensor([3.0, 0.0]))
    assert losses.tolist() == pytest.approx([math.log(2), math.log(1 + math.exp(-1))])


def test_a_margin_asks_for_as_much_more_lead() -> None:
    chosen, rejected = torch.tensor([2.0, 0.5]), torch.tensor([1.0, 0.7])
    assert torch.allclose(bradley_terry(chosen, rejected, margin=0.4), bradley_terry(chosen - 0.4, rejected))


def test_the_gradient_is_the_probability_of_being_wrong() -> None:
    chosen = torch.tensor([0.3], requires_grad=True)
    bradley_terry(chosen, torch.tensor([1.0])).sum().backward()
    assert chosen.grad is not None
    assert float(chosen.grad) == pytest.approx(-1 / (1 + math.exp(0.3 - 1.0)))


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(InputError, match="rejected"):
        bradley_terry(torch.zeros(2), torch.zeros(2, 1))
