"""What an algorithm needs of a network that it trains: inputs of rows in two views, and their logits."""

from __future__ import annotations

from typing import Literal, Protocol, Self

from torch import Tensor

from penchant.weak.networks.streams import Stream

ViewName = Literal["weak", "strong"]
"""Two views of a row: nearly as it is, and augmented. A network without an augmentation has one in both places."""


class Network(Protocol):
    """A classifier of rows that it holds, for several arms at once; an arm's numbers depend on no other arm.

    Attributes:
        arms: how many. classes: columns of the logits.
        has_noise: whether `classify` with a stream differs from `classify` without: dropout, or the like.
        has_views: whether the strong view differs from the weak one.
    """

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

    def classify(self, inputs: Tensor, noise: Stream | None) -> Tensor:
        """Return logits, shape (arms, batch, classes), with noise from the stream, or without."""

    def trained(self) -> list[Tensor]:
        """Return the weights that train; the first dimension is that of the arms."""

    def copy(self) -> Self:
        """Return a network with weights of its own, which start as these are, and the same rows."""
