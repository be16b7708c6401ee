"""Which unlabelled rows count, and how much: the thresholds of FixMatch, FlexMatch, FreeMatch and SoftMatch.

Sources: Sohn et al. 2020 (arXiv:2001.07685), Zhang et al. 2021 (arXiv:2110.08263), Wang et al. 2023
(arXiv:2205.07246), Chen et al. 2023 (arXiv:2301.10921), with the averages and starts of their common code, TorchSSL and
USB.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from penchant.weak.semi_supervised.settings import (
    FixedThreshold,
    FlexThreshold,
    FreeThreshold,
    SoftThreshold,
    Threshold,
)


class Mask(Protocol):
    """How much rows count, by what is said of their weak views."""

    changing: ClassVar[tuple[str, ...]]

    def weights(self, probabilities: Tensor, rows: Tensor) -> Tensor:
        """Return how much each row counts, from 0 to 1, shape (arms, batch), and remember what is needed of them.

        Args:
            probabilities: of the weak views, shape (arms, batch, classes). rows: their places, (arms, batch).
        """


def make_mask(settings: Threshold, *, arms: int, rows: int, classes: int, unlabeled: Tensor) -> Mask:
    """Return the mask that settings describe.

    Args:
        rows: of the network. unlabeled: how many of them each arm has without labels, shape (arms,).
    """
    match settings:
        case FixedThreshold():
            return FixedMask(settings.threshold)
        case FlexThreshold():
            return FlexMask(settings.threshold, arms=arms, rows=rows, classes=classes, unlabeled=unlabeled)
        case FreeThreshold():
            return FreeMask(settings.decay, arms=arms, classes=classes)
        case SoftThreshold():
            return SoftMask(settings.decay, arms=arms, classes=classes)


class FixedMask:
    """One threshold for all."""

    changing: ClassVar[tuple[str, ...]] = ()

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def weights(self, probabilities: Tensor, rows: Tensor) -> Tensor:
        """Return 1 where the most probable class reaches the threshold."""
        return (probabilities.amax(-1) >= self.threshold).float()


class FlexMask:
    """A threshold of each class: t b / (2 - b), b the confident rows of the class against those of the largest.

    As long as more rows were never confident than the largest class has, these are what it is held against.
    """

    changing: ClassVar[tuple[str, ...]] = ("chosen",)

    def __init__(self, threshold: float, *, arms: int, rows: int, classes: int, unlabeled: Tensor) -> None:
        self.threshold, self.classes, self.unlabeled = threshold, classes, unlabeled
        # the class that a row was confident of last; `classes` for none
        self.chosen = torch.full((arms, rows), classes)

    def class_thresholds(self) -> Tensor:
        """Return the threshold of each class, shape (arms, classes)."""
        counts = one_hot(self.chosen, self.classes + 1).sum(1)[:, : self.classes]
        unused = self.unlabeled - counts.sum(-1)
        status = counts / torch.maximum(counts.amax(-1), unused).clamp(min=1)[:, None]
        return self.threshold * status / (2 - status)

    def weights(self, probabilities: Tensor, rows: Tensor) -> Tensor:
        """Return 1 where the most probable class reaches its own threshold."""
        confidence, classes = probabilities.max(-1)
        thresholds = self.class_thresholds().gather(-1, classes)
        # by the largest threshold, not the class's own: a low one must not make its class look learned
        confident = confidence >= self.threshold
        # a row that is not confident now keeps the class of before
        self.chosen.scatter_(1, rows, torch.where(confident, classes, self.chosen.gather(1, rows)))
        return (confidence >= thresholds).float()


class FreeMask:
    """A threshold that is the average confidence, times a class's average probability against the largest."""

    changing: ClassVar[tuple[str, ...]] = ("confidence", "class_probabilities", "class_counts")

    def __init__(self, decay: float, *, arms: int, classes: int) -> None:
        self.decay = decay
        self.confidence = torch.full((arms,), 1 / classes)
        self.class_probabilities = torch.full((arms, classes), 1 / classes)
        self.class_counts = torch.full((arms, classes), 1 / classes)

    def weights(self, probabilities: Tensor, rows: Tensor) -> Tensor:
        """Return 1 where the most probable class reaches its own threshold."""
        confidence, classes = probabilities.max(-1)
        hardened = one_hot(classes, probabilities.shape[-1]).float()
        self.confidence = move_towards(self.confidence, confidence.mean(-1), self.decay)
        self.class_probabilities = move_towards(self.class_probabilities, probabilities.mean(1), self.decay)
        self.class_counts = move_towards(self.class_counts, hardened.mean(1), self.decay)
        # against the largest, so that the best learned class has the whole threshold
        relative = self.class_probabilities / self.class_probabilities.amax(-1, keepdim=True)
        return (confidence >= (self.confidence[:, None] * relative).gather(-1, classes)).float()

    def unfairness(self, strong_logits: Tensor, mask: Tensor) -> Tensor:
        """Return the negative cross-entropy between class shares of weak and strong views, shape (arms,).

        Both are divided by how often the class is predicted, and normalized. Its weight is `fairness`.
        """
        probabilities = strong_logits.softmax(-1) * mask[..., None]
        count = mask.sum(-1).clamp(min=1)[:, None]
        mean = probabilities.sum(1) / count
        hardened = one_hot(strong_logits.argmax(-1), strong_logits.shape[-1]) * mask[..., None]
        counts = hardened.sum(1) / count
        # a class that no strong view has cannot be divided by its count
        expected = _normalized(self.class_probabilities / self.class_counts.clamp(min=1e-12))
        strong = _normalized(torch.where(counts > 0, mean / counts.clamp(min=1e-12), 0.0))
        return (expected * (strong + 1e-12).log()).sum(-1) * mask.any(-1)


class SoftMask:
    """A weight of 1 above the average confidence, which falls below it as a Gaussian of half its spread."""

    changing: ClassVar[tuple[str, ...]] = ("mean", "variance")

    def __init__(self, decay: float, *, arms: int, classes: int) -> None:
        self.decay = decay
        self.mean = torch.full((arms,), 1 / classes)
        self.variance = torch.ones(arms)

    def weights(self, probabilities: Tensor, rows: Tensor) -> Tensor:
        """Return exp(-(p - mean)^2 / (2 variance / 4)) below the mean, 1 above."""
        confidence = probabilities.amax(-1)
        self.mean = move_towards(self.mean, confidence.mean(-1), self.decay)
        self.variance = move_towards(self.variance, confidence.var(-1), self.decay)
        # a row above the mean is as good as one can be: it counts in full
        below = (confidence - self.mean[:, None]).clamp(max=0)
        return torch.exp(-below.square() / (2 * self.variance[:, None] / 4))


def move_towards(average: Tensor, value: Tensor, decay: float) -> Tensor:
    """Return an average moved towards a value."""
    return decay * average + (1 - decay) * value


def _normalized(values: Tensor) -> Tensor:
    return values / values.sum(-1, keepdim=True).clamp(min=1e-12)
