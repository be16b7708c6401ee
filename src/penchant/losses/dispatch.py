"""From a loss's settings to its numbers: calls what the settings name, with what they need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module

import torch
from jaxtyping import Float, Int
from torch import Tensor

from penchant.errors import InputError
from penchant.losses.contract import PairLoss
from penchant.losses.custom import custom_function
from penchant.losses.pairs import ROUNDING, FrontSums, Pairs, SquareSums, nll, same_pairs
from penchant.losses.settings import ChosenNLL, CustomLoss, WeightedSum


@cache
def named_function(reference: str) -> Callable[..., Tensor]:
    """Return the function that a loss's settings name as `module:function`."""
    module, _, name = reference.partition(":")
    # settings name functions by text and import none: `penchant --help` must not wait for torch
    function: Callable[..., Tensor] = getattr(import_module(module), name)
    return function


def pair_losses(
    settings: PairLoss,
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
    """Return the loss that `settings` choose, with its NLL anchor, and the margin of each pair.

    Args:
        settings: of a loss in `penchant.losses.settings`; `plackett_luce` is taken for pairs, where it is DPO.
        policy_chosen, policy_rejected: summed logps under the policy, in nats, shape `(pairs,)`.
        ref_chosen, ref_rejected: the same under the reference; None is enough where
            `settings.needs.reference` is false.
        chosen_tokens, rejected_tokens: how many tokens each sum covers (at least 1), shape `(pairs,)`.
        fronts, squares: what losses with `needs.fronts` and `needs.squares` compute with.

    Returns:
        losses: shape `(pairs,)`, with gradient. (`aot` and `aot_unpaired`: per quantile, not in the pairs' order.)
        margins: shape `(pairs,)`, detached: by how much the chosen response leads, as the loss's `margin` computes it;
            for `sum` that of the first term that compares. Positive means that policy and label agree. Exactly 0 where
            the difference to the reference is within rounding, as all are before the first step.

    Raises:
        InputError: a loss with reference got None for it, `fronts` or `squares` are missing, or shapes differ.
    """
    # every term checks shapes and its own needs, so the sum has nothing to check
    if isinstance(settings, WeightedSum):
        columns = (policy_chosen, policy_rejected, ref_chosen, ref_rejected, chosen_tokens, rejected_tokens)
        parts = [pair_losses(term, *columns, fronts=fronts, squares=squares) for _, term in settings.terms]
        losses = torch.stack([weight * part[0] for (weight, _), part in zip(settings.terms, parts, strict=True)]).sum(0)
        return losses, next(m for (_, m), t in zip(parts, settings.losses, strict=True) if not isinstance(t, ChosenNLL))
    policy_chosen, policy_rejected, *tokens = same_pairs(
        policy_chosen=policy_chosen,
        policy_rejected=policy_rejected,
        chosen_tokens=chosen_tokens,
        rejected_tokens=rejected_tokens,
    )
    # a loss without reference gets two sums, any other four
    logps: Sequence[Pairs] = (policy_chosen, policy_rejected)
    if settings.needs_reference:
        logps = _with_reference(settings.name, policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    size = policy_chosen.detach().abs() + policy_rejected.detach().abs()
    if settings.logps == "mean":
        # policy and reference scored the same tokens: chosen, rejected, chosen, rejected
        logps = [logp / tokens[index % 2] for index, logp in enumerate(logps)]
        size = logps[0].detach().abs() + logps[1].detach().abs()
    # functions take all settings by name: a setting that its function does not know fails at the first step
    arguments = settings.arguments() | _further_arguments(settings, (tokens[0], tokens[1]), fronts, squares)
    find_function = custom_function if isinstance(settings, CustomLoss) else named_function
    # the margin gets what the loss gets, so that both speak of the same sums
    losses = find_function(settings.function)(*logps, **arguments)
    margins = named_function(settings.margin)(*logps, **arguments)
    if settings.needs_reference:
        # policy and reference were scored in other batches: within float32's rounding of the sums nobody leads
        rounding = getattr(settings, "beta", 1.0) * ROUNDING * size
        margins = margins.where(margins.detach().abs() > rounding, 0.0)
    if weight := getattr(settings, "nll_weight", 0.0):
        losses = losses + weight * nll(policy_chosen / tokens[0])
    return losses, margins.detach()


def ranking_losses(
    settings: PairLoss, logps: Tensor, reference: Tensor, ranked: Sequence[Sequence[int]]
) -> Float[Tensor, " rankings"]:
    """Return the loss of each ranking of a loss that takes rankings.

    Args:
        settings: of a loss with `ranking_function`.
        logps, reference: summed logps of responses under policy and reference, in nats, shape `(responses,)`.
        ranked: of each ranking the indices into `logps`, best first.
    """
    # rankings differ in length, so each is a call of its own
    function = named_function(settings.ranking_function)
    losses = [
        function(logps[list(ranking)][None], reference[list(ranking)][None], **settings.arguments())
        for ranking in ranked
    ]
    return torch.cat(losses)


def _with_reference(name: str, chosen: Pairs, rejected: Pairs, *reference: Pairs | None) -> tuple[Pairs, ...]:
    """Return the four sums in one shape and dtype, or an InputError where the reference's are missing."""
    ref_chosen, ref_rejected = reference
    if ref_chosen is None or ref_rejected is None:
        raise InputError(
            f"the loss `{name}` compares with a reference, but its log-probabilities are "
            "missing; give ref_chosen and ref_rejected, or choose a loss without reference (simpo, orpo)"
        )
    return same_pairs(policy_chosen=chosen, policy_rejected=rejected, ref_chosen=ref_chosen, ref_rejected=ref_rejected)


def _further_arguments(
    settings: PairLoss, tokens: tuple[Tensor, Tensor], fronts: FrontSums | None, squares: SquareSums | None
) -> dict[str, object]:
    """Return what the functions of some losses get beside the log-probabilities and their settings."""
    arguments: dict[str, object] = {}
    if settings.needs_fronts:
        if fronts is None:
            raise InputError(
                f"the loss `{settings.name}` needs the sums over the tokens that both responses have: give `fronts`"
            )
        arguments["fronts"] = fronts
    if settings.needs_squares:
        if squares is None:
            raise InputError(
                f"the loss `{settings.name}` needs the vocabulary's summed squared probabilities: give `squares`"
            )
        arguments |= {"squares": squares, "tokens": tokens}
    return arguments
