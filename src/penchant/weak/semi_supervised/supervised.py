"""Supervised training of a network: the control of the other algorithms."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from penchant.weak.networks.network import Network
from penchant.weak.semi_supervised.arms import ArmRows
from penchant.weak.semi_supervised.monitor import Monitor
from penchant.weak.semi_supervised.objective import labeled_loss
from penchant.weak.semi_supervised.settings import Supervised


class SupervisedObjective:
    """Cross-entropy on the labels, under the network's own noise."""

    changing: ClassVar[tuple[str, ...]] = ("rows",)
    monitor: Monitor | None = None

    def __init__(self, settings: Supervised, network: Network, rows: ArmRows, steps: int) -> None:
        self.network, self.rows, self.steps = network, rows, steps

    def loss(self, step: int) -> Tensor:
        """Return the mean loss of each arm's labelled rows."""
        losses, _ = labeled_loss(self.network, self.rows, self.rows.deal_labeled(), step, self.steps)
        return losses.mean(-1)

    def after_step(self, step: int) -> None:
        """Do nothing."""

    def predictor(self) -> Network:
        """Return the network."""
        return self.network
