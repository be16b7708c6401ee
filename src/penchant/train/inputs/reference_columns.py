"""The reference's numbers, put into the data of a run where its loss compares with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from accelerate import Accelerator
from torch import Tensor

from penchant.data.rendering.renderer import Rendered
from penchant.models.policy import Policy
from penchant.models.reward import LearnedReward
from penchant.runs.input_digests import ModelIdentity
from penchant.train.fronts import FrontLogps, front_logps
from penchant.train.gradient import plan
from penchant.train.inputs.reference_table import check_identity, reference_numbers, reference_table
from penchant.train.recipe import Prepared, Recipe
from penchant.train.settings import GradientConfig


def fill_reference(
    config: GradientConfig,
    recipe: Recipe,
    policy: Policy | LearnedReward,
    other: Policy | None,
    start: ModelIdentity,
    identity: ModelIdentity,
    prepared: Prepared,
    accelerator: Accelerator,
) -> None:
    """Fill the reference's numbers into the data, where the loss needs them.

    Args:
        other: the reference where it is another model than the policy's start.
        start: the policy as it was loaded. identity: the reference.
    """
    if recipe.needs_reference and isinstance(policy, Policy):
        table = reference_table(other or policy, identity.digest, accelerator)

        def scored(some: Sequence[Rendered]) -> list[Tensor]:
            return reference_numbers(other or policy, some, table, accelerator, budget=prepared.budget)

        taken = _taken(config, recipe, prepared)
        places = [*(prepared.train_side[group] for group in taken), *prepared.held_side]
        rows = prepared.rendered.pick(places)
        numbers = scored(rows)
        train_numbers = [torch.full((len(group.responses),), torch.nan) for group in prepared.train_groups]
        for group, known in zip(taken, numbers, strict=False):
            train_numbers[group] = known
        prepared.train = replace(prepared.train, reference=train_numbers)
        prepared.held = replace(prepared.held, reference=numbers[len(taken) :])
        if recipe.objective.needs.fronts:
            _fill_front_reference(prepared, taken, rows, scored)
        if prepared.train.mismatched and prepared.held.mismatched:
            mismatched = prepared.train.mismatched.with_reference(scored, taken)
            prepared.train = replace(prepared.train, mismatched=mismatched)
            mismatched = prepared.held.mismatched.with_reference(scored, range(len(prepared.held_groups)))
            prepared.held = replace(prepared.held, mismatched=mismatched)
        if identity.digest == start.digest:
            first = [taken.index(group) for group in _first_step(config, recipe, prepared)]
            check_identity(
                policy.scorer,
                [rows[place] for place in first],
                [numbers[place] for place in first],
                budget=prepared.budget,
                half=accelerator.mixed_precision != "no",
            )


def _fill_front_reference(
    prepared: Prepared, taken: Sequence[int], rows: Sequence[Rendered], scored: Callable[..., list[Tensor]]
) -> None:
    """Put the reference's numbers of the responses' first tokens into the data, for losses that need them."""
    groups = [*(prepared.train_groups[group] for group in taken), *prepared.held_groups]
    fronts = front_logps(groups, list(rows), scored)
    train_fronts: list[FrontLogps] = [{} for _ in prepared.train_groups]
    for group, known in zip(taken, fronts, strict=False):
        train_fronts[group] = known
    prepared.train = replace(prepared.train, front_reference=train_fronts)
    prepared.held = replace(prepared.held, front_reference=fronts[len(taken) :])


def _taken(config: GradientConfig, recipe: Recipe, prepared: Prepared) -> list[int]:
    """The training groups that some step takes: all, unless `max_steps` ends the run before it has seen them."""
    if config.max_steps is None:
        return list(range(len(prepared.train_groups)))
    steps = plan(config, [recipe.units(group) for group in prepared.train_groups])
    return sorted({group for step in steps for group, _ in step})


def _first_step(config: GradientConfig, recipe: Recipe, prepared: Prepared) -> list[int]:
    """Return the training groups of the first step."""
    steps = plan(config, [recipe.units(group) for group in prepared.train_groups])
    return sorted({group for group, _ in steps[0]}) if steps else []
