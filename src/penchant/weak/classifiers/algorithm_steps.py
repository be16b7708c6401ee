"""The steps of a fine-tuning that learns from rows without labels too: an algorithm on a language model.

The labelled part of a step, its order, learning rates and clipping are those of plain fine-tuning, so that this is the
control: at a threshold above 1 the two are equal to the bit.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from penchant.losses.weak_settings import WeakLoss
from penchant.weak.augmentation.settings import Views
from penchant.weak.classifiers.reading import HeadReading
from penchant.weak.classifiers.text_network import TextNetwork, TextViews, weights_in_place
from penchant.weak.contract import Example
from penchant.weak.networks.network import StrongNoise
from penchant.weak.networks.streams import GivenDeck
from penchant.weak.semi_supervised.arms import Arm, ArmRows
from penchant.weak.semi_supervised.objective import Objective
from penchant.weak.semi_supervised.registry import make_objective
from penchant.weak.semi_supervised.report import UnlabeledReport
from penchant.weak.semi_supervised.settings import UNLABELED_RATIO, FixMatch, MeanTeacher, Supervised, Uda

log = logging.getLogger("penchant.weak")


@dataclass(frozen=True)
class LearnedRows:
    """What an algorithm learns from.

    Attributes:
        examples: those with labels first. targets: probabilities of these, shape (labelled, classes).
        weights: how much each of these counts, (labelled,); all alike if None.
    """

    examples: Sequence[Example]
    targets: Tensor
    weights: Tensor | None
    loss: WeakLoss


class AlgorithmSteps:
    """An algorithm on a language model: the loss of each step, what follows it, and what predicts in the end.

    Attributes:
        report: what was made of rows without labels; None before `finish`, and where there are none.

    Raises:
        InputError: no rows without labels, two views that are the same, or an augmentation that changes nothing.
    """

    def __init__(
        self,
        algorithm: Supervised | MeanTeacher | FixMatch | Uda,
        reading: HeadReading,
        rows: LearnedRows,
        views: Views,
        *,
        seed: int,
        batch_size: int,
    ) -> None:
        self.algorithm, self.batch_size = algorithm, batch_size
        self.network = TextNetwork(
            reading,
            TextViews(rows.examples, views, seed),
            strong_noise=StrongNoise(views.feature_noise, views.parameter_noise),
        )
        # rows with labels stand first
        count = len(rows.targets)
        self.arm = Arm(
            seed,
            torch.arange(count),
            rows.targets,
            torch.arange(count, len(rows.examples)),
            weights=rows.weights,
            loss=rows.loss,
        )
        self.report: UnlabeledReport | None = None
        self._objective: Objective | None = None

    def begin(self, batches: Sequence[Sequence[int]]) -> None:
        """Take the labelled rows of each step, by their place."""
        ratio = UNLABELED_RATIO if isinstance(self.algorithm, Supervised) else self.algorithm.unlabeled_ratio
        # the batches of fine-tuning, whose last one of an epoch is smaller
        deck = GivenDeck(batches)
        arm_rows = ArmRows([self.arm], batch_size=self.batch_size, unlabeled_ratio=ratio, labeled_deck=deck)
        self._objective = make_objective(self.algorithm, self.network, arm_rows, len(batches))
        if self._objective.monitor is not None:
            unlabeled_count = self.batch_size * ratio
            log.info(
                "%s: beside its labelled texts (%d) a step reads %d without a label twice, and those that count once "
                "more with gradients",
                self.algorithm.label,
                len(batches[0]),
                unlabeled_count,
            )

    def backward(self, step: int) -> float:
        """Add the gradient of a step's loss to the weights; return the loss."""
        loss = self.objective.loss(step).sum()
        # first up to the logits, then pass by pass on to the weights
        loss.backward()
        self.network.finish_backward()
        return float(loss.detach())

    def after_step(self, step: int) -> None:
        """Do what follows an optimizer step."""
        self.objective.after_step(step)

    @contextmanager
    def predicting(self) -> Iterator[None]:
        """Give the model the weights that would predict, inside the block."""
        with weights_in_place(self.network.parameters, self.objective.predictor().trained()):
            yield

    @torch.no_grad()
    def finish(self) -> None:
        """Leave the model with the weights that predict, and `report` with what was made of rows without labels.

        Raises:
            RunError: the loss of these rows was 0 throughout though some counted.
        """
        # copied, and not put in place: the teacher goes with the objective
        for parameter, weight in zip(self.network.parameters, self.objective.predictor().trained(), strict=True):
            parameter.copy_(weight)
        monitor = self.objective.monitor
        if monitor is not None:
            monitor.check()
            (self.report,) = monitor.reports()

    @property
    def objective(self) -> Objective:
        """The algorithm with its rows in hand; there after `begin`."""
        assert self._objective is not None
        return self._objective
