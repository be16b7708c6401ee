"""An optimizer step as micro-batches: trees to forward, and which slots the loss compares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from penchant.data.rendering.renderer import Rendered
from penchant.engine.frozen import FrozenStates
from penchant.engine.tree import Packing, Tree, TreeBatch, batched, make_trees, pack, with_fronts
from penchant.losses.contract import Needs
from penchant.train.fronts import FrontLogps, longer_front
from penchant.train.mismatched import Mismatched
from penchant.train.plan import Part


@dataclass(frozen=True)
class MicroBatch:
    """Part of an optimizer step that is forwarded and differentiated together. A slot is one response of one part.

    Attributes:
        batches: forward passes that fill the slots: one, or several where a group is larger than the budget.
        pairs: (pairs, 2) slots of winner and loser. pair_weights: (pairs,).
        targets: (targets,) slots of responses to imitate or labelled. target_weights: (targets,).
        desirable: (targets,) their labels.
        tokens: (slots,) scored tokens. reference: (slots,) reference logps in nats, zeros without a reference.
        sources: (slots,) where each response came from, for messages.
        forwarded: tokens that go through the model, padding excluded.
        fronts: (pairs, 2) slots of winner and loser with as many tokens as the shorter of the two; empty where the loss
            asks for none.
        rankings: slots from best to worst, one tuple per ranking; empty where the loss takes pairs.
        kl: the step's estimate of the policy's KL from the reference, in nats, where `Dataset.mismatched` gives one.
    """

    batches: tuple[TreeBatch, ...]
    pairs: Int[Tensor, "pairs 2"]
    pair_weights: Float[Tensor, " pairs"]
    targets: Int[Tensor, " targets"]
    target_weights: Float[Tensor, " targets"]
    desirable: Bool[Tensor, " targets"]
    tokens: Float[Tensor, " slots"]
    reference: Float[Tensor, " slots"]
    sources: tuple[str, ...]
    forwarded: int
    fronts: Int[Tensor, "pairs 2"] = field(default_factory=lambda: torch.zeros(0, 2, dtype=torch.long))
    rankings: tuple[tuple[int, ...], ...] = ()
    kl: float = 0.0

    def to(self, device: torch.device) -> MicroBatch:
        """Return the same on another device, except for the trees, which follow one by one."""
        tensors: dict[str, Any] = {
            name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, **tensors)


@dataclass(frozen=True)
class Dataset:
    """Rendered groups with what the loss needs of each response.

    Attributes:
        rendered: token ids, one group each.
        reference: reference logps of each group's responses, or None where the loss needs none.
        frozen: what the frozen blocks give for each token, or None where every step runs them.
        mismatched: each prompt with a response of another, or None where the loss asks for no KL.
        front_reference: of each group, reference logps of the first tokens of a response, by (response, tokens).
    """

    rendered: Sequence[Rendered]
    reference: Sequence[Tensor] | None = None
    frozen: FrozenStates | None = None
    mismatched: Mismatched | None = None
    front_reference: Sequence[FrontLogps] | None = None


def micro_batches(
    step: Sequence[Part], data: Dataset, *, budget: int, packing: Packing, needs: Needs | None = None
) -> list[MicroBatch]:
    """Split a step's parts into micro-batches that stay within the budget.

    A part that is larger than the budget gets a micro-batch of its own with several forward passes, so that its
    comparisons across trees are kept. A loss that needs the whole step gets one micro-batch in the same way.
    """
    needs = needs or Needs()
    rows = [_responses_of(part) for part in step]
    trees = [
        make_trees(
            [(data.rendered[group], responses)],
            budget=budget,
            packing=packing,
            origins=[data.frozen.origins[group]] if data.frozen is not None else None,
        )
        for (group, _), responses in zip(step, rows, strict=True)
    ]
    lengths = [[tree.length for tree in part] for part in trees]
    sizes = [len(part) * max(part) if packing.plain else sum(part) for part in lengths]
    if needs.whole_step:
        return [_assemble(step, rows, trees, data, budget, packing, needs)]
    # a part must stay whole for its comparisons; what is too large gets a micro-batch of its own below
    small = [i for i, size in enumerate(sizes) if size <= budget]
    if packing.plain:
        batches_of_parts = _fill_parts(small, lengths, budget)
    else:
        batches_of_parts = [
            [small[index] for index in part_indices] for part_indices in pack([sizes[i] for i in small], budget)
        ]
    batches_of_parts += [[i] for i, size in enumerate(sizes) if size > budget]
    return [
        _assemble(
            [step[i] for i in part_indices],
            [rows[i] for i in part_indices],
            [trees[i] for i in part_indices],
            data,
            budget,
            packing,
            needs,
        )
        for part_indices in batches_of_parts
    ]


def _fill_parts(parts: Sequence[int], lengths: Sequence[Sequence[int]], budget: int) -> list[list[int]]:
    """Group parts into batches whose padded size stays within the budget, like lengths together (plain path)."""
    batches_of_parts: list[list[int]] = []
    used = 0  # rows in the open micro-batch; the first part's longest is its padded length
    for part in sorted(parts, key=lambda i: (-max(lengths[i]), i)):
        if batches_of_parts and (used + len(lengths[part])) * max(lengths[batches_of_parts[-1][0]]) <= budget:
            batches_of_parts[-1].append(part)
            used += len(lengths[part])
        else:
            batches_of_parts.append([part])
            used = len(lengths[part])
    return batches_of_parts


def _responses_of(part: Part) -> tuple[int, ...]:
    return tuple(sorted({index for unit in part[1] for index in unit.responses}))


def _assemble(
    parts: Sequence[Part],
    rows: Sequence[tuple[int, ...]],
    trees: Sequence[list[Tree]],
    data: Dataset,
    budget: int,
    packing: Packing,
    needs: Needs,
) -> MicroBatch:
    slots = sum(map(len, rows))
    front_slots = _FrontSlots(slots)
    shifted: list[Tree] = []
    pairs: list[tuple[int, int]] = []
    pair_weights: list[float] = []
    targets: list[int] = []
    target_weights: list[float] = []
    desirable: list[bool] = []
    tokens: list[int] = []
    reference: list[Tensor] = []
    sources: list[str] = []
    rankings: list[tuple[int, ...]] = []
    first = 0
    for (group, units), responses, part_trees in zip(parts, rows, trees, strict=True):
        slot = {response: first + offset for offset, response in enumerate(responses)}
        shifted += [replace(tree, slots=tuple(slot + first for slot in tree.slots)) for tree in part_trees]
        rendered = data.rendered[group]
        for unit in units:
            for winner, loser, weight in unit.pairs:
                pairs.append((slot[winner], slot[loser]))
                pair_weights.append(weight)
                if needs.fronts:
                    front_logps = data.front_reference[group] if data.front_reference is not None else {}
                    front_slots.add(rendered, (winner, loser), pairs[-1], front_logps)
            if needs.rankings:
                rankings.append(tuple(slot[response] for response in unit.ranking))
            if unit.response is not None:
                targets.append(slot[unit.response])
                target_weights.append(unit.weight)
                desirable.append(unit.desirable)
        tokens += [rendered.branches[index].scored for index in responses]
        if data.reference is not None:
            reference.append(data.reference[group][list(responses)])
        sources += [f"{rendered.source or f'group {group}'} (response {index})" for index in responses]
        first += len(responses)
    batches = batched(shifted, slots=slots, budget=budget, packing=packing)
    if needs.fronts:
        batches = [with_fronts(batch, front_slots.fronts, slots=front_slots.slots) for batch in batches]
        tokens += [count for _, count, _ in front_slots.fronts]
        reference.append(torch.tensor(front_slots.reference))
        sources += [f"{sources[slot]}, its first {count} tokens" for slot, count, _ in front_slots.fronts]
    if needs.squares:
        batches = [replace(batch, squares=True) for batch in batches]
    return MicroBatch(
        tuple(batches),
        torch.tensor(pairs, dtype=torch.long).reshape(-1, 2),
        torch.tensor(pair_weights),
        torch.tensor(targets, dtype=torch.long),
        torch.tensor(target_weights),
        torch.tensor(desirable, dtype=torch.bool),
        torch.tensor(tokens, dtype=torch.float32),
        torch.cat(reference) if data.reference is not None else torch.zeros(len(tokens)),
        tuple(sources),
        sum(batch.forwarded for batch in batches),
        torch.tensor(front_slots.pairs, dtype=torch.long).reshape(-1, 2),
        tuple(rankings),
    )


@dataclass
class _FrontSlots:
    """Further slots for the first tokens of the longer response of each pair, one for each response and count."""

    slots: int
    fronts: list[tuple[int, int, int]] = field(default_factory=list)
    reference: list[float] = field(default_factory=list)
    pairs: list[tuple[int, int]] = field(default_factory=list)
    _slots_of_fronts: dict[tuple[int, int], int] = field(default_factory=dict)

    def add(self, rendered: Rendered, pair: tuple[int, int], slots: tuple[int, int], reference: FrontLogps) -> None:
        """Add the slots of a pair of responses; the one that is not longer is its own front."""
        front = longer_front(rendered, pair)
        pair_slots = list(slots)
        if front is not None:
            side = pair.index(front[0])
            pair_slots[side] = self._slots_of_fronts.setdefault((slots[side], front[1]), self.slots)
            if pair_slots[side] == self.slots:
                self.fronts.append((slots[side], front[1], self.slots))
                # NaN, not 0: a front without its reference must show in the loss
                self.reference.append(reference.get(front, math.nan))
                self.slots += 1
        self.pairs.append((pair_slots[0], pair_slots[1]))
