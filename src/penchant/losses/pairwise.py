"""More losses on pairs of responses, beside those of `penchant.losses.preference`, whose conventions hold here too.

Log-probabilities are summed over tokens, in nats, unless an argument is called `mean_...`; every function returns one
loss per pair, shape `(pairs,)`. With w the chosen and l the rejected response,

    a = log pi(w) - log pi_ref(w),   b = log pi(l) - log pi_ref(l),   h = a - b.

Sources: EXO, Ji et al. 2024 (arXiv:2402.00856), eq. 16; NCA, Chen et al. 2024 (arXiv:2402.05369); SPPO, Wu et al. 2024
(arXiv:2405.00675), eq. 4.7 with probabilities 1 and 0; BCO, Jung et al. 2024 (arXiv:2404.04656); APO, D'Oosterlinck et
al. 2024 (arXiv:2408.06266), eqs. 7 and 8; DiscoPOP, Lu et al. 2024 (arXiv:2406.08414), eq. 5; length-normalised DPO,
Lambert et al. 2024 (Tulu 3, arXiv:2411.15124); f-divergences, Wang et al. 2023 (arXiv:2309.16240).
"""

from __future__ import annotations

import math
from typing import Literal, assert_never

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from penchant.errors import InputError
from penchant.losses.pairs import Pairs, log_ratio_difference, log_ratios
from penchant.losses.preference import dpo

LARGEST_EXPONENT = 80.0  # e to this is a float32, with room for a beta; the slope beyond it is 0

Divergence = Literal["forward_kl", "jensen_shannon", "alpha"]


def exo_pair(
    policy_chosen: Pairs,
    policy_rejected: Pairs,
    ref_chosen: Pairs,
    ref_rejected: Pairs,
    *,
    beta: float,
    label_smoothing: float,
) -> Pairs:
    """Return the loss of EXO on pairs: the reverse KL from (sigmoid(beta h), sigmoid(-beta h)) to (1 - eps, eps).

    Args:
        policy_chosen, policy_rejected: summed logps under the policy, in nats, shape `(pairs,)`.
        ref_chosen, ref_rejected: the same under the reference.
        beta: strength of the pull to the reference, positive.
        label_smoothing: eps, 0 < eps < 0.5; at 0 the divergence would be infinite.

    Returns:
        The loss of each pair, in nats, shape `(pairs,)`; 0 where sigmoid(beta h) = 1 - eps.

    Raises:
        InputError: shapes differ, or eps is outside its range.
    """
    if not 0 < label_smoothing < 0.5:
        raise InputError(f"exo_pair: label_smoothing must be above 0 and below 0.5, got {label_smoothing}")
    logits = beta * log_ratio_difference(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    # KL(p || q) = sum of p log p - p log q over the two outcomes, p the policy's and q the smoothed label; log1p keeps
    # the digits of 1 - eps where eps is small
    right = _times_log(logits) - torch.sigmoid(logits) * math.log1p(-label_smoothing)
    return right + _times_log(-logits) - torch.sigmoid(-logits) * math.log(label_smoothing)


def nca_pair(
    policy_chosen: Pairs, policy_rejected: Pairs, ref_chosen: Pairs, ref_rejected: Pairs, *, beta: float
) -> Pairs:
    """Return the loss of NCA on pairs.

    -log sigmoid(beta a) - log sigmoid(-beta a) / 2 - log sigmoid(-beta b) / 2.

    It holds each response's own log-ratio, so that the chosen one's probability does not sink with the other's.

    Args:
        policy_chosen, policy_rejected: summed logps under the policy, in nats, shape `(pairs,)`.
        ref_chosen, ref_rejected: the same under the reference.
        beta: strength of the pull to the reference, positive.

    Returns:
        The loss of each pair, shape `(pairs,)`; 2 ln 2 where policy and reference agree.

    Raises:
        InputError: the tensors do not all have the same shape `(pairs,)`.
    """
    chosen, rejected = _scaled(beta, policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    # the last two terms are what DPO lacks: each response's own ratio is held down, not only their difference
    return -logsigmoid(chosen) - 0.5 * logsigmoid(-chosen) - 0.5 * logsigmoid(-rejected)


def sppo_hard(
    policy_chosen: Pairs, policy_rejected: Pairs, ref_chosen: Pairs, ref_rejected: Pairs, *, beta: float
) -> Pairs:
    """Return the loss of SPPO with hard labels: (a - 1 / (2 beta))^2 + (b + 1 / (2 beta))^2.

    Args:
        policy_chosen, policy_rejected: summed logps under the policy, in nats, shape `(pairs,)`.
        ref_chosen, ref_rejected: the same under the reference.
        beta: strength of the pull to the reference, positive.

    Returns:
        The loss of each pair, in nats squared, shape `(pairs,)`; 1 / (2 beta^2) where policy and reference agree.

    Raises:
        InputError: the tensors do not all have the same shape `(pairs,)`.
    """
    chosen, rejected = log_ratios(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    # the paper's targets eta (P - 1/2) with eta = 1 / beta, at a win probability P of 1 for the chosen response and of
    # 0 for the rejected one
    return (chosen - 0.5 / beta) ** 2 + (rejected + 0.5 / beta) ** 2


def bco_pair(
    policy_chosen: Pairs, policy_rejected: Pairs, ref_chosen: Pairs, ref_rejected: Pairs, *, beta: float
) -> Pairs:
    """Return the loss of BCO on pairs: -log sigmoid(beta a) - log sigmoid(-beta b).

    The chosen response is good and the rejected one is bad, each on its own.

    Without the paper's moving shift of the rewards, as in TRL.

    Args:
        policy_chosen, policy_rejected: summed logps under the policy, in nats, shape `(pairs,)`.
        ref_chosen, ref_rejected: the same under the reference.
        beta: strength of the pull to the reference, positive.

    Returns:
        The loss of each pair, shape `(pairs,)`; 2 ln 2 where policy and reference agree.

    Raises:
        InputError: the tensors do not all have the same shape `(pairs,)`.
    """
    chosen, rejected = _scaled(beta, policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    return -logsigmoid(chosen) - logsigmoid(-rejected)


def apo_zero(
    policy_chosen: Pairs, policy_rejected: Pairs, ref_chosen: Pairs, ref_rejected: Pairs, *, beta: float
) -> Pairs:
    """Return the loss of APO-zero: 1 - sigmoid(beta a) + sigmoid(beta b).

    For chosen responses that are better than the policy's own.

    Args:
        policy_chosen, policy_rejected: summed logps under the policy, in nats, shape `(pairs,)`.
        ref_chosen, ref_rejected: the same under the reference.
        beta: strength of the pull to the reference, positive.

    Returns:
        The loss of each pair, between 0 and 2, shape `(pairs,)`; 1 where policy and reference agree.

    Raises:
        InputError: the tensors do not all have the same shape `(pairs,)`.
    """
    chosen, rejected = _scaled(beta, policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    return torch.sigmoid(-chosen) + torch.sigmoid(rejected)


def apo_down(
    policy_chosen: Pairs, policy_rejected: Pairs, ref_chosen: Pairs, ref_rejected: Pairs, *, beta: float
) -> Pairs:
    """Return the loss of APO-down: sigmoid(beta a) + 1 - sigmoid(beta h).

    For chosen responses that are worse than the policy's own.

    Args:
        policy_chosen, policy_rejected: summed logps under the policy, in nats, shape `(pairs,)`.
        ref_chosen, ref_rejected: the same under the reference.
        beta: strength of the pull to the reference, positive.

    Returns:
        The loss of each pair, between 0 and 2, shape `(pairs,)`; 1 where policy and reference agree.

    Raises:
        InputError: the tensors do not all have the same shape `(pairs,)`.
    """
    chosen, rejected = _scaled(beta, policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    return torch.sigmoid(chosen) + torch.sigmoid(rejected - chosen)


def discopop(
    policy_chosen: Pairs, policy_rejected: Pairs, ref_chosen: Pairs, ref_rejected: Pairs, *, beta: float, tau: float
) -> Pairs:
    """Return the loss of DiscoPOP: (1 - m) * -log sigmoid(beta h) + m * exp(-beta h).

    It is modulated by m = sigmoid(beta h / tau).

    Args:
        policy_chosen, policy_rejected: summed logps under the policy, in nats, shape `(pairs,)`.
        ref_chosen, ref_rejected: the same under the reference.
        beta: strength of the pull to the reference, positive.
        tau: how fast the logistic loss gives way to the exponential one, positive; the paper found 0.05.

    Returns:
        The loss of each pair, shape `(pairs,)`; (1 + ln 2) / 2 where policy and reference agree.

    Raises:
        InputError: the tensors do not all have the same shape `(pairs,)`.
    """
    logits = beta * log_ratio_difference(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    # near 0 where the policy is wrong, near 1 where it is right: which of the two losses counts
    modulation = torch.sigmoid(logits / tau)
    return -logsigmoid(logits) * (1 - modulation) + _bounded_exp(-logits) * modulation


def dpo_mean(
    mean_policy_chosen: Pairs,
    mean_policy_rejected: Pairs,
    mean_ref_chosen: Pairs,
    mean_ref_rejected: Pairs,
    *,
    beta: float,
) -> Pairs:
    """Return the loss of length-normalised DPO (Tulu 3): DPO on log-probabilities averaged over tokens.

    Args:
        mean_policy_chosen, mean_policy_rejected: mean logps per token under the policy, in nats, shape `(pairs,)`.
        mean_ref_chosen, mean_ref_rejected: the same under the reference.
        beta: strength of the pull to the reference, positive; larger than that of sums by about a response's length.

    Returns:
        The loss of each pair, shape `(pairs,)`; ln 2 where policy and reference agree.

    Raises:
        InputError: the tensors do not all have the same shape `(pairs,)`.
    """
    return dpo(mean_policy_chosen, mean_policy_rejected, mean_ref_chosen, mean_ref_rejected, beta=beta)


def f_dpo(
    policy_chosen: Pairs,
    policy_rejected: Pairs,
    ref_chosen: Pairs,
    ref_rejected: Pairs,
    *,
    beta: float,
    divergence: Divergence,
    alpha: float = 0.5,
) -> Pairs:
    """Return DPO's loss under another divergence than the reverse KL: -log sigmoid(beta (f'(e^a) - f'(e^b))).

    Args:
        policy_chosen, policy_rejected: summed logps under the policy, in nats, shape `(pairs,)`.
        ref_chosen, ref_rejected: the same under the reference.
        beta: strength of the pull to the reference, positive.
        divergence: which f; see `f_scores`.
        alpha: of the alpha-divergence; at 1 it is the reverse KL, plain DPO.

    Returns:
        The loss of each pair, shape `(pairs,)`; ln 2 where policy and reference agree.

    Raises:
        InputError: the tensors do not all have the same shape `(pairs,)`.
    """
    chosen, rejected = log_ratios(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    return -logsigmoid(beta * (f_scores(chosen, divergence, alpha) - f_scores(rejected, divergence, alpha)))


def f_dpo_margin(*logps: Pairs, beta: float, divergence: Divergence, alpha: float = 0.5) -> Pairs:
    """Return beta (f'(e^a) - f'(e^b)), the margin of `f_dpo`, shape `(pairs,)`; arguments as there."""
    chosen, rejected = log_ratios(*logps)
    return beta * (f_scores(chosen, divergence, alpha) - f_scores(rejected, divergence, alpha))


def f_scores(ratios: Pairs, divergence: Divergence, alpha: float = 0.5) -> Pairs:
    """Return f'(t) at t = exp(ratios), which replaces the log-ratio under another divergence than the reverse KL.

    1 - 1 / t for the forward KL, ln 2 + log(t / (1 + t)) for Jensen-Shannon, (t^(alpha - 1) - 1) / (alpha - 1) for
    alpha. Exponents are held below `LARGEST_EXPONENT`.
    """
    match divergence:
        case "forward_kl":
            # f(t) = -log t; the constant cancels in the difference of two scores, and stays so that a score is 0 at
            # the reference
            return 1 - _bounded_exp(-ratios)
        case "jensen_shannon":
            # log(2 t / (1 + t)): at most log 2, so that no chosen response is pushed up without end
            return math.log(2) + logsigmoid(ratios)
        case "alpha":
            if abs(alpha - 1) < 1e-6:  # the limit, the reverse KL; the formula would be 0 / 0
                return ratios
            return (_bounded_exp((alpha - 1) * ratios) - 1) / (alpha - 1)
        case _:
            assert_never(divergence)


def _scaled(beta: float, *logps: Pairs) -> tuple[Pairs, Pairs]:
    chosen, rejected = log_ratios(*logps)
    return beta * chosen, beta * rejected


def _times_log(logits: Tensor) -> Tensor:
    """Return p log p for p = sigmoid(logits): 0 where p is 0, and without a NaN in the gradient there."""
    # where the policy has ruled one response out, p log p is 0 times -inf; a mask behind the product would leave the
    # NaN in the gradient, so the logit is replaced before it
    is_zero = logits == -torch.inf
    finite_logits = logits.masked_fill(is_zero, 0.0)
    return (torch.sigmoid(finite_logits) * logsigmoid(finite_logits)).masked_fill(is_zero, 0.0)


def _bounded_exp(exponents: Tensor) -> Tensor:
    return exponents.clamp(max=LARGEST_EXPONENT).exp()
