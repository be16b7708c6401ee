"""The loss of a reward model on pairs. A pure function.

Sources: Bradley & Terry 1952; Ziegler et al. 2019 (arXiv:1909.08593); the margin, Touvron et al. 2023
(arXiv:2307.09288).
"""

from __future__ import annotations

from torch.nn.functional import logsigmoid

from penchant.losses.pairs import Pairs, same_pairs


def bradley_terry(chosen: Pairs, rejected: Pairs, *, margin: float = 0.0) -> Pairs:
    """Return the negative log-likelihood of each comparison: -log sigmoid(r_w - r_l - margin).

    Args:
        chosen, rejected: rewards of winner and loser (log-odds, in nats), shape `(pairs,)`.
        margin: by how much the winner shall lead, in nats; 0 is Bradley and Terry's model.

    Returns:
        Shape `(pairs,)`; ln 2 for equal rewards and no margin.

    Raises:
        InputError: shapes differ.
    """
    chosen, rejected = same_pairs(chosen=chosen, rejected=rejected)
    return -logsigmoid(chosen - rejected - margin)
