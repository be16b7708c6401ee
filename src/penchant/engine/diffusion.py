"""Diffusion on pixels: levels of noise, the error of a network that names the noise, and sampling with its KL.

A picture x of numbers from -1 to 1 is seen at a time t from 0 to 1 as alpha(t) x + sigma(t) e with e ~ N(0, 1); a
network is given that, t and a condition, and returns e (Ho et al. 2020, with the cosine levels of Nichol & Dhariwal
2021). Sampling goes from t = 1 to t = 0 in equal steps, each a Gaussian (Song et al. 2021, their equation 12 with
eta = 1). At t = 0 a little noise is left, so that the last step is a Gaussian too and the KL between two paths exists.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor

CLEAN, NOISY = 0.01, 0.99
"""The shares of a quarter turn that t = 0 and t = 1 stand for. At t = 0 the noise is 2 of 255 grey levels."""
SCORE_DRAWS = 16
"""Noises that a fixed score averages over."""
SCORE_SEED = 0

Network = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(noisy pictures (n, height, width), times (n,), conditions (n,)) -> the noise in them, (n, height, width)."""


def levels(times: Float[Tensor, " n"]) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Return alpha and sigma at some times; the squares of both add up to 1."""
    angle = (CLEAN + (NOISY - CLEAN) * times) * (math.pi / 2)
    return angle.cos(), angle.sin()


@dataclass(frozen=True)
class Noise:
    """Draws of noise with their times.

    Attributes:
        times: (draws,). values: (draws, height, width).
    """

    times: Float[Tensor, " draws"]
    values: Float[Tensor, "draws height width"]

    def to(self, device: torch.device) -> Noise:
        """Return the same draws on another device."""
        return Noise(self.times.to(device), self.values.to(device))


def fixed_noise(size: tuple[int, int], draws: int = SCORE_DRAWS) -> Noise:
    """Return the draws that every picture is scored with: always the same, at times that are spread evenly."""
    # on the CPU: generators of devices give other numbers, and scores are kept in a table
    generator = torch.Generator().manual_seed(SCORE_SEED)
    return Noise((torch.arange(draws) + 0.5) / draws, torch.randn((draws, *size), generator=generator))


def fresh_noise(keys: Sequence[str], size: tuple[int, int]) -> Noise:
    """Return one draw per key: equal keys get the same one, on every machine and after every resume."""
    draws: dict[str, tuple[Tensor, Tensor]] = {}
    for key in keys:
        if key not in draws:
            # by the key alone: what else is in the step, and how it is cut, changes no draw
            seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:7], "little")
            generator = torch.Generator().manual_seed(seed)
            draws[key] = torch.rand((), generator=generator), torch.randn(size, generator=generator)
    pairs = [draws[key] for key in keys]
    return Noise(torch.stack([time for time, _ in pairs]), torch.stack([noise for _, noise in pairs]))


def noise_errors(
    network: Network,
    pictures: Float[Tensor, "n height width"],
    conditions: Int[Tensor, " n"],
    noise: Noise,
) -> Float[Tensor, " n"]:
    """Return the squared error of the noise that a network names, summed over the pixels of each picture.

    Args:
        pictures: from -1 to 1.
        noise: one draw per picture.
    """
    alpha, sigma = levels(noise.times)
    # the noise itself is the target, so the error is that of an answer with unit variance
    noisy = alpha[:, None, None] * pictures + sigma[:, None, None] * noise.values
    return (network(noisy, noise.times, conditions).float() - noise.values).square().sum((1, 2))


@dataclass(frozen=True)
class DrawnPictures:
    """Pictures that were drawn, from -1 to 1, shape (n, height, width), and the KL of their paths in nats, (n,).

    The KL is 0 where no other network was given.
    """

    pictures: Tensor
    kl: Tensor


def draw_pictures(
    network: Network,
    conditions: Int[Tensor, " n"],
    *,
    size: tuple[int, int],
    steps: int,
    seeds: Sequence[str],
    reference: Network | None = None,
) -> DrawnPictures:
    """Draw a picture per condition.

    With a reference, also KL(path of the network || path of the reference) along the path that was drawn: the sum over
    steps of |mean - mean_ref|^2 / (2 variance). Its mean over draws estimates the KL between the two distributions over
    whole paths, which is never below the KL between the two distributions over pictures.

    Args:
        steps: how many; the reference's path has the same.
        seeds: one text per picture, which fixes its noise.
    """
    # all noise of a picture from one generator of its own: what is drawn beside it changes nothing
    walks = torch.stack([_walk_noise(seed, (steps + 1, *size)) for seed in seeds]).to(conditions.device)
    state, kl = walks[:, 0], torch.zeros(len(seeds), device=conditions.device)
    times = torch.linspace(1, 0, steps + 1, device=conditions.device)
    for step, (time, following) in enumerate(pairwise(times), 1):
        mean, variance = _step_mean(network, state, conditions, time, following)
        if reference is not None:
            reference_mean, _ = _step_mean(reference, state, conditions, time, following)
            # both steps have the same variance, so their KL is of the means alone
            kl += (mean - reference_mean).square().sum((1, 2)) / (2 * variance)
        state = mean + variance.sqrt() * walks[:, step]
    return DrawnPictures(state.clamp(-1, 1), kl)


def _walk_noise(seed: str, shape: tuple[int, ...]) -> Tensor:
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:7], "little")
    return torch.randn(shape, generator=torch.Generator().manual_seed(number))


def _step_mean(
    network: Network, state: Tensor, conditions: Tensor, time: Tensor, following: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the mean of the next state and its variance."""
    alpha, sigma = levels(time)
    next_alpha, next_sigma = levels(following)
    noise = network(state, time.expand(len(state)), conditions).float()
    # no pixel lies outside: without the clamp errors at high noise grow over the steps
    clean = ((state - sigma * noise) / alpha).clamp(-1, 1)
    # of the posterior of one step back, where eta is 1
    variance = (next_sigma / sigma).square() * (1 - (alpha / next_alpha).square())
    # the noise that goes with the clamped picture, not that which the network named
    direction = (state - alpha * clean) / sigma
    return next_alpha * clean + (next_sigma.square() - variance).sqrt() * direction, variance
