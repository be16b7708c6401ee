"""What a run would do, found out right before it makes its directory: for `penchant train METHOD --dry-run`.

A run that is only planned reads its data and model and refuses what any run refuses, since it is one up to that point.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from penchant.train.costs import Cost, ModelShape, Work, estimate_cost, measure_speed

if TYPE_CHECKING:
    from penchant.data.rendering.marked import MarkedRow, RefusedRow
    from penchant.data.rendering.renderer import Renderer
    from penchant.models.learner import Learner
    from penchant.train.plan import Part
    from penchant.train.recipe import Counts, Prepared
    from penchant.train.rollout_settings import RolloutConfig
    from penchant.train.settings import GradientConfig, RunConfig, Samples
    from penchant.types import PromptGroup

PLANNED_ROWS = 3
PASSES = 2  # an evaluation at the start and one at the end


@dataclass(frozen=True)
class RunPlan:
    """A run that was not begun.

    Attributes:
        steps: optimizer steps; of rounds, how many rounds there are.
        unit: what a step is called.
        counts: of the data.
        warnings: what a user should know of the data.
        rows: the first rows that it would train on, marked.
        device: where it would run.
        cost: what it would take; None where that depends on what is sampled meanwhile.
    """

    steps: int
    counts: Counts
    warnings: Sequence[str]
    rows: Sequence[MarkedRow | RefusedRow]
    device: str
    cost: Cost | None = None
    unit: str = "optimizer step"


class _Planned(Exception):
    """Ends a run that is only planned. Caught by `plan_run` alone."""

    def __init__(self, plan: RunPlan) -> None:
        super().__init__("the run is only planned")
        self.plan = plan


# not an argument: eight methods and two loops would hand it on, and none of them has any use for it
_is_planning: ContextVar[bool] = ContextVar("is_planning", default=False)


def plan_run(run: Callable[[], object]) -> RunPlan | None:
    """Start a run and end it before it makes its directory.

    Returns:
        What it would have done; None where there was nothing to do, as for a finished run that is resumed.

    Raises:
        InputError: whatever the run refuses.
    """
    token = _is_planning.set(True)
    try:
        run()
    except _Planned as planned:
        return planned.plan
    finally:
        _is_planning.reset(token)
    return None


def end_if_planned(make_plan: Callable[[], RunPlan]) -> None:
    """End the run here if it is only planned. Called where all that can be refused was refused."""
    if _is_planning.get():
        _end(make_plan())


def _end(plan: RunPlan) -> NoReturn:
    raise _Planned(plan)


def gradient_plan(
    config: GradientConfig,
    learner: Learner,
    prepared: Prepared,
    steps: Sequence[Sequence[Part]],
    samples: Samples | None,
    *,
    needs_reference: bool,
) -> RunPlan:
    """Return what a run of the gradient loop would do.

    Args:
        samples: how an evaluation samples, if it does.
        needs_reference: the loss compares with the reference, which scores all rows once.
    """
    from penchant.data.rendering.marked import mark_row
    from penchant.models.diffusion.policy import DiffusionPolicy
    from penchant.train.marked_rows import TRAINED

    sizes, held_sizes = (prepared.rendered.pick(side).sizes for side in (prepared.train_side, prepared.held_side))
    # of a group of which a step takes a part, that share is counted: exact over an epoch
    units = np.array([max(1, len(group)) for group in prepared.units])
    draws = [(group, len(parts)) for step in steps for group, parts in step]
    trained = float(sum(sizes[group] * count / units[group] for group, count in draws))
    scored = float(sizes.sum()) * needs_reference + PASSES * float(held_sizes.sum())
    sampled = 0.0
    if samples is not None:
        # settled by the data before this: numbers, whatever the settings left open
        assert isinstance(samples.max_prompts, int)
        assert isinstance(samples.max_new_tokens, int)
        # a file of prompts is not read for this: it has as many as are asked for, or an estimate that is too high
        known_prompts = len(prepared.held_groups) or len(prepared.train_groups)
        prompts = samples.max_prompts if samples.prompts else min(samples.max_prompts, known_prompts)
        # the policy at the start and the end, and the reference once
        sampled = (PASSES + 1.0) * prompts * samples.n * samples.max_new_tokens
    largest = max((sum(int(sizes[group]) for group, _ in step) for step in steps), default=0)
    work = Work(trained, scored, sampled, min(prepared.budget, largest))
    rows = prepared.rendered.pick(prepared.train_side[:PLANNED_ROWS])
    return RunPlan(
        steps=len(steps),
        counts=prepared.counts,
        warnings=tuple(dict.fromkeys([*prepared.warnings, *prepared.advice])),
        rows=[
            mark_row(learner.renderer, group, row, side=TRAINED)
            for group, row in zip(prepared.train_groups, rows, strict=False)
        ],
        device=str(learner.scorer.device),
        cost=None if isinstance(learner, DiffusionPolicy) else _cost(config, learner, work),
    )


def rollout_plan(
    config: RolloutConfig, learner: Learner, groups: Sequence[PromptGroup], counts: Counts, warnings: Sequence[str]
) -> RunPlan:
    """Return what a run of the rollout loop would do."""
    # every step draws anew, so the number of samples does not depend on that of the prompts
    samples = config.steps * config.prompts_per_step * config.samples_per_prompt
    tokens = float(samples * config.max_new_tokens)
    # each sample is drawn, scored by policy and reference, and learned from in every pass over its rollout
    work = Work(config.updates * tokens, 2 * tokens, tokens, min(config.tokens_per_batch or 1024, int(tokens)))
    rows = prompt_rows(learner.renderer, groups[:PLANNED_ROWS])
    return RunPlan(config.steps, counts, warnings, rows, str(learner.scorer.device), _cost(config, learner, work))


def prompt_rows(renderer: Renderer, groups: Sequence[PromptGroup]) -> list[MarkedRow]:
    """Return prompts as a model is given them; nothing of them is scored."""
    from penchant.data.rendering.marked import MarkedPiece, MarkedRow

    rows = []
    for group in groups:
        ids = renderer.prompt_ids(group.prompt)
        text = renderer.tokenizer.decode(list(ids), skip_special_tokens=False)
        rows.append(MarkedRow(group.source, (MarkedPiece(str(text), "given"),), len(ids), ()))
    return rows


def _cost(config: RunConfig, learner: Learner, work: Work) -> Cost:
    speed = measure_speed(learner.scorer.device)
    return estimate_cost(shape_of_learner(learner), work, speed, optimizer=config.optimizer.name)


def shape_of_learner(learner: Learner) -> ModelShape:
    """Return the shape of a model that is loaded."""
    parameters = list(learner.model.parameters())
    # a reward model's network is a language model without its last layer, with the same configuration
    settings = learner.model.config.get_text_config()  # type: ignore[union-attr, operator]
    return ModelShape(
        parameters=sum(parameter.numel() for parameter in parameters),
        trained=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        layers=settings.num_hidden_layers,
        width=settings.hidden_size,
        vocabulary=settings.vocab_size,
    )
