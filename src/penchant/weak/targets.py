"""What a student takes for the truth at a step of its training, for every loss on weak labels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from penchant.losses import weak
from penchant.losses.weak_custom import check_weak_loss, custom_target
from penchant.losses.weak_settings import (
    AdaptiveConfidence,
    Confidence,
    CrossEntropy,
    CustomWeakLoss,
    Filtered,
    Product,
    WeakLoss,
)


@dataclass(frozen=True)
class WeakTargets:
    """The supervisor's labels in the form that a loss starts from.

    Attributes:
        labels: shape (examples, classes). counts: how much each example counts, from 0 to 1, shape (examples,).
        shares: of each class among the student's hardened predictions, over all examples.
    """

    labels: Tensor
    counts: Tensor
    shares: tuple[float, ...]


def weak_targets(loss: WeakLoss, labels: Tensor, weights: Tensor | None = None) -> WeakTargets:
    """Return the labels that a student starts from.

    Args:
        labels: the supervisor's probabilities for all rows that the student learns from, shape (examples, classes).
        weights: how much each counts, above 0 and at most 1, shape (examples,); 1 if not given.

    Raises:
        InputError: a loss whose `prior` gives other classes their shares; a user's loss that breaks its contract.
    """
    check_weak_loss(loss, labels)
    # over all rows: the shares of a batch of 32 are noise
    prior = loss.prior if isinstance(loss, Confidence | AdaptiveConfidence) else "weak"
    shares = weak.class_shares(prior, labels, weights)
    counts = labels.new_ones(len(labels)) if weights is None else weights.to(labels.dtype)
    match loss:
        case CrossEntropy(labels="hard"):
            hard = one_hot(labels.argmax(-1), labels.shape[1]).to(labels.dtype)
            return WeakTargets(hard, counts, shares)
        case Filtered():
            # such rows are not taken out but given no weight, so that probes of one batch keep one shape
            is_kept = weak.most_confident(labels, share=loss.share)
            return WeakTargets(labels, counts * is_kept.to(labels.dtype), shares)
    return WeakTargets(labels, counts, shares)


def target_at(
    loss: WeakLoss, logits: Tensor, labels: Tensor, step: int, steps: int, shares: tuple[float, ...]
) -> Tensor:
    """Return the target of cross-entropy at a step, shape (examples, classes), detached from the student.

    Args:
        logits: the student's on one batch. labels: of `weak_targets`, for the same rows. step: 0 for the first of
            `steps`. shares: of `weak_targets`: of all rows, so that they do not change from batch to batch.
    """
    with torch.no_grad():
        match loss:
            case Confidence():
                alpha = weak.confidence_weight(step, steps, alpha_max=loss.alpha, warmup=loss.warmup)
                return weak.confidence_target(logits, labels, alpha=alpha, prior=shares)
            case AdaptiveConfidence():
                alpha = weak.confidence_weight(step, steps, alpha_max=loss.alpha, warmup=loss.warmup)
                return weak.adaptive_target(logits, labels, alpha=alpha, prior=shares)
            case Product():
                power = weak.confidence_weight(step, steps, alpha_max=loss.student_power, warmup=loss.warmup)
                return weak.product_target(logits, labels, student_power=power, weak_power=loss.weak_power)
            case CustomWeakLoss():
                return custom_target(loss, logits, labels, step / steps)
    return labels
