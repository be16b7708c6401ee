"""From a configuration to a finished run directory: what all methods of the gradient loop do around the loop.

Read data -> split by prompt -> load the model -> render -> reference table -> evaluate and train -> result.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor

from penchant.config import to_yaml
from penchant.data.render import Rendered
from penchant.data.render_all import RenderReport, render_all
from penchant.data.rendered import RenderedRows
from penchant.data.templates import template_warnings
from penchant.engine.reference import Reference
from penchant.engine.score import token_budget
from penchant.errors import InputError
from penchant.models.builtin import cache_folder
from penchant.models.finished import check_finished
from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.models.reward import LearnedReward
from penchant.models.settings import FrozenModel
from penchant.train import checkpoint
from penchant.train.batch import Dataset
from penchant.train.evaluate import Estimates, Evaluator, SampleEvaluation
from penchant.train.fronts import FrontLogps, front_logps
from penchant.train.frozen import with_frozen_states
from penchant.train.gradient import Loop, plan, train
from penchant.train.inputs import (
    ModelIdentity,
    check_unchanged_since_start,
    digest_groups,
    digest_tokens,
    model_inputs,
    sample_inputs,
)
from penchant.train.mismatch import mismatch
from penchant.train.objectives import Objective
from penchant.train.plan import Unit, split_by_prompt, split_key
from penchant.train.provenance import provenance
from penchant.train.references import check_identity, load_reference, reference_numbers, reference_table
from penchant.train.run_folder import RunFolder, finished
from penchant.train.settings import GradientConfig, Samples
from penchant.train.setup import accelerator_for, result, sample_evaluation
from penchant.types import PromptGroup, RunResult

log = logging.getLogger("penchant.train")

HeldOut = Callable[[Any, Sequence[PromptGroup], Dataset, int], Estimates]  # (learner, groups, data, token budget)


@dataclass(frozen=True)
class Source:
    """Groups that were read, and what reading them did (for result.json)."""

    groups: Sequence[PromptGroup]
    counts: dict[str, Any]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """What makes a method, in the terms of the gradient loop.

    Attributes:
        read: gives the data.
        units: a group -> what an optimizer step counts of it.
        objective: the loss and what it takes the mean over.
        held_out: estimates on held-out data.
        needs_reference: the loss compares with the reference's numbers.
        mismatched: it also asks for the policy's KL from the reference, from prompts with responses of others.
        taught: what the data must hold, for the message where it holds none.
        reference: another model than the starting policy as the reference; None for the starting policy.
        every_turn: every assistant turn of a conversation is taught.
        load: what learns, where it is no policy.
        head_rate: the learning rate of that one's head.
        finish: called with the learner, the data and the run directory after the last step.
    """

    read: Callable[[], Source]
    units: Callable[[PromptGroup], Sequence[Unit]]
    objective: Objective
    held_out: HeldOut
    needs_reference: bool = False
    mismatched: bool = False
    taught: str = "comparisons"
    reference: FrozenModel | None = None
    every_turn: bool = False
    load: Callable[[], LearnedReward] | None = None
    head_rate: float = 0.0
    finish: Callable[[Any, Prepared, RunFolder], None] | None = None


@dataclass
class Prepared:
    """Data in the form that the loop takes.

    Attributes:
        rendered: all groups; `train_side` and `held_side` say which of them are on which side.
        budget: tokens of one pass.
        warnings: grows until the end.
    """

    rendered: RenderedRows
    train_side: list[int]
    held_side: list[int]
    train_groups: list[PromptGroup]
    train: Dataset
    held_groups: list[PromptGroup]
    held: Dataset
    counts: dict[str, Any]
    budget: int
    warnings: list[str] = field(default_factory=list)


def run_gradient(config: GradientConfig, recipe: Recipe, *, resume: bool = False) -> RunResult:
    """Train and evaluate as the configuration says; everything lands in the run directory.

    Raises:
        InputError: bad data, model, or directory. Nothing is left behind.
        RunError: the run had to stop; its last checkpoint stays.
    """
    started = time.monotonic()
    if resume and (ended := finished(config.out, config)) is not None:
        log.warning("the run in %s has come to its end (%s): nothing to resume", config.out, ended["status"])
        return RunResult(config.method, Path(config.out or "").expanduser(), ended)
    set_seed(config.seed)  # the adapters' start
    source = _read(config, recipe)
    learner = recipe.load() if recipe.load else _policy(config, recipe)
    accelerator = accelerator_for(config, learner.scorer.device)
    folder = RunFolder(config.out, config, resume=resume, writes=accelerator.is_main_process)
    prepared = _prepare(config, recipe, source, learner)
    other, samples = None, None
    if isinstance(learner, Policy):
        other = load_reference(recipe.reference, learner) if recipe.reference is not None else None
        if (wanted := _samples(config)) is not None:
            sides = prepared.held_groups, prepared.train_groups
            longest = prepared.rendered.longest_response
            samples = sample_evaluation(wanted, learner, *sides, prepared.warnings, trained_tokens=longest)
    accelerator.project_configuration.project_dir = str(folder.path)
    accelerator.project_configuration.logging_dir = str(folder.path)
    folder.open()
    try:
        with accelerator.autocast():
            start = ModelIdentity.of(learner)
            frozen = ModelIdentity.of(other) if other is not None else start
            _reference_numbers(config, recipe, learner, other, start, frozen, prepared, accelerator)
            if samples is not None:
                reference = Reference(other.scorer, False) if other else Reference.of(learner.scorer)
                samples = replace(samples, reference=reference, budget=prepared.budget)
            prepared.train, warnings = with_frozen_states(
                prepared.train,
                learner,
                config.model.train_top,
                start.digest,
                accelerator,
                budget=prepared.budget,
            )
            prepared.warnings += warnings
        inputs = model_inputs(start, frozen) | _inputs(prepared) | sample_inputs(samples, _sample_reward(config))
        record = provenance(config, learner, start, frozen, inputs)
        check_unchanged_since_start(folder, record)
        evaluator = _evaluator(recipe, learner, samples, prepared, folder, accelerator)
        loop = Loop(
            config=config,
            policy=learner,
            data=prepared.train,
            units=[recipe.units(group) for group in prepared.train_groups],
            objective=recipe.objective,
            folder=folder,
            accelerator=accelerator,
            evaluate=evaluator if accelerator.is_main_process else None,
            budget=prepared.budget,
            head=learner.head if isinstance(learner, LearnedReward) else (),
            head_rate=recipe.head_rate,
        )
        if config.trackers:
            accelerator.init_trackers("penchant", config={"config": to_yaml(config)}, init_kwargs={})
        status = train(loop, resume=resume)
        if config.early_stopping and status != "interrupted":
            _keep_best(loop, prepared)
        if recipe.finish and accelerator.is_main_process and status != "interrupted":
            recipe.finish(learner, prepared, folder)
        accelerator.end_training()
        seconds = time.monotonic() - started
        warnings = prepared.warnings + folder.warnings
        outcome = result(config, loop.state, prepared.counts, warnings, status, seconds, learner.scorer)
        folder.write_json("result.json", outcome)
        return RunResult(config.method, folder.path, outcome)
    finally:
        folder.close()


def _samples(config: GradientConfig) -> Samples | None:
    return getattr(config.evaluate, "samples", None)


def _sample_reward(config: GradientConfig) -> str | None:
    wanted = _samples(config)
    return wanted.reward if wanted is not None else None


def _inputs(prepared: Prepared) -> dict[str, str]:
    """Return the digests of the rows on both sides: what was read, and the tokens that it became."""
    rows = [*prepared.train_groups, *prepared.held_groups]
    places = [*prepared.train_side, *prepared.held_side]
    return {
        "the rows of the data": digest_groups(rows),
        "the rendered tokens": digest_tokens(prepared.rendered.pick(places)),
    }


def _policy(config: GradientConfig, recipe: Recipe) -> Policy:
    check_finished(Path(config.model.name).expanduser(), "trained further")
    policy = load_policy(
        config.model,
        template=config.data.template,
        max_length=config.data.max_length,
        overflow=config.data.overflow,
    )
    policy.renderer = replace(policy.renderer, every_turn=recipe.every_turn)
    return policy


def _read(config: GradientConfig, recipe: Recipe) -> Source:
    source = recipe.read()
    if not any(recipe.units(group) for group in source.groups):
        raise InputError(f"{config.data.path} holds no {recipe.taught} to train on")
    return source


def _prepare(config: GradientConfig, recipe: Recipe, source: Source, policy: Policy | LearnedReward) -> Prepared:
    """Render, and split by prompt."""
    learned = [group for group in source.groups if recipe.units(group)]
    groups, rendered, report = render_all(learned, policy.renderer, cache=cache_folder() / "tokens")
    if not groups:
        why = "says nothing: the two responses of each pair are the same tokens"
        if report.dropped_too_long:
            why = f"is longer than max_length={policy.renderer.max_length}"
        raise InputError(f"{config.data.path}: every row {why}")
    prompts = len({split_key(group) for group in groups})
    if config.data.held_out >= max(prompts, 1) > 1:
        raise InputError(
            f"data.held_out={config.data.held_out:g} of {prompts} prompts leaves nothing to train on; hold out fewer "
            "(below 1 is a share)"
        )
    train_side, held_side = split_by_prompt(groups, config.data.held_out, config.seed)
    prepared = Prepared(
        rendered,
        train_side,
        held_side,
        [groups[i] for i in train_side],
        Dataset(rendered.pick(train_side)),
        [groups[i] for i in held_side],
        Dataset(rendered.pick(held_side)),
        source.counts
        | {
            "groups": len(groups),
            "responses": sum(len(group.responses) for group in groups),
            "comparisons": sum(len(group.comparisons) for group in groups),
            "held_out_groups": len(held_side),
        }
        | vars(report),
        config.tokens_per_batch or token_budget(policy.scorer.device, rendered),
        list(source.warnings),
    )
    if recipe.mismatched:
        sides = mismatch(prepared.train_groups, prepared.held_groups, policy.renderer, seed=config.seed)
        prepared.train = replace(prepared.train, mismatched=sides[0])
        prepared.held = replace(prepared.held, mismatched=sides[1])
    prepared.warnings += _render_warnings(report)
    if policy.renderer.chat:
        prepared.warnings += template_warnings(policy.renderer.tokenizer, groups)
    if config.early_stopping and not held_side:
        raise InputError(
            "early_stopping looks at the loss on held-out prompts, but none are held out: set data.held_out"
        )
    if config.early_stopping and config.evaluate.every_steps is None and not config.evaluate.at_steps:
        raise InputError(
            "early_stopping looks at evaluations while training, but there are none: set evaluate.every_steps"
        )
    if not held_side:
        prepared.warnings.append("no prompts were held out: nothing here tells how well the model generalises")
    return prepared


def _render_warnings(report: RenderReport) -> list[str]:
    warnings = []
    if report.dropped_too_long:
        warnings.append(f"{report.dropped_too_long} groups were longer than max_length and were dropped")
    if report.truncated:
        warnings.append(f"{report.truncated} prompts were cut from the left to fit max_length")
    if report.equal_pairs:
        warnings.append(
            f"{report.equal_pairs} comparisons were of responses that are the same tokens, and were dropped"
        )
    if report.unstable_boundaries:
        warnings.append(
            f"in {report.unstable_boundaries} responses a token straddles the boundary to the prompt; it is scored "
            "with the response"
        )
    return warnings


# -- the reference ------------------------------------------------------------------------------------------------


def _reference_numbers(
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


# -- evaluation and result ----------------------------------------------------------------------------------------


def _evaluator(
    recipe: Recipe,
    learner: Policy | LearnedReward,
    samples: SampleEvaluation | None,
    prepared: Prepared,
    folder: RunFolder,
    accelerator: Accelerator,
) -> Callable[[int, float], dict[str, Any]]:
    def held_out() -> Estimates:
        return recipe.held_out(learner, prepared.held_groups, prepared.held, prepared.budget)

    evaluator = Evaluator(folder, held_out if prepared.held_groups else None, samples)

    def evaluate(step: int, epoch: float) -> dict[str, Any]:
        with accelerator.autocast():
            return evaluator(step, epoch)

    return evaluate


def _keep_best(loop: Loop, prepared: Prepared) -> None:
    """Early stopping ends with the best weights: they become the run's checkpoint, and theirs are the final numbers."""
    best = loop.folder.path / "best"
    if not loop.folder.writes or not best.exists() or loop.state.best_step == loop.state.step:
        return
    checkpoint.load_weights(best, loop.policy.model)
    last = loop.folder.path / "checkpoint"
    checkpoint.save(last, loop.policy, checkpoint.load_state(last))  # a kill before the result is resumed to here
    step = loop.state.best_step
    lines = [row for row in loop.folder.rows("metrics.jsonl") if row["kind"] == "eval" and row["step"] == step]
    loop.state.last = lines[-1] if lines else loop.state.last
    prepared.warnings.append(
        f"the held-out loss was lowest after step {step} of {loop.state.step}: the checkpoint and the final numbers "
        "are of that step"
    )
