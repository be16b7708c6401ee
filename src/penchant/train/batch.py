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
from penchant.train.plan import Part, Unit


@dataclass(frozen=True)
class MicroBatch:
    """Part of an optimizer step that is forwarded and differentiated together. A slot is one response of one part.

    Losses read slots and never trees: so the loss does not change with how the responses were cut into forward passes.

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
        origins: of each slot its group and its response in that group; slots of fronts have none.
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
    origins: tuple[tuple[int, int], ...] = ()

    def to(self, device: torch.device) -> MicroBatch:
        """Return the micro-batch on another device; its trees are moved one by one as they are forwarded."""
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
        mismatched: each prompt with a response to another one, or None where the loss asks for no KL.
        front_reference: per group, reference logps in nats of the first tokens of a response, by (response, tokens).
    """

    rendered: Sequence[Rendered]
    reference: Sequence[Tensor] | None = None
    frozen: FrozenStates | None = None
    mismatched: Mismatched | None = None
    front_reference: Sequence[FrontLogps] | None = None

    def pick(self, groups: Sequence[int]) -> Dataset:
        """Return the data of some groups, without the states of frozen blocks."""
        mismatched = self.mismatched
        if mismatched is not None:
            reference = None if mismatched.reference is None else mismatched.reference[list(groups)]
            mismatched = Mismatched([mismatched.rendered[group] for group in groups], reference)
        return Dataset(
            [self.rendered[group] for group in groups],
            reference=None if self.reference is None else [self.reference[group] for group in groups],
            mismatched=mismatched,
            front_reference=None if self.front_reference is None else [self.front_reference[g] for g in groups],
        )


def micro_batches(
    step: Sequence[Part], data: Dataset, *, budget: int, packing: Packing, needs: Needs | None = None
) -> list[MicroBatch]:
    """Split a step's parts into micro-batches that stay within the budget.

    A part that is larger than the budget gets a micro-batch of its own with several forward passes, so that its
    comparisons across trees are kept. A loss that needs the whole step gets one micro-batch in the same way.
    """
    needs = needs or Needs()
    parts = [_forwarded(part, data, budget, packing) for part in step]
    if needs.whole_step:
        # AOT sorts all pairs of a step: in two micro-batches they would be two sorts (decision 0025)
        return [_assemble(parts, data, budget, packing, needs)]
    lengths = [[tree.length for tree in part.trees] for part in parts]
    # plain rows are padded to the longest of their pass; trees lie end to end without padding
    sizes = [len(part) * max(part) if packing.plain else sum(part) for part in lengths]
    # a part must stay whole for its comparisons; what is too large gets a micro-batch of its own below
    small = [i for i, size in enumerate(sizes) if size <= budget]
    if packing.plain:
        numbers_by_batch = _fill_parts(small, lengths, budget)
    else:
        # micro-batches of about equal size need less memory at their peak than full ones and a rest (decision 0006)
        numbers_by_batch = [[small[index] for index in indices] for indices in pack([sizes[i] for i in small], budget)]
    numbers_by_batch += [[i] for i, size in enumerate(sizes) if size > budget]
    return [_assemble([parts[i] for i in numbers], data, budget, packing, needs) for numbers in numbers_by_batch]


@dataclass(frozen=True)
class _ForwardedPart:
    """A part of a step with the responses that it forwards, in ascending order, and the trees that they lie in."""

    group: int
    units: tuple[Unit, ...]
    responses: tuple[int, ...]
    trees: list[Tree]


def _forwarded(part: Part, data: Dataset, budget: int, packing: Packing) -> _ForwardedPart:
    group, units = part
    # a response that several comparisons share is forwarded once: that is the gain of groups over rows of pairs
    responses = tuple(sorted({index for unit in units for index in unit.responses}))
    origins = [data.frozen.origins[group]] if data.frozen is not None else None
    rows = [(data.rendered[group], responses)]
    return _ForwardedPart(group, units, responses, make_trees(rows, budget=budget, packing=packing, origins=origins))


def _fill_parts(parts: Sequence[int], lengths: Sequence[Sequence[int]], budget: int) -> list[list[int]]:
    """Group parts into batches whose padded size stays within the budget, like lengths together (plain path)."""
    numbers_by_batch: list[list[int]] = []
    used = 0  # rows in the open micro-batch; the first part's longest is its padded length
    # longest first, so that rows of like length share a pass and little of it is padding
    for part in sorted(parts, key=lambda i: (-max(lengths[i]), i)):
        rows = len(lengths[part])
        if numbers_by_batch and (used + rows) * max(lengths[numbers_by_batch[-1][0]]) <= budget:
            numbers_by_batch[-1].append(part)
            used += rows
        else:
            numbers_by_batch.append([part])
            used = rows
    return numbers_by_batch


def _assemble(
    parts: Sequence[_ForwardedPart], data: Dataset, budget: int, packing: Packing, needs: Needs
) -> MicroBatch:
    """Give every response a slot, and list the slots that the loss reads."""
    slots = sum(len(part.responses) for part in parts)
    # slots of fronts come after those of all responses, so that the numbers of these do not depend on them
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
    origins: list[tuple[int, int]] = []
    first = 0
    for part in parts:
        slot = {response: first + offset for offset, response in enumerate(part.responses)}
        # a part's trees count its slots from 0
        shifted += [replace(tree, slots=tuple(slot + first for slot in tree.slots)) for tree in part.trees]
        rendered = data.rendered[part.group]
        for unit in part.units:
            for winner, loser, weight in unit.pairs:
                pairs.append((slot[winner], slot[loser]))
                pair_weights.append(weight)
                if needs.fronts:
                    front_logps = data.front_reference[part.group] if data.front_reference is not None else {}
                    front_slots.add(rendered, (winner, loser), pairs[-1], front_logps)
            if needs.rankings:
                rankings.append(tuple(slot[response] for response in unit.ranking))
            if unit.response is not None:
                targets.append(slot[unit.response])
                target_weights.append(unit.weight)
                desirable.append(unit.desirable)
        tokens += [rendered.branches[index].scored for index in part.responses]
        if data.reference is not None:
            reference.append(data.reference[part.group][list(part.responses)])
        sources += [f"{rendered.source or f'group {part.group}'} (response {index})" for index in part.responses]
        origins += [(part.group, response) for response in part.responses]
        first += len(part.responses)
    # one batch, or several that fill the same slots where a part is larger than the budget
    batches = batched(shifted, slots=slots, budget=budget, packing=packing)
    if needs.fronts:
        batches = [with_fronts(batch, front_slots.fronts, slots=front_slots.slots) for batch in batches]
        # a front is summed from tokens that are scored anyway: it costs no forward pass (decision 0025)
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
        origins=tuple(origins),
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
        # of two pairs that cut a response to the same count, both read one slot: it is summed once
        if front is not None:
            side = pair.index(front[0])
            pair_slots[side] = self._slots_of_fronts.setdefault((slots[side], front[1]), self.slots)
            if pair_slots[side] == self.slots:
                self.fronts.append((slots[side], front[1], self.slots))
                # NaN, not 0: a front without its reference must show in the loss
                self.reference.append(reference.get(front, math.nan))
                self.slots += 1
        self.pairs.append((pair_slots[0], pair_slots[1]))
