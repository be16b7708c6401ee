"""Preference losses that need more than two sums per pair: whole batches, rankings of k, or every token.

Pure functions. Sources: AOT, Melnyk et al. 2024 (arXiv:2406.05882); Plackett-Luce for rankings, Plackett 1975 and
Rafailov et al. 2023 (arXiv:2305.18290, appendix A.3); LD-DPO, Liu et al. 2024 (arXiv:2409.06411); WPO, Zhou et al. 2024
(arXiv:2406.11827), eq. 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from penchant.errors import InputError
from penchant.losses.pairs import FrontSums, Pairs, SquareSums, log_ratios, scaled_log_ratio_margin
from penchant.losses.preference import dpo, smoothed

Tokens = Float[Tensor, "responses tokens"]


def aot(
    policy_chosen: Pairs,
    policy_rejected: Pairs,
    ref_chosen: Pairs,
    ref_rejected: Pairs,
    *,
    beta: float,
    label_smoothing: float = 0.0,
) -> Pairs:
    """Return the loss of AOT on pairs: the policy's margins should exceed the reference's, quantile by quantile.

    Sorts log pi(w) - log pi(l) and the same of the reference over all pairs given, and takes DPO's loss of the
    differences: the whole batch has to come in one call.

    Args:
        policy_chosen, policy_rejected: summed logps under the policy, in nats, shape `(pairs,)`.
        ref_chosen, ref_rejected: the same under the reference.
        beta: strength of the pull to the reference, positive.
        label_smoothing: the share of labels assumed wrong, 0 <= eps < 0.5.

    Returns:
        A loss per quantile, shape `(pairs,)`, not in the order of the pairs.

    Raises:
        InputError: the tensors do not all have the same shape `(pairs,)`.
    """
    log_ratios(policy_chosen, policy_rejected, ref_chosen, ref_rejected)  # checks the shapes
    # each of the two is sorted by itself: a pair's own margin under the policy may meet another pair's under the
    # reference
    of_policy, of_reference = policy_chosen - policy_rejected, ref_chosen - ref_rejected
    return _quantiles(of_policy, of_reference, beta, label_smoothing)


def aot_unpaired(
    policy_chosen: Pairs,
    policy_rejected: Pairs,
    ref_chosen: Pairs,
    ref_rejected: Pairs,
    *,
    beta: float,
    label_smoothing: float = 0.0,
) -> Pairs:
    """Return the loss of AOT unpaired: the chosen log-ratios should exceed the rejected ones, quantile by quantile.

    Args, returns and errors are those of `aot`.
    """
    return _quantiles(
        *log_ratios(policy_chosen, policy_rejected, ref_chosen, ref_rejected), beta=beta, smoothing=label_smoothing
    )


def plackett_luce_pairs(
    policy_chosen: Pairs, policy_rejected: Pairs, ref_chosen: Pairs, ref_rejected: Pairs, *, beta: float
) -> Pairs:
    """Return Plackett and Luce's loss of rankings of two responses, which is `dpo`; arguments as there."""
    return dpo(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta=beta)


def plackett_luce(
    policy: Float[Tensor, "rankings k"], ref: Float[Tensor, "rankings k"], *, beta: float
) -> Float[Tensor, " rankings"]:
    """Return DPO's loss of rankings of k responses, best first: their negative log-likelihood under Plackett-Luce.

    Args:
        policy, ref: summed logps of the responses under policy and reference, in nats, shape `(rankings, k)`, k >= 2.
        beta: strength of the pull to the reference, positive.

    Returns:
        The loss of each ranking, shape `(rankings,)`; ln k! where policy and reference agree; DPO's at k = 2.

    Raises:
        InputError: shapes differ, or there are fewer than two responses.
    """
    if policy.ndim != 2 or policy.shape != ref.shape or policy.shape[1] < 2:
        raise InputError(
            f"plackett_luce: policy has shape {tuple(policy.shape)} and ref {tuple(ref.shape)}, expected the same "
            "(rankings, k) with k of at least 2"
        )
    # bfloat16 has 8 bits: the difference of two sums of hundreds of nats would lie on a grid of nats
    scores = beta * (policy.float() if policy.dtype in (torch.float16, torch.bfloat16) else policy).sub(ref)
    # the normaliser of place i runs over the responses from i on
    remaining = scores.flip(1).logcumsumexp(1).flip(1)
    # the last place is certain once all others are given: its term is log 1
    return (remaining - scores)[:, :-1].sum(1)


def ld_logps(
    token_logps: Tokens,
    lengths: Float[Tensor, " responses"],
    other_lengths: Float[Tensor, " responses"],
    *,
    alpha: float,
) -> Float[Tensor, " responses"]:
    """Return LD-DPO's sums, for `dpo` in place of plain ones: tokens beyond the other response's length count alpha.

    Args:
        token_logps: log-probabilities in nats, shape `(responses, tokens)`; none is read beyond a response's length.
        lengths, other_lengths: tokens of each response, and of the one it is compared with, shape `(responses,)`.
        alpha: weight of the tail, between 0 and 1; 1 gives plain sums.

    Returns:
        Shape `(responses,)`, in nats.

    Raises:
        InputError: shapes that do not belong together.
    """
    if token_logps.ndim != 2 or not token_logps.shape[:1] == lengths.shape == other_lengths.shape:
        raise InputError(
            f"ld_logps: token_logps has shape {tuple(token_logps.shape)}, lengths {tuple(lengths.shape)} and "
            f"other_lengths {tuple(other_lengths.shape)}, expected (responses, tokens), (responses,), (responses,)"
        )
    position = torch.arange(token_logps.shape[1], device=token_logps.device)
    # a response that is the shorter one is all front: its own length is the minimum
    in_response, front = position < lengths[:, None], position < torch.minimum(lengths, other_lengths)[:, None]
    sums, fronts = (token_logps.masked_fill(~mask, 0.0).sum(1) for mask in (in_response, front))
    return discount_tails(sums, fronts, alpha=alpha)


def ld_dpo(*logps: Pairs, fronts: FrontSums, beta: float, alpha: float) -> Pairs:
    """Return LD-DPO's loss of each pair: `dpo` on sums in which tokens beyond the shorter response count only alpha.

    Args:
        logps: summed logps of chosen and rejected under the policy, then under the reference, in nats.
        fronts: the same four over as many first tokens as the shorter response has.
        beta: strength of the pull to the reference, positive.
        alpha: the weight of the tokens beyond, between 0 and 1; 1 is `dpo`.
    """
    return dpo(*_discounted(logps, fronts, alpha), beta=beta)


def ld_dpo_margin(*logps: Pairs, fronts: FrontSums, beta: float, alpha: float) -> Pairs:
    """Return beta h of the discounted sums, the margin of `ld_dpo`; arguments as there."""
    return scaled_log_ratio_margin(*_discounted(logps, fronts, alpha), beta=beta)


def _discounted(logps: Sequence[Pairs], fronts: FrontSums, alpha: float) -> list[Pairs]:
    return [discount_tails(sums, front, alpha=alpha) for sums, front in zip(logps, fronts, strict=True)]


def discount_tails(sums: Pairs, fronts: Pairs, *, alpha: float) -> Pairs:
    """Return LD-DPO's sums from whole sums and those of the first tokens: front + alpha (sum - front).

    Args:
        sums: summed logps of responses, in nats, shape `(responses,)`.
        fronts: of each, the sum over as many of its first tokens as the other response of the pair has.
        alpha: weight of the tokens behind them, between 0 and 1; 1 gives plain sums.
    """
    return fronts + alpha * (sums - fronts)


def wpo(
    policy_chosen: Pairs,
    policy_rejected: Pairs,
    ref_chosen: Pairs,
    ref_rejected: Pairs,
    *,
    squares: SquareSums,
    tokens: tuple[Tensor, Tensor],
    beta: float,
) -> Pairs:
    """Return WPO's loss of each pair: `dpo`, times how likely its responses are under the policy now.

    Args:
        policy_chosen, policy_rejected: summed logps under the policy, in nats, shape `(pairs,)`.
        ref_chosen, ref_rejected: the same under the reference.
        squares: log sum over v of p(v)^2, summed over the same tokens.
        tokens: how many tokens the chosen and the rejected response have, shape `(pairs,)` each.
        beta: strength of the pull to the reference, positive.
    """
    losses = dpo(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta=beta)
    return losses * pair_weights(policy_chosen, policy_rejected, *squares, *tokens)


def wpo_weights(
    chosen_logps: Tokens,
    rejected_logps: Tokens,
    chosen_log_sum_sq: Tokens,
    rejected_log_sum_sq: Tokens,
    chosen_mask: Bool[Tensor, "responses tokens"],
    rejected_mask: Bool[Tensor, "responses tokens"],
) -> Pairs:
    """Return WPO's weight of each pair: how likely its responses are under the policy, against what it expects.

    The product over both responses of exp(mean over tokens of (log p(token) - log sum over v of p(v)^2)); 1 where every
    token is as likely as a draw's is on average. Multiply a pair's loss with it; no gradient flows through.

    Args:
        chosen_logps, rejected_logps: the tokens' log-probabilities in nats, shape `(pairs, tokens)`.
        chosen_log_sum_sq, rejected_log_sum_sq: log of the sum of squared probabilities over the vocabulary.
        chosen_mask, rejected_mask: which places hold a token of the response.

    Returns:
        Shape `(pairs,)`, detached.
    """

    def total(values: Tensor, mask: Tensor) -> Tensor:
        return values.masked_fill(~mask, 0.0).sum(1)

    return pair_weights(
        total(chosen_logps, chosen_mask),
        total(rejected_logps, rejected_mask),
        total(chosen_log_sum_sq, chosen_mask),
        total(rejected_log_sum_sq, rejected_mask),
        chosen_mask.sum(1),
        rejected_mask.sum(1),
    )


def pair_weights(
    chosen: Pairs, rejected: Pairs, chosen_squares: Pairs, rejected_squares: Pairs, *tokens: Int[Tensor, " pairs"]
) -> Pairs:
    """Return WPO's weight of each pair from sums over tokens; see `wpo_weights`.

    Args:
        chosen, rejected: summed logps under the policy, in nats, shape `(pairs,)`.
        chosen_squares, rejected_squares: log sum over v of p(v)^2, summed over the same tokens.
        tokens: how many tokens the chosen and the rejected response have.

    Returns:
        Shape `(pairs,)`, detached.
    """
    # the weight scales a pair; with a gradient the policy could lower its loss by forgetting the pair
    with torch.no_grad():
        chosen_tokens, rejected_tokens = (count.clamp_min(1) for count in tokens)  # an empty response has no mean
        exponent = (chosen - chosen_squares) / chosen_tokens + (rejected - rejected_squares) / rejected_tokens
        return exponent.exp()


def _quantiles(better: Tensor, worse: Tensor, beta: float, smoothing: float) -> Tensor:
    return smoothed(beta * (better.sort().values - worse.sort().values), smoothing)
