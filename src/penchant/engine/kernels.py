"""Attention over packed trees: only the blocks that a tree really has, no masks, no padding.

A tree's prompt with its first branch is an ordinary causal sequence. Every further branch is that, plus a look at
the prompt: two dense calls, merged by their log-sum-exp (as in FlashAttention's split over keys; Dao et al. 2022).
Registered with `transformers` as an attention implementation, so that no model is patched: without a tree it is SDPA.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from penchant.engine.foreign_types import PreTrainedModel
from penchant.engine.tree import Span

NAME = "penchant_trees"

# torch's, but not documented: tests hold their results to plain attention
_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


def switch_on(network: PreTrainedModel) -> None:
    """Let a network's layers call this implementation, registered with `transformers` under `NAME`."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    network.set_attn_implementation(NAME)


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    trees: Sequence[Span] | None = None,
    scaling: float | None = None,
    **options: object,
) -> tuple[Tensor, None]:
    """Compute attention as layers ask: query (rows, heads, tokens, size) -> (rows, tokens, heads, size).

    Args:
        key, value: (rows, key heads, tokens, size); the heads may be fewer (grouped queries).
        trees: where the trees of the only row lie; None for ordinary rows, which SDPA takes with their mask.
        options: what else a layer passes. What would change the result is refused.

    Raises:
        NotImplementedError: the layer asks for something that trees do not have (a window, a soft cap, sinks).
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if trees is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)
    # passed on by the layers that have them: to ignore one would be another model, in silence
    for name in ("sliding_window", "softcap", "s_aux", "position_bias"):
        if options.get(name) is not None:
            raise NotImplementedError(f"its attention has {name}={options[name]!r}")
    device = query.device.type
    if torch.is_autocast_enabled(device):  # the kernels below are not on autocast's list
        dtype = torch.get_autocast_dtype(device)
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if device == "cuda":
        from penchant.engine.flex import flex

        return flex(query, key, value, trees, scale), None
    # the CPU's kernel takes only values that are as wide as the keys
    if device == "cpu" and query.shape[-1] == value.shape[-1]:
        return _SplitAttention.apply(query, key, value, trees, scale), None
    return by_tree(query, key, value, trees, scale), None


def by_tree(query: Tensor, key: Tensor, value: Tensor, trees: Sequence[Span], scale: float) -> Tensor:
    """Compute attention by one SDPA call per tree with a dense mask, on any device.

    It is slow and plain: tests hold the other implementations to its numbers.
    """
    parts = []
    for tree in trees:
        q, k, v = (states[:, :, tree.start : tree.ends[-1]] for states in (query, key, value))
        mask = visible(tree, query.device)
        parts.append(functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale, enable_gqa=True))
    return torch.cat(parts, dim=2).transpose(1, 2)


def visible(tree: Span, device: torch.device) -> Tensor:
    """Return which keys each query sees, (tokens, tokens): those of the prompt and of its branch, up to itself."""
    branch = torch.zeros(tree.ends[-1] - tree.start, dtype=torch.long, device=device)
    for number, (start, stop) in enumerate(tree.branches, start=1):
        branch[start - tree.start : stop - tree.start] = number
    same_branch = (branch == 0)[None, :] | (branch[None, :] == branch[:, None])
    return same_branch.tril()


class _SplitAttention(torch.autograd.Function):
    """Flash attention by blocks on a CPU, forward and backward.

    The backward of a block needs the whole row's output and log-sum-exp, not the block's own, so the merged ones
    serve all blocks of a row and nothing but them is kept. The context `ctx` has the type that torch gives it.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, trees: Sequence[Span], scale: float) -> Tensor:
        q, k, v = _by_key_head(query, key, value)
        # tokens first, as the layer's output projection reads it: no copy after the kernel
        out = torch.empty(query.shape[2], query.shape[1], query.shape[3], dtype=query.dtype)
        o = out.transpose(0, 1).unflatten(0, q.shape[:2])
        lse = torch.empty(q.shape[:3], dtype=torch.float64 if query.dtype == torch.float64 else torch.float32)
        for rows, columns, causal in (block for tree in trees for block in _blocks(tree)):
            seen, seen_lse = _flash(q[:, :, rows], k[:, :, columns], v[:, :, columns], 0.0, causal, scale=scale)
            if causal:
                o[:, :, rows], lse[:, :, rows] = seen, seen_lse
                continue
            later_output, later_lse = o[:, :, rows], lse[:, :, rows]
            # softmax over both parts: each part's output counts by its share of the joint sum of exponentials
            joint_lse = torch.logaddexp(later_lse, seen_lse)
            later_output.mul_((later_lse - joint_lse).exp_()[..., None])
            later_output.addcmul_(seen, (seen_lse - joint_lse).exp_()[..., None].to(seen.dtype))
            later_lse.copy_(joint_lse)
        ctx.save_for_backward(query, key, value, out, lse)
        ctx.trees, ctx.scale = trees, scale
        return out[None]

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, out, lse = ctx.saved_tensors
        q, k, v = _by_key_head(query, key, value)
        o = out.transpose(0, 1).unflatten(0, q.shape[:2])
        slope = upstream[0][0].transpose(0, 1).unflatten(0, q.shape[:2])
        # laid out as the projections want them: tokens first
        grads = [torch.empty(x.shape[2], x.shape[1], x.shape[3], dtype=x.dtype) for x in (query, key, value)]
        dq = grads[0].transpose(0, 1).unflatten(0, q.shape[:2])
        dk, dv = grads[1].transpose(0, 1), grads[2].transpose(0, 1)
        for rows, columns, causal in (block for tree in ctx.trees for block in _blocks(tree)):
            g, query_rows, out_rows, lse_rows = (states[:, :, rows] for states in (slope, q, o, lse))
            keys, values = k[:, :, columns], v[:, :, columns]
            gq, gk, gv = _flash_backward(g, query_rows, keys, values, out_rows, lse_rows, 0.0, causal, scale=ctx.scale)
            # the queries of one key head share its keys and values
            parts = (gq, gk.sum(1), gv.sum(1))
            for total, part in zip((dq[:, :, rows], dk[:, columns], dv[:, columns]), parts, strict=True):
                # the causal sequences write every token once; what looks at the prompt comes on top
                if causal:
                    total.copy_(part)
                else:
                    total += part
        return *(grad.transpose(0, 1)[None] for grad in grads), None, None


def _blocks(tree: Span) -> Iterator[tuple[slice, slice, bool]]:
    """Yield the blocks of a tree: queries, keys, and whether a query sees keys up to itself only.

    The prompt with the first branch is a causal sequence, and so is each further branch; last, all further branches
    look at the prompt.
    """
    (_, first), *later_branches = tree.branches
    for start, stop in ((tree.start, first), *later_branches):
        yield slice(start, stop), slice(start, stop), True
    if later_branches and tree.prompt_end > tree.start:
        yield slice(tree.ends[0], tree.ends[-1]), slice(tree.start, tree.prompt_end), False


def _by_key_head(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return views (key heads, queries per key head, tokens, size) of one row; keys and values are not copied."""
    heads = key.shape[1]
    q = query[0].unflatten(0, (heads, query.shape[1] // heads))
    k, v = (x[0][:, None].expand(-1, q.shape[1], -1, -1) for x in (key, value))
    return q, k, v
