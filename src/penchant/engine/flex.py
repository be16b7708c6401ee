"""Attention over packed trees on a GPU: FlexAttention, which skips the blocks that no tree has.

One compiled kernel, forward and backward, from a rule on (query, key). The row is padded to whole blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from penchant.engine.tree import Span

BLOCK = 128  # tokens of a block, as FlexAttention has them


def flex(query: Tensor, key: Tensor, value: Tensor, trees: Sequence[Span], scale: float) -> Tensor:
    """Compute flex attention, (1, heads, tokens, size) -> (1, tokens, heads, size); see `kernels.attention`."""
    tokens = query.shape[2]
    padded = -(-tokens // BLOCK) * BLOCK
    query, key, value = (functional.pad(x, (0, 0, 0, padded - tokens)) for x in (query, key, value))
    mask = block_mask(tuple(trees), padded, query.device)
    run = _compiled() if query.device.type == "cuda" else flex_attention
    out: Any = run(query, key, value, block_mask=mask, scale=scale, enable_gqa=query.shape[1] != key.shape[1])
    return out[:, :, :tokens].transpose(1, 2)


@cache
def _compiled() -> Any:
    return torch.compile(flex_attention, dynamic=True)


_last: dict[Any, BlockMask] = {}  # of the batch at hand: every layer asks for the same


def block_mask(trees: tuple[Span, ...], padded: int, device: torch.device) -> BlockMask:
    """Return which blocks hold something to compute; kept until another batch comes."""
    key = (trees, padded, device)
    if key not in _last:
        _last.clear()
        tree_ids, branch_ids = (ids.to(device) for ids in numbering(trees, padded))

        def seen(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
            same_branch = (branch_ids[k] == 0) | (branch_ids[k] == branch_ids[q])
            return (tree_ids[q] == tree_ids[k]) & same_branch & (q >= k)

        _last[key] = create_block_mask(seen, None, None, padded, padded, device=str(device), BLOCK_SIZE=BLOCK)
    return _last[key]


def numbering(trees: Sequence[Span], padded: int) -> tuple[Tensor, Tensor]:
    """Return, (padded,) each, the tree of every token (padding is one of its own) and its branch, 0 for the prompt."""
    tree_ids = torch.full((padded,), len(trees), dtype=torch.int32)
    branch_ids = torch.zeros(padded, dtype=torch.int32)
    for number, tree in enumerate(trees):
        tree_ids[tree.start : tree.ends[-1]] = number
        start = tree.prompt_end
        for branch, stop in enumerate(tree.ends, start=1):
            branch_ids[start:stop] = branch
            start = stop
    return tree_ids, branch_ids
