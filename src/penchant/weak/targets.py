"""What a student takes for the truth at a step of its training, for every loss on weak labels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from penchant.losses import weak
from penchant.losses.weak_settings import AdaptiveConfidence, Confidence, CrossEntropy, Filtered, Product, WeakLoss


def begin(loss: WeakLoss, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The supervisor's labels as the loss wants them, and which examples count.

    Args:
        labels: the supervisor's probabilities, shape (examples, classes).

    Returns:
        Targets of that shape, and which examples count, 1 or 0, shape (examples,).
    """
    everyone = labels.new_ones(len(labels))
    match loss:
        case CrossEntropy(labels="hard"):
            return one_hot(labels.argmax(-1), labels.shape[1]).to(labels.dtype), everyone
        case Filtered():
            kept = weak.most_confident(labels, share=loss.share).to(labels.dtype)
            return labels, kept
    return labels, everyone


def target_at(loss: WeakLoss, logits: Tensor, labels: Tensor, step: int, steps: int) -> Tensor:
    """The target of cross-entropy at a step, shape (examples, classes), detached from the student.

    Args:
        logits: the student's on one batch. labels: of `begin`, for the same rows. step: 0 for the first of `steps`.
    """
    with torch.no_grad():
        match loss:
            case Confidence():
                alpha = weak.confidence_weight(step, steps, alpha_max=loss.alpha, warmup=loss.warmup)
                return weak.confidence_target(logits, labels, alpha=alpha, prior=loss.prior)
            case AdaptiveConfidence():
                alpha = weak.confidence_weight(step, steps, alpha_max=loss.alpha, warmup=loss.warmup)
                return weak.adaptive_target(logits, labels, alpha=alpha)
            case Product():
                power = weak.confidence_weight(step, steps, alpha_max=loss.student_power, warmup=loss.warmup)
                return weak.product_target(logits, labels, student_power=power, weak_power=loss.weak_power)
    return labels
