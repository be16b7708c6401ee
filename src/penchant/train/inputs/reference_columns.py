"""The reference's numbers, put into the data of a run where its loss compares with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import overload

import torch
from accelerate import Accelerator
from torch import Tensor

from penchant.data.rendering.renderer import Rendered
from penchant.models.diffusion.policy import DiffusionPolicy
from penchant.models.learner import Learner
from penchant.models.policy import Policy
from penchant.runs.input_digests import ModelIdentity
from penchant.train.fronts import FrontLogps, front_logps
from penchant.train.gradient import plan
from penchant.train.inputs.reference_table import check_identity, reference_numbers, reference_table
from penchant.train.recipe import Prepared, Recipe
from penchant.train.settings import GradientConfig


class RowNumbers(Sequence[Tensor]):
    """A tensor per group, in one flat tensor: a tensor of its own for each takes half a KB. NaN where none was put.

    Args:
        counts: numbers of each group.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        self._ends = list(accumulate(counts, initial=0))
        self._flat = torch.full((self._ends[-1],), torch.nan)

    def put(self, group: int, numbers: Tensor) -> None:
        """Set the numbers of a group."""
        self._flat[self._ends[group] : self._ends[group + 1]] = numbers

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> list[Tensor]: ...
    def __getitem__(self, index: int | slice) -> Tensor | list[Tensor]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._flat[self._ends[index] : self._ends[index + 1]]


def with_reference(
    config: GradientConfig,
    recipe: Recipe,
    policy: Learner,
    other: Policy | DiffusionPolicy | None,
    start: ModelIdentity,
    identity: ModelIdentity,
    prepared: Prepared,
    accelerator: Accelerator,
) -> Prepared:
    """Return the data with the reference's numbers, where the objective needs them.

    Args:
        other: the reference where it is another model than the policy's start.
        start: the policy as it was loaded. identity: the reference.
    """
    needs = recipe.objective.needs
    if not needs.reference or not isinstance(policy, Policy | DiffusionPolicy):
        return prepared
    table = reference_table(other or policy, identity.digest, accelerator)

    def scored(rows: Sequence[Rendered]) -> list[Tensor]:
        return reference_numbers(other or policy, rows, table, accelerator, budget=prepared.budget)

    steps = plan(config, prepared.units, prepared.mixing)
    # groups that `max_steps` leaves unseen are not scored: their numbers would be computed for nothing
    used_groups = sorted({group for step in steps for group, _ in step})
    rows = prepared.rendered.pick([*(prepared.train_side[group] for group in used_groups), *prepared.held_side])
    numbers = scored(rows)
    # NaN, not 0: a group that a step takes although no number was computed must show in the loss
    train_numbers = RowNumbers(prepared.rendered.pick(prepared.train_side).branch_counts.tolist())
    for group, group_numbers in zip(used_groups, numbers, strict=False):
        train_numbers.put(group, group_numbers)
    train_data = replace(prepared.train_data, reference=train_numbers)
    held_data = replace(prepared.held_data, reference=numbers[len(used_groups) :])
    if needs.fronts:
        train_fronts, held_fronts = _reference_of_fronts(prepared, used_groups, rows, scored)
        train_data = replace(train_data, front_reference=train_fronts)
        held_data = replace(held_data, front_reference=held_fronts)
    if train_data.mismatched and held_data.mismatched:
        train_data = replace(train_data, mismatched=train_data.mismatched.with_reference(scored, used_groups))
        every_held = range(len(prepared.held_groups))
        held_data = replace(held_data, mismatched=held_data.mismatched.with_reference(scored, every_held))
    # where the policy starts from the reference, its first step must score as the table says: dropout that is still on,
    # adapters that do not start at zero or a table of other weights would otherwise train on in silence
    if identity.digest == start.digest and steps:
        first = [used_groups.index(group) for group in sorted({group for group, _ in steps[0]})]
        check_identity(
            policy.scorer,
            [rows[row] for row in first],
            [numbers[row] for row in first],
            budget=prepared.budget,
            half=accelerator.mixed_precision != "no",
        )
    return replace(prepared, train_data=train_data, held_data=held_data)


def _reference_of_fronts(
    prepared: Prepared, used_groups: Sequence[int], rows: Sequence[Rendered], scored: Callable[..., list[Tensor]]
) -> tuple[list[FrontLogps], list[FrontLogps]]:
    """Return the reference's numbers of the responses' first tokens, of training groups and of held-out ones."""
    groups = [*(prepared.train_groups[group] for group in used_groups), *prepared.held_groups]
    fronts = front_logps(groups, list(rows), scored)
    train_fronts: list[FrontLogps] = [{} for _ in prepared.train_groups]
    for group, group_fronts in zip(used_groups, fronts, strict=False):
        train_fronts[group] = group_fronts
    return train_fronts, fronts[len(used_groups) :]
