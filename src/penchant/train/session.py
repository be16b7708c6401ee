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
from accelerate.state import AcceleratorState
from accelerate.tracking import get_available_trackers
from accelerate.utils import set_seed

from penchant.config import to_yaml
from penchant.data import load_prompts
from penchant.data.render_all import RenderReport, render_all
from penchant.data.rendered import RenderedRows
from penchant.engine.generate import Sampling
from penchant.engine.reference import Reference, fingerprint
from penchant.engine.score import Scorer, token_budget
from penchant.errors import InputError
from penchant.losses.settings import PreferenceLoss
from penchant.models.builtin import cache_folder
from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.models.settings import FrozenModel
from penchant.rewards import Reward, load_reward
from penchant.train import checkpoint
from penchant.train.batch import Dataset
from penchant.train.evaluate import Evaluator, SampleEvaluation, held_out_imitation, held_out_preferences
from penchant.train.frozen import with_frozen_states
from penchant.train.gradient import Loop, State, peak_memory_bytes, plan, train
from penchant.train.objectives import Objective
from penchant.train.plan import Unit, split_by_prompt, split_key
from penchant.train.provenance import provenance
from penchant.train.references import check_identity, load_reference, reference_numbers, reference_table
from penchant.train.run_folder import RunFolder, finished
from penchant.train.settings import GradientConfig, Samples
from penchant.types import Prompt, PromptGroup, RunResult

log = logging.getLogger("penchant.train")


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
        loss: the loss on pairs, for held-out comparisons; None if the method has none.
        compares: whether the data holds comparisons (else demonstrations).
        reference: another model than the starting policy as the reference; None for the starting policy.
        every_turn: every assistant turn of a conversation is taught.
    """

    read: Callable[[], Source]
    units: Callable[[PromptGroup], Sequence[Unit]]
    objective: Objective
    loss: PreferenceLoss | None = None
    compares: bool = True
    reference: FrozenModel | None = None
    every_turn: bool = False


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
    if resume and (result := finished(config.out, config)) is not None:
        log.warning("the run in %s has come to its end (%s): nothing to resume", config.out, result["status"])
        return RunResult(config.method, Path(config.out or "").expanduser(), result)
    _check_trackers(config.trackers)
    set_seed(config.seed)  # the adapters' start
    source = _read(config, recipe)
    policy = load_policy(
        config.model,
        template=config.data.template,
        max_length=config.data.max_length,
        overflow=config.data.overflow,
    )
    policy.renderer = replace(policy.renderer, every_turn=recipe.every_turn)
    accelerator = _accelerator(config, policy)
    folder = RunFolder(config.out, config, resume=resume, writes=accelerator.is_main_process)
    prepared = _prepare(config, recipe, source, policy)
    other = load_reference(recipe.reference, policy) if recipe.reference is not None else None
    sampling = _sampling(config.evaluate.samples, prepared, policy)
    accelerator.project_configuration.project_dir = str(folder.path)
    accelerator.project_configuration.logging_dir = str(folder.path)
    folder.open()
    try:
        with accelerator.autocast():
            reference, prints = _reference(config, recipe, policy, other, prepared, accelerator)
            prepared.train, warnings = with_frozen_states(
                prepared.train,
                policy,
                config.model.train_top,
                prints["policy_fingerprint"],
                accelerator,
                budget=prepared.budget,
            )
            prepared.warnings += warnings
        record = provenance(config, policy, prints)
        folder.write_json("provenance.json", _as_it_began(folder, record) if resume else record)
        samples = None
        if reference is not None and sampling is not None:
            samples = SampleEvaluation(policy, reference, *sampling, prepared.budget)
        evaluator = _evaluator(config, recipe, policy, samples, prepared, folder, accelerator)
        loop = Loop(
            config,
            policy,
            prepared.train,
            [recipe.units(group) for group in prepared.train_groups],
            recipe.objective,
            folder,
            accelerator,
            evaluator if accelerator.is_main_process else None,
            prepared.budget,
        )
        if config.trackers:
            accelerator.init_trackers("penchant", config={"config": to_yaml(config)}, init_kwargs={})
        status = train(loop, resume=resume)
        if config.early_stopping and status != "interrupted":
            _keep_best(loop, prepared)
        accelerator.end_training()
        result = _result(loop.state, config, prepared, status, time.monotonic() - started, policy.scorer)
        folder.write_json("result.json", result)
        return RunResult(config.method, folder.path, result)
    finally:
        folder.close()


def _read(config: GradientConfig, recipe: Recipe) -> Source:
    source = recipe.read()
    if not any(recipe.units(group) for group in source.groups):
        what = "comparisons" if recipe.compares else "responses"
        raise InputError(f"{config.data.path} holds no {what} to train on")
    return source


def _as_it_began(folder: RunFolder, record: dict[str, Any]) -> dict[str, Any]:
    """The record of the run that is resumed, if it still has the same data and weights.

    Raises:
        InputError: the data file or the model is another than when the run began.
    """
    began = folder.provenance()
    for what, key in (("data", "sha256"), ("model", "fingerprint")):
        if began is not None and began[what][key] != record[what][key]:
            name = record[what].get("name") or record[what].get("path")
            raise InputError(
                f"the {what} of the run in {folder.path} ({name}) changed since it began: put back what it began with, "
                "or start a new run"
            )
    return began or record


def _accelerator(config: GradientConfig, policy: Policy) -> Accelerator:
    cuda = policy.scorer.device.type == "cuda"
    wanted = config.precision
    if wanted == "auto":
        wanted = "bfloat16" if cuda and torch.cuda.is_bf16_supported() else "float32"
    AcceleratorState._reset_state()  # an earlier run of this process may have had another precision
    return Accelerator(
        cpu=policy.scorer.device.type == "cpu",
        mixed_precision="bf16" if wanted == "bfloat16" else "no",
        log_with=list(config.trackers) or None,
        project_dir=config.out or "runs",  # a tracker wants one now; it is set to the run's folder before any writes
    )


def _check_trackers(wanted: Sequence[str]) -> None:
    """Accelerate only shrugs at a tracker that is not installed."""
    missing = sorted(set(wanted) - {str(tracker) for tracker in get_available_trackers()})
    if missing:
        raise InputError(
            f"trackers: {', '.join(missing)} cannot be used here: pip install {' '.join(missing)} "
            "(or penchant[trackers], which has them all)"
        )


def _prepare(config: GradientConfig, recipe: Recipe, source: Source, policy: Policy) -> Prepared:
    """Render, and split by prompt."""
    learned = [group for group in source.groups if recipe.units(group)]
    groups, rendered, report = render_all(learned, policy.renderer, cache=cache_folder() / "tokens")
    if not groups:
        raise InputError(f"{config.data.path}: every row is longer than max_length={policy.renderer.max_length}")
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
    prepared.warnings += _render_warnings(report)
    if config.early_stopping and not held_side:
        raise InputError(
            "early_stopping looks at the loss on held-out prompts, but none are held out: set data.held_out"
        )
    if config.early_stopping and config.evaluate.every_steps is None:
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
    if report.unstable_boundaries:
        warnings.append(
            f"in {report.unstable_boundaries} responses a token straddles the boundary to the prompt; it is scored "
            "with the response"
        )
    return warnings


# -- the reference ------------------------------------------------------------------------------------------------


def _reference(
    config: GradientConfig,
    recipe: Recipe,
    policy: Policy,
    other: Policy | None,
    prepared: Prepared,
    accelerator: Accelerator,
) -> tuple[Reference | None, dict[str, str]]:
    """Fill the reference's numbers into the data; keep its weights only where samples need them.

    Returns:
        The reference for fresh samples (None if nobody samples) and the fingerprints for the run's record.
    """
    needs_table = recipe.loss is not None and recipe.loss.needs_reference
    own = fingerprint(policy.model)
    prints = {"name": policy.name, "fingerprint": own, "policy_fingerprint": own}
    if other is not None:
        prints |= {"name": other.name, "fingerprint": fingerprint(other.model)}
    if needs_table:
        table = reference_table(other or policy, prints["fingerprint"], accelerator)
        taken = _taken(config, recipe, prepared)
        places = [*(prepared.train_side[group] for group in taken), *prepared.held_side]
        rows = prepared.rendered.pick(places)
        numbers = reference_numbers(other or policy, rows, table, accelerator, budget=prepared.budget)
        train_numbers = [torch.full((len(group.responses),), torch.nan) for group in prepared.train_groups]
        for group, known in zip(taken, numbers, strict=False):
            train_numbers[group] = known
        prepared.train = Dataset(prepared.train.rendered, train_numbers)
        prepared.held = Dataset(prepared.held.rendered, numbers[len(taken) :])
        if prints["fingerprint"] == own:
            check_identity(policy.scorer, rows, numbers, half=accelerator.mixed_precision != "no")
    if config.evaluate.samples is None:
        return None, prints
    return (Reference(other.scorer, False) if other else Reference.of(policy.scorer)), prints


def _taken(config: GradientConfig, recipe: Recipe, prepared: Prepared) -> list[int]:
    """The training groups that some step takes: all, unless `max_steps` ends the run before it has seen them."""
    if config.max_steps is None:
        return list(range(len(prepared.train_groups)))
    steps = plan(config, [recipe.units(group) for group in prepared.train_groups])
    return sorted({group for step in steps for group, _ in step})


# -- evaluation and result ----------------------------------------------------------------------------------------


def _evaluator(
    config: GradientConfig,
    recipe: Recipe,
    policy: Policy,
    samples: SampleEvaluation | None,
    prepared: Prepared,
    folder: RunFolder,
    accelerator: Accelerator,
) -> Callable[[int, float], dict[str, Any]]:
    budget = prepared.budget

    def held_out() -> dict[str, Any]:
        if recipe.compares:
            return held_out_preferences(policy, prepared.held_groups, prepared.held, recipe.loss, budget)
        return held_out_imitation(policy, prepared.held_groups, prepared.held, budget)

    evaluator = Evaluator(folder, held_out if prepared.held_groups else None, samples)

    def evaluate(step: int, epoch: float) -> dict[str, Any]:
        with accelerator.autocast():
            return evaluator(step, epoch)

    return evaluate


def _sampling(
    settings: Samples | None, prepared: Prepared, policy: Policy
) -> tuple[list[Prompt], Sampling, Reward | None] | None:
    """What to sample for, how, and the reward; checked before anything is written."""
    if settings is None:
        return None
    reward = load_reward(settings.reward) if settings.reward else None
    sampling = Sampling(
        settings.n, settings.temperature, settings.max_new_tokens, settings.top_k, settings.top_p, settings.seed
    )
    return _sample_prompts(settings, prepared, policy), sampling, reward


def _sample_prompts(settings: Samples, prepared: Prepared, policy: Policy) -> list[Prompt]:
    """Prompts to sample for: those of the file, else the held-out ones; those that leave no room are left out."""
    if settings.prompts:
        groups = load_prompts(settings.prompts)
    else:
        groups = prepared.held_groups or prepared.train_groups
        if not prepared.held_groups:
            prepared.warnings.append("samples were drawn for prompts that were trained on: none were held out")
    unique = list(dict.fromkeys(group.prompt for group in groups))
    fitting = [prompt for prompt in unique if policy.has_room(prompt, settings.max_new_tokens)]
    if len(fitting) < len(unique):
        prepared.warnings.append(
            f"{len(unique) - len(fitting)} of {len(unique)} prompts leave no room for {settings.max_new_tokens} tokens "
            f"in the model's context of {policy.context} and were not sampled"
        )
    if not fitting:
        raise InputError("no prompt leaves room for a sample: lower evaluate.samples.max_new_tokens")
    return fitting[: settings.max_prompts]


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


def _result(
    state: State, config: GradientConfig, prepared: Prepared, status: str, seconds: float, scorer: Scorer
) -> dict[str, Any]:
    if scorer.plain:
        prepared.warnings.append(f"every response was forwarded with its own prompt: {scorer.plain_reason}")
    return {
        "method": config.method,
        "status": status,
        "steps": state.step,
        "seconds": seconds,
        "training_seconds": state.seconds,
        "peak_memory_bytes": peak_memory_bytes(),
        "data": prepared.counts,
        "first": state.first,
        "final": state.last,
        "best_step": state.best_step,
        "warnings": prepared.warnings,
    }
