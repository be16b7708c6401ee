"""A loss of the user's: loaded by its name, tried on four pairs before training, and held to its contract."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps

import torch
from torch import Tensor

from penchant.errors import InputError
from penchant.extension.user_code import call_problem
from penchant.losses.settings import OWN_LOSSES, CustomLoss, PairLoss, custom_losses

# sums of log-probabilities in nats: policy chosen and rejected, reference chosen and rejected
TRIAL = ((-3.0, -4.0, -2.5, -40.0), (-5.0, -2.0, -2.5, -6.0), (-4.0, -4.0, -2.0, -30.0), (-4.0, -3.0, -3.0, -8.0))
UNCONNECTED = "its losses do not hang on the policy's log-probabilities, or their gradient is cut"
_loaded: dict[str, Callable[..., Tensor]] = {}


def check_custom_losses(settings: PairLoss) -> None:
    """Load the user's own losses anew and try each on four pairs, so that a wrong one fails before hours of training.

    Raises:
        InputError: there is no such function, or what it returns is no finite loss per pair with a gradient.
    """
    for loss in custom_losses(settings):
        _loaded.pop(loss.function, None)  # an edited file is what counts
        _try(loss)


def custom_digests(settings: PairLoss) -> dict[str, str]:
    """Return the digest of the code of each of the user's own losses, by what a message calls it."""
    return {f"the loss {loss.function}": OWN_LOSSES.content(loss.function) for loss in custom_losses(settings)}


def custom_places(settings: PairLoss) -> tuple[str, ...]:
    """Return each of the user's own losses with file and line of its definition, as a message names it."""
    return tuple(_place(loss.function) for loss in custom_losses(settings))


def _place(reference: str) -> str:
    code = getattr(inspect.unwrap(custom_function(reference)), "__code__", None)  # a callable object has none
    return f"`{reference}`" + (f" ({code.co_filename}:{code.co_firstlineno})" if code is not None else "")


def custom_function(reference: str) -> Callable[..., Tensor]:
    """Return the user's function of this `module:function`, which is checked on every call; loaded once.

    Raises:
        InputError: there is no such function. Later: it fails, or returns anything but one number per pair.
    """
    if reference not in _loaded:
        _loaded[reference] = _checked(OWN_LOSSES.load_callable(reference), reference)
    return _loaded[reference]


def _checked(function: Callable[..., object], reference: str) -> Callable[..., Tensor]:
    @wraps(function, updated=())
    def loss(*logps: Tensor, **settings: object) -> Tensor:
        with OWN_LOSSES.named_errors(reference):
            losses = function(*logps, **settings)
        if not isinstance(losses, Tensor):
            raise OWN_LOSSES.refusal(reference, f"it returned a {type(losses).__name__}, expected a tensor")
        if losses.is_complex():
            raise OWN_LOSSES.refusal(reference, f"it returned complex numbers ({losses.dtype}), expected real ones")
        if losses.shape != logps[0].shape:
            # a mean would train too, but weights of pairs could not reach it
            raise OWN_LOSSES.refusal(
                reference,
                f"it returned the shape {tuple(losses.shape)}, expected {tuple(logps[0].shape)}: one loss per pair, "
                "without a mean over pairs",
            )
        if not losses.dtype.is_floating_point:
            raise OWN_LOSSES.refusal(
                reference, f"it returned numbers of type {losses.dtype}, expected {logps[0].dtype}"
            )
        if losses.device != logps[0].device:
            raise OWN_LOSSES.refusal(
                reference,
                f"it returned a tensor on {losses.device}, expected {logps[0].device}, where the log-probabilities "
                "lie: make new tensors with `device=policy_chosen.device`",
            )
        return losses

    return loss


def _try(settings: CustomLoss) -> None:
    # pairs that the policy ranks rightly and wrongly, and one with sums of -30 and -40 nats: tiny exponentials
    if problem := call_problem(custom_function(settings.function), len(TRIAL), settings.arguments()):
        raise _refusal(
            settings,
            "it is called with four tensors of shape (pairs,), the summed log-probabilities of chosen and rejected "
            f"under the policy and then the reference, and `loss.settings` by name, but {problem}",
        )
    rows = [torch.tensor(row) for row in TRIAL]
    policy: Sequence[Tensor] = [row.requires_grad_() for row in rows[:2]]
    losses = custom_function(settings.function)(*policy, *rows[2:], **settings.arguments())
    if any(row.tolist() != torch.tensor(before).tolist() for row, before in zip(rows, TRIAL, strict=True)):
        raise _refusal(
            settings, "it changes the log-probabilities that it is given, and metrics need them: work on copies"
        )
    if not torch.isfinite(losses).all():
        raise _refusal(settings, f"its losses of four pairs are {losses.tolist()}, expected finite numbers")
    if not losses.requires_grad:
        raise _refusal(settings, UNCONNECTED)
    # a loss that ignores one of the two responses is a loss still, so `allow_unused`
    slopes = torch.autograd.grad(losses.sum(), policy, allow_unused=True)
    if all(slope is None for slope in slopes):
        raise _refusal(settings, UNCONNECTED)
    if any(slope is not None and not torch.isfinite(slope).all() for slope in slopes):
        raise _refusal(settings, "its gradient on four pairs is not finite")


def _refusal(settings: CustomLoss, reason: str) -> InputError:
    return OWN_LOSSES.refusal(settings.function, reason)
