"""One token per row out of logits, fixed by a number in [0, 1): the inverse of the cumulative distribution.

The numbers of a sample depend on its seed, its prompt and its index alone.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from penchant.engine.sampling import Sampling
from penchant.errors import InputError


def pick(logits: Tensor, uniforms: Tensor, sampling: Sampling) -> Tensor:
    """Pick one token per row by inverting the cumulative distribution at that row's uniform number.

    Args:
        logits: (rows, vocabulary). uniforms: (rows,) in [0, 1), float64.

    Raises:
        InputError: logits from which no distribution can be made.
    """
    if sampling.temperature == 0:
        return logits.argmax(-1)
    return _invert(_weights(logits, sampling), uniforms)


def _weights(logits: Tensor, sampling: Sampling) -> Tensor:
    """Return numbers proportional to the probabilities of the tokens that may be drawn, float32; the largest is 1."""
    scaled = logits.float()
    if sampling.temperature != 1:
        scaled = scaled / sampling.temperature
    if sampling.top_k:
        # whatever ties with the k-th stays too
        kth = scaled.topk(min(sampling.top_k, scaled.shape[-1]), dim=-1).values[:, -1:]
        scaled = scaled.masked_fill(scaled < kth, -torch.inf)
    weights = (scaled - scaled.amax(-1, keepdim=True)).exp_()
    if sampling.top_p < 1:
        ordered, token_order = weights.sort(descending=True, stable=True)
        # a token stays while the mass before it is below p, so at least one does
        before = ordered.cumsum(-1) - ordered
        outside = before >= sampling.top_p * ordered.sum(-1, keepdim=True)
        weights = weights.scatter(-1, token_order, ordered.masked_fill(outside, 0))
    return weights


def _invert(weights: Tensor, uniforms: Tensor) -> Tensor:
    """Return where the running sum of each row of weights passes its uniform number times the total.

    Sums are float64, since float32 would lose the tail of a large vocabulary.
    """
    ends = weights.cumsum(-1, dtype=torch.float64)
    totals = ends[:, -1:].contiguous()
    if not torch.isfinite(totals).all():
        raise InputError(
            "the model's logits are not finite, so nothing can be drawn: its weights are damaged, or too large for "
            "their dtype"
        )
    token = torch.searchsorted(ends, uniforms[:, None] * totals, right=True)
    # rounding may put the threshold on the total itself: then it is the last token with a weight
    return torch.minimum(token, torch.searchsorted(ends, totals)).squeeze(1)


def sample_uniforms(seed: int, prompt: object, index: int, count: int) -> NDArray[np.float64]:
    """Return `count` numbers in [0, 1) that depend on seed, prompt and sample index alone.

    Args:
        prompt: its token ids; or whatever tells it from others, with a `repr` that is always the same.
    """
    digest = hashlib.blake2b(f"{seed}|{prompt}|{index}".encode(), digest_size=16).digest()
    # a generator of its own per sample: the order in which samples are drawn decides nothing
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
    return generator.random(count)
