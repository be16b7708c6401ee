"""Small networks on features that are computed once: one hidden layer with dropout, many of them in one pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor
from torch.nn.functional import relu

from penchant.weak.networks.network import NO_NOISE, StrongNoise, ViewName
from penchant.weak.networks.streams import ATTRIBUTES, Stream


@dataclass(frozen=True)
class FeatureViews:
    """Features of rows, standardized, in two views.

    Attributes:
        weak, strong: shape (copies, rows, features); the strong view is the weak one where nothing is augmented.
        mean, scale: of each feature over the rows as they are, shape (features,).
    """

    weak: Tensor
    strong: Tensor
    mean: Tensor
    scale: Tensor

    @classmethod
    def standardized(cls, plain: Tensor, weak: Tensor | None = None, strong: Tensor | None = None) -> Self:
        """Return views whose features have mean 0 and scale 1 over the rows as they are.

        Args:
            plain: features of the rows, shape (rows, features), any float dtype.
            weak, strong: of augmented copies, shape (copies, rows, features); the rows as they are if not given.
        """
        plain = plain.float()
        mean, scale = plain.mean(0), plain.std(0, correction=0)
        scale = torch.where(scale > 0, scale, 1.0)  # a feature that never changes says nothing
        scaled_plain = ((plain - mean) / scale)[None]
        scaled_weak = scaled_plain if weak is None else (weak.float() - mean) / scale
        # without an augmentation of its own the strong view is the weak one
        return cls(scaled_weak, scaled_weak if strong is None else (strong.float() - mean) / scale, mean, scale)


@dataclass(frozen=True)
class HeadWeights:
    """Weights of heads.

    Attributes:
        hidden: (arms, features, width). hidden_bias: (arms, width). out: (arms, width, classes). out_bias: (arms,
            classes).
    """

    hidden: Tensor
    hidden_bias: Tensor
    out: Tensor
    out_bias: Tensor

    @classmethod
    def initial(cls, seeds: Sequence[int], *, features: int, width: int, classes: int) -> Self:
        """Return the start of an arm for each seed: uniform within 1 / sqrt(inputs), as PyTorch's linear layers."""
        arms = []
        # one generator an arm, so that an arm starts alike alone and among others
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            shapes = ((features, width, features), (1, width, features), (width, classes, width), (1, classes, width))
            arms.append(
                [(torch.rand(*shape, generator=generator) * 2 - 1) / math.sqrt(inputs) for *shape, inputs in shapes]
            )
        hidden, hidden_bias, out, out_bias = (torch.stack(parts) for parts in zip(*arms, strict=True))
        return cls(hidden, hidden_bias[:, 0], out, out_bias[:, 0])

    def logits(self, inputs: Tensor, noise: Stream | None, dropout: float) -> Tensor:
        """Return logits, shape (arms, batch, classes), of standardized features, shape (arms, batch, features)."""
        return torch.baddbmm(self.out_bias[:, None], self.states(inputs, noise, dropout), self.out)

    def states(self, inputs: Tensor, noise: Stream | None, dropout: float) -> Tensor:
        """Return what the last layer sees, shape (arms, batch, width)."""
        # dropout on the input too: features are many and labels few
        if noise is not None:
            inputs = noise.dropout(inputs, dropout)
        states = relu(torch.baddbmm(self.hidden_bias[:, None], inputs, self.hidden))
        return states if noise is None else noise.dropout(states, dropout)


@dataclass(frozen=True)
class AttributeHead:
    """A further head on the hidden layer, for an attribute that is not the task.

    Attributes:
        out: weights, shape (arms, width, classes). bias: (arms, classes).
    """

    out: Tensor
    bias: Tensor

    @classmethod
    def initial(cls, seeds: Sequence[int], width: int, classes: Sequence[int]) -> tuple[Self, ...]:
        """Return the start of a head for each attribute, by its number of classes.

        They are drawn from a stream of their own: the task's network starts as it would without them.
        """
        stream, bound = Stream(seeds, ATTRIBUTES), 1 / math.sqrt(width)
        return tuple(
            cls((stream.uniform(width, count) * 2 - 1) * bound, (stream.uniform(count) * 2 - 1) * bound)
            for count in classes
        )

    def logits(self, states: Tensor) -> Tensor:
        """Return logits, shape (arms, batch, classes), of hidden states, shape (arms, batch, width)."""
        return torch.baddbmm(self.bias[:, None], states, self.out)


class Heads:
    """Heads on the features of given rows, as a `Network`.

    Args:
        dropout: share of features and of hidden states that noise sets to 0.
        attributes: further heads on the hidden layer.
        strong_noise: of the strong view alone, on top of its augmentations; not on the weights of further heads.
    """

    mixes: ClassVar[Literal["inputs", "logits"]] = "inputs"

    def __init__(
        self,
        views: FeatureViews,
        weights: HeadWeights,
        *,
        dropout: float,
        attributes: Sequence[AttributeHead] = (),
        strong_noise: StrongNoise = NO_NOISE,
    ) -> None:
        self.views, self.weights, self.dropout, self.attributes = views, weights, dropout, tuple(attributes)
        self.attribute_widths = tuple(head.bias.shape[1] for head in self.attributes)
        self.arms, self.classes = weights.out_bias.shape
        self.strong_noise = strong_noise
        self.has_noise, self.has_views = dropout > 0, views.strong is not views.weak or strong_noise.any
        # leaves of the graph: whoever made the weights may have computed them
        for weight in self.trained():
            weight.requires_grad_(True)

    def inputs(self, rows: Tensor, view: ViewName, stream: Stream | None) -> Tensor:
        """Return features, shape (arms, batch, features)."""
        copies = self.views.weak if view == "weak" else self.views.strong
        # without a choice nothing is drawn: a view of one copy moves no other draw
        if len(copies) == 1 or stream is None:
            return copies[0][rows]
        return copies[stream.integers(len(copies), rows.shape[1]), rows]

    def classify(self, inputs: Tensor, noise: Stream | None, view: ViewName = "weak") -> Tensor:
        """Return logits of the task's head, shape (arms, batch, classes)."""
        weights, inputs = self._in_view(inputs, noise, view)
        return weights.logits(inputs, noise, self.dropout)

    def every_head(self, inputs: Tensor, noise: Stream | None, view: ViewName = "weak") -> tuple[Tensor, ...]:
        """Return logits of the task's head and of each attribute's, shape (arms, batch, its classes)."""
        weights, inputs = self._in_view(inputs, noise, view)
        states = weights.states(inputs, noise, self.dropout)
        # apart and not as one wide head: a product of another width has other last bits
        task = torch.baddbmm(weights.out_bias[:, None], states, weights.out)
        return task, *(head.logits(states) for head in self.attributes)

    def _in_view(self, inputs: Tensor, noise: Stream | None, view: ViewName) -> tuple[HeadWeights, Tensor]:
        """Return weights and inputs as the view has them."""
        # asked without a stream it predicts, and noise has no place there
        if view == "weak" or noise is None or not self.strong_noise.any:
            return self.weights, inputs
        inputs = self.strong_noise.on_features(inputs, noise)
        parts = {name: self.strong_noise.on_weights(part, noise) for name, part in vars(self.weights).items()}
        return HeadWeights(**parts), inputs

    def trained(self) -> list[Tensor]:
        """Return the weights of all heads."""
        return [part for weights in (self.weights, *self.attributes) for part in vars(weights).values()]

    def copy(self) -> Self:
        """Return heads with weights of their own and the same features."""
        return type(self)(
            self.views,
            HeadWeights(**_cloned(self.weights)),
            dropout=self.dropout,
            attributes=[AttributeHead(**_cloned(head)) for head in self.attributes],
            strong_noise=self.strong_noise,
        )


def _cloned(weights: HeadWeights | AttributeHead) -> dict[str, Tensor]:
    """Return the parts of weights, copied and detached, by their names."""
    return {name: part.detach().clone() for name, part in vars(weights).items()}
