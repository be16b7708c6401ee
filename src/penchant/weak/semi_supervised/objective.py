"""What an algorithm is to the loop that trains: a loss of each arm at each step, and what predicts in the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from penchant.losses.weak import cross_entropy
from penchant.weak.networks.network import Network
from penchant.weak.semi_supervised.arms import ArmRows, Batch
from penchant.weak.semi_supervised.report import UnlabeledReport
from penchant.weak.targets import target_at


class ReportsUnlabeled(Protocol):
    """Keeps what steps made of unlabelled rows."""

    def check(self) -> None:
        """Refuse a training that compared something with itself. Raises RunError."""

    def reports(self) -> list[UnlabeledReport]:
        """Return what the last steps of each arm made of these rows."""


class Objective(Protocol):
    """An algorithm with a network and rows in hand.

    Attributes:
        changing: what a checkpoint must hold of it, see `penchant.weak.training_state`.
    """

    changing: ClassVar[tuple[str, ...]]

    @property
    def monitor(self) -> ReportsUnlabeled | None:
        """What was made of unlabelled rows; None where the algorithm looks at none."""

    def loss(self, step: int) -> Tensor:
        """Return the loss of each arm at a step, from 0, shape (arms,)."""

    def after_step(self, step: int) -> None:
        """Do what follows an optimizer step, such as moving an average."""

    def predictor(self) -> Network:
        """Return the network that predicts: the one that trained, or an average of it."""


MakeObjective = Callable[[Network, ArmRows, int], Objective]
"""An algorithm with its settings: a network, rows and the number of steps to an objective."""


def labeled_loss(network: Network, rows: ArmRows, batch: Batch, step: int, steps: int) -> tuple[Tensor, Tensor]:
    """Return each labelled row's loss and its logits, under noise: shapes (arms, batch) and (arms, batch, classes)."""
    # as the networks of the papers: labels are learned on the weak view only
    inputs = network.inputs(batch.rows, "weak", rows.labeled_noise)
    logits = network.classify(inputs, rows.labeled_noise)
    targets = torch.stack(
        [
            target_at(arm.loss, own_logits, labels, step, steps, start.shares)
            for arm, own_logits, labels, start in zip(rows.arms, logits, batch.labels, rows.starts, strict=True)
        ]
    )
    return misfit(logits, targets) * batch.counts, logits


def misfit(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of each row, shape (arms, batch), of tensors of shape (arms, batch, classes)."""
    return cross_entropy(logits.flatten(0, 1), targets.flatten(0, 1)).view(logits.shape[:-1])
