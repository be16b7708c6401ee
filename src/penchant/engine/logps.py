"""Log-probabilities of target tokens from hidden states, without the (tokens, vocabulary) matrix.

The vocabulary projection runs in blocks of rows through one reused buffer; the backward pass projects again instead
of storing. Peak memory is one block, whatever the prompt's length, and no table of response length times vocabulary
exists either. Reductions are float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

BLOCK_BYTES = 64 * 2**20  # logits of one block, in float32


@dataclass(frozen=True)
class Head:
    """What turns a hidden state into logits: `softcap(scale * (hidden @ weight.T + bias))`.

    Attributes:
        weight: (vocabulary, hidden). bias: (vocabulary,) or None.
        softcap: logits become `softcap * tanh(logits / softcap)` (Gemma 2), or None.
        scale: factor on the logits (Cohere, Granite).
    """

    weight: Float[Tensor, "vocabulary hidden"]
    bias: Float[Tensor, " vocabulary"] | None = None
    softcap: float | None = None
    scale: float = 1.0

    def cast(self, dtype: torch.dtype) -> Head:
        """The head in another dtype (differentiable; the same tensors where nothing changes)."""
        bias = None if self.bias is None else self.bias.to(dtype)
        return Head(self.weight.to(dtype), bias, self.softcap, self.scale)


def token_logps(hidden: Float[Tensor, "tokens hidden"], head: Head, targets: Int[Tensor, " tokens"]) -> Tensor:
    """log p(target) at each position, (tokens,) float32 in nats; differentiable in hidden, weight and bias.

    Under autocast the projection runs in the autocast dtype, the reductions in float32 all the same.
    """
    device = hidden.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        hidden, head = hidden.to(dtype), head.cast(dtype)
    elif hidden.dtype != head.weight.dtype:
        hidden = hidden.to(head.weight.dtype)
    return _TokenLogps.apply(hidden, head.weight, head.bias, targets, head.softcap, head.scale)


def block_rows(vocabulary: int) -> int:
    """Rows of one block."""
    return max(16, BLOCK_BYTES // (4 * vocabulary))


def log_softmax_blocks(hidden: Float[Tensor, "tokens hidden"], head: Head) -> Iterator[tuple[slice, Tensor]]:
    """(rows, log-probabilities of the whole vocabulary as float32), a block at a time. No gradients."""
    step = block_rows(head.weight.shape[0])
    with torch.no_grad():
        for start in range(0, hidden.shape[0], step):
            rows = slice(start, min(start + step, hidden.shape[0]))
            logits = _project(hidden[rows].to(head.weight.dtype), head, None)
            yield rows, torch.log_softmax(logits, dim=-1)


def _project(hidden: Tensor, head: Head, buffer: Tensor | None) -> Tensor:
    """float32 logits of one block; into `buffer` where it fits, since fresh pages cost as much as the product."""
    if buffer is not None and buffer.dtype == hidden.dtype:
        logits = torch.mm(hidden, head.weight.T, out=buffer[: hidden.shape[0]])
    else:
        logits = torch.mm(hidden, head.weight.T).to(_sum_dtype(hidden))
    if head.bias is not None:
        logits += head.bias
    if head.scale != 1.0:
        logits *= head.scale
    if head.softcap is not None:
        logits.div_(head.softcap).tanh_().mul_(head.softcap)
    return logits


def _buffer(hidden: Tensor, vocabulary: int) -> Tensor | None:
    """One block of float32 logits to write into; half precision needs a conversion anyway."""
    if hidden.dtype != torch.float32:
        return None
    rows = min(block_rows(vocabulary), hidden.shape[0])
    return torch.empty(rows, vocabulary, dtype=torch.float32, device=hidden.device)


class _TokenLogps(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        softcap: float | None,
        scale: float,
    ) -> Tensor:
        head = Head(weight, bias, softcap, scale)
        logps = torch.empty(hidden.shape[0], dtype=_sum_dtype(hidden), device=hidden.device)
        normalisers = torch.empty_like(logps)
        buffer = _buffer(hidden, weight.shape[0])
        step = block_rows(weight.shape[0])
        for start in range(0, hidden.shape[0], step):
            rows = slice(start, min(start + step, hidden.shape[0]))
            logits = _project(hidden[rows], head, buffer)
            normalisers[rows] = torch.logsumexp(logits, dim=-1)
            logps[rows] = logits.gather(1, targets[rows, None]).squeeze(1) - normalisers[rows]
        ctx.save_for_backward(hidden, weight, bias, targets, normalisers)
        ctx.softcap, ctx.scale = softcap, scale
        return logps

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = upstream
        hidden, weight, bias, targets, normalisers = ctx.saved_tensors
        needs_hidden, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        head = Head(weight, bias, ctx.softcap, ctx.scale)
        grad_hidden = torch.empty_like(hidden) if needs_hidden else None
        grad_weight = torch.zeros_like(weight) if needs_weight else None
        grad_bias = torch.zeros_like(bias) if needs_bias and bias is not None else None
        buffer = _buffer(hidden, weight.shape[0])
        step = block_rows(weight.shape[0])
        for start in range(0, hidden.shape[0], step):
            rows = slice(start, min(start + step, hidden.shape[0]))
            logits = _project(hidden[rows], head, buffer)
            slope = None if ctx.softcap is None else 1 - (logits / ctx.softcap).square()
            # d logp[target] / d logit = 1[target] - softmax, times the upstream number of the row
            delta = logits.sub_(normalisers[rows, None]).exp_().mul_(-grad[rows, None])
            delta.scatter_add_(1, targets[rows, None], grad[rows, None])
            if slope is not None:
                delta *= slope
            if ctx.scale != 1.0:
                delta *= ctx.scale
            if grad_bias is not None:
                grad_bias += delta.sum(0).to(grad_bias.dtype)
            delta = delta.to(hidden.dtype)
            if grad_hidden is not None:
                grad_hidden[rows] = delta @ weight
            if grad_weight is not None:
                grad_weight.addmm_(delta.T, hidden[rows])
        return grad_hidden, grad_weight, grad_bias, None, None, None


def _sum_dtype(hidden: Tensor) -> torch.dtype:
    """float32, except that a float64 model (gradient checks) keeps its precision."""
    return torch.float64 if hidden.dtype == torch.float64 else torch.float32
