"""From a loss's configuration to its numbers: the one place that knows which function computes which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, assert_never

import torch
from jaxtyping import Int
from torch import Tensor

from penchant.errors import InputError
from penchant.losses.batchwise import aot, aot_unpaired, discount_tails, pair_weights
from penchant.losses.pairwise import (
    apo_down,
    apo_zero,
    bco_pair,
    discopop,
    dpo_mean,
    exo_pair,
    f_dpo,
    f_scores,
    nca_pair,
    sppo_hard,
)
from penchant.losses.preference import (
    Pairs,
    dpo,
    hinge,
    ipo,
    ipo_mean,
    log_odds,
    log_ratios,
    nll,
    orpo,
    robust,
    same_pairs,
    simpo,
)
from penchant.losses.settings import (
    AOT,
    IPO,
    LDDPO,
    ORPO,
    WPO,
    AlphaDivergence,
    AOTUnpaired,
    APODown,
    APOZero,
    BCOPair,
    ChosenNLL,
    DiscoPOP,
    ExoPair,
    ForwardKL,
    Hinge,
    IPOMean,
    JensenShannon,
    NCAPair,
    PlackettLuce,
    PreferenceLoss,
    Robust,
    Sigmoid,
    SigmoidNorm,
    SimPO,
    SPPOHard,
    Term,
    WeightedSum,
    WithReference,
)

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


def pair_losses(
    settings: PreferenceLoss | Term,
    policy_chosen: Pairs,
    policy_rejected: Pairs,
    ref_chosen: Pairs | None,
    ref_rejected: Pairs | None,
    chosen_tokens: Int[Tensor, " pairs"],
    rejected_tokens: Int[Tensor, " pairs"],
    *,
    fronts: FrontSums | None = None,
    squares: SquareSums | None = None,
) -> tuple[Pairs, Pairs]:
    """The loss that `settings` chooses, with its NLL anchor, and the margin of each pair.

    Args:
        settings: one of the configurations of `penchant.losses`; `plackett_luce` is taken for pairs, where it is DPO.
        policy_chosen, policy_rejected: summed logps under the policy, in nats, shape `(pairs,)`.
        ref_chosen, ref_rejected: the same under the reference; None is enough where
            `settings.needs.reference` is false.
        chosen_tokens, rejected_tokens: how many tokens each sum covers (at least 1), shape `(pairs,)`.
        fronts, squares: what losses with `needs.fronts` and `needs.squares` compute with.

    Returns:
        losses: shape `(pairs,)`, with gradient. (`aot` and `aot_unpaired`: per quantile, not in the pairs' order.)
        margins: shape `(pairs,)`, detached: by how much the chosen response leads. beta h for most; h for `ipo` and
            `sppo_hard`, per token for `ipo_mean` and `sigmoid_norm` (there times beta); beta times the difference of
            the scores for the f-divergences; beta times the difference of mean logps for `simpo`; the log-odds ratio
            for `orpo`; that of the first term that compares for `sum`. Positive means that policy and label agree.
            Exactly 0 where the difference to the reference is within rounding, as all are before the first step.

    Raises:
        InputError: a loss with reference got None for it, `fronts` or `squares` are missing, or shapes differ.
    """
    if isinstance(settings, WeightedSum):
        given = (policy_chosen, policy_rejected, ref_chosen, ref_rejected, chosen_tokens, rejected_tokens)
        parts = [pair_losses(term, *given, fronts=fronts, squares=squares) for _, term in settings.terms]
        losses = torch.stack([weight * part[0] for (weight, _), part in zip(settings.terms, parts, strict=True)]).sum(0)
        return losses, next(m for (_, m), t in zip(parts, settings.losses, strict=True) if not isinstance(t, ChosenNLL))
    policy_chosen, policy_rejected, chosen_tokens, rejected_tokens = same_pairs(
        policy_chosen=policy_chosen,
        policy_rejected=policy_rejected,
        chosen_tokens=chosen_tokens,
        rejected_tokens=rejected_tokens,
    )
    if isinstance(settings, ChosenNLL | ORPO | SimPO):
        losses, margins = _without_reference(settings, policy_chosen / chosen_tokens, policy_rejected / rejected_tokens)
    else:
        sums = _sums_with_reference(settings, policy_chosen, policy_rejected, ref_chosen, ref_rejected)
        losses, margins = _with_reference(settings, sums, (chosen_tokens, rejected_tokens), fronts, squares)
    if weight := getattr(settings, "nll_weight", 0.0):
        losses = losses + weight * nll(policy_chosen / chosen_tokens)
    return losses, margins.detach()


def _without_reference(
    settings: ChosenNLL | ORPO | SimPO, mean_chosen: Pairs, mean_rejected: Pairs
) -> tuple[Pairs, Pairs]:
    """(losses, margins) of mean log-probabilities per token, in nats."""
    difference = mean_chosen - mean_rejected
    match settings:
        case ChosenNLL():
            return nll(mean_chosen), difference
        case ORPO(weight=weight):  # holds its own likelihood term, so it has no anchor
            return orpo(mean_chosen, mean_rejected, weight=weight), log_odds(mean_chosen) - log_odds(mean_rejected)
        case SimPO(beta=beta, gamma=gamma):
            return simpo(mean_chosen, mean_rejected, beta=beta, gamma=gamma), beta * difference


def _sums_with_reference(
    settings: WithReference,
    policy_chosen: Pairs,
    policy_rejected: Pairs,
    ref_chosen: Pairs | None,
    ref_rejected: Pairs | None,
) -> tuple[Pairs, ...]:
    """The four sums in one shape and dtype, or an InputError where the reference's are missing."""
    if ref_chosen is None or ref_rejected is None:
        raise InputError(
            f"the loss `{settings.name}` compares with a reference, but its log-probabilities are "
            "missing; give ref_chosen and ref_rejected, or choose a loss without reference (simpo, orpo)"
        )
    return same_pairs(
        policy_chosen=policy_chosen,
        policy_rejected=policy_rejected,
        ref_chosen=ref_chosen,
        ref_rejected=ref_rejected,
    )


def _with_reference(
    settings: WithReference,
    sums: tuple[Pairs, ...],
    tokens: tuple[Tensor, Tensor],
    fronts: FrontSums | None,
    squares: SquareSums | None,
) -> tuple[Pairs, Pairs]:
    """(losses, margins) of the losses that compare with a reference, from its sums and the policy's."""
    chosen, rejected = sums[:2]
    logps, size = sums, chosen.detach().abs() + rejected.detach().abs()
    if isinstance(settings, IPOMean | SigmoidNorm):
        logps = tuple(logp / lengths for logp, lengths in zip(sums, tokens * 2, strict=True))
        size = logps[0].detach().abs() + logps[1].detach().abs()
    if isinstance(settings, LDDPO):
        logps = _without_tails(settings, sums, fronts)
    losses, margins = _of_log_ratios(settings, *logps)
    if isinstance(settings, WPO):
        losses = _weighted_by_policy(losses, chosen, rejected, *tokens, squares)
    # policy and reference were scored in other batches: within float32's rounding of the sums nobody leads
    rounding = getattr(settings, "beta", 1.0) * ROUNDING * size
    return losses, margins.where(margins.detach().abs() > rounding, 0.0)


def _without_tails(settings: LDDPO, logps: Sequence[Pairs], fronts: FrontSums | None) -> tuple[Pairs, ...]:
    if fronts is None:
        raise InputError("the loss `ld_dpo` needs the sums over the tokens that both responses have: give `fronts`")
    return tuple(discount_tails(whole, front, alpha=settings.alpha) for whole, front in zip(logps, fronts, strict=True))


def _weighted_by_policy(
    losses: Pairs,
    chosen: Pairs,
    rejected: Pairs,
    chosen_tokens: Tensor,
    rejected_tokens: Tensor,
    squares: SquareSums | None,
) -> Pairs:
    if squares is None:
        raise InputError("the loss `wpo` needs the vocabulary's summed squared probabilities: give `squares`")
    return losses * pair_weights(chosen, rejected, *squares, chosen_tokens, rejected_tokens)


def _of_log_ratios(settings: WithReference, *logps: Pairs) -> tuple[Pairs, Pairs]:
    """(losses, margins) of the loss's own function; `logps` are means instead of sums where it wants those."""
    chosen, rejected = log_ratios(*logps)
    difference = chosen - rejected
    match settings:
        case Sigmoid(beta=beta, label_smoothing=smoothing):
            return dpo(*logps, beta=beta, label_smoothing=smoothing), beta * difference
        case WPO(beta=beta) | LDDPO(beta=beta) | PlackettLuce(beta=beta):
            return dpo(*logps, beta=beta), beta * difference
        case AOT(beta=beta, label_smoothing=smoothing):
            return aot(*logps, beta=beta, label_smoothing=smoothing), beta * difference
        case AOTUnpaired(beta=beta, label_smoothing=smoothing):
            return aot_unpaired(*logps, beta=beta, label_smoothing=smoothing), beta * difference
        case SigmoidNorm(beta=beta):
            return dpo_mean(*logps, beta=beta), beta * difference
        case Robust(beta=beta, label_smoothing=smoothing):
            return robust(*logps, beta=beta, label_smoothing=smoothing), beta * difference
        case IPO(tau=tau):
            return ipo(*logps, tau=tau), difference
        case IPOMean(tau=tau):
            return ipo_mean(*logps, tau=tau), difference
        case Hinge(beta=beta):
            return hinge(*logps, beta=beta), beta * difference
        case ExoPair(beta=beta, label_smoothing=smoothing):
            return exo_pair(*logps, beta=beta, label_smoothing=smoothing), beta * difference
        case NCAPair(beta=beta):
            return nca_pair(*logps, beta=beta), beta * difference
        case SPPOHard(beta=beta):
            return sppo_hard(*logps, beta=beta), difference
        case BCOPair(beta=beta):
            return bco_pair(*logps, beta=beta), beta * difference
        case APOZero(beta=beta):
            return apo_zero(*logps, beta=beta), beta * difference
        case APODown(beta=beta):
            return apo_down(*logps, beta=beta), beta * difference
        case DiscoPOP(beta=beta, tau=tau):
            return discopop(*logps, beta=beta, tau=tau), beta * difference
        case ForwardKL(beta=beta) | JensenShannon(beta=beta):
            scores = [f_scores(ratios, settings.name, 1.0) for ratios in (chosen, rejected)]
            return f_dpo(*logps, beta=beta, divergence=settings.name), beta * (scores[0] - scores[1])
        case AlphaDivergence(beta=beta, alpha=alpha):
            scores = [f_scores(ratios, "alpha", alpha) for ratios in (chosen, rejected)]
            return f_dpo(*logps, beta=beta, divergence="alpha", alpha=alpha), beta * (scores[0] - scores[1])
        case _:
            assert_never(settings)
