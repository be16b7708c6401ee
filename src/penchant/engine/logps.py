"""Log-probabilities of target tokens from hidden states, a block of the vocabulary at a time.

Each block of logits is reduced to its largest value and its sum of exponentials; the log-sum-exp over the blocks is
exact, and the weights are read once however many tokens there are. Where all blocks together are small they are kept
for the backward pass, else it projects again, so memory has a bound that depends neither on the prompts nor on the
number of tokens times the vocabulary. Reductions are float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

BLOCK_BYTES = 64 * 2**20  # float32 logits of one block at most
KEEP_BYTES = 128 * 2**20  # up to here the exponentials are kept for the backward pass: a third of the head's time


@dataclass(frozen=True)
class Head:
    """The map from a hidden state to logits: `softcap(scale * (hidden @ weight.T + bias))`.

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
        """Return the head in another dtype (differentiable; the same tensors where nothing changes)."""
        bias = None if self.bias is None else self.bias.to(dtype)
        return Head(self.weight.to(dtype), bias, self.softcap, self.scale)


def token_logps(hidden: Float[Tensor, "tokens hidden"], head: Head, targets: Int[Tensor, " tokens"]) -> Tensor:
    """Return log p(target) at each position, (tokens,) float32 in nats; differentiable in hidden, weight and bias.

    Under autocast the projection runs in the autocast dtype, the reductions in float32 all the same.
    """
    hidden, head = _as_computed(hidden, head)
    return _TokenLogps.apply(hidden, head.weight, head.bias, targets, head.softcap, head.scale)


def _as_computed(hidden: Tensor, head: Head) -> tuple[Tensor, Head]:
    """Return states and head in the dtype of the projection."""
    device = hidden.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        return hidden.to(dtype), head.cast(dtype)
    return hidden.to(head.weight.dtype), head


def block_rows(vocabulary: int) -> int:
    """Return the number of rows of a block of whole rows."""
    return max(16, BLOCK_BYTES // (4 * vocabulary))


def log_softmax_blocks(hidden: Float[Tensor, "tokens hidden"], head: Head) -> Iterator[tuple[slice, Tensor]]:
    """Yield (rows, log-probabilities of the whole vocabulary as float32), some rows at a time, without gradients."""
    step = block_rows(head.weight.shape[0])
    with torch.no_grad():
        for start in range(0, hidden.shape[0], step):
            rows = slice(start, min(start + step, hidden.shape[0]))
            logits = project(hidden[rows].to(head.weight.dtype), head)
            yield rows, torch.log_softmax(logits, dim=-1)


def log_sum_squares(hidden: Float[Tensor, "tokens hidden"], head: Head) -> Float[Tensor, " tokens"]:
    """Return log sum over v of p(v)^2 at each position, float32 in nats: how likely a draw would repeat itself.

    No gradients; rows in blocks, in the precision of `token_logps`.
    """
    hidden, head = _as_computed(hidden, head)
    parts = [(2 * logps).logsumexp(1) for _, logps in log_softmax_blocks(hidden.detach(), head)]
    return torch.cat(parts) if parts else hidden.new_zeros(0)


def project(hidden: Tensor, head: Head, out: Tensor | None = None) -> Tensor:
    """Return float32 logits of one block, in `out` where given: fresh pages cost as much as the product."""
    if out is not None and out.dtype == hidden.dtype:
        logits = torch.mm(hidden, head.weight.T, out=out)
    else:
        logits = torch.mm(hidden, head.weight.T).to(_sum_dtype(hidden))
    if head.bias is not None:
        logits += head.bias
    if head.scale != 1.0:
        logits *= head.scale
    if head.softcap is not None:
        logits = logits.div_(head.softcap).tanh_() * head.softcap  # not in place: tanh's gradient needs its result
    return logits


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
        rows, vocabulary = hidden.shape[0], weight.shape[0]
        # not under a soft cap, whose slope needs the logits: exponentials do not give them back
        keep = any(ctx.needs_input_grad) and softcap is None and 4 * rows * vocabulary <= KEEP_BYTES
        chosen = torch.zeros(rows, dtype=_sum_dtype(hidden), device=hidden.device)
        largest, sums, logit_parts = [], [], []
        buffer = None if keep else _buffer(hidden, vocabulary)
        for part in _column_blocks(rows, vocabulary):
            out = _buffer(hidden, vocabulary, part) if keep else _buffer_part(buffer, part)
            logits = project(hidden, _columns(head, part), out)
            chosen += _target_logits(logits, targets, part)
            largest.append(logits.amax(1))
            sums.append(logits.sub_(largest[-1][:, None]).exp_().sum(1))
            if keep:
                logit_parts.append(logits)
        # the log-sum-exp of all is that of the blocks' own
        normalisers = torch.stack([top + total.log() for top, total in zip(largest, sums, strict=True)]).logsumexp(0)
        ctx.save_for_backward(hidden, weight, bias, targets, normalisers)
        ctx.softcap, ctx.scale = softcap, scale
        # not saved for autograd, since the backward overwrites them
        ctx.logit_parts = list(zip(largest, logit_parts, strict=True)) if keep else None
        return chosen - normalisers

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = upstream
        hidden, weight, bias, targets, normalisers = ctx.saved_tensors
        logit_parts, ctx.logit_parts = ctx.logit_parts, None  # a second backward projects again
        needs_hidden, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        head = Head(weight, bias, ctx.softcap, ctx.scale)
        rows, vocabulary = hidden.shape[0], weight.shape[0]
        # only what is asked for: frozen weights have no gradient to fill
        grad_hidden = torch.zeros_like(hidden, dtype=_sum_dtype(hidden)) if needs_hidden else None
        grad_weight = torch.empty_like(weight) if needs_weight else None
        grad_bias = torch.empty_like(bias) if needs_bias and bias is not None else None
        buffer = None if logit_parts else _buffer(hidden, vocabulary)
        for number, part in enumerate(_column_blocks(rows, vocabulary)):
            head_columns = _columns(head, part)
            # d logp[target] / d logit = 1[target] - softmax, times the upstream number of the row
            slope = None
            if logit_parts:
                # exp(logit - largest) of the block times exp(largest - normaliser) is the softmax
                largest, exponentials = logit_parts[number]
                delta = exponentials.mul_((-grad * (largest - normalisers).exp_())[:, None])
            else:
                logits = project(hidden, head_columns, _buffer_part(buffer, part))
                slope = None if ctx.softcap is None else 1 - (logits / ctx.softcap).square()
                delta = logits.sub_(normalisers[:, None]).exp_().mul_(-grad[:, None])
            _add_to_targets(delta, targets, part, grad)
            if slope is not None:
                delta *= slope
            if ctx.scale != 1.0:
                delta *= ctx.scale
            if grad_bias is not None:
                grad_bias[part] = delta.sum(0)
            delta = delta.to(hidden.dtype)
            # in half precision the sum over the blocks is float32, which `addmm_` does not mix
            if grad_hidden is not None and grad_hidden.dtype == delta.dtype:
                grad_hidden.addmm_(delta, head_columns.weight)
            elif grad_hidden is not None:
                grad_hidden += delta @ head_columns.weight
            if grad_weight is not None:
                torch.mm(delta.T, hidden, out=grad_weight[part])
        return (grad_hidden.to(hidden.dtype) if grad_hidden is not None else None), grad_weight, grad_bias, *[None] * 3


def _column_blocks(rows: int, vocabulary: int) -> list[slice]:
    """Return the vocabulary in blocks whose logits fit the memory meant for them."""
    columns = max(1, BLOCK_BYTES // (4 * max(rows, 1)))
    return [slice(start, min(start + columns, vocabulary)) for start in range(0, vocabulary, columns)]


def _columns(head: Head, part: slice) -> Head:
    return Head(head.weight[part], None if head.bias is None else head.bias[part], head.softcap, head.scale)


def _buffer(hidden: Tensor, vocabulary: int, part: slice | None = None) -> Tensor | None:
    """Return room for one block of float32 logits; none in half precision, which needs a conversion anyway."""
    if hidden.dtype != torch.float32:
        return None
    part = part or _column_blocks(hidden.shape[0], vocabulary)[0]
    return torch.empty(hidden.shape[0] * (part.stop - part.start), device=hidden.device).view(hidden.shape[0], -1)


def _buffer_part(buffer: Tensor | None, part: slice) -> Tensor | None:
    """Return the same room in the shape of another block: the last one may be narrower."""
    if buffer is None or buffer.shape[1] == part.stop - part.start:
        return buffer
    return buffer.view(-1)[: buffer.shape[0] * (part.stop - part.start)].view(buffer.shape[0], -1)


def _target_logits(logits: Tensor, targets: Tensor, part: slice) -> Tensor:
    """Return the targets' logits where they are in this block, else 0."""
    in_part = (targets >= part.start) & (targets < part.stop)
    columns = (targets - part.start).clamp(0, logits.shape[1] - 1)
    return torch.where(in_part, logits.gather(1, columns[:, None]).squeeze(1), 0.0)


def _add_to_targets(delta: Tensor, targets: Tensor, part: slice, grad: Tensor) -> None:
    in_part = (targets >= part.start) & (targets < part.stop)
    columns = (targets - part.start).clamp(0, delta.shape[1] - 1)
    delta.scatter_add_(1, columns[:, None], torch.where(in_part, grad, 0.0)[:, None])


def _sum_dtype(hidden: Tensor) -> torch.dtype:
    """Return float32, or float64 for a float64 model (gradient checks)."""
    return torch.float64 if hidden.dtype == torch.float64 else torch.float32
