"""The network of a small diffusion model: convolutions at two sizes with a bridge between them (a U-Net)."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from penchant.engine.diffusion import CLEAN, NOISY, SCORE_DRAWS, SCORE_SEED
from penchant.models.diffusion_names import ARCHITECTURE, DIFFUSION


@dataclass(frozen=True)
class PictureShape:
    """Sizes of a network, and what its conditions are called.

    Attributes:
        side: height and width of its pictures, a multiple of 2.
        width, inner_width: channels at the full size, and at half the size.
        outer, inner: blocks at the full size on each side of the bridge, and at half the size.
        conditions: names of the classes that it draws; one more stands for any of them.
    """

    side: int
    width: int
    inner_width: int
    outer: int
    inner: int
    conditions: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """Return what `config.json` holds; also how pictures are scored, which a kept score hangs on."""
        scoring = {"score_draws": SCORE_DRAWS, "score_seed": SCORE_SEED, "levels": [CLEAN, NOISY]}
        return {"model_type": DIFFUSION, "architectures": [ARCHITECTURE], **asdict(self), **scoring}


class PictureNetwork(nn.Module):
    """Names the noise in pictures, given how noisy they are and what they show.

    Args:
        config: its sizes.
    """

    def __init__(self, config: PictureShape) -> None:
        super().__init__()
        self.config = config
        width, inner, signals = config.width, config.inner_width, 4 * config.width
        # one row more, for pictures whose class is not told
        self.conditions = nn.Embedding(len(config.conditions) + 1, signals)
        self.times = nn.Sequential(nn.Linear(2 * FREQUENCIES, signals), nn.SiLU(), nn.Linear(signals, signals))
        self.enter = nn.Conv2d(1, width, 3, padding=1)
        self.down = nn.ModuleList(Block(width, width, signals) for _ in range(config.outer))
        self.shrink = nn.Conv2d(width, inner, 3, stride=2, padding=1)
        self.bridge = nn.ModuleList(Block(inner, inner, signals) for _ in range(config.inner))
        # once, at half the size: at the full size it would cost more than all else
        self.mix = Attention(inner)
        self.up = nn.ModuleList(
            # the first one behind the bridge reads what was there before it, too
            Block(width + inner if index == 0 else width, width, signals)
            for index in range(config.outer)
        )
        last = nn.Conv2d(width, 1, 3, padding=1)
        # no noise named at first: training starts from the error of a guess of 0
        nn.init.zeros_(last.weight)
        last.bias = nn.Parameter(torch.zeros(1))
        self.leave = nn.Sequential(nn.GroupNorm(GROUPS, width), nn.SiLU(), last)

    def forward(
        self,
        pictures: Float[Tensor, "n height width"],
        times: Float[Tensor, " n"],
        conditions: Int[Tensor, " n"],
    ) -> Float[Tensor, "n height width"]:
        """Return the noise in pictures.

        Args:
            pictures: with noise. times: how much, from 0 to 1.
            conditions: numbers of classes; the number after the last stands for any of them.
        """
        signal = functional.silu(self.times(_waves(times)) + self.conditions(conditions))
        # channels last: half the time of a step on a CPU
        state = self.enter(pictures[:, None].to(self.enter.weight.dtype).contiguous(memory_format=torch.channels_last))
        for block in self.down:
            state = block(state, signal)
        inner = self.shrink(state)
        for index, block in enumerate(self.bridge):
            inner = block(inner, signal)
            if index == 0:
                inner = self.mix(inner)
        # nearest and a convolution: a transposed convolution leaves a checkerboard
        enlarged = functional.interpolate(inner, scale_factor=2, mode="nearest")
        state = torch.cat([state, enlarged], 1)
        for block in self.up:
            state = block(state, signal)
        noise: Tensor = self.leave(state)[:, 0]
        return noise


FREQUENCIES = 32
GROUPS = 8


class Block(nn.Module):
    """Two convolutions whose input is added to their output; time and condition shift and scale them.

    Args:
        signals: how many numbers say time and condition.
    """

    def __init__(self, before: int, after: int, signals: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(GROUPS, before), nn.SiLU(), nn.Conv2d(before, after, 3, padding=1))
        self.scale = nn.Linear(signals, 2 * after)
        self.norm = nn.GroupNorm(GROUPS, after)
        self.second = nn.Conv2d(after, after, 3, padding=1)
        self.bypass = nn.Conv2d(before, after, 1) if before != after else nn.Identity()
        # each block begins as what goes past it, so that depth costs nothing at the start
        nn.init.zeros_(self.second.weight)

    def forward(self, state: Tensor, signal: Tensor) -> Tensor:
        """Return the next state, shape (n, channels, height, width)."""
        scale, shift = self.scale(signal)[:, :, None, None].chunk(2, 1)
        inner = self.norm(self.first(state)) * (1 + scale) + shift
        bypass: Tensor = self.bypass(state)
        return bypass + self.second(functional.silu(inner))


class Attention(nn.Module):
    """Lets every place of a picture see all others, so that its two sides fit."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.read = nn.Linear(channels, 3 * channels)
        self.write = nn.Linear(channels, channels)
        # as of the blocks
        nn.init.zeros_(self.write.weight)

    def forward(self, state: Tensor) -> Tensor:
        """Return the next state, shape (n, channels, height, width)."""
        cells = self.norm(state).flatten(2).transpose(1, 2)
        query, key, value = self.read(cells).chunk(3, 2)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return state + self.write(mixed).transpose(1, 2).reshape(state.shape)


def _waves(times: Tensor) -> Tensor:
    """Return times as sines and cosines, from one to a thousand quarter turns."""
    # slow waves tell early from late, fast ones tell neighbouring times apart
    rates = torch.logspace(0, 3, FREQUENCIES, device=times.device, dtype=torch.float32) * (math.pi / 2)
    angles = times.float()[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)
