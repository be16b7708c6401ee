"""Token trees: prompts forwarded once, each unique response once, in batches filled to a token budget.

A tree is laid out as one row: the prompt, then its branches one after another. A token sees the prompt and the
earlier tokens of its own branch; position ids restart at the branch. On the plain path (models whose attention
cannot take such a mask) every response is its own row with the ordinary causal mask, and all else is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from penchant.data.render import Branch, Rendered


@dataclass(frozen=True, slots=True)
class Tree:
    """One row to forward: a prompt, some branches, and the caller's number for each branch (`slots`)."""

    prompt_ids: tuple[int, ...]
    branches: tuple[Branch, ...]
    slots: tuple[int, ...]

    @property
    def length(self) -> int:
        """Tokens in the row."""
        return len(self.prompt_ids) + sum(len(branch.ids) for branch in self.branches)


@dataclass(frozen=True)
class TreeBatch:
    """Tensors of several trees, padded on the right to one length.

    Attributes:
        input_ids, position_ids: (trees, length).
        branch_ids: (trees, length): 0 in the prompt, k in the k-th branch, -1 in the padding.
        plain: every tree is a single path, so that the ordinary causal mask will do.
        predictors: (tokens,) flat index, into trees * length, of the state that predicts each scored token.
        targets: (tokens,) the scored token ids.
        owners: (tokens,) the slot that each scored token belongs to.
        slots: how many slots there are.
    """

    input_ids: Int[Tensor, "trees length"]
    position_ids: Int[Tensor, "trees length"]
    branch_ids: Int[Tensor, "trees length"]
    plain: bool
    predictors: Int[Tensor, " tokens"]
    targets: Int[Tensor, " tokens"]
    owners: Int[Tensor, " tokens"]
    slots: int

    def to(self, device: torch.device) -> TreeBatch:
        """The same batch on another device."""
        tensors: dict[str, Any] = {
            name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, **tensors)


def make_trees(rows: Sequence[tuple[Rendered, Sequence[int]]], *, budget: int, plain: bool) -> list[Tree]:
    """Trees for some responses of some groups; slots count the responses in the order given.

    Args:
        rows: a rendered group and which of its responses are needed.
        budget: tokens a tree may hold; a larger group is split into several trees, each with the prompt.
        plain: one tree a response, for the plain path.
    """
    trees, slot = [], 0
    for rendered, indices in rows:
        open_branches: list[Branch] = []
        open_slots: list[int] = []
        size = len(rendered.prompt_ids)
        for index in indices:
            branch = rendered.branches[index]
            if open_branches and (plain or size + len(branch.ids) > budget):
                trees.append(Tree(rendered.prompt_ids, tuple(open_branches), tuple(open_slots)))
                open_branches, open_slots, size = [], [], len(rendered.prompt_ids)
            open_branches.append(branch)
            open_slots.append(slot)
            size += len(branch.ids)
            slot += 1
        if open_branches:
            trees.append(Tree(rendered.prompt_ids, tuple(open_branches), tuple(open_slots)))
    return trees


def fill(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices in batches whose padded size (rows x longest) stays within the budget, like lengths together.

    An item that is larger than the budget gets a batch of its own. Deterministic: ties keep their order.
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        # sorted from long to short: the first of a batch is its padded length
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= budget:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def collate(trees: Sequence[Tree], *, slots: int, pad_id: int = 0) -> TreeBatch:
    """Tensors (on the CPU) of some trees; `slots` is the size of the score vector that they fill."""
    length = max(tree.length for tree in trees)
    input_ids = torch.full((len(trees), length), pad_id, dtype=torch.long)
    position_ids = torch.zeros((len(trees), length), dtype=torch.long)
    branch_ids = torch.full((len(trees), length), -1, dtype=torch.long)
    predictors: list[int] = []
    targets: list[int] = []
    owners: list[int] = []
    for row, tree in enumerate(trees):
        prompt = len(tree.prompt_ids)
        input_ids[row, :prompt] = torch.tensor(tree.prompt_ids)
        position_ids[row, :prompt] = torch.arange(prompt)
        branch_ids[row, :prompt] = 0
        start = prompt
        for number, (branch, slot) in enumerate(zip(tree.branches, tree.slots, strict=True), start=1):
            stop = start + len(branch.ids)
            input_ids[row, start:stop] = torch.tensor(branch.ids)
            position_ids[row, start:stop] = torch.arange(prompt, prompt + len(branch.ids))
            branch_ids[row, start:stop] = number
            for first, last in branch.spans:
                for place in range(first, last):
                    # the first token of a branch is predicted by the last of the prompt
                    before = start + place - 1 if place else prompt - 1
                    predictors.append(row * length + before)
                    targets.append(branch.ids[place])
                    owners.append(slot)
            start = stop
    return TreeBatch(
        input_ids,
        position_ids,
        branch_ids,
        all(len(tree.branches) == 1 for tree in trees),
        torch.tensor(predictors, dtype=torch.long),
        torch.tensor(targets, dtype=torch.long),
        torch.tensor(owners, dtype=torch.long),
        slots,
    )


def visible(branch_ids: Int[Tensor, "trees length"]) -> Bool[Tensor, "trees length length"]:
    """Which key each query sees: earlier tokens of the prompt and of its own branch, and always itself (a padded
    query must see something, or its softmax is not a number)."""
    length = branch_ids.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=branch_ids.device).tril()
    keys, queries = branch_ids[:, None, :], branch_ids[:, :, None]
    own = (keys == 0) | (keys == queries)
    return (own & causal) | torch.eye(length, dtype=torch.bool, device=branch_ids.device)


def additive_mask(seen: Bool[Tensor, "trees length length"], dtype: torch.dtype) -> Float[Tensor, "trees 1 l l"]:
    """The mask as SDPA and eager attention both read it rightly: 0 where seen, the most negative number elsewhere.

    A boolean 4-D mask under eager attention would be added as 0/1, silently wrong.
    """
    mask = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
    return mask.masked_fill_(~seen, torch.finfo(dtype).min)[:, None]


def unique_tokens(rows: Iterable[tuple[Rendered, Sequence[int]]]) -> int:
    """Tokens that have to be forwarded when prompts and responses go through once."""
    return sum(
        len(rendered.prompt_ids) + sum(len(rendered.branches[i].ids) for i in indices) for rendered, indices in rows
    )
