"""Losses on single responses that are labelled good or bad. Pure functions, no models, no I/O.

Source: KTO, Ethayarajh et al. 2024 (arXiv:2402.01306), eq. 7 and 8.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from penchant.errors import InputError
from penchant.losses.pairs import ROUNDING, same_pairs

Responses = Float[Tensor, " responses"]


def kto(
    policy: Responses,
    ref: Responses,
    desirable: Bool[Tensor, " responses"],
    kl: Float[Tensor, ""] | float,
    *,
    beta: float,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> Responses:
    """Return the loss of Kahneman-Tversky Optimization.

    It is what a response gains or loses against the reference point z, through a sigmoid.

    With r = log pi - log pi_ref of a response and z = max(0, kl),

        weight_D (1 - sigmoid(beta (r - z))) where it is desirable,
        weight_U (1 - sigmoid(beta (z - r))) where it is not.

    Args:
        policy, ref: summed logps under policy and reference, in nats, shape `(responses,)`.
        desirable: which responses are good, shape `(responses,)`.
        kl: an estimate of KL(pi || pi_ref) in nats, from prompts with the responses of others: the mean of
            log pi - log pi_ref. Below 0 it counts as 0; no gradient flows through it.
        beta: strength of the pull to the reference, positive.
        desirable_weight, undesirable_weight: the paper's lambdas, not negative.

    Returns:
        The loss of each response, shape `(responses,)`, between 0 and its weight; half of it where policy and reference
        agree and the KL is 0.

    Raises:
        InputError: the tensors do not all have the same shape `(responses,)`, or `desirable` is not boolean.
    """
    gain = beta * _gains(policy, ref, desirable, kl)
    # 1 - sigmoid(x) = sigmoid(-x), which keeps its digits where sigmoid(x) is about 1
    return torch.where(desirable, desirable_weight * torch.sigmoid(-gain), undesirable_weight * torch.sigmoid(gain))


def label_margins(
    policy: Responses,
    ref: Responses,
    desirable: Bool[Tensor, " responses"],
    kl: Float[Tensor, ""] | float,
    *,
    beta: float,
) -> Responses:
    """Return on which side of the reference point each response lies, and how far: positive on its label's side.

    Args and errors are those of `kto`.

    Returns:
        beta (r - z) of a desirable response, beta (z - r) of another one, shape `(responses,)`, detached. Exactly 0
        where it is within rounding, as all are before the first step.
    """
    gains = _gains(policy.detach(), ref, desirable, kl)
    rounding = ROUNDING * (policy.detach().abs() + ref.abs())
    return beta * torch.where(desirable, gains, -gains).where(gains.abs() > rounding, 0.0)


def _gains(policy: Tensor, ref: Tensor, desirable: Tensor, kl: Tensor | float) -> Tensor:
    """Return r - z in nats, shape `(responses,)`, after a check of the shapes."""
    if desirable.dtype != torch.bool:  # scores or +1 and -1 would be taken as true
        raise InputError(f"kto: `desirable` must hold true or false, got {desirable.dtype}")
    # `desirable` is among them so that one label per response is checked as well
    policy, ref, _ = same_pairs(policy=policy, ref=ref, desirable=desirable)
    # the paper's z is a KL, which is never negative; its estimate from a few mismatched responses may be
    reference_point = torch.as_tensor(kl, dtype=policy.dtype, device=policy.device).detach().clamp(min=0)
    return policy - ref - reference_point
