"""Mean Teacher: agree with an average of one's own weights, under other noise.

Source: Tarvainen and Valpola 2017 (arXiv:1703.01780). The average's decay starts as that of a true mean, and the weight
rises as exp(-5 (1 - t)^2), both as in the authors' code; consistency is measured on labelled rows too.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from penchant.weak.networks.network import Network
from penchant.weak.networks.streams import TEACHER, Stream
from penchant.weak.semi_supervised.arms import ArmRows
from penchant.weak.semi_supervised.monitor import Monitor
from penchant.weak.semi_supervised.objective import labeled_loss
from penchant.weak.semi_supervised.settings import MeanTeacher


class MeanTeacherObjective:
    """A student, and a teacher whose weights are the mean of the student's; the teacher predicts."""

    changing: ClassVar[tuple[str, ...]] = ("rows", "teacher", "teacher_noise", "monitor")

    def __init__(self, settings: MeanTeacher, network: Network, rows: ArmRows, steps: int) -> None:
        self.settings, self.network, self.rows, self.steps = settings, network, rows, steps
        self.teacher = network.copy()
        # the teacher's noise is other than the student's: with the same the two would agree from the start
        self.teacher_noise = Stream(rows.seeds, TEACHER)
        self.monitor: Monitor | None = Monitor(rows.label_shares, settings.weight)

    def loss(self, step: int) -> Tensor:
        """Return the labelled loss plus the weighted disagreement with the teacher, shape (arms,)."""
        batch = self.rows.deal_labeled()
        losses, labeled_logits = labeled_loss(self.network, self.rows, batch, step, self.steps)
        unlabeled = self.rows.deal_unlabeled()
        inputs = self.network.inputs(unlabeled, "strong", self.rows.unlabeled_noise)
        unlabeled_logits = self.network.classify(inputs, self.rows.unlabeled_noise, "strong")
        with torch.no_grad():
            every_row = torch.cat([batch.rows, unlabeled], 1)
            teacher_inputs = self.teacher.inputs(every_row, "weak", self.teacher_noise)
            teacher = self.teacher.classify(teacher_inputs, self.teacher_noise).softmax(-1)
        # labelled rows have a teacher too, as in the authors' code
        student = torch.cat([labeled_logits, unlabeled_logits], 1).softmax(-1)
        # mean over classes and rows, as in the authors' code
        disagreement = (student - teacher).square().mean((-1, -2))
        assert self.monitor is not None
        size = unlabeled.shape[1]
        self.monitor.add(
            teacher[:, -size:], torch.ones(unlabeled.shape), student[:, -size:].detach(), disagreement.detach()
        )
        weight = self.settings.weight * ramp_up(step, self.settings.ramp * self.steps)
        return losses.mean(-1) + weight * disagreement

    def after_step(self, step: int) -> None:
        """Move the teacher towards the student."""
        move_average(self.teacher.trained(), self.network.trained(), average_decay(step, self.settings.decay))

    def predictor(self) -> Network:
        """Return the teacher."""
        return self.teacher


def ramp_up(step: int, steps: float) -> float:
    """Return exp(-5 (1 - t)^2), t the share of the ramp's steps that are done; 1 after it."""
    return 1.0 if step >= steps else math.exp(-5 * (1 - step / steps) ** 2)


def average_decay(step: int, decay: float) -> float:
    """Return the average's decay after a step, from 0: at first that of a true mean, which forgets the start."""
    return min(1 - 1 / (step + 1), decay)


@torch.no_grad()
def move_average(averages: list[Tensor], weights: list[Tensor], decay: float) -> None:
    """Move averages in place: decay times themselves plus (1 - decay) times the weights."""
    for average, weight in zip(averages, weights, strict=True):
        average.mul_(decay).add_(weight, alpha=1 - decay)
