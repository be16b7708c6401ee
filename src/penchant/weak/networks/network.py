"""What an algorithm needs of a network that it trains: inputs of rows in two views, and their logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, Self, runtime_checkable

from torch import Tensor

from penchant.weak.networks.streams import Stream

ViewName = Literal["weak", "strong"]
"""Two views of a row: nearly as it is, and augmented. A network without an augmentation has one in both places."""


@dataclass(frozen=True)
class StrongNoise:
    """Noise of the strong view alone: standard deviations, see `penchant.weak.augmentation.settings`.

    Attributes:
        features: of each number that the network reads, in that number's own standard deviation.
        weights: of each weight, in the root mean square of its tensor.
    """

    features: float = 0.0
    weights: float = 0.0

    @property
    def any(self) -> bool:
        """Whether there is any."""
        return self.features > 0 or self.weights > 0

    def on_features(self, inputs: Tensor, stream: Stream) -> Tensor:
        """Return standardized inputs, shape (arms, ...), with noise."""
        # standardized, so a share of 1 is as much noise as there is signal
        return inputs + self.features * stream.normal(*inputs.shape[1:]) if self.features else inputs

    def on_weights(self, weights: Tensor, stream: Stream) -> Tensor:
        """Return a tensor of weights, shape (arms, ...), with noise in proportion to each arm's own."""
        if not self.weights:
            return weights
        # of the weights as they are, and no gradient by way of the scale
        scale = weights.detach().flatten(1).square().mean(1).sqrt().view(-1, *[1] * (weights.ndim - 1))
        return weights + self.weights * scale * stream.normal(*weights.shape[1:])


NO_NOISE = StrongNoise()


class Network(Protocol):
    """A classifier of rows that it holds, for several arms at once; an arm's numbers depend on no other arm.

    Attributes:
        arms: how many. classes: columns of the logits.
        has_noise: whether `classify` with a stream differs from `classify` without: dropout, or the like.
        has_views: whether the strong view differs from the weak one.
        mixes: what MixUp mixes, the inputs or the logits. Where the head is linear, to mix logits is to mix the states
            that it reads, for inputs such as texts of which no mixture is an input.
    """

    mixes: ClassVar[Literal["inputs", "logits"]]
    arms: int
    classes: int
    has_noise: bool
    has_views: bool

    def inputs(self, rows: Tensor, view: ViewName, stream: Stream | None) -> Tensor:
        """Return what `classify` takes of some rows: numbers that can be mixed with each other.

        Args:
            rows: by index, shape (arms, batch). stream: draws one of several copies of the view; None: the first.

        Returns:
            Shape (arms, batch, ...).
        """

    def classify(self, inputs: Tensor, noise: Stream | None, view: ViewName = "weak") -> Tensor:
        """Return logits, shape (arms, batch, classes), with noise from the stream, or without.

        Args:
            view: the strong one may have noise of its own, in features and weights; without a stream it has none.
        """

    def trained(self) -> list[Tensor]:
        """Return the weights that train; the first dimension is that of the arms."""

    def copy(self) -> Self:
        """Return a network with weights of its own, which start as these are, and the same rows."""


@runtime_checkable
class ManyHeads(Network, Protocol):
    """A network with further heads on the task's last states, for attributes that are not the task.

    Attributes:
        attribute_widths: classes of each attribute.
    """

    attribute_widths: tuple[int, ...]

    def every_head(self, inputs: Tensor, noise: Stream | None, view: ViewName = "weak") -> tuple[Tensor, ...]:
        """Return logits of the task's head, as `classify` does, and of each attribute's, (arms, batch, its classes)."""
