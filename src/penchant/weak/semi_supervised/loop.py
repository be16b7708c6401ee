"""Train the arms of a network by one algorithm: deal rows, take the loss of each arm, step, look."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from penchant.errors import RunError
from penchant.weak.networks.network import Network
from penchant.weak.semi_supervised.arms import Arm, ArmRows
from penchant.weak.semi_supervised.registry import make_objective
from penchant.weak.semi_supervised.report import UnlabeledReport
from penchant.weak.semi_supervised.settings import UNLABELED_RATIO, Algorithm, Supervised

Watch = Callable[[int, Network], None]
"""Called after a step, with its number from 1 and the network that would predict."""


@dataclass(frozen=True)
class Steps:
    """How a network trains.

    Attributes:
        count: optimizer steps. batch_size: labelled rows of one.
        learning_rate, weight_decay: of AdamW.
    """

    count: int
    batch_size: int
    learning_rate: float
    weight_decay: float


@dataclass(frozen=True)
class TrainedArms:
    """What a training left.

    Attributes:
        network: the one that predicts. reports: on unlabelled rows, of each arm; empty where the algorithm uses none.
    """

    network: Network
    reports: tuple[UnlabeledReport, ...]


def train_arms(
    network: Network, algorithm: Algorithm, arms: Sequence[Arm], steps: Steps, *, watch: Watch | None = None
) -> TrainedArms:
    """Train a network in place, all arms at once; an arm's result does not depend on the others.

    Raises:
        InputError: rows or a network that the algorithm cannot use.
        RunError: a loss that is not finite, or an unlabelled loss that was 0 throughout.
    """
    ratio = UNLABELED_RATIO if isinstance(algorithm, Supervised) else algorithm.unlabeled_ratio
    rows = ArmRows(arms, batch_size=steps.batch_size, unlabeled_ratio=ratio)
    objective = make_objective(algorithm, network, rows, steps.count)
    # AdamW moves every number by its own history: arms share a tensor and nothing else
    optimizer = torch.optim.AdamW(network.trained(), lr=steps.learning_rate, weight_decay=steps.weight_decay)
    for step in range(steps.count):
        losses = objective.loss(step)
        if not torch.isfinite(losses).all():
            raise RunError(f"the loss of step {step + 1} is not finite: lower the learning rate")
        # before the step, so that a loss with no gradient for a weight leaves none of the step before
        optimizer.zero_grad(set_to_none=True)
        # the sum: an arm's gradient is that of its own loss
        losses.sum().backward()
        optimizer.step()
        objective.after_step(step)
        if watch is not None:
            watch(step + 1, objective.predictor())
    if objective.monitor is None:
        return TrainedArms(objective.predictor(), ())
    objective.monitor.check()
    return TrainedArms(objective.predictor(), tuple(objective.monitor.reports()))
