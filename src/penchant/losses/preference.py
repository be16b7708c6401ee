"""Losses on pairs of responses to one prompt: chosen and rejected. Pure functions, no models, no I/O.

Log-probabilities ("logps") are natural logarithms. Without a prefix they are **sums** over the tokens of a
response; an argument that wants the average over tokens is called `mean_...`. Every function returns one loss
per pair, shape `(pairs,)`; the training loop takes the mean. Half-precision inputs are computed in float32.

Throughout, w is the chosen (winning) and l the rejected (losing) response, and

    h = (log pi(w) - log pi_ref(w)) - (log pi(l) - log pi_ref(l))

is the difference of the log-ratios in nats; beta h is the implicit reward margin.

Sources: DPO, Rafailov et al. 2023 (arXiv:2305.18290); conservative DPO, Mitchell 2023; robust DPO, Chowdhury
et al. 2024 (arXiv:2403.00409); IPO, Azar et al. 2023 (arXiv:2310.12036); hinge, Zhao et al. 2023 (SLiC-HF,
arXiv:2305.10425) in the form of Liu et al. 2023 (RSO, arXiv:2309.06657); SimPO, Meng et al. 2024
(arXiv:2405.14734); ORPO, Hong et al. 2024 (arXiv:2403.07691).
"""

from __future__ import annotations

import torch
from torch.nn.functional import logsigmoid

from penchant.errors import InputError
from penchant.losses.pairs import Pairs, log_ratio_difference, nll, same_pairs


def dpo(
    policy_chosen: Pairs,
    policy_rejected: Pairs,
    ref_chosen: Pairs,
    ref_rejected: Pairs,
    *,
    beta: float,
    label_smoothing: float = 0.0,
) -> Pairs:
    """Return the loss of Direct Preference Optimization: -log sigmoid(beta h).

    With label smoothing eps it is conservative DPO, (1 - eps) L(w, l) + eps L(l, w).

    Args:
        policy_chosen, policy_rejected: summed logps under the policy, in nats, shape `(pairs,)`.
        ref_chosen, ref_rejected: the same under the reference.
        beta: strength of the pull to the reference, positive.
        label_smoothing: the share of labels assumed wrong, 0 <= eps < 0.5.

    Returns:
        The loss of each pair, shape `(pairs,)`; ln 2 where policy and reference agree.

    Raises:
        InputError: the tensors do not all have the same shape `(pairs,)`.
    """
    logits = beta * log_ratio_difference(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    return smoothed(logits, label_smoothing)


def smoothed(logits: Pairs, label_smoothing: float) -> Pairs:
    """Return (1 - eps) * -log sigmoid(x) + eps * -log sigmoid(-x), shape `(pairs,)`.

    Without smoothing the second term is left out: 0 times an infinite loss would be NaN at x = +inf, where the loss
    is 0.
    """
    losses = -logsigmoid(logits)
    return losses if not label_smoothing else (1 - label_smoothing) * losses - label_smoothing * logsigmoid(-logits)


def robust(
    policy_chosen: Pairs,
    policy_rejected: Pairs,
    ref_chosen: Pairs,
    ref_rejected: Pairs,
    *,
    beta: float,
    label_smoothing: float,
) -> Pairs:
    """Return the loss of robust DPO: ((1 - eps) L(w, l) - eps L(l, w)) / (1 - 2 eps), with L the DPO loss.

    Its expectation under labels flipped with probability eps is the DPO loss of the true labels. Unlike the other
    losses it is unbounded below: a pair that the policy is very sure of counts negatively.

    Args:
        policy_chosen, policy_rejected: summed logps under the policy, in nats, shape `(pairs,)`.
        ref_chosen, ref_rejected: the same under the reference.
        beta: strength of the pull to the reference, positive.
        label_smoothing: the share of flipped labels, 0 <= eps < 0.5 (0 is plain DPO).

    Returns:
        The loss of each pair, shape `(pairs,)`; ln 2 where policy and reference agree.

    Raises:
        InputError: shapes as in `dpo`; or eps outside its range, where the correction is undefined.
    """
    if not 0 <= label_smoothing < 0.5:
        raise InputError(f"robust: label_smoothing must be at least 0 and below 0.5, got {label_smoothing}")
    logits = beta * log_ratio_difference(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    return smoothed(logits, 0.0) if not label_smoothing else _corrected(logits, label_smoothing)


def _corrected(logits: Pairs, label_smoothing: float) -> Pairs:
    # the weights 1 - eps and -eps are the first row of the inverse of the matrix that flips labels; its determinant is
    # 1 - 2 eps
    corrected = -(1 - label_smoothing) * logsigmoid(logits) + label_smoothing * logsigmoid(-logits)
    return corrected / (1 - 2 * label_smoothing)


def ipo(
    policy_chosen: Pairs,
    policy_rejected: Pairs,
    ref_chosen: Pairs,
    ref_rejected: Pairs,
    *,
    tau: float,
) -> Pairs:
    """Return the loss of Identity Preference Optimization: (h - 1 / (2 tau))^2, with h of summed logps as in the paper.

    Args:
        policy_chosen, policy_rejected: summed logps under the policy, in nats, shape `(pairs,)`.
        ref_chosen, ref_rejected: the same under the reference.
        tau: strength of the pull to the reference, positive.

    Returns:
        The loss of each pair, shape `(pairs,)`, in nats squared; 1 / (4 tau^2) where policy and reference
        agree.

    Raises:
        InputError: the tensors do not all have the same shape `(pairs,)`.
    """
    difference = log_ratio_difference(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    return (difference - 1 / (2 * tau)) ** 2


def ipo_mean(
    mean_policy_chosen: Pairs,
    mean_policy_rejected: Pairs,
    mean_ref_chosen: Pairs,
    mean_ref_rejected: Pairs,
    *,
    tau: float,
) -> Pairs:
    """Return the loss of IPO on length-averaged logps: the equation of `ipo`, as in released code, not in the paper.

    Args:
        mean_policy_chosen, mean_policy_rejected: mean logps per token under the policy, in nats, shape
            `(pairs,)`.
        mean_ref_chosen, mean_ref_rejected: the same under the reference.
        tau: strength of the pull to the reference, positive.

    Returns:
        The loss of each pair, shape `(pairs,)`; 1 / (4 tau^2) where policy and reference agree.

    Raises:
        InputError: the tensors do not all have the same shape `(pairs,)`.
    """
    return ipo(mean_policy_chosen, mean_policy_rejected, mean_ref_chosen, mean_ref_rejected, tau=tau)


def hinge(
    policy_chosen: Pairs,
    policy_rejected: Pairs,
    ref_chosen: Pairs,
    ref_rejected: Pairs,
    *,
    beta: float,
) -> Pairs:
    """Return the hinge with reference: max(0, 1 - beta h), without force once the margin is reached.

    Args:
        policy_chosen, policy_rejected: summed logps under the policy, in nats, shape `(pairs,)`.
        ref_chosen, ref_rejected: the same under the reference.
        beta: strength of the pull to the reference, positive.

    Returns:
        The loss of each pair, shape `(pairs,)`; 1 where policy and reference agree.

    Raises:
        InputError: the tensors do not all have the same shape `(pairs,)`.
    """
    difference = log_ratio_difference(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    # no gradient past the margin: pairs that the policy has learned leave the others alone
    return torch.relu(1 - beta * difference)


def simpo(mean_chosen: Pairs, mean_rejected: Pairs, *, beta: float, gamma: float) -> Pairs:
    """Return the loss of SimPO: -log sigmoid(beta (mean log pi(w) - mean log pi(l)) - gamma), without a reference.

    Args:
        mean_chosen, mean_rejected: mean logps per token under the policy, in nats, shape `(pairs,)`.
        beta: scales the difference, positive.
        gamma: the target margin of the scaled difference, not negative.

    Returns:
        The loss of each pair, shape `(pairs,)`.

    Raises:
        InputError: the tensors do not have the same shape `(pairs,)`.
    """
    mean_chosen, mean_rejected = same_pairs(mean_chosen=mean_chosen, mean_rejected=mean_rejected)
    return -logsigmoid(beta * (mean_chosen - mean_rejected) - gamma)


def orpo(mean_chosen: Pairs, mean_rejected: Pairs, *, weight: float) -> Pairs:
    """Return the loss of ORPO, without a reference.

    -mean log pi(w) + weight * -log sigmoid(log odds(w) - log odds(l)).

    odds(y) = p / (1 - p) with p = exp(mean log pi(y)), as in the paper. A response of probability 1 has
    infinite odds; its mean logp is held a rounding step below 0, so the loss stays finite (and the odds term
    gives no gradient there).

    Args:
        mean_chosen, mean_rejected: mean logps per token under the policy, in nats, shape `(pairs,)`.
        weight: the paper's lambda, not negative.

    Returns:
        The loss of each pair, shape `(pairs,)`. It contains the negative log-likelihood of the chosen
        response.

    Raises:
        InputError: the tensors do not have the same shape `(pairs,)`.
    """
    mean_chosen, mean_rejected = same_pairs(mean_chosen=mean_chosen, mean_rejected=mean_rejected)
    return nll(mean_chosen) - weight * logsigmoid(log_odds(mean_chosen) - log_odds(mean_rejected))


def chosen_nll(mean_chosen: Pairs, mean_rejected: Pairs) -> Pairs:
    """Return the negative log-likelihood per token of the chosen response; the rejected one is not looked at.

    Args:
        mean_chosen, mean_rejected: mean logps per token under the policy, in nats, shape `(pairs,)`.
    """
    return nll(mean_chosen)


def log_odds_margin(mean_chosen: Pairs, mean_rejected: Pairs, **_: object) -> Pairs:
    """Return log odds(w) - log odds(l), the margin of `orpo`, shape `(pairs,)`."""
    return log_odds(mean_chosen) - log_odds(mean_rejected)


def log_odds(mean_logps: Pairs) -> Pairs:
    """Return log(p / (1 - p)) for p = exp(mean_logps), shape `(pairs,)`."""
    # at p = 1 the odds would be infinite; the nearest p that is safely below 1 stands for it
    below_one = mean_logps.clamp(max=-torch.finfo(mean_logps.dtype).eps)
    # -expm1 keeps 1 - p exact for p near 1, where 1 - exp would round to 0; for small p both are 1
    return below_one - torch.log(-torch.expm1(below_one))
