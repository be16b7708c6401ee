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
    """Compute attention over trees, (1, heads, tokens, size) -> (1, tokens, heads, size).

    Arguments are as in `kernels.attention`.
    """
    tokens = query.shape[2]
    padded = -(-tokens // BLOCK) * BLOCK
    query, key, value = (functional.pad(x, (0, 0, 0, padded - tokens)) for x in (query, key, value))
    mask = block_mask(tuple(trees), padded, query.device)
    run = _compiled() if query.device.type == "cuda" else flex_attention
    out = run(query, key, value, block_mask=mask, scale=scale, enable_gqa=query.shape[1] != key.shape[1])
    assert isinstance(out, Tensor)  # a pair only where the log-sum-exp was asked for
    return out[:, :, :tokens].transpose(1, 2)


@cache
def _compiled() -> Any:  # torch gives `flex_attention` no type that can be called
    # for every number of tokens: a kernel per length would be compiled at nearly every batch
    return torch.compile(flex_attention, dynamic=True)


_last: dict[tuple[tuple[Span, ...], int, torch.device], BlockMask] = {}  # every layer asks for its batch's mask


def block_mask(trees: tuple[Span, ...], padded: int, device: torch.device) -> BlockMask:
    """Return the mask that says which blocks hold something to compute; kept until another batch comes."""
    key = (trees, padded, device)
    if key not in _last:
        _last.clear()  # masks of past batches would stay on the GPU
        tree_ids, branch_ids = (ids.to(device) for ids in numbering(trees, padded))

        def seen(_batch: Tensor, _head: Tensor, q: Tensor, k: Tensor) -> Tensor:
            same_branch = (branch_ids[k] == 0) | (branch_ids[k] == branch_ids[q])
            return (tree_ids[q] == tree_ids[k]) & same_branch & (q >= k)

        _last[key] = create_block_mask(seen, None, None, padded, padded, device=str(device), BLOCK_SIZE=BLOCK)
    return _last[key]


def numbering(trees: Sequence[Span], padded: int) -> tuple[Tensor, Tensor]:
    """Return the number of each token's tree (padding has its own) and branch, 0 for the prompt; (padded,) each."""
    tree_ids = torch.full((padded,), len(trees), dtype=torch.int32)
    branch_ids = torch.zeros(padded, dtype=torch.int32)
    for number, tree in enumerate(trees):
        tree_ids[tree.start : tree.ends[-1]] = number
        for branch, (start, stop) in enumerate(tree.branches, start=1):
            branch_ids[start:stop] = branch
    return tree_ids, branch_ids
