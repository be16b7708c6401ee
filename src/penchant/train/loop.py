"""What the loops do around their steps: log, evaluate, write checkpoints, stop when asked, resume to the same bits."""

from __future__ import annotations

import logging
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn

from penchant.errors import PenchantError, RunError
from penchant.models.learner import Learner
from penchant.runs import checkpoint
from penchant.runs.progress import progress_bar
from penchant.runs.run_folder import RunFolder
from penchant.train.optimizer import take_memory
from penchant.train.settings import RunConfig

if TYPE_CHECKING:
    from penchant.typed_json import JsonObject

log = logging.getLogger("penchant.train")

CHECKPOINT_EVERY_S = 600.0  # where no number of steps is given

ADVICE = (
    "Lower optimizer.learning_rate or clip, use float32 (precision and model.dtype), or look at these rows; then start "
    "anew with another out"
)

Evaluation = Callable[[int, float], dict[str, Any]]  # (step, epoch) -> an "eval" line of metrics.jsonl


@dataclass
class State:
    """The loop's position and what it remembers; all of it goes into a checkpoint.

    Attributes:
        step: optimizer steps (rollouts: updates) done.
        seconds: spent training, over all sessions of the run.
        best_loss, best_step, stale: early stopping: the best held-out loss, where, and evaluations since.
        first, last: the first and the latest evaluation.
        stop: why the last step taken was to be the last, if so.
        unevaluated: the epoch of an evaluation that failed and is still due.
        kl_coefficient, samples_drawn: of rollouts.
    """

    step: int = 0
    seconds: float = 0.0
    best_loss: float | None = None
    best_step: int | None = None
    stale: int = 0
    first: JsonObject | None = None
    last: JsonObject | None = None
    stop: str = ""
    unevaluated: float | None = None
    kl_coefficient: float = 0.0
    samples_drawn: int = 0


@dataclass(kw_only=True)
class RunContext:
    """All that a run needs around its steps.

    Attributes:
        evaluate: None on all processes but the main one.
        extra_modules: modules that train beside the policy and are no part of it; kept in checkpoints for resuming.
        saves_result: whether the last checkpoint is what the run leaves behind, and evaluations leave one too. Without
            it checkpoints are for resuming alone: by the clock, and when the run is interrupted.
    """

    config: RunConfig
    policy: Learner
    folder: RunFolder
    accelerator: Accelerator
    evaluate: Evaluation | None
    state: State = field(default_factory=State)
    extra_modules: dict[str, nn.Module] = field(default_factory=dict)
    saves_result: bool = True

    def parameters(self) -> list[Tensor]:
        """Return all parameters that train."""
        modules = (self.policy.model, *self.extra_modules.values())
        return [parameter for module in modules for parameter in module.parameters() if parameter.requires_grad]

    @property
    def recovery_note(self) -> str:
        """A sentence on what is left after an error."""
        if (self.folder.path / "checkpoint").exists():
            return "The last checkpoint stays."
        return "There was no checkpoint yet."


@dataclass(frozen=True)
class Step:
    """Result of a step: its line of metrics, how often the data was seen by then, and why to stop, if so."""

    row: dict[str, float]
    epoch: float
    stop: str = ""


def drive(
    run: RunContext,
    total: int,
    step: Callable[[int], Step],
    optimizer: torch.optim.Optimizer,
    *,
    resume: bool,
    progress_metric: str = "loss",
) -> str:
    """Take the steps from the state's to `total`, or to an interruption or an early stop.

    Args:
        step: does number i, counted from 0.
        resume: go on from the run's checkpoint, if it has one.
        progress_metric: the metric beside the progress bar.

    Returns:
        `"done"`, `"stopped_early"`, what the step gave as its reason, or `"interrupted"` (a usable checkpoint was
        written).

    Raises:
        RunError: something is not finite, or the disk is full; the last checkpoint stays.
        InputError: the checkpoint to resume from holds another model.
    """
    state, title = run.state, f"training ({run.config.method})"
    with interruptible(saves=run.folder.writes) as interrupted:
        if not (resume and _restore(run, optimizer)):
            take_memory(optimizer)
            evaluate(run, optimizer, 0.0)  # what everything is compared with
        elif state.unevaluated is not None:
            evaluate(run, optimizer, state.unevaluated)
        if state.stop:
            return state.stop
        if _stale(run) and state.step < total:  # resuming a run that had stopped early
            return "stopped_early"
        saved = time.monotonic()
        with progress_bar(title, total, "steps", done=state.step, quiet=not run.folder.writes) as advance:
            for number in range(state.step, total):
                result = step(number)
                state.step, state.stop = number + 1, result.stop
                line = {"kind": "train", "step": state.step, "epoch": result.epoch, **result.row}
                run.folder.append("metrics.jsonl", line)
                run.accelerator.log({k: v for k, v in result.row.items() if isinstance(v, float)}, step=state.step)
                advance(1, f"{progress_metric} {result.row[progress_metric]:.4f}")
                last = state.step == total or bool(result.stop)
                evaluation = run.config.evaluate
                evaluated = last or _due(evaluation.every_steps, state.step) or state.step in evaluation.at_steps
                if evaluated:
                    evaluate(run, optimizer, result.epoch)
                status = result.stop or ("done" if last else "stopped_early" if _stale(run) else "")
                status = status or ("interrupted" if interrupted else "")
                if run.accelerator.num_processes > 1:  # only the main one evaluates, and a signal may reach some only
                    (status,) = broadcast_object_list([status])
                is_overdue = run.config.checkpoint_every is None and time.monotonic() - saved > CHECKPOINT_EVERY_S
                due = _due(run.config.checkpoint_every, state.step) or (
                    run.config.checkpoint_every is None and evaluated and run.saves_result
                )
                ends = bool(status) and (run.saves_result or status == "interrupted")
                if due or is_overdue or ends:
                    # at the end nobody goes on: what the optimizer holds is twice the weights
                    save(run, optimizer if status in ("", "interrupted") else None)
                    saved = time.monotonic()
                if status:
                    return status
    return "done"


def evaluate(run: RunContext, optimizer: torch.optim.Optimizer, epoch: float) -> None:
    """Evaluate, keep the line, and note whether the held-out loss is a new best (then keep the weights too).

    Raises:
        RunError: it failed, as where a reward cannot be reached; a checkpoint of the steps done was written, and
            resuming begins with this evaluation.
    """
    state, stopping = run.state, getattr(run.config, "early_stopping", None)
    if run.evaluate is None:
        return
    state.unevaluated = epoch
    try:
        line = run.evaluate(state.step, epoch)
    except PenchantError as error:
        if not state.step:  # nothing was done yet that could be lost
            raise
        save(run, optimizer)
        raise RunError(
            f"{error} (in the evaluation after step {state.step}; the steps done are kept: set it right and continue "
            "with --resume)"
        ) from error
    state.unevaluated = None
    run.folder.append("metrics.jsonl", line)
    run.accelerator.log(dict(_values(line)), step=state.step)
    state.first, state.last = state.first or line, line
    loss = line.get("held_out", {}).get("loss", {}).get("value")
    if loss is not None and not math.isfinite(loss):
        raise RunError(f"the held-out loss after step {state.step} is not finite. {run.recovery_note} {ADVICE}")
    if stopping is None or loss is None:
        return
    if state.best_loss is None or loss < state.best_loss - stopping.min_delta:
        state.best_loss, state.best_step, state.stale = loss, state.step, 0
        if run.folder.writes:
            checkpoint.save(run.folder.path / "best", run.policy, None)
    else:
        state.stale += 1


def _stale(run: RunContext) -> bool:
    """Return whether the held-out loss has not fallen for as long as early stopping waits."""
    stopping = getattr(run.config, "early_stopping", None)
    return stopping is not None and run.state.stale >= stopping.patience


def _due(interval: int | None, step: int) -> bool:
    return interval is not None and step % interval == 0


def _values(estimates: JsonObject, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield the values of nested estimates by path, as trackers want them: `samples/policy/reward`."""
    for name, item in estimates.items():
        if isinstance(item, dict) and "value" in item:
            yield path + name, item["value"]
        elif isinstance(item, dict):
            yield from _values(item, f"{path}{name}/")


def save(run: RunContext, optimizer: torch.optim.Optimizer | None) -> None:
    """Write a checkpoint of the steps done; without the optimizer where nobody will go on."""
    if not run.folder.writes:
        return
    # a checkpoint of NaN would take the place of the last good one
    for name, weight in run.policy.model.named_parameters():
        if weight.requires_grad and not torch.isfinite(weight).all():
            raise RunError(f"{name} is not finite after step {run.state.step}. {run.recovery_note} {ADVICE}")
    state = {
        "loop": vars(run.state),
        "optimizer": optimizer.state_dict() if optimizer is not None else None,
        "beside": {name: module.state_dict() for name, module in run.extra_modules.items()},
        "random": torch.get_rng_state(),
        "cuda_random": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "lines": run.folder.line_digests(),
    }
    checkpoint.save(run.folder.path / "checkpoint", run.policy, state)


def _restore(run: RunContext, optimizer: torch.optim.Optimizer) -> bool:
    """Go back to the run's checkpoint; False if it has none, so that the run starts from the beginning."""
    folder = run.folder.path / "checkpoint"
    saved = checkpoint.load(folder, run.policy)
    if saved is None:
        log.warning("the run stopped before its first checkpoint: starting from the beginning")
        run.folder.rewind(-1)
        return False
    try:
        vars(run.state).update(vars(State(**saved["loop"])))  # the loop holds on to this object
        if saved["optimizer"] is not None:
            optimizer.load_state_dict(saved["optimizer"])
        for name, module in run.extra_modules.items():
            module.load_state_dict(saved["beside"][name])
        torch.set_rng_state(saved["random"])
        if saved["cuda_random"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(saved["cuda_random"])
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise checkpoint.cannot_read(folder / checkpoint.STATE, error) from error
    run.folder.rewind(run.state.step, saved.get("lines"))
    log.warning("resuming after step %d", run.state.step)
    return True


class Interrupt:
    """A flag that is true once the user asked to stop, from the first Ctrl-C or SIGTERM on."""

    def __init__(self) -> None:
        self.requested = False

    def __bool__(self) -> bool:
        return self.requested


@contextmanager
def interruptible(*, saves: bool = True) -> Iterator[Interrupt]:
    """Let the first Ctrl-C (or SIGTERM) finish the step and write a checkpoint; the second one stops hard.

    Args:
        saves: whether there will be a checkpoint, which is said to the user.
    """
    interrupt = Interrupt()

    def handle(number: int, frame: object) -> None:
        if interrupt.requested:
            raise KeyboardInterrupt
        interrupt.requested = True
        what = "stopping after this step, with a checkpoint" if saves else "stopping after this step"
        print(f"{what} (again to stop at once)", file=sys.stderr, flush=True)

    previous = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, handle)
    except ValueError:  # not the main thread: whoever runs us handles signals
        previous.clear()
    try:
        yield interrupt
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
