"""FixMatch and its relatives: confident classes of weak views are the labels of strong views.

The mean is over the whole unlabelled batch, masked rows included. Sources: see `thresholds`.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from penchant.errors import InputError
from penchant.weak.networks.network import Network
from penchant.weak.semi_supervised.arms import ArmRows
from penchant.weak.semi_supervised.monitor import Monitor
from penchant.weak.semi_supervised.objective import labeled_loss, misfit
from penchant.weak.semi_supervised.settings import FixMatch, FreeThreshold
from penchant.weak.semi_supervised.thresholds import FreeMask, make_mask, move_towards

ALIGNMENT_DECAY = 0.99


class FixMatchObjective:
    """Cross-entropy on labels, plus that of strong views to the confident classes of weak ones.

    Raises:
        InputError: a network whose strong view is its weak one, without noise.
    """

    changing: ClassVar[tuple[str, ...]] = ("rows", "mask", "alignment", "monitor")

    def __init__(self, settings: FixMatch, network: Network, rows: ArmRows, steps: int) -> None:
        refuse_one_view(network)
        self.settings, self.network, self.rows, self.steps = settings, network, rows, steps
        sizes = torch.tensor([len(arm.unlabeled) for arm in rows.arms])
        # places up to the last unlabelled row, since a mask remembers rows by their place
        store_size = 1 + max(int(arm.unlabeled.max()) for arm in rows.arms) if rows.unlabeled else 0
        self.mask = make_mask(
            settings.threshold, arms=len(rows.arms), rows=store_size, classes=network.classes, unlabeled=sizes
        )
        self.alignment = Alignment(rows.label_shares) if settings.align else None
        self.monitor: Monitor | None = Monitor(rows.label_shares, settings.weight)

    def loss(self, step: int) -> Tensor:
        """Return the labelled loss plus the weighted unlabelled one, shape (arms,)."""
        losses, _ = labeled_loss(self.network, self.rows, self.rows.deal_labeled(), step, self.steps)
        unlabeled = self.rows.deal_unlabeled()
        probabilities = weak_probabilities(self.network, self.rows, unlabeled)
        if self.alignment is not None:
            probabilities = self.alignment(probabilities)
        mask = self.mask.weights(probabilities, unlabeled)
        # hard labels: a soft one would ask the network to stay as unsure as it is
        pseudo = one_hot(probabilities.argmax(-1), self.network.classes).float()
        inputs = self.network.inputs(unlabeled, "strong", self.rows.unlabeled_noise)
        logits = self.network.classify(inputs, self.rows.unlabeled_noise, "strong")
        unlabeled_loss = (misfit(logits, pseudo) * mask).mean(-1)
        assert self.monitor is not None
        self.monitor.add(pseudo, mask, logits.detach().softmax(-1), unlabeled_loss.detach())
        total = losses.mean(-1) + self.settings.weight * unlabeled_loss
        if isinstance(self.mask, FreeMask) and isinstance(self.settings.threshold, FreeThreshold):
            total = total + self.settings.threshold.fairness * self.mask.unfairness(logits, mask)
        return total

    def after_step(self, step: int) -> None:
        """Do nothing: in USB's settings for text no average of the weights is kept."""

    def predictor(self) -> Network:
        """Return the network."""
        return self.network


class Alignment:
    """Distribution alignment: predictions times the shares of the labels over their own average, normalized.

    Args:
        label_shares: shape (arms, classes).
    """

    changing: ClassVar[tuple[str, ...]] = ("average",)

    def __init__(self, label_shares: Tensor) -> None:
        self.label_shares = label_shares
        self.average: Tensor | None = None

    def __call__(self, probabilities: Tensor) -> Tensor:
        """Return aligned probabilities, shape (arms, batch, classes)."""
        mean = probabilities.mean(1)
        self.average = mean if self.average is None else move_towards(self.average, mean, ALIGNMENT_DECAY)
        aligned = probabilities * (self.label_shares / self.average.clamp(min=1e-6))[:, None]
        return aligned / aligned.sum(-1, keepdim=True)


def weak_probabilities(network: Network, rows: ArmRows, unlabeled: Tensor, temperature: float = 1.0) -> Tensor:
    """Return what the network says of weak views, without noise or gradients, shape (arms, batch, classes)."""
    with torch.no_grad():
        inputs = network.inputs(unlabeled, "weak", rows.unlabeled_noise)
        return (network.classify(inputs, None) / temperature).softmax(-1)


def refuse_one_view(network: Network) -> None:
    """Refuse a network whose strong view would be its weak one: it would learn from its own word."""
    # either is enough: dropout alone makes another view of the same features
    if not (network.has_noise or network.has_views):
        raise InputError(
            "the strong view of a row is its weak one: give an augmentation (`views.strong`) or dropout, or there is "
            "nothing to agree about"
        )
