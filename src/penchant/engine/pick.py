"""One token a row out of logits, fixed by a number in [0, 1): the inverse of the cumulative distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from penchant.errors import InputError

if TYPE_CHECKING:
    from penchant.engine.generate import Sampling

CPU_LOGITS = 2**19  # logits looked at together on a CPU
BLOCK = 256  # tokens summed together


def pick(logits: Tensor, uniforms: Tensor, sampling: Sampling) -> Tensor:
    """One token a row by inverting the cumulative distribution at that row's uniform number.

    Args:
        logits: (rows, vocabulary). uniforms: (rows,) in [0, 1), float64.

    Raises:
        InputError: logits from which no distribution can be made.
    """
    if sampling.temperature == 0:
        return logits.argmax(-1)
    # on a CPU a few rows at a time, whose temporaries stay in the cache and cost no fresh pages
    rows = max(1, CPU_LOGITS // logits.shape[-1]) if logits.device.type == "cpu" else len(logits)
    parts = zip(logits.split(rows), uniforms.split(rows), strict=True)
    return torch.cat([_invert(_weights(part, sampling), numbers) for part, numbers in parts])


def _weights(logits: Tensor, sampling: Sampling) -> Tensor:
    """Numbers in proportion to the probabilities of the tokens that may be drawn, float32, the largest 1."""
    scaled = logits.float()
    if sampling.temperature != 1:
        scaled = scaled / sampling.temperature
    if sampling.top_k:
        kth = scaled.topk(min(sampling.top_k, scaled.shape[-1]), dim=-1).values[:, -1:]
        scaled = scaled.masked_fill(scaled < kth, -torch.inf)
    weights = (scaled - scaled.amax(-1, keepdim=True)).exp_()
    if sampling.top_p < 1:
        ordered, places = weights.sort(descending=True, stable=True)
        # a token stays while the mass before it is below p, so at least one does
        before = ordered.cumsum(-1) - ordered
        outside = before >= sampling.top_p * ordered.sum(-1, keepdim=True)
        weights = weights.scatter(-1, places, ordered.masked_fill(outside, 0))
    return weights


def _invert(weights: Tensor, uniforms: Tensor) -> Tensor:
    """Where the running sum of each row of weights passes its uniform number times the total.

    In two levels, blocks and then one block's tokens: a float64 running sum of the whole vocabulary took longer than a
    tenth of the model. Sums are float64, since float32 would lose the tail of a large vocabulary.
    """
    if short := -weights.shape[-1] % BLOCK:
        weights = nn.functional.pad(weights, (0, short))
    blocks = weights.unflatten(-1, (-1, BLOCK))
    sums = blocks.sum(-1).double()
    if not torch.isfinite(sums).all():
        raise InputError(
            "the model's logits are not finite, so nothing can be drawn: its weights are damaged, or too large for "
            "their dtype"
        )
    block, rest = _passing(sums, uniforms)
    inside = blocks[torch.arange(len(blocks), device=blocks.device), block].double()
    return block * BLOCK + _passing(inside, rest)[0]


def _passing(parts: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
    """The part that holds each row's uniform number when parts lie end to end on [0, 1), and how far into it."""
    ends = parts.cumsum(-1)
    totals = ends[:, -1:].contiguous()
    thresholds = uniforms[:, None] * totals
    # rounding may put the threshold on the total itself: then it is the last part that is not empty
    place = torch.minimum(torch.searchsorted(ends, thresholds, right=True), torch.searchsorted(ends, totals))
    size = parts.gather(1, place)
    rest = (thresholds - (ends.gather(1, place) - size)) / size
    return place.squeeze(1), rest.squeeze(1).clamp(0, 1)
