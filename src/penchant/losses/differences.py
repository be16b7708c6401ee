"""Which losses see only the policy's score minus the reference's, so that scores need not be log-likelihoods."""

from __future__ import annotations

import torch

from penchant.losses.contract import PairLoss
from penchant.losses.dispatch import pair_losses, ranking_losses

SHIFTS = (1.5, -0.75)  # added to chosen and rejected scores, of policy and reference alike
TOLERANCE = 1e-4


def likelihood_reason(settings: PairLoss) -> str:
    """Return why a loss needs more than differences of policy and reference; empty where it does not.

    It is tried: scores of policy and reference that are shifted alike must give the same losses. A list of names would
    be wrong for the next loss, and for one of the user's.
    """
    if not settings.needs.reference:
        return "it has no reference, so it reads the policy's score as a log-likelihood"
    if settings.needs.squares or settings.needs.fronts:
        return "it reads probabilities of single tokens"
    if getattr(settings, "nll_weight", 0.0):
        return "nll_weight adds the chosen response's negative log-likelihood"
    policy = torch.tensor([[-3.0, -4.0, -2.5], [-5.0, -2.0, -2.75]], dtype=torch.float64)
    reference = torch.tensor([[-4.0, -4.5, -2.0], [-4.0, -3.0, -3.0]], dtype=torch.float64)
    shift = torch.tensor(SHIFTS, dtype=torch.float64)[:, None]
    first, second = (_losses(settings, policy + by, reference + by) for by in (0 * shift, shift))
    if not torch.allclose(first, second, rtol=TOLERANCE, atol=TOLERANCE):
        return "it changes where policy and reference are shifted alike, so it reads more than their difference"
    return ""


def _losses(settings: PairLoss, policy: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    if settings.needs.rankings:
        return ranking_losses(settings, policy.T.reshape(-1), reference.T.reshape(-1), [(0, 1), (2, 3, 4, 5)])
    tokens = torch.full((policy.shape[1],), 4)
    (chosen, rejected), (ref_chosen, ref_rejected) = policy, reference
    return pair_losses(settings, chosen, rejected, ref_chosen, ref_rejected, tokens, tokens)[0]
