"""KTO by hand, at its limits, and where its gradient goes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from penchant.errors import InputError
from penchant.losses.unpaired import kto


def numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


BOTH = torch.tensor([True, False])


def test_by_hand() -> None:
    # r = -10 + 12 = 2 and -13 + 12 = -1, z = 1; beta (r - z) = 0.5 and -1
    # desirable: 2 (1 - sigmoid(0.5)) = 2 * 0.377541; undesirable: 3 (1 - sigmoid(1)) = 3 * 0.268941
    losses = kto(numbers(-10, -13), numbers(-12, -12), BOTH, 1.0, beta=0.5, desirable_weight=2, undesirable_weight=3)
    assert losses.tolist() == pytest.approx([0.755081, 0.806824], abs=1e-6)


@pytest.mark.parametrize("kl", [0.0, -3.0, torch.tensor(-0.5)])
def test_where_policy_and_reference_agree_it_is_half_the_weight(kl: float | Tensor) -> None:
    """A negative estimate of the KL counts as none."""
    same = numbers(-5, -7)
    assert kto(same, same, BOTH, kl, beta=0.1).tolist() == [0.5, 0.5]
    weighted = kto(same, same, BOTH, kl, beta=0.1, desirable_weight=1.5, undesirable_weight=0.2)
    assert weighted.tolist() == pytest.approx([0.75, 0.1])


def test_its_bounds_and_its_symmetry() -> None:
    far, ref = numbers(4000, -4000, 3, -3), numbers(0, 0, 0, 0)
    good, bad = torch.ones(4, dtype=torch.bool), torch.zeros(4, dtype=torch.bool)
    assert kto(far, ref, good, 0.0, beta=1.0)[:2].tolist() == [0, 1]
    assert kto(far, ref, bad, 0.0, beta=1.0)[:2].tolist() == [1, 0]
    torch.testing.assert_close(
        kto(far, ref, good, 0.7, beta=0.3) + kto(far, ref, bad, 0.7, beta=0.3), numbers(1, 1, 1, 1)
    )
    halves = kto(torch.tensor([-8.0], dtype=torch.bfloat16), torch.tensor([-8.0]), good[:1], 0.0, beta=0.1)
    assert halves.dtype == torch.float32


def test_the_gradient_moves_the_desirable_up_and_the_undesirable_down_and_is_largest_at_the_reference_point() -> None:
    policy = numbers(-4, -4, -9, -1).requires_grad_()
    kl = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    desirable = torch.tensor([True, False, True, True])
    (slopes,) = torch.autograd.grad(kto(policy, numbers(-5, -5, -5, -5), desirable, kl, beta=0.5).sum(), policy)
    # at r = z: beta sigmoid(0) (1 - sigmoid(0)) = beta / 4
    assert slopes[:2].tolist() == pytest.approx([-0.125, 0.125])
    assert all(-0.125 < slope < 0 for slope in slopes[2:].tolist())
    losses = kto(numbers(-4).requires_grad_(), numbers(-5), BOTH[:1], kl, beta=0.5)
    assert torch.autograd.grad(losses.sum(), kl, allow_unused=True) == (None,)


def test_the_reference_point_makes_the_good_worth_less_and_the_bad_cheaper() -> None:
    same = numbers(-5, -7)
    low, high = (kto(same, same, BOTH, kl, beta=0.5) for kl in (0.0, 2.0))
    assert high[0] > low[0]
    assert high[1] < low[1]
    assert high[0].item() == pytest.approx(1 / (1 + math.exp(-1)))


def test_refused() -> None:
    with pytest.raises(InputError, match="`ref` has shape"):
        kto(numbers(-5, -7), numbers(-5), BOTH, 0.0, beta=0.1)
    with pytest.raises(InputError, match="`desirable` has shape"):
        kto(numbers(-5), numbers(-5), BOTH, 0.0, beta=0.1)
    with pytest.raises(InputError, match=r"must hold true or false, got torch\.float32"):
        kto(numbers(-5, -7), numbers(-5, -7), torch.tensor([1.0, 0.0]), 0.0, beta=0.1)
