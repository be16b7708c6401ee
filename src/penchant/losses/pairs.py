"""What all losses on pairs of responses share: the check of shapes, log-ratios, margins, and the likelihood's anchor.

Log-probabilities ("logps") are natural logarithms. Throughout, w is the chosen (winning) and l the rejected (losing)
response, and

    h = (log pi(w) - log pi_ref(w)) - (log pi(l) - log pi_ref(l))

is the difference of the log-ratios in nats; beta h is the implicit reward margin.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from penchant.errors import InputError

Pairs = Float[Tensor, " pairs"]

ROUNDING = 1e-6  # of a sum of float32 log-probabilities, relative, when the batch around it is another one


class FrontSums(NamedTuple):
    """Sums over as many first tokens as the shorter response of a pair has, in nats, shape `(pairs,)` each."""

    policy_chosen: Pairs
    policy_rejected: Pairs
    ref_chosen: Pairs
    ref_rejected: Pairs


class SquareSums(NamedTuple):
    """Log of the summed squared probabilities of the vocabulary, summed over tokens, shape `(pairs,)` each."""

    chosen: Pairs
    rejected: Pairs


def same_pairs(**tensors: Tensor) -> tuple[Tensor, ...]:
    """Return the tensors, at least float32 where they are floats, after a check that all have one shape `(pairs,)`.

    A mismatch such as (pairs, 1) with (pairs,) would broadcast to all pairs with all pairs and train on nonsense.

    Raises:
        InputError: a tensor of another shape; the message names it.
    """
    first, expected = next((name, tensor.shape) for name, tensor in tensors.items())
    for name, tensor in tensors.items():
        if tensor.ndim != 1 or tensor.shape != expected:
            expectation = "(pairs,), one number per pair" if name == first else f"{tuple(expected)} like {first}"
            raise InputError(f"`{name}` has shape {tuple(tensor.shape)}, expected {expectation}")
    # bfloat16 keeps 8 bits: sums of 300 nats would lie on a grid of 2 nats, and margins are smaller than that
    halves = (torch.float16, torch.bfloat16)
    return tuple(tensor.float() if tensor.dtype in halves else tensor for tensor in tensors.values())


def log_ratios(
    policy_chosen: Pairs, policy_rejected: Pairs, ref_chosen: Pairs, ref_rejected: Pairs
) -> tuple[Pairs, Pairs]:
    """Return log pi - log pi_ref of the chosen and of the rejected response, in nats, each of shape `(pairs,)`.

    Raises:
        InputError: the tensors do not all have the same shape `(pairs,)`.
    """
    policy_chosen, policy_rejected, ref_chosen, ref_rejected = same_pairs(
        policy_chosen=policy_chosen,
        policy_rejected=policy_rejected,
        ref_chosen=ref_chosen,
        ref_rejected=ref_rejected,
    )
    return policy_chosen - ref_chosen, policy_rejected - ref_rejected


def log_ratio_difference(policy_chosen: Pairs, policy_rejected: Pairs, ref_chosen: Pairs, ref_rejected: Pairs) -> Pairs:
    """Return h of the module's docstring, in nats, shape `(pairs,)`."""
    chosen, rejected = log_ratios(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    return chosen - rejected


def nll(mean_chosen: Pairs) -> Pairs:
    """Return the negative log-likelihood of the chosen response, averaged over its tokens: -mean log pi(w).

    Args:
        mean_chosen: mean logps per token under the policy, in nats, shape `(pairs,)`.

    Returns:
        The loss of each pair, in nats per token, shape `(pairs,)`.

    Raises:
        InputError: the tensor is not of shape `(pairs,)`.
    """
    (mean_chosen,) = same_pairs(mean_chosen=mean_chosen)
    return -mean_chosen


# -- margins: by how much the chosen response leads ---------------------------------------------------------------


def scaled_log_ratio_margin(*logps: Pairs, beta: float, **_: object) -> Pairs:
    """Return beta h, the implicit reward margin of most losses, shape `(pairs,)`."""
    return beta * log_ratio_difference(*logps)


def log_ratio_margin(*logps: Pairs, **_: object) -> Pairs:
    """Return h in nats (per token where the log-probabilities are means), shape `(pairs,)`."""
    return log_ratio_difference(*logps)


def logp_margin(chosen: Pairs, rejected: Pairs, *, beta: float = 1.0, **_: object) -> Pairs:
    """Return beta (log pi(w) - log pi(l)), for losses without a reference, shape `(pairs,)`."""
    return beta * (chosen - rejected)
