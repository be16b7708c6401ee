"""What every run needs before and after its loop, whichever that is: devices, trackers, samples, record, result."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.tracking import get_available_trackers

from penchant.config import Config, to_yaml
from penchant.data.load import load_prompts
from penchant.engine.memory import peak_memory_bytes
from penchant.engine.sampling import Sampling
from penchant.errors import InputError
from penchant.metrics.estimates import Estimate
from penchant.models.policy import Policy
from penchant.rewards import load_reward
from penchant.rewards.columns import check_columns, reads_columns
from penchant.rewards.names import check_reward
from penchant.row_names import with_row_names
from penchant.runs.held_out_rows import HeldOutRows, write_held_out_rows
from penchant.runs.lengthening import read_lengthenings
from penchant.runs.run_folder import RunFolder, finished
from penchant.runs.run_lines import Row
from penchant.session.objects import shown_name
from penchant.train.best import best_metric
from penchant.train.callbacks import Callbacks
from penchant.train.evaluation.estimates import Estimates
from penchant.train.evaluation.rows import ROWS
from penchant.train.evaluation.sample_sizes import USUAL_PROMPTS, settle_length
from penchant.train.evaluation.samples import SampleEvaluation
from penchant.train.loop import Evaluated, Evaluation, RunContext
from penchant.train.plan import content_key
from penchant.train.recipe import Counts
from penchant.train.settings import Evaluate, RunConfig, Samples
from penchant.typed_json import to_json, to_object
from penchant.types import Prompt, PromptGroup, RunResult

log = logging.getLogger("penchant.train")


def accelerator_for(config: RunConfig, device: torch.device) -> Accelerator:
    """Set up Accelerate on the model's device, in the precision and with the trackers asked for.

    Raises:
        InputError: a tracker that is not installed; Accelerate itself only shrugs.
    """
    # Accelerate logs a warning and goes on without: hours later there are no curves
    missing = sorted(set(config.trackers) - {str(tracker) for tracker in get_available_trackers()})
    if missing:
        raise InputError(
            f"trackers: {', '.join(missing)} cannot be used here: pip install {' '.join(missing)} "
            "(or penchant[trackers], which has them all)"
        )
    precision = config.precision
    if precision == "auto":
        precision = "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
    AcceleratorState._reset_state()  # an earlier run of this process may have had another precision
    return Accelerator(
        cpu=device.type == "cpu",
        mixed_precision="bf16" if precision == "bfloat16" else "no",
        log_with=list(config.trackers) or None,
        project_dir=config.out or "runs",  # a tracker wants one now; it is set to the run's folder before any writes
    )


def sample_evaluation(
    settings: Samples,
    policy: Policy,
    held_groups: Sequence[PromptGroup],
    train_groups: Sequence[PromptGroup],
    *,
    trained_tokens: int,
    system: str | None = None,
) -> tuple[SampleEvaluation, list[str]]:
    """Return what to sample for, how, and the reward, and warnings; checked before anything is written.

    The reference is still to come.

    Args:
        held_groups, train_groups: groups of the run's data that are held out and trained on.
        trained_tokens: of the longest response that is trained on. Where no length is set, evaluation draws no longer
            ones.
        system: the system turn of the run's data, which the prompts of another file get as well.

    Raises:
        InputError: no such reward, or no prompt that leaves room.
    """
    warnings = []
    # what comes after the longest trained response was never taught, and drawing takes long
    settings = settle_length(settings, trained_tokens)
    assert isinstance(settings.max_new_tokens, int)
    if settings.max_new_tokens > trained_tokens:
        warnings.append(
            f"evaluation draws samples of up to {settings.max_new_tokens} tokens, but the longest response trained on "
            f"has {trained_tokens}: what comes after that was never trained (evaluate.samples.max_new_tokens)"
        )
    # before the first step: a reward that cannot be loaded would end the run at its first evaluation
    reward = load_reward(settings.reward, device=str(policy.scorer.device)) if settings.reward else None
    sampling = Sampling(
        settings.n, settings.temperature, settings.max_new_tokens, settings.top_k, settings.top_p, settings.seed
    )
    rows, prompt_warnings = _sample_prompts(
        settings, policy, held_groups, train_groups, system, keep_columns=reads_columns(reward)
    )
    check_columns(reward, rows)
    return SampleEvaluation(policy, rows, sampling, reward), warnings + prompt_warnings


def _sample_prompts(
    settings: Samples,
    policy: Policy,
    held_groups: Sequence[PromptGroup],
    train_groups: Sequence[PromptGroup],
    system: str | None,
    *,
    keep_columns: bool,
) -> tuple[list[PromptGroup], list[str]]:
    """Return the prompts of the file, else the held-out ones, without those that leave no room; and warnings."""
    warnings = []
    assert isinstance(settings.max_new_tokens, int)
    length = settings.max_new_tokens
    groups: Sequence[PromptGroup]
    if settings.prompts:
        media = policy.renderer.media is not None
        groups = load_prompts(settings.prompts, system=system, keep_columns=keep_columns, media=media)
        trained = {content_key(group) for group in train_groups}
        if overlap := sum(content_key(group) in trained for group in groups):
            warnings.append(f"{overlap} of {len(groups)} prompts of {settings.prompts} are trained on as well")
    else:
        groups = held_groups or train_groups
        if not held_groups:
            warnings.append("samples were drawn for prompts that were trained on: none were held out")
    # one draw per prompt, however many rows ask it: intervals resample prompts
    unique: dict[Prompt, PromptGroup] = {}
    for group in groups:
        row = PromptGroup(group.prompt, source=group.source, columns=group.columns)
        unique.setdefault(group.prompt, row)
    fitting = [row for row in unique.values() if policy.has_room(row.prompt, length)]
    if len(fitting) < len(unique):
        warnings.append(
            f"{len(unique) - len(fitting)} of {len(unique)} prompts leave no room for {settings.max_new_tokens} tokens "
            f"in the model's context of {policy.context} and were not sampled"
        )
    if not fitting:
        raise InputError("no prompt leaves room for a sample: lower evaluate.samples.max_new_tokens")
    return fitting[: settings.max_prompts or USUAL_PROMPTS], warnings


def sample_settings(config: RunConfig) -> Samples | None:
    """Return how an evaluation samples; None for methods without samples, and where they are turned off."""
    return config.evaluate.samples if isinstance(config.evaluate, Evaluate) else None


def refuse_early(config: RunConfig, *, resume: bool, rewards: Sequence[str | None] = ()) -> None:
    """Refuse what can be refused without the model: loading that takes long.

    Args:
        rewards: names of rewards that the run needs, beside that of its samples.

    Raises:
        InputError: the run directory cannot be used, or a name stands for no reward.
    """
    samples = sample_settings(config)
    for reward in (*rewards, samples.reward if samples is not None else None):
        if reward:
            check_reward(reward)
    Callbacks(config.callbacks)
    # other processes must not look: the first one may have filled the folder by then
    if not resume and is_first_process():
        RunFolder(config.out, config)


def ended_run(config: Config, path: str | None, *, resume: bool, extendable: bool = False) -> RunResult | None:
    """Return the result of a run that is resumed though it has come to its end; None for any other.

    Args:
        path: the run directory.
        extendable: the settings may make it longer; then it has not come to its end.

    Raises:
        RunMismatchError: there is no run to resume, or its configuration is another.
    """
    if not resume or (ended_result := finished(path, config, extendable=extendable)) is None:
        return None
    log.warning("the run in %s has come to its end (%s): nothing to resume", path, ended_result["status"])
    return RunResult(config.method, Path(path or "").expanduser(), ended_result)


def is_first_process() -> bool:
    """Return whether this is the process that writes, before Accelerate is set up, which needs the model's device."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK"))


@contextmanager
def open_run(folder: RunFolder, accelerator: Accelerator) -> Iterator[None]:
    """Keep a run's directory for this process while the block lasts, and have trackers write into it.

    Raises:
        InputError: as `RunFolder.open`.
    """
    accelerator.project_configuration.project_dir = str(folder.path)
    accelerator.project_configuration.logging_dir = str(folder.path)
    folder.open()
    try:
        yield
    finally:
        folder.close()


def start_trackers(accelerator: Accelerator, config: RunConfig) -> None:
    """Start the trackers that the configuration asks for."""
    if config.trackers:
        accelerator.init_trackers("penchant", config={"config": to_yaml(config)}, init_kwargs={})


def evaluation(
    folder: RunFolder,
    held_out: Callable[[], Estimates] | None,
    samples: SampleEvaluation | None,
    accelerator: Accelerator,
) -> Evaluation:
    """Return what evaluates a run, in the precision of its training.

    Args:
        folder: where the lines of samples go.
        held_out: measures on held-out data. samples: draws and measures samples.
    """

    def evaluate(step: int, epoch: float) -> Evaluated:
        line: Row = {"kind": "eval", "step": step, "epoch": epoch}
        loss = None
        with accelerator.autocast():
            if held_out is not None:
                held_out_estimates = held_out()
                rows = held_out_estimates.pop(ROWS, None)
                if isinstance(rows, HeldOutRows):
                    write_held_out_rows(folder, replace(rows, step=step))
                line["held_out"], loss = to_json(held_out_estimates), held_out_estimates["loss"]
            if samples is not None:
                estimates, drawn_rows = samples.run(step)
                line["samples"] = to_json(estimates)
                # all lines of an evaluation or none: a reward that fails raised before the first one
                for row in drawn_rows:
                    folder.append("samples.jsonl", to_object(row))
        return Evaluated(line, loss.value if isinstance(loss, Estimate) else None)

    return evaluate


def end_run(run: RunContext, counts: Counts, warnings: list[str], status: str, started: float) -> RunResult:
    """Close the trackers, and write `result.json`.

    Args:
        counts: of the data.
        started: what `time.monotonic` said at the command's start.
    """
    run.accelerator.end_training()
    state, scorer = run.state, run.policy.scorer
    # of a resumed run the last call alone would be less than its own training took
    seconds = max(time.monotonic() - started, state.seconds + state.evaluation_seconds)
    # those of the folder come last: a resumed run knows of damaged lines only once it has read them
    warnings = warnings + run.folder.warnings
    if stopped_by := state.stopped_by:
        warnings.append(f"the callback `{shown_name(stopped_by)}` stopped the run after step {state.step}")
    if scorer.plain:
        warnings.append(f"every response was forwarded with its own prompt: {scorer.plain_reason}")
    # one that was killed before it took effect left its record, but not its steps
    lengthened = [entry for entry in read_lengthenings(run.folder.path) if entry.step < state.step]
    outcome = {
        "method": run.config.method,
        "status": status,
        "steps": state.step,
        "seconds": seconds,
        "training_seconds": state.seconds,
        "evaluation_seconds": state.evaluation_seconds,
        "peak_memory_bytes": peak_memory_bytes(),
        "samples_drawn": state.samples_drawn,
        "data": counts,
        "first": state.first,
        "final": state.last,
        "best_step": state.best_step,
        **({"best_metric": best_metric(run.config)} if run.config.checkpoint.best else {}),
        **({"lengthened": to_json(lengthened)} if lengthened else {}),
        "warnings": list(map(with_row_names, warnings)),
    }
    run.folder.write_json("result.json", outcome)
    return RunResult(run.config.method, run.folder.path, outcome)
