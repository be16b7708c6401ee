"""Linear probes: logistic regressions on cached activations, any number of them trained as one batched operation.

All probes of a call see the same rows and differ in targets and losses: then a step is two matrix products for all of
them together. The step is a Newton step with a fixed Hessian (Boehning and Lindsay 1988, "Monotonicity of
quadratic-approximation algorithms"): the softmax's own curvature is at most 1/2, so one factorization serves every step
and every probe, no step has to be searched for, and each probe comes out as if it were alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from penchant.errors import InputError
from penchant.losses.weak_settings import CrossEntropy, WeakLoss
from penchant.weak.contract import check_probabilities
from penchant.weak.settings import L2
from penchant.weak.targets import target_at, weak_targets

STEPS = 100
Watch = Callable[[int, "Probes"], None]


@dataclass(frozen=True)
class Probes:
    """Linear classifiers on the same features.

    Attributes:
        weight: (features, probes, classes). bias: (probes, classes).
        mean, scale: of each feature over the rows that were trained on, shape (features,).
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    scale: Tensor

    def predict_proba(self, features: Tensor) -> Tensor:
        """Return probabilities of shape (probes, rows, classes), for features of shape (rows, features)."""
        return _logits((features.float() - self.mean) / self.scale, self.weight, self.bias).softmax(-1)


def fit_probes(
    features: Tensor,
    targets: Tensor,
    losses: Sequence[WeakLoss] | None = None,
    *,
    weights: Tensor | None = None,
    l2: float = L2,
    steps: int = STEPS,
    watch: Watch | None = None,
) -> Probes:
    """Fit probes: the mean of each one's loss over the rows, plus l2 / 2 times its squared weights (not the bias).

    Args:
        features: shape (rows, features), any float dtype; they are standardized.
        targets: probabilities, shape (probes, rows, classes).
        losses: one per probe; cross-entropy for all if not given.
        weights: how much each row counts for each probe, from 0 to 1, shape (probes, rows); 1 if not given. Features
            are standardized over all rows alike, so that probes with other weights share them.
        steps: of training, which losses with a warm-up refer to. Cross-entropy has converged after some dozens.
        watch: called after every step, with its number from 1 and the probes as they are.

    Raises:
        InputError: shapes that do not fit, one class, features that are not finite, targets that are no distribution.
    """
    # one loss per probe: naive and other students train side by side on the same rows
    losses = [CrossEntropy()] * len(targets) if losses is None else losses
    _check(features, targets, losses, l2)
    features, targets = features.float(), targets.float()
    # standardized: one l2 then means the same for every feature and every model
    mean, scale = features.mean(0), features.std(0, correction=0)
    scale = torch.where(scale > 0, scale, 1.0)  # a feature that never changes says nothing
    x = (features - mean) / scale
    rows, width = x.shape
    probes, _, classes = targets.shape
    row_weights = [None] * probes if weights is None else list(weights)
    starts = [weak_targets(*arguments) for arguments in zip(losses, targets, row_weights, strict=True)]
    # how much rows count, per probe: (probes, rows)
    counts = torch.stack([values.counts for values in starts])
    # where rows count less the sum is still divided by all, so that one step size holds for every probe (a weight of at
    # most 1 keeps the bound on the curvature); l2 shrinks with it, and the minimum is that of the weighted mean
    pull = l2 * counts.mean(-1)[None, :, None]
    # once for all steps and probes: half of x'x / rows bounds the Hessian of a softmax whatever its probabilities are
    curvature = torch.linalg.cholesky(x.T @ x / (2 * rows) + l2 * torch.eye(width, device=x.device))
    weight, bias = x.new_zeros(width, probes, classes), x.new_zeros(probes, classes)
    for step in range(steps):
        logits = _logits(x, weight, bias)
        # for the logits of this step: a target may follow what the probe believes by now
        target = torch.stack(
            [
                target_at(loss, values, start.labels, step, steps, start.shares)
                for loss, values, start in zip(losses, logits, starts, strict=True)
            ]
        )
        # the gradient of cross-entropy with respect to the logits, with the target held fixed
        error = (logits.softmax(-1) - target) * counts[..., None] / rows
        # all probes in one product, (features, rows) by (rows, probes x classes)
        grad = x.T @ error.permute(1, 0, 2).reshape(rows, -1) + (pull * weight).view(width, -1)
        weight = weight - torch.cholesky_solve(grad, curvature).view_as(weight)
        bias = bias - 2 * error.sum(1)  # its curvature is at most 1/2: the standardized features have mean 0
        if watch is not None:
            watch(step + 1, Probes(weight, bias, mean, scale))
    return Probes(weight, bias, mean, scale)


def _logits(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return logits of shape (probes, rows, classes)."""
    return (x @ weight.flatten(1)).view(len(x), *weight.shape[1:]).permute(1, 0, 2) + bias[:, None]


def _check(features: Tensor, targets: Tensor, losses: Sequence[WeakLoss], l2: float) -> None:
    if features.ndim != 2 or targets.ndim != 3 or targets.shape[1] != len(features):
        raise InputError(
            f"probes need features of shape (rows, features) and targets of shape (probes, rows, classes), got "
            f"{tuple(features.shape)} and {tuple(targets.shape)}"
        )
    if len(losses) != len(targets):
        raise InputError(f"there are {len(losses)} losses for {len(targets)} probes")
    if l2 <= 0:
        raise InputError(f"l2 must be positive, got {l2}")
    if not torch.isfinite(features).all():
        raise InputError("the features are not finite: the model's activations overflowed or its weights are damaged")
    check_probabilities(targets.flatten(0, 1).cpu().double().numpy())
