"""Two language models as the twins of one arm: they share what does not train, and each has other weights that do.

With LoRA the second network costs the memory of its adapters; where all weights train it is a second model.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from penchant.weak.classifiers.text_network import PADDING, TextNetwork
from penchant.weak.networks.network import ViewName
from penchant.weak.networks.streams import Stream


class TextTwins:
    """Two networks on the same texts, as a `Network` of two arms; each is what it would be alone.

    Args:
        first: the model with its own weights. second: a copy with weights of its own.
    """

    arms = 2
    mixes: ClassVar[Literal["inputs", "logits"]] = "logits"
    changing: ClassVar[tuple[str, ...]] = ("draws_of_second",)

    def __init__(self, first: TextNetwork, second: TextNetwork) -> None:
        self.members = (first, second)
        self.classes, self.has_noise, self.has_views = first.classes, first.has_noise, first.has_views

    @property
    def draws_of_second(self) -> Stream | None:
        """Where the second network's dropout of labelled rows comes from."""
        return self.members[1].dropout_draws

    def inputs(self, rows: Tensor, view: ViewName, stream: Stream | None) -> Tensor:
        """Return token ids, shape (2, batch, longest), with -1 behind a text."""
        parts = [
            member.inputs(rows[arm : arm + 1], view, None if stream is None else stream.of_arm(arm))
            for arm, member in enumerate(self.members)
        ]
        longest = max(part.shape[-1] for part in parts)
        # each has rows of its own in a step, and these are of other lengths
        return torch.cat([pad(part, (0, longest - part.shape[-1]), value=PADDING) for part in parts])

    def classify(self, inputs: Tensor, noise: Stream | None, view: ViewName = "weak") -> Tensor:
        """Return logits, shape (2, batch, classes), on the CPU; their gradient waits for `finish_backward`."""
        # a stream of its own for each: what the first draws must not hang on the second
        return torch.cat(
            [
                member.classify(inputs[arm : arm + 1], None if noise is None else noise.of_arm(arm), view)
                for arm, member in enumerate(self.members)
            ]
        )

    def finish_backward(self) -> None:
        """Carry gradients of logits on to the weights of each network."""
        # one after the other: the second's weights stand in the first's place while it computes
        for member in self.members:
            member.finish_backward()

    def trained(self) -> list[Tensor]:
        """Return the weights that train, the first network's first."""
        return [weight for member in self.members for weight in member.trained()]

    def copy(self) -> Self:
        """Return twins with weights of their own, where weights train."""
        # what is frozen stays shared, by four networks then
        first, second = self.members
        return type(self)(first.copy(), second.copy())
