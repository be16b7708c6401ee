"""Token trees: prompts forwarded once, each unique response once, in batches filled to a token budget.

A tree is a prompt, then its branches one after another. A token sees the prompt and the earlier tokens of its own
branch; position ids restart at the branch. The trees of a batch lie end to end in one row without padding
(`engine/kernels.py` keeps them apart). On the plain path (models whose attention is not ours to replace) every
response is its own row with the ordinary causal mask, padded on the right, and all else is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Int
from torch import Tensor

from penchant.data.rendering.media_prompt import MediaPrompt
from penchant.data.rendering.rendered import Branch, Rendered
from penchant.engine.diffusion import Noise
from penchant.engine.lengths import ANY_LENGTH, LengthClasses

Blocks = Literal["none", "media", "prompt"]
"""Which tokens of a prompt see each other in both directions: none, those of one picture, or all of them."""


@dataclass(frozen=True)
class Packing:
    """Settings of how responses go through a model together.

    Attributes:
        plain: every response is a row of its own, on the plain path.
        lengths: which prompts with their response may share a forward pass, by their length.
        blocks: of a model that reads pictures, which tokens of a prompt with pictures see each other both ways.
    """

    plain: bool = False
    lengths: LengthClasses = ANY_LENGTH
    blocks: Blocks = "none"

    def joined(self, other: Packing) -> Packing:
        """Return the packing that serves both of two models."""
        # of two models of one family that read the same pictures, which see them in the same way
        blocks = other.blocks if self.blocks == "none" else self.blocks
        return Packing(self.plain or other.plain, self.lengths.joined(other.lengths), blocks)


TREES, ROWS = Packing(), Packing(plain=True)


@dataclass(frozen=True, slots=True)
class Tree:
    """One row to forward: a prompt, some branches, and the caller's number for each branch (`slots`).

    `origin` says where states of these tokens are kept (`engine/frozen.py`): the first row of the prompt and of each
    branch. `media` has the prompt's pictures, for a model that reads them.
    """

    prompt_ids: tuple[int, ...]
    branches: tuple[Branch, ...]
    slots: tuple[int, ...]
    origin: tuple[int, ...] | None = None
    media: MediaPrompt | None = None

    @property
    def length(self) -> int:
        """Tokens in the row."""
        return len(self.prompt_ids) + sum(len(branch.ids) for branch in self.branches)

    @property
    def longest_path(self) -> int:
        """Tokens of the prompt with its longest branch."""
        return len(self.prompt_ids) + max(len(branch.ids) for branch in self.branches)


@dataclass(frozen=True, slots=True)
class Span:
    """The place of a tree in the packed row: its prompt from `start` to `prompt_end`, then a branch up to each end."""

    start: int
    prompt_end: int
    ends: tuple[int, ...]

    @property
    def branches(self) -> list[tuple[int, int]]:
        """The (start, end) of each branch."""
        return list(zip((self.prompt_end, *self.ends), self.ends, strict=False))


@dataclass(frozen=True)
class TreeBatch:
    """Tensors of several trees: end to end in one row, or on the plain path a row each, padded on the right.

    Attributes:
        input_ids, position_ids: (rows, length).
        spans: where each tree lies in the only row; None on the plain path.
        predictors: (tokens,) flat index, into rows * length, of the state that predicts each scored token.
        targets: (tokens,) the scored token ids.
        owners: (tokens,) the slot that each scored token belongs to.
        ends: (branches,) flat index of each response's last scored token. end_owners: (branches,) its slot.
        slots: how many slots there are.
        forwarded: tokens that go through the model, padding excluded.
        origin: (length,) the row where the state of each token is kept; None where none are. Stays on the CPU.
        repeated, repeated_owners: (extra,) tokens, by index into `targets`, that count for an extra slot, and it.
        squares: each slot also gets the log of the vocabulary's summed squared probabilities, in a second half of the
            scores.
        trees: of a model that reads pictures, the trees in the order of their tokens; empty for a model of texts.
        blocks: as of `Packing`.
        noise: of rows that are pictures, a draw per slot; None for the draws of fixed scores.
    """

    input_ids: Int[Tensor, "rows length"]
    position_ids: Int[Tensor, "rows length"]
    spans: tuple[Span, ...] | None
    predictors: Int[Tensor, " tokens"]
    targets: Int[Tensor, " tokens"]
    owners: Int[Tensor, " tokens"]
    ends: Int[Tensor, " branches"]
    end_owners: Int[Tensor, " branches"]
    slots: int
    forwarded: int
    origin: Int[Tensor, " length"] | None = None
    repeated: Int[Tensor, " extra"] | None = None
    repeated_owners: Int[Tensor, " extra"] | None = None
    squares: bool = False
    trees: tuple[Tree, ...] = ()
    blocks: Blocks = "none"
    noise: Noise | None = None

    def to(self, device: torch.device) -> TreeBatch:
        """Return the same batch on another device."""
        # what `origin` indexes is a file mapped into the memory of the CPU
        names = [name for name, value in vars(self).items() if isinstance(value, Tensor) and name != "origin"]
        tensors: dict[str, Any] = {name: getattr(self, name).to(device) for name in names}
        return replace(self, **tensors)


Rows = Sequence[tuple[Rendered, Sequence[int]]]
"""Rendered groups, and which of their responses."""


def all_responses(rendered: Iterable[Rendered]) -> list[tuple[Rendered, Sequence[int]]]:
    """Return rows with all responses of some groups."""
    return [(row, range(len(row.branches))) for row in rendered]


def make_trees(
    rows: Rows, *, budget: int, packing: Packing, origins: Sequence[tuple[int, ...]] | None = None
) -> list[Tree]:
    """Make trees of some responses of some groups; slots count the responses in the order given.

    Args:
        rows: a rendered group and which of its responses are needed.
        budget: tokens that a tree may hold; a larger group is split into several trees, each with the prompt.
        packing: one tree per response on the plain path; paths of different length classes are never in one tree.
        origins: for each of `rows`, where states of the prompt and of each of the group's responses are kept.
    """
    trees: list[Tree] = []
    first = 0
    for number, (rendered, indices) in enumerate(rows):
        # slots count the responses of all rows in order, whatever tree each of them ends up in
        starts = origins[number] if origins else None
        for part in _cut(rendered, indices, budget, packing):
            chosen_indices = [indices[position] for position in part]
            branches = tuple(rendered.branches[index] for index in chosen_indices)
            origin = (starts[0], *(starts[index + 1] for index in chosen_indices)) if starts else None
            slots = tuple(first + position for position in part)
            trees.append(Tree(rendered.prompt_ids, branches, slots, origin, rendered.media))
        first += len(indices)
    return trees


def _cut(rendered: Rendered, indices: Sequence[int], budget: int, packing: Packing) -> list[list[int]]:
    """Split the places of `indices` by tree: each holds as many as fit the budget beside the prompt."""
    lengths = rendered.lengths
    trees: list[list[int]] = []
    for positions in packing.lengths.grouped([lengths[index] for index in indices]):
        size = budget + 1  # opens a tree
        for position in positions:
            length = len(rendered.branches[indices[position]].ids)
            if packing.plain or size + length > budget:
                trees.append([])
                size = len(rendered.prompt_ids)
            trees[-1].append(position)
            size += length
    return trees


def fill(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Return indices in batches whose padded size (rows x longest) is within the budget, like lengths together.

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


def pack(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Return indices in batches whose summed length is within the budget: few, and of about the same size.

    An item that is larger than the budget gets a batch of its own. Deterministic. The longest first, each into the
    emptiest of as many batches as the sum needs (a further one where it fits nowhere): two batches of 600 need less
    memory than one of 1,024 and one of 176.
    """
    batches: list[list[int]] = [[] for _ in range(-(-sum(lengths) // budget))]
    sizes = [0] * len(batches)
    # the longest first: what is left for the end are short ones, which even out the sizes
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        emptiest = min(range(len(batches)), key=sizes.__getitem__)
        if sizes[emptiest] and sizes[emptiest] + lengths[index] > budget:
            batches.append([])
            sizes.append(0)
            emptiest = -1
        batches[emptiest].append(index)
        sizes[emptiest] += lengths[index]
    return [sorted(batch) for batch in batches if batch]


def batched(trees: Sequence[Tree], *, slots: int, budget: int, packing: Packing) -> list[TreeBatch]:
    """Return all trees in batches within the budget; `slots` is the size of the score vector that they fill."""
    batches = []
    # the longest row of a pass decides its arithmetic, so classes of lengths never share one
    for positions in packing.lengths.grouped([tree.longest_path for tree in trees]):
        class_trees = [trees[position] for position in positions]
        lengths = [tree.length for tree in class_trees]
        groups = fill(lengths, budget) if packing.plain else pack(lengths, budget)
        batches += [collate([class_trees[i] for i in part], slots=slots, packing=packing) for part in groups]
    return batches


def collate(trees: Sequence[Tree], *, slots: int, packing: Packing) -> TreeBatch:
    """Return the tensors (on the CPU) of some trees."""
    plain = packing.plain
    rows = [[tree] for tree in trees] if plain else [list(trees)]  # trees share one row, end to end
    width = max(sum(tree.length for tree in row) for row in rows)
    input_ids = torch.zeros((len(rows), width), dtype=torch.long)  # padding is never read: any token will do
    position_ids = torch.zeros((len(rows), width), dtype=torch.long)
    spans: list[Span] = []
    predictors: list[int] = []
    targets: list[int] = []
    owners: list[int] = []
    ends: list[int] = []
    end_owners: list[int] = []
    for number, row in enumerate(rows):
        ids: list[int] = []
        positions: list[int] = []
        for tree in row:
            span = _lay(tree, ids, positions)
            spans.append(span)
            prompt_last = number * width + span.prompt_end - 1
            for branch, slot, (start, _) in zip(tree.branches, tree.slots, span.branches, strict=True):
                flat = number * width + start
                for first, last in branch.spans:
                    # the first token of a branch is predicted by the last of the prompt
                    predictors += [flat + offset - 1 if offset else prompt_last for offset in range(first, last)]
                    targets += branch.ids[first:last]
                    owners += [slot] * (last - first)
                ends.append(flat + branch.spans[-1][1] - 1)
                end_owners.append(slot)
        input_ids[number, : len(ids)] = torch.tensor(ids)
        position_ids[number, : len(ids)] = torch.tensor(positions)
    return TreeBatch(
        input_ids,
        position_ids,
        None if plain else tuple(spans),
        torch.tensor(predictors, dtype=torch.long),
        torch.tensor(targets, dtype=torch.long),
        torch.tensor(owners, dtype=torch.long),
        torch.tensor(ends, dtype=torch.long),
        torch.tensor(end_owners, dtype=torch.long),
        slots,
        sum(tree.length for tree in trees),
        None if plain else _origin(trees),
        # texts are read from the tensors alone
        trees=tuple(trees) if any(tree.media is not None for tree in trees) else (),
        blocks=packing.blocks,
    )


def with_fronts(batch: TreeBatch, fronts: Sequence[tuple[int, int, int]], *, slots: int) -> TreeBatch:
    """Return the batch with further slots, each the sum over the first tokens of a slot that it has.

    Args:
        fronts: (slot, tokens, further slot) of each.
        slots: how many slots there are with the further ones.
    """
    repeated: list[Tensor] = []
    owners: list[Tensor] = []
    for slot, tokens, extra_slot in fronts:
        first = (batch.owners == slot).nonzero().squeeze(1)[:tokens]  # a response's tokens are in order
        repeated.append(first)
        owners.append(torch.full_like(first, extra_slot))
    empty = [torch.zeros(0, dtype=torch.long)]
    return replace(
        batch, repeated=torch.cat(repeated or empty), repeated_owners=torch.cat(owners or empty), slots=slots
    )


def _origin(trees: Sequence[Tree]) -> Tensor | None:
    """Return the row where each token's state is kept, (length,); None unless every tree says so."""
    positions: list[int] = []
    for tree in trees:
        if tree.origin is None:
            return None
        for start, ids in zip(tree.origin, (tree.prompt_ids, *(b.ids for b in tree.branches)), strict=True):
            positions += range(start, start + len(ids))
    return torch.tensor(positions, dtype=torch.long)


def _lay(tree: Tree, ids: list[int], positions: list[int]) -> Span:
    """Append a tree's tokens to the ids and positions of a row, and return where it lies."""
    start, prompt = len(ids), len(tree.prompt_ids)
    ids += tree.prompt_ids
    positions += range(prompt)
    ends = []
    for branch in tree.branches:
        ids += branch.ids
        # every branch goes on where the prompt ended, as if it were the only one
        positions += range(prompt, prompt + len(branch.ids))
        ends.append(len(ids))
    return Span(start, start + prompt, tuple(ends))


def unique_tokens(rows: Rows) -> int:
    """Count the tokens that have to be forwarded when prompts and responses go through once."""
    return sum(
        len(rendered.prompt_ids) + sum(len(rendered.branches[i].ids) for i in indices) for rendered, indices in rows
    )
