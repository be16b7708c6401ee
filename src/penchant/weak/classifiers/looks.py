"""What is seen at the looks at a training, and the weights that were best there: kept in its checkpoints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Look:
    """A look at a training: how far it was, and what was measured.

    Attributes:
        epochs: how often the examples were gone over by then.
        loss: cross-entropy on the validation's targets, in nats; None without a validation.
        watched: what `watch` returned.
    """

    epochs: float
    loss: float | None
    watched: object = None


class LookRecord(nn.Module):
    """The looks at a training so far, and the trained weights as they were where the validation loss was lowest.

    A module without weights of its own: the loop keeps the state of modules in its checkpoints, so that a resumed
    training knows what was seen before.
    """

    def __init__(self) -> None:
        super().__init__()
        self.looks: list[Look] = []
        self.best_weights: list[Tensor] = []

    def add(self, look: Look, weights: Sequence[Tensor], *, keep_best: bool) -> None:
        """Append a look; with `keep_best` copy the weights if its loss is lower than that of every look before."""
        # of the looks so far, which a checkpoint keeps: a resumed training does not take a worse one for the best
        best = min((before.loss for before in self.looks if before.loss is not None), default=math.inf)
        self.looks.append(look)
        if keep_best and look.loss is not None and look.loss < best:
            # on the CPU: the training needs the GPU's memory
            self.best_weights = [weight.detach().cpu().clone() for weight in weights]

    def put_back(self, weights: Sequence[Tensor]) -> None:
        """Set the weights to the best values, where some were kept."""
        if self.best_weights:
            with torch.no_grad():
                for weight, best in zip(weights, self.best_weights, strict=True):
                    weight.copy_(best)

    def get_extra_state(self) -> dict[str, object]:
        """Return looks and best weights for a checkpoint."""
        return {"looks": [asdict(look) for look in self.looks], "best_weights": self.best_weights}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore looks and best weights from a checkpoint."""
        self.looks, self.best_weights = [Look(**look) for look in state["looks"]], state["best_weights"]
