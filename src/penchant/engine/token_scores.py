"""Log-probabilities token by token, where a sum per response is not enough."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from penchant.data.rendering.renderer import Rendered
from penchant.engine.attention import evaluating, output_head
from penchant.engine.logps import token_logps
from penchant.engine.score import DEFAULT_BUDGET, Progress, Scorer, batches
from penchant.engine.tree import all_responses

TokenScores = list[list[Float[Tensor, " tokens"]]]
"""By group and response, the log-probability of each scored token."""


def score_tokens(
    scorer: Scorer, rendered: Sequence[Rendered], *, budget: int = DEFAULT_BUDGET, progress: Progress | None = None
) -> TokenScores:
    """Return the log-probability of every scored token, in nats, float32 on the CPU, in the order of the text.

    Args:
        budget, progress: as in `penchant.engine.score.score`, whose numbers are the sums of these.
    """
    rows = all_responses(rendered)
    flat: list[Tensor] = [torch.zeros(0)] * sum(len(indices) for _, indices in rows)
    with evaluating(scorer.model):
        packing = scorer.packing_for(rendered)
        for batch in batches(rows, budget=budget, packing=packing):
            on_device = batch.to(scorer.device)
            states = scorer.states(on_device)
            values = token_logps(states, output_head(scorer.model), on_device.targets).float().cpu()
            # a response's tokens stand in order, and all of them in one batch
            for slot in batch.owners.unique().tolist():
                flat[slot] = values[batch.owners == slot]
            if progress:
                progress(batch.forwarded)
    scores = iter(flat)
    return [[next(scores) for _ in row.branches] for row in rendered]
