"""Random numbers of arms: an arm draws the same alone and among others, and purposes share no draw."""

from __future__ import annotations

import pytest
import torch

from penchant.weak.networks.streams import LABELED, UNLABELED, Deck, Stream


def test_an_arm_draws_alone_what_it_draws_among_others() -> None:
    both, alone = Stream([3, 8], LABELED), Stream([8], LABELED)
    for draw in (
        lambda one: one.uniform(4, 2),
        lambda one: one.integers(9, 5),
        lambda one: one.beta(4.0, 6),
        lambda one: one.dropout(torch.ones(len(one), 50), 0.5),
    ):
        assert torch.equal(draw(both)[1:], draw(alone))
    assert not torch.equal(Stream([8], UNLABELED).uniform(9), Stream([8], LABELED).uniform(9))


def test_dropout_keeps_the_mean_and_nothing_is_lost_at_zero() -> None:
    values = torch.ones(1, 100_000)
    dropped = Stream([1], LABELED).dropout(values, 0.3)
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.7], rel=1e-4)
    assert float(dropped.mean()) == pytest.approx(1, abs=0.01)
    assert Stream([1], LABELED).dropout(values, 0.0) is values


def test_beta_draws_have_its_moments() -> None:
    draws = Stream([5], LABELED).beta(4.0, 20_000)
    assert float(draws.mean()) == pytest.approx(0.5, abs=0.005)
    assert float(draws.var()) == pytest.approx(1 / 36, rel=0.03)  # a b / ((a + b)^2 (a + b + 1))


def test_every_row_is_dealt_before_one_comes_again() -> None:
    deck = Deck([torch.tensor([7, 8, 9]), torch.tensor([1, 2, 3, 4, 5])], Stream([0, 1], LABELED))
    dealt = torch.cat([deck.deal(4) for _ in range(15)], 1)
    assert dealt.shape == (2, 60)
    assert all(set(part.tolist()) == {7, 8, 9} for part in dealt[0].view(-1, 3))
    assert all(set(part.tolist()) == {1, 2, 3, 4, 5} for part in dealt[1].view(-1, 5))


def test_a_deck_goes_on_unless_its_rows_change() -> None:
    rows = [torch.arange(6), torch.arange(10, 16)]
    plain, changed = (Deck(rows, Stream((1, 2), LABELED)) for _ in range(2))
    assert torch.equal(plain.deal(4), changed.deal(4))
    changed.replace(0, torch.arange(6))
    changed.replace(1, torch.tensor([10, 12]))
    after = changed.deal(2)
    assert torch.equal(plain.deal(2)[0], after[0])
    assert set(after[1].tolist()) == {10, 12}
