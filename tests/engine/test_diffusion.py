"""Noise, errors, sampling and the KL of paths, against their equations."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from penchant.engine.diffusion import Noise, draw_pictures, fixed_noise, fresh_noise, levels, noise_errors


def _named(scale: float, bias: float = 0.0):  # type: ignore[no-untyped-def]
    """A network that names a share of what it sees."""

    def network(pictures: Tensor, times: Tensor, conditions: Tensor) -> Tensor:
        return scale * pictures + bias * conditions[:, None, None]

    return network


def test_the_levels_keep_the_variance() -> None:
    alpha, sigma = levels(torch.linspace(0, 1, 7))
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones(7))
    # at the clean end two grey levels of noise are left, at the other next to no picture
    assert float(sigma[0]) * 127.5 == pytest.approx(2.0, abs=0.01)
    assert float(alpha[-1]) < 0.02


def test_an_error_by_hand() -> None:
    # at the middle alpha and sigma are both sqrt(1/2): a picture of 1 with noise 3 is seen as 4 sqrt(1/2)
    noise = Noise(torch.tensor([0.5]), torch.full((1, 2, 2), 3.0))
    errors = noise_errors(_named(1.0), torch.ones(1, 2, 2), torch.zeros(1), noise)
    assert float(errors[0]) == pytest.approx(4 * (4 * math.sqrt(0.5) - 3) ** 2, rel=1e-5)


def test_fixed_draws_are_always_the_same_and_fresh_ones_hang_on_their_key() -> None:
    torch.manual_seed(1)
    first = fixed_noise((3, 3))
    torch.manual_seed(2)
    assert torch.equal(first.values, fixed_noise((3, 3)).values)
    draws = fresh_noise(["0 1 a", "0 2 a", "0 1 a"], (3, 3))
    assert torch.equal(draws.values[0], draws.values[2])
    assert draws.times[0] == draws.times[2]
    assert not torch.equal(draws.values[0], draws.values[1])
    assert torch.equal(fresh_noise(["0 2 a"], (3, 3)).values[0], draws.values[1])


def test_a_sample_does_not_change_with_what_is_drawn_beside_it() -> None:
    both = draw_pictures(_named(0.3), torch.tensor([0, 1]), size=(2, 2), steps=5, seeds=["a", "b"])
    alone = draw_pictures(_named(0.3), torch.tensor([1]), size=(2, 2), steps=5, seeds=["b"])
    torch.testing.assert_close(both.pictures[1], alone.pictures[0])


def test_the_kl_of_a_path_from_itself_is_0_and_from_another_is_not() -> None:
    arguments = {"size": (2, 2), "steps": 5, "seeds": ["a", "b"]}
    conditions = torch.tensor([0, 1])
    same = draw_pictures(_named(0.3), conditions, reference=_named(0.3), **arguments)  # type: ignore[arg-type]
    assert same.kl.tolist() == [0, 0]
    other = draw_pictures(_named(0.3), conditions, reference=_named(0.3, 0.1), **arguments)  # type: ignore[arg-type]
    # the two networks differ for the second condition alone
    assert other.kl[0] == 0
    assert other.kl[1] > 0


def test_the_kl_is_the_mean_log_ratio_of_paths() -> None:
    """Two ways to the same number: Gaussians' KL step by step, and densities of the drawn paths."""
    policy, frozen, steps, count = _named(0.3), _named(0.25, 0.05), 4, 4000
    seeds = [str(number) for number in range(count)]
    conditions = torch.ones(count)
    kl = draw_pictures(policy, conditions, size=(1, 1), steps=steps, seeds=seeds, reference=frozen).kl
    ratios = torch.zeros(count)

    def step(network, state, time, following):  # type: ignore[no-untyped-def]
        # re-derived as the posterior of the next state given the clean picture: two Gaussians multiplied
        (alpha, sigma), (next_alpha, next_sigma) = levels(time), levels(following)
        clean = ((state - sigma * network(state, time, conditions)) / alpha).clamp(-1, 1)
        share = alpha / next_alpha
        added = sigma**2 - share**2 * next_sigma**2
        variance = 1 / (1 / next_sigma**2 + share**2 / added)
        return variance * (next_alpha * clean / next_sigma**2 + share * state / added), variance

    generators = [torch.Generator().manual_seed(number) for number in range(2)]
    state = torch.randn(count, 1, 1, generator=generators[0])
    times = torch.linspace(1, 0, steps + 1)
    for time, following in pairwise(times):
        mean, variance = step(policy, state, time, following)
        other_mean, _ = step(frozen, state, time, following)
        state = mean + variance.sqrt() * torch.randn(count, 1, 1, generator=generators[1])
        squares = [(state - middle).square().sum((1, 2)) for middle in (mean, other_mean)]
        ratios += (squares[1] - squares[0]) / (2 * variance)
    error = math.sqrt(float(ratios.var() + kl.var()) / count)
    assert float(kl.mean()) == pytest.approx(float(ratios.mean()), abs=4 * error)
    assert float(kl.mean()) > 10 * float(kl.std()) / math.sqrt(count)
