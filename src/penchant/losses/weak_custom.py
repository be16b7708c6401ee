"""A user's loss on weak labels: loaded by its name, tried before training, and held to its contract."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from penchant.losses.weak_settings import OWN_WEAK_LOSSES, CustomWeakLoss

TRIAL_ROWS = 4
_loaded: dict[str, Callable[..., object]] = {}


def check_weak_loss(loss: object, labels: Tensor) -> None:
    """Load a user's loss anew and try it on the first rows, so that a wrong one fails before hours of training.

    Args:
        loss: the settings of any loss on weak labels; those of built-in ones need no trial.
        labels: the supervisor's probabilities, shape (examples, classes).

    Raises:
        InputError: there is no such function, or it breaks the contract of `custom_target`.
    """
    if isinstance(loss, CustomWeakLoss):
        _loaded[loss.function] = OWN_WEAK_LOSSES.load_callable(loss.function)  # an edited file is what counts
        labels = labels[:TRIAL_ROWS].float()
        # a student of any opinion: logits of 0 alone would hide what a function makes of one that is sure
        custom_target(loss, torch.linspace(-3.0, 3.0, labels.numel()).view_as(labels), labels, 0.5)


def custom_target(loss: CustomWeakLoss, logits: Tensor, labels: Tensor, progress: float) -> Tensor:
    """Return what a user's function takes for the truth, shape (examples, classes), detached from the student.

    Args:
        logits: the student's on one batch. labels: the supervisor's probabilities for the same rows.
        progress: the share of the training that is done, from 0.

    Raises:
        InputError: there is no such function, it fails, or it returns no distributions of this shape.
    """
    name = loss.function
    if name not in _loaded:
        _loaded[name] = OWN_WEAK_LOSSES.load_callable(name)
    with OWN_WEAK_LOSSES.named_errors(name), torch.no_grad():
        # copies: the student's own numbers must not change under a function that works in place
        target = _loaded[name](logits.detach().clone(), labels.clone(), progress, **loss.settings)
    if not isinstance(target, Tensor) or not target.is_floating_point():
        kind = f"{target.dtype} numbers" if isinstance(target, Tensor) else f"a {type(target).__name__}"
        raise OWN_WEAK_LOSSES.refusal(name, f"it returned {kind}, expected a tensor of probabilities")
    # a mean would broadcast against every row, and all rows would learn the same
    if target.shape != labels.shape:
        raise OWN_WEAK_LOSSES.refusal(
            name,
            f"it returned the shape {tuple(target.shape)}, expected {tuple(labels.shape)}: for each example the "
            "probability of each class, without a mean over examples",
        )
    bad = ~torch.isfinite(target).all(-1) | (target < 0).any(-1) | ((target.sum(-1) - 1).abs() > 1e-3)
    if bad.any():
        raise OWN_WEAK_LOSSES.refusal(
            name,
            "rows must be probabilities that sum to 1 over the classes, as a softmax makes them, got "
            f"{target[bad][0].tolist()}",
        )
    return target.detach().to(labels.dtype)
