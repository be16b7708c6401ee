"""A small convolutional network on pictures, several arms in one pass: convolutions in groups, one for each arm.

Norms are of groups of channels and not of batches: a batch norm would let rows without labels change what a supervised
control makes of labelled ones, and a teacher would need statistics of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, conv2d, group_norm, max_pool2d, relu

from penchant.weak.networks.network import NO_NOISE, StrongNoise, ViewName
from penchant.weak.networks.streams import Stream

KERNEL, GRID, CHANNELS_PER_NORM = 3, 2, 8
"""Side of a filter; side of the grid of means that the last layer sees; channels that are normed together."""


ChangePixels = Callable[[Tensor, Stream], Tensor]
"""A batch of pictures, values from 0 to 1 of shape (arms, batch, channels, height, width), to changed ones."""


@dataclass(frozen=True)
class CnnWeights:
    """Weights of networks with three convolutions and a linear layer.

    Attributes:
        first, second, third: filters, (arms, out, in, 3, 3), out being width, twice and twice the width.
        first_scale, ...: of the norm behind each, (arms, out). first_shift, ...: added behind it, (arms, out).
        out: (arms, 8 x width, classes). out_bias: (arms, classes).
    """

    first: Tensor
    first_scale: Tensor
    first_shift: Tensor
    second: Tensor
    second_scale: Tensor
    second_shift: Tensor
    third: Tensor
    third_scale: Tensor
    third_shift: Tensor
    out: Tensor
    out_bias: Tensor

    @classmethod
    def initial(cls, seeds: Sequence[int], *, channels: int, width: int, classes: int) -> Self:
        """Return the start of an arm for each seed: filters of He et al. 2015, and a last layer of zeros.

        Args:
            channels: of a picture, 1 or 3. width: filters of the first layer, a multiple of 8.
        """
        arms = []
        # one generator an arm, so that an arm starts alike alone and among others
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            parts = []
            for inputs, outputs in ((channels, width), (width, 2 * width), (2 * width, 2 * width)):
                spread = math.sqrt(2 / (inputs * KERNEL**2))
                filters = torch.randn(outputs, inputs, KERNEL, KERNEL, generator=generator) * spread
                parts += [filters, torch.ones(outputs), torch.zeros(outputs)]
            # of zeros every class starts equally probable, and no arm with a head start
            arms.append([*parts, torch.zeros(2 * width * GRID**2, classes), torch.zeros(classes)])
        return cls(*(torch.stack(parts) for parts in zip(*arms, strict=True)))

    def logits(self, pixels: Tensor, noise: Stream | None, dropout: float) -> Tensor:
        """Return logits, shape (arms, batch, classes), of standardized pixels, (arms, batch, channels, height, width).

        Args:
            noise: for dropout of what the last layer sees.
        """
        arms, batch = pixels.shape[:2]
        # an arm's channels side by side in one picture: a grouped convolution keeps them apart
        states = pixels.transpose(0, 1).flatten(1, 2)
        states = self._layer(states, self.first, self.first_scale, self.first_shift, pool=True)
        states = self._layer(states, self.second, self.second_scale, self.second_shift, pool=True)
        states = self._layer(states, self.third, self.third_scale, self.third_shift, pool=False)
        # a grid of means, not one mean: where a stroke is tells digits apart
        features = adaptive_avg_pool2d(states, GRID).view(batch, arms, -1).transpose(0, 1)
        if noise is not None:
            features = noise.dropout(features, dropout)
        return torch.baddbmm(self.out_bias[:, None], features, self.out)

    @staticmethod
    def _layer(states: Tensor, filters: Tensor, scale: Tensor, shift: Tensor, *, pool: bool) -> Tensor:
        arms, outputs = filters.shape[:2]
        convolved = conv2d(states, filters.flatten(0, 1), padding=KERNEL // 2, groups=arms)
        # groups of one arm's channels alone: no norm reaches into another arm
        normed = group_norm(convolved, arms * (outputs // CHANNELS_PER_NORM), scale.flatten(), shift.flatten())
        # small pictures are not halved beyond one pixel
        return max_pool2d(relu(normed), 2) if pool and min(normed.shape[-2:]) > 1 else relu(normed)


@dataclass(frozen=True)
class PictureViews:
    """Pictures of rows, and how their two views are made of them.

    Attributes:
        pixels: bytes, shape (rows, channels, height, width).
        weak, strong: what changes pictures; None leaves them as they are. The strong view is the weak one where it has
            no change of its own.
        mean, scale: of a channel's values from 0 to 1 over all rows, shape (channels,).
    """

    pixels: Tensor
    weak: ChangePixels | None
    strong: ChangePixels | None
    mean: Tensor
    scale: Tensor

    @classmethod
    def standardized(cls, pixels: Tensor, weak: ChangePixels | None = None, strong: ChangePixels | None = None) -> Self:
        """Return views whose channels have mean 0 and scale 1 over the pictures as they are."""
        channels = pixels.transpose(0, 1).flatten(1).float() / 255
        scale = channels.std(1, correction=0)
        # pictures of one colour: nothing is to be scaled
        return cls(pixels, weak, strong or weak, channels.mean(1), torch.where(scale > 0, scale, 1.0))


class Cnns:
    """Convolutional networks on given pictures, as a `Network`; views are made anew whenever they are asked for.

    Args:
        dropout: share of what the last layer sees that noise sets to 0.
        strong_noise: of the strong view alone, on top of its augmentations.
    """

    mixes: ClassVar[Literal["inputs", "logits"]] = "inputs"

    def __init__(
        self, views: PictureViews, weights: CnnWeights, *, dropout: float, strong_noise: StrongNoise = NO_NOISE
    ) -> None:
        self.views, self.weights, self.dropout, self.strong_noise = views, weights, dropout, strong_noise
        self.arms, self.classes = weights.out_bias.shape
        self.has_noise, self.has_views = dropout > 0, views.strong is not views.weak or strong_noise.any
        # leaves of the graph: whoever made the weights may have computed them
        for weight in self.trained():
            weight.requires_grad_(True)

    def inputs(self, rows: Tensor, view: ViewName, stream: Stream | None) -> Tensor:
        """Return standardized pixels, shape (arms, batch, channels, height, width); as they are without a stream."""
        views = self.views
        pixels = views.pixels[rows].float() / 255
        change = views.weak if view == "weak" else views.strong
        if stream is not None and change is not None:
            pixels = change(pixels, stream)
        return standardize(pixels, views.mean, views.scale)

    def classify(self, inputs: Tensor, noise: Stream | None, view: ViewName = "weak") -> Tensor:
        """Return logits, shape (arms, batch, classes)."""
        weights = self.weights
        # asked without a stream it predicts, and noise has no place there
        if view == "strong" and noise is not None and self.strong_noise.any:
            inputs = self.strong_noise.on_features(inputs, noise)
            weights = CnnWeights(
                **{name: self.strong_noise.on_weights(part, noise) for name, part in vars(weights).items()}
            )
        return weights.logits(inputs, noise, self.dropout)

    def trained(self) -> list[Tensor]:
        """Return the weights of all arms."""
        return [*vars(self.weights).values()]

    def copy(self) -> Self:
        """Return networks with weights of their own and the same pictures."""
        weights = CnnWeights(**{name: part.detach().clone() for name, part in vars(self.weights).items()})
        return type(self)(self.views, weights, dropout=self.dropout, strong_noise=self.strong_noise)


def standardize(pixels: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Return values with mean 0 and scale 1, of values from 0 to 1, shape (..., channels, height, width)."""
    return (pixels - mean[:, None, None]) / scale[:, None, None]
