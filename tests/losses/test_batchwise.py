"""Losses over batches, rankings and tokens: by hand, and equal to plain DPO where they must be."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from penchant.errors import InputError
from penchant.losses.batchwise import aot, aot_unpaired, ld_logps, plackett_luce, wpo_weights
from penchant.losses.preference import dpo


def pairs(count: int = 6) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [-20 * torch.rand(count, generator=generator, dtype=torch.float64) for _ in range(4)]


def test_aot_of_one_pair_is_dpo_and_of_many_is_not() -> None:
    for loss in (aot, aot_unpaired):
        one = [part[:1] for part in pairs()]
        torch.testing.assert_close(loss(*one, beta=0.2, label_smoothing=0.1), dpo(*one, beta=0.2, label_smoothing=0.1))
        assert not torch.allclose(loss(*pairs(), beta=0.2).mean(), dpo(*pairs(), beta=0.2).mean())


def test_aot_does_not_see_the_order_of_the_policys_margins() -> None:
    chosen, rejected, ref_chosen, ref_rejected = pairs()
    order = torch.tensor([3, 1, 0, 5, 4, 2])
    torch.testing.assert_close(
        aot(chosen[order], rejected[order], ref_chosen, ref_rejected, beta=0.2),
        aot(chosen, rejected, ref_chosen, ref_rejected, beta=0.2),
    )


def test_rankings_of_two_are_dpo() -> None:
    chosen, rejected, ref_chosen, ref_rejected = pairs()
    loss = plackett_luce(torch.stack([chosen, rejected], 1), torch.stack([ref_chosen, ref_rejected], 1), beta=0.3)
    torch.testing.assert_close(loss, dpo(chosen, rejected, ref_chosen, ref_rejected, beta=0.3))


def test_rankings_by_hand() -> None:
    # scores log 3, log 2, 0: 3/6 * 2/3 = 1/3
    policy = torch.tensor([[math.log(3), math.log(2), 0.0]])
    torch.testing.assert_close(plackett_luce(policy, torch.zeros(1, 3), beta=1.0), torch.tensor([math.log(3)]))
    torch.testing.assert_close(plackett_luce(policy, policy, beta=1.0), torch.tensor([math.log(math.factorial(3))]))


def test_the_probabilities_of_all_rankings_add_up_to_one() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(4, generator=generator, dtype=torch.float64)
    every = torch.stack([scores[list(order)] for order in itertools.permutations(range(4))])
    losses = plackett_luce(every, torch.zeros_like(every), beta=1.0)
    torch.testing.assert_close((-losses).exp().sum(), torch.tensor(1.0, dtype=torch.float64))


def test_rankings_refuse_what_is_none() -> None:
    for policy, ref in (
        (torch.zeros(3), torch.zeros(3)),
        (torch.zeros(3, 1), torch.zeros(3, 1)),
        (torch.zeros(3, 2), torch.zeros(2, 2)),
    ):
        with pytest.raises(InputError, match="plackett_luce"):
            plackett_luce(policy, ref, beta=0.1)


def test_tails_count_alpha() -> None:
    logps = torch.tensor([[-1.0, -2.0, -4.0, math.nan], [-1.0, math.nan, math.nan, math.nan]])
    sums = ld_logps(logps, torch.tensor([3, 1]), torch.tensor([1, 3]), alpha=0.5)
    assert sums.tolist() == [-1 + 0.5 * -6, -1.0]
    assert ld_logps(logps, torch.tensor([3, 1]), torch.tensor([1, 3]), alpha=1.0).tolist() == [-7.0, -1.0]
    with pytest.raises(InputError, match="ld_logps"):
        ld_logps(logps, torch.tensor([3]), torch.tensor([1, 3]), alpha=0.5)


def test_weights_are_one_where_tokens_are_as_likely_as_expected() -> None:
    mask = torch.tensor([[True, True, False]])
    expected = torch.full((1, 3), -2.0)
    likely = torch.tensor([[-1.0, -2.0, math.nan]])
    assert wpo_weights(expected, expected, expected, expected, mask, mask).tolist() == [1.0]
    weight = wpo_weights(likely, expected, expected, expected, mask, mask)
    torch.testing.assert_close(weight, torch.tensor([math.exp(0.5)]))
