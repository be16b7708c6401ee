"""From a configuration to a finished run directory: what all methods of the gradient loop do around the loop.

Read data -> split by prompt -> load the model -> render -> reference table -> evaluate and train -> result.
"""

from __future__ import annotations

import hashlib
import logging
import math
import time
from dataclasses import replace

from accelerate import Accelerator
from accelerate.utils import set_seed

from penchant.data.group_table import GroupRows, pick_groups
from penchant.metrics.estimates import Estimate
from penchant.models.diffusion.policy import DiffusionPolicy
from penchant.models.learner import Learner
from penchant.models.policy import Policy
from penchant.models.reward import LearnedReward
from penchant.runs import checkpoint, input_digests
from penchant.runs.held_out_rows import restore_best_rows
from penchant.runs.part_seconds import timed_part
from penchant.runs.provenance import provenance
from penchant.runs.run_folder import RunFolder
from penchant.train import setup
from penchant.train.best import LOSS, best_metric
from penchant.train.callbacks import Callbacks, callback_inputs
from penchant.train.evaluation.estimates import Estimates
from penchant.train.evaluation.sample_sizes import settle_length, settle_prompts
from penchant.train.evaluation.samples import SampleEvaluation
from penchant.train.fresh_noise import FreshNoise
from penchant.train.gradient import Loop, plan, train
from penchant.train.inputs.frozen_states import with_frozen_states
from penchant.train.inputs.reference_columns import with_reference
from penchant.train.inputs.reference_table import load_picture_reference, load_reference, reference_of
from penchant.train.lengthening import as_begun, check_lengthening, check_restarts
from penchant.train.marked_rows import keep_marked_rows
from penchant.train.mixture import read_source
from penchant.train.prepare import prepare
from penchant.train.recipe import Prepared, Recipe
from penchant.train.run_plan import RunPlan, end_if_planned, gradient_plan
from penchant.train.settings import GradientConfig, Samples
from penchant.types import RunResult

log = logging.getLogger("penchant.train")


def run_gradient(config: GradientConfig, recipe: Recipe, *, resume: bool = False) -> RunResult:
    """Train and evaluate as the configuration says; everything lands in the run directory.

    Raises:
        InputError: bad data, model, or directory. Nothing is left behind.
        RunError: the run had to stop; its last checkpoint stays.
    """
    started = time.monotonic()
    if (ended_result := setup.ended_run(config, config.out, resume=resume, extendable=True)) is not None:
        return ended_result
    setup.refuse_early(config, resume=resume)
    set_seed(config.seed)  # the adapters' start
    # before the model: loading it takes long, and bad data is refused at once
    source = read_source(config, recipe)
    with timed_part("loading"):
        learner = recipe.load(config)
    accelerator = setup.accelerator_for(config, learner.scorer.device)
    folder = RunFolder(config.out, config, resume=resume, writes=accelerator.is_main_process, extendable=True)
    # all that can be refused comes before the folder is made: bad input leaves none behind
    prepared = prepare(config, recipe, source, learner)
    steps_done = _steps_done(config, folder, prepared)
    other, samples, sample_warnings = _compared(as_begun(config, folder), recipe, learner, prepared)
    end_if_planned(lambda: _plan(config, recipe, learner, prepared))
    if accelerator.is_main_process and not resume:
        for sentence in prepared.advice:
            log.warning("%s", sentence)
    with setup.open_run(folder, accelerator):
        # the weights are still those of the start: a checkpoint to resume from is put in place by the loop, later
        start, frozen, prepared, state_warnings = _compute_fixed(config, recipe, learner, other, prepared, accelerator)
        if samples is not None:
            samples = replace(samples, reference=reference_of(other, learner), budget=prepared.budget)
        inputs = input_digests.model_inputs(start, frozen) | input_digests.template_inputs(learner.renderer)
        inputs |= _inputs(prepared) | {f"the source {part.name}": part.digest for part in source.parts if part.digest}
        inputs |= {**input_digests.sample_inputs(samples, setup.sample_settings(config)), **recipe.objective.code}
        inputs |= callback_inputs(config.callbacks)
        input_digests.check_unchanged_since_start(folder, provenance(config, learner, start, frozen, inputs))
        folder.lengthen(steps_done)  # after all that can be refused
        keep_marked_rows(folder, prepared, learner.renderer)
        loop = _loop(config, recipe, learner, other, samples, prepared, folder, accelerator)
        # after the inputs were compared: a run that is refused gets no tracker's files
        setup.start_trackers(accelerator, config)
        status = train(loop, resume=resume)
        best_warnings = _use_best(loop) if config.early_stopping and status != "interrupted" else []
        if recipe.finish and accelerator.is_main_process and status != "interrupted":
            recipe.finish(learner, prepared, folder)
        warnings = [*prepared.warnings, *sample_warnings, *state_warnings, *best_warnings]
        return setup.end_run(loop, prepared.counts, warnings, status, started)


def _steps_done(config: GradientConfig, folder: RunFolder, prepared: Prepared) -> int:
    """Return the steps that are done of a run that is to be lengthened, 0 for any other.

    Raises:
        InputError: it cannot be lengthened, or its schedule begins anew after its end.
    """
    # most runs have neither: their steps need not be planned here
    if folder.shorter_config is None and not config.schedule.restarts:
        return 0
    total = len(plan(config, prepared.units, prepared.mixing))
    check_restarts(config, total)
    if not isinstance(folder.shorter_config, GradientConfig):
        return 0
    return check_lengthening(folder, config, len(plan(folder.shorter_config, prepared.units, prepared.mixing)), total)


def _plan(config: GradientConfig, recipe: Recipe, learner: Learner, prepared: Prepared) -> RunPlan:
    """Return what the run would do."""
    steps = plan(config, prepared.units, prepared.mixing)
    samples = _sample_sizes(config, learner, prepared)
    return gradient_plan(config, learner, prepared, steps, samples, needs_reference=recipe.objective.needs.reference)


def _sample_sizes(config: GradientConfig, learner: Learner, prepared: Prepared) -> Samples | None:
    """Return how an evaluation samples, with numbers where the settings leave them to the data."""
    if (settings := setup.sample_settings(config)) is None or isinstance(learner, DiffusionPolicy):
        return None
    trained, held_out = (prepared.rendered.pick(side) for side in (prepared.train_side, prepared.held_side))
    per_epoch = math.ceil(sum(map(len, prepared.units)) / config.batch_size)
    # a run that stops earlier trains on a part of the rows
    epochs = min(config.epochs, (config.max_steps or math.inf) / max(1, per_epoch))
    tokens, responses = trained.sizes.sum(), trained.response_tokens
    prompts = (tokens - responses.sum()) / len(prepared.train_side)
    longest_prompt = int((prepared.rendered.sizes - prepared.rendered.response_tokens).max())
    context = learner.context if isinstance(learner, Policy) else None
    settings = settle_length(settings, prepared.rendered.longest_response, context, longest_prompt)
    return settle_prompts(
        settings,
        trained=float(tokens) * epochs,
        held_out=float(held_out.sizes.sum()),
        prompt=float(prompts),
        response=float(responses.sum() / max(1, trained.branch_counts.sum())),
    )


def _compared(
    config: GradientConfig, recipe: Recipe, learner: Learner, prepared: Prepared
) -> tuple[Policy | DiffusionPolicy | None, SampleEvaluation | None, list[str]]:
    """Return another model as the reference where there is one, the evaluation of samples, and warnings."""
    if isinstance(learner, DiffusionPolicy):
        return (load_picture_reference(recipe.reference, learner) if recipe.reference is not None else None), None, []
    if not isinstance(learner, Policy):
        return None, None, []
    with timed_part("loading"):
        other = load_reference(recipe.reference, learner) if recipe.reference is not None else None
    if (settings := _sample_sizes(config, learner, prepared)) is None:
        return other, None, []
    sides = prepared.held_groups, prepared.train_groups
    longest = prepared.rendered.longest_response
    return other, *setup.sample_evaluation(settings, learner, *sides, trained_tokens=longest, system=config.data.system)


def _compute_fixed(
    config: GradientConfig,
    recipe: Recipe,
    learner: Learner,
    other: Policy | DiffusionPolicy | None,
    prepared: Prepared,
    accelerator: Accelerator,
) -> tuple[input_digests.ModelIdentity, input_digests.ModelIdentity, Prepared, list[str]]:
    """Compute what no step changes: the reference's numbers, and the states of frozen blocks.

    To be called before the weights are those of a checkpoint.

    Returns:
        The identities of the model and of its reference, the data with those numbers, and warnings.
    """
    # in the precision of training: the reference's numbers must be those that the policy would have at step 0
    with timed_part("reference"), accelerator.autocast():
        start = input_digests.ModelIdentity.from_learner(learner)
        frozen = input_digests.ModelIdentity.from_learner(other) if other is not None else start
        prepared = with_reference(config, recipe, learner, other, start, frozen, prepared, accelerator)
        train_data, warnings = with_frozen_states(
            prepared.train_data, learner, config.model.train_top, start.digest, accelerator, budget=prepared.budget
        )
    return start, frozen, replace(prepared, train_data=train_data), warnings


def _loop(
    config: GradientConfig,
    recipe: Recipe,
    learner: Learner,
    other: Policy | DiffusionPolicy | None,
    samples: SampleEvaluation | None,
    prepared: Prepared,
    folder: RunFolder,
    accelerator: Accelerator,
) -> Loop:
    # bound here, so that the loop knows nothing of data, learners or budgets
    def held_out() -> Estimates:
        estimates = recipe.held_out(learner, prepared.held_groups, prepared.held_data, prepared.budget)
        return estimates | _by_source(recipe, learner, prepared)

    evaluate = setup.evaluation(folder, held_out if prepared.held_groups else None, samples, accelerator)
    return Loop(
        config=config,
        policy=learner,
        data=prepared.train_data,
        units=prepared.units,
        objective=recipe.objective,
        folder=folder,
        accelerator=accelerator,
        # one process evaluates, and tells the others only whether to stop
        evaluate=evaluate if accelerator.is_main_process else None,
        budget=prepared.budget,
        head=learner.head if isinstance(learner, LearnedReward) else (),
        head_rate=recipe.head_rate,
        mixing=prepared.mixing,
        own_losses=recipe.objective.own_losses,
        callbacks=Callbacks(config.callbacks),
        # now, while the weights are those of the start: they are the reference of every step
        noise=FreshNoise.for_run(
            learner, other if isinstance(other, DiffusionPolicy) else None, recipe.objective.needs, seed=config.seed
        )
        if isinstance(learner, DiffusionPolicy)
        else None,
    )


def _by_source(recipe: Recipe, learner: Learner, prepared: Prepared) -> Estimates:
    """Return the held-out estimates of each source of a mixture; nothing for plain data."""
    # scored once more, source by source: the estimates of all rows cannot be taken apart, for some are no means
    by_source: dict[str, dict[str, Estimate]] = {}
    for name, indices in prepared.held_sources.items():
        groups = pick_groups(prepared.held_groups, indices)
        estimates = recipe.held_out(learner, groups, prepared.held_data.pick(indices), prepared.budget)
        by_source[name] = {key: value for key, value in estimates.items() if isinstance(value, Estimate)}
    return {"by_source": by_source} if by_source else {}


def _inputs(prepared: Prepared) -> dict[str, str]:
    """Return the digests of the rows on both sides: what was read, and the tokens that it became."""
    train_groups, held_groups = prepared.train_groups, prepared.held_groups
    # on both sides, in their order: another split is another run though the file is the same
    rows = prepared.rendered.pick([*prepared.train_side, *prepared.held_side])
    if isinstance(train_groups, GroupRows) and isinstance(held_groups, GroupRows):
        # of a table: from the digests of its files, for building each row takes half a minute per million tokens
        table = f"{train_groups.digest} {held_groups.digest}"
        return {
            "the table of rows": hashlib.sha256(table.encode()).hexdigest()[:32],
            "the table of tokens": rows.digest[:32],
        }
    return {
        "the rows of the data": input_digests.digest_groups([*train_groups, *held_groups]),
        "the rendered tokens": input_digests.digest_tokens(rows),
    }


def _use_best(loop: Loop) -> list[str]:
    """Put the best weights and their numbers in the place of the last ones; return a warning where they differ."""
    best = loop.folder.path / "best"
    if not loop.folder.writes or not best.exists() or loop.state.best_step == loop.state.step:
        return []
    checkpoint.load_weights(best, loop.policy.model)
    last = loop.folder.path / "checkpoint"
    checkpoint.save(last, loop.policy, checkpoint.load_state(last))  # a kill before the result is resumed to here
    # the numbers of that step were written when it was evaluated: evaluating again would draw no other ones
    step = loop.state.best_step
    lines = [row for row in loop.folder.rows("metrics.jsonl") if row["kind"] == "eval" and row["step"] == step]
    loop.state.last = lines[-1] if lines else loop.state.last
    restore_best_rows(loop.folder)
    metric = best_metric(loop.config) or LOSS
    finding = "the held-out loss was lowest" if metric == LOSS else f"{metric} was best"
    return [f"{finding} after step {step} of {loop.state.step}: the checkpoint and the final numbers are of that step"]
