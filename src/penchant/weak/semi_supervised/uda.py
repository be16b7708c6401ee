"""Unsupervised data augmentation: say of a strong view what is said of the weak one, sharpened.

Source: Xie et al. 2020 (arXiv:1904.12848).
"""

from __future__ import annotations

import math
from typing import ClassVar

from torch import Tensor

from penchant.weak.networks.network import Network
from penchant.weak.semi_supervised.arms import ArmRows
from penchant.weak.semi_supervised.fix_match import refuse_one_view, weak_probabilities
from penchant.weak.semi_supervised.monitor import Monitor
from penchant.weak.semi_supervised.objective import labeled_loss, misfit
from penchant.weak.semi_supervised.settings import Uda


class UdaObjective:
    """Cross-entropy on labels, plus that of strong views to the sharpened probabilities of weak ones."""

    changing: ClassVar[tuple[str, ...]] = ("rows", "monitor")

    def __init__(self, settings: Uda, network: Network, rows: ArmRows, steps: int) -> None:
        refuse_one_view(network)
        self.settings, self.network, self.rows, self.steps = settings, network, rows, steps
        self.monitor: Monitor | None = Monitor(rows.label_shares, settings.weight)

    def loss(self, step: int) -> Tensor:
        """Return the labelled loss plus the weighted unlabelled one, shape (arms,)."""
        batch, settings = self.rows.deal_labeled(), self.settings
        losses, labeled_logits = labeled_loss(self.network, self.rows, batch, step, self.steps)
        unlabeled = self.rows.deal_unlabeled()
        confidence = weak_probabilities(self.network, self.rows, unlabeled)
        mask = (confidence.amax(-1) >= settings.threshold).float()
        # clamped: the logarithm of a probability that float32 rounds to 0
        sharpened = (confidence.clamp(min=1e-12).log() / settings.temperature).softmax(-1)
        inputs = self.network.inputs(unlabeled, "strong", self.rows.unlabeled_noise)
        logits = self.network.classify(inputs, self.rows.unlabeled_noise, "strong")
        unlabeled_loss = (misfit(logits, sharpened) * mask).mean(-1)
        assert self.monitor is not None
        self.monitor.add(sharpened, mask, logits.detach().softmax(-1), unlabeled_loss.detach())
        return self._supervised(losses, labeled_logits, batch.labels, step) + settings.weight * unlabeled_loss

    def _supervised(self, losses: Tensor, logits: Tensor, labels: Tensor, step: int) -> Tensor:
        """Return the mean labelled loss, over rows that are not yet surer than the bound of this step."""
        if self.settings.annealing == "none":
            return losses.mean(-1)
        bound = annealing_bound(self.settings.annealing, step / self.steps, self.network.classes)
        right = (logits.detach().softmax(-1) * labels).sum(-1)
        # rows that the network knows by heart would only make it surer
        counts = (right <= bound).float()
        return (losses * counts).sum(-1) / counts.sum(-1).clamp(min=1)

    def after_step(self, step: int) -> None:
        """Do nothing."""

    def predictor(self) -> Network:
        """Return the network."""
        return self.network


def annealing_bound(kind: str, done: float, classes: int) -> float:
    """Return the probability above which a labelled row does not count: from 1 / classes up to 1.

    Args:
        kind: linear, log or exp. done: share of training, in [0, 1].
    """
    rise = {"linear": done, "log": 1 - math.exp(-5 * done), "exp": math.exp(5 * (done - 1))}[kind]
    return rise * (1 - 1 / classes) + 1 / classes
