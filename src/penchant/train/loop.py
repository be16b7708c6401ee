"""What the loops do around their steps: log, evaluate, write checkpoints, stop when asked, resume to the same bits."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn

from penchant.errors import InputError, PenchantError, RunError
from penchant.models.learner import Learner
from penchant.runs import checkpoint
from penchant.runs.held_out_rows import keep_best_rows
from penchant.runs.progress import progress_bar
from penchant.runs.run_folder import RunFolder
from penchant.runs.run_lines import Row
from penchant.train.best import best_metric, improves, value_of
from penchant.train.callbacks import Callbacks
from penchant.train.evaluation.estimates import NotFiniteLoss, flat_values, listed
from penchant.train.interrupt import interruptible
from penchant.train.loop_state import State
from penchant.train.optimizer import take_memory
from penchant.train.settings import RunConfig

T = TypeVar("T")
log = logging.getLogger("penchant.train")

CHECKPOINT_EVERY_S = 600.0  # where no number of steps is given

ADVICE = (
    "Lower optimizer.learning_rate or clip, use float32 (precision and model.dtype), or look at these rows; then start "
    "anew with another out"
)


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation found.

    Attributes:
        line: the "eval" line of metrics.jsonl.
        held_out_loss: by which training stops early; None where nothing is held out.
    """

    line: Row
    held_out_loss: float | None = None


Evaluation = Callable[[int, float], Evaluated]  # (step, epoch) -> what was found


@dataclass(kw_only=True)
class RunContext:
    """All that a run needs around its steps, whatever a step does.

    Attributes:
        evaluate: None on all processes but the main one.
        extra_modules: modules that train beside the policy and are no part of it; kept in checkpoints for resuming.
        saves_result: whether the last checkpoint is what the run leaves behind, and evaluations leave one too. Without
            it checkpoints are for resuming alone: by the clock, and when the run is interrupted.
        own_losses: as of `penchant.train.objectives.Objective`.
    """

    config: RunConfig
    policy: Learner
    folder: RunFolder
    accelerator: Accelerator
    evaluate: Evaluation | None
    state: State = field(default_factory=State)
    extra_modules: dict[str, nn.Module] = field(default_factory=dict)
    saves_result: bool = True
    own_losses: Sequence[str] = ()
    callbacks: Callbacks = field(default_factory=Callbacks)

    def parameters(self) -> list[Tensor]:
        """Return all parameters that train."""
        modules = (self.policy.model, *self.extra_modules.values())
        return [parameter for module in modules for parameter in module.parameters() if parameter.requires_grad]

    @property
    def advice(self) -> str:
        """Sentences for a number that is not finite: whose loss it may come from, what is left, and what to do."""
        has_checkpoint = (self.folder.path / "checkpoint").exists()
        left = "The last checkpoint stays." if has_checkpoint else "There was no checkpoint yet."
        if not self.own_losses:
            return f"{left} {ADVICE}"
        # before the first step it was tried on four pairs only: real log-probabilities may leave what it can take
        names = " and ".join(self.own_losses)
        return f"The loss is your own code, {names}: look first at what it returns. {left} {ADVICE}"


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
    """Take the steps that are left of `total`, up to an interruption or an early stop.

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
    # the whole loop, not each step: a signal between two steps must not stop hard either
    with interruptible(saves=run.folder.writes) as interrupt:
        # no checkpoint is written before the first step: the start is the model that was loaded (decision 0004)
        if not (resume and _restore(run, optimizer)):
            take_memory(optimizer)
            evaluate(run, optimizer, 0.0)  # what everything is compared with
        elif state.unevaluated is not None:
            evaluate(run, optimizer, state.unevaluated)
        if state.stop:
            return state.stop
        # a run that had stopped early and is resumed, or that a callback stops before its first step
        if _shared(run, _stale(run) or bool(state.stopped_by)) and state.step < total:
            if not state.step and run.saves_result:
                save(run, None)  # the start is what the run leaves behind
            return "stopped_early"
        saved = time.monotonic()
        with progress_bar(title, total, "steps", done=state.step, quiet=not run.folder.writes) as advance:
            for number in range(state.step, total):
                result = step(number)
                state.step, state.stop = number + 1, result.stop
                # before the evaluation and the checkpoint: whatever stops the run there, the step's numbers are kept
                line = {"kind": "train", "step": state.step, "epoch": result.epoch, **result.row}
                run.folder.append("metrics.jsonl", line)
                run.accelerator.log({k: v for k, v in result.row.items() if isinstance(v, float)}, step=state.step)
                advance(1, f"{progress_metric} {result.row[progress_metric]:.4f}")
                evaluated = state.step == total or bool(result.stop) or run.config.evaluate.is_due(state.step)
                # in the checkpoint of a callback that fails here: resuming begins with the evaluation that is due
                state.unevaluated = result.epoch if evaluated else None
                _tell(run, optimizer, line)
                if evaluated := evaluated or bool(state.stopped_by):
                    evaluate(run, optimizer, result.epoch)
                status = _shared(run, _status(run, result, total, is_interrupted=interrupt.requested))
                is_overdue = run.config.checkpoint_every is None and time.monotonic() - saved > CHECKPOINT_EVERY_S
                # where nobody set a number of steps, an evaluation's weights are worth keeping, and ten minutes of work
                due = _due(run.config.checkpoint_every, state.step) or (
                    run.config.checkpoint_every is None and evaluated and run.saves_result
                )
                ends = bool(status) and (run.saves_result or status == "interrupted")
                if due or is_overdue or ends:
                    save(run, optimizer if _goes_on(run, status) else None)
                    saved = time.monotonic()
                if status:
                    return status
    return "done"


def _shared(run: RunContext, decision: T) -> T:
    """Return what the main process decided: it alone evaluates, a signal may reach some only, and all stop at once."""
    if run.accelerator.num_processes > 1:
        (decision,) = broadcast_object_list([decision])
    return decision


def _status(run: RunContext, result: Step, total: int, *, is_interrupted: bool) -> str:
    """Return why the run ends with this step; empty where it goes on."""
    if result.stop:
        return result.stop
    if run.state.step == total:  # the end, also where the last evaluation was no better
        return "done"
    if _stale(run) or run.state.stopped_by:
        return "stopped_early"
    return "interrupted" if is_interrupted else ""


def _goes_on(run: RunContext, status: str) -> bool:
    """Return whether somebody may go on from the checkpoint of a step, and so needs the optimizer."""
    if status == "done":  # a longer run would; with early stopping the weights become those of another step
        return run.config.checkpoint.optimizer and getattr(run.config, "early_stopping", None) is None
    return status in ("", "interrupted")


def evaluate(run: RunContext, optimizer: torch.optim.Optimizer, epoch: float) -> None:
    """Evaluate, keep the line, and note whether the held-out loss is a new best (then keep the weights too).

    Raises:
        RunError: it failed, as where a reward cannot be reached; a checkpoint of the steps done was written, and
            resuming begins with this evaluation.
    """
    state = run.state
    if run.evaluate is None:
        return
    # in the checkpoint of a failure below, so that resuming begins with the evaluation that is still due
    state.unevaluated = epoch
    started = time.monotonic()
    try:
        evaluated = run.evaluate(state.step, epoch)
    except PenchantError as error:
        if isinstance(error, NotFiniteLoss):
            # nothing is saved: weights that diverge would take the place of the last good ones
            raise RunError(
                f"the held-out loss after step {state.step} is not finite. Rows: {listed(error.rows)}. {run.advice}"
            ) from error
        if not state.step:
            # a reward of the user's that is wrong leaves nothing behind: the next call may use the folder
            if isinstance(error, InputError):
                _undo_start(run)
            raise
        save(run, optimizer)
        raise RunError(
            f"{error} (in the evaluation after step {state.step}; the steps done are kept: set it right and continue "
            "with --resume)"
        ) from error
    state.evaluation_seconds += time.monotonic() - started
    metric = best_metric(run.config) if evaluated.held_out_loss is not None or run.config.checkpoint.best else None
    value = _best_value(run, metric, evaluated)
    state.unevaluated = None
    run.folder.append("metrics.jsonl", evaluated.line)
    run.accelerator.log(dict(flat_values(evaluated.line)), step=state.step)
    state.first, state.last = state.first or evaluated.line, evaluated.line
    if metric is not None and value is not None:
        _note_best(run, metric, value)
    # last: a callback that fails saves a checkpoint, which must know of this evaluation
    _tell(run, optimizer, evaluated.line)


def _note_best(run: RunContext, metric: str, value: float) -> None:
    """Keep the weights if they are the best so far, and count the evaluations since the best."""
    state, stopping = run.state, getattr(run.config, "early_stopping", None)
    if improves(metric, value, state.best_loss, stopping.min_delta if stopping is not None else 0.0):
        state.best_loss, state.best_step, state.stale = value, state.step, 0
        if run.folder.writes:
            # beside the checkpoint, without what resuming needs: nobody goes on from here
            checkpoint.save(run.folder.path / "best", run.policy, None)
            keep_best_rows(run.folder)
    else:
        state.stale += 1


def _undo_start(run: RunContext) -> None:
    """Leave nothing behind of a run that fails before its first step."""
    if not run.state.step and not run.folder.resume:
        run.folder.discard()


def _tell(run: RunContext, optimizer: torch.optim.Optimizer, line: Row) -> None:
    """Call the user's callbacks with a line of metrics.

    Raises:
        RunError: one failed; a checkpoint of the steps done was written.
    """
    if run.evaluate is None:  # only the main process has it
        return
    try:
        run.callbacks.call(line)
    except InputError as error:
        if not run.state.step:
            _undo_start(run)
            raise
        _note_stop(run)  # another one may have asked before this one failed
        save(run, optimizer)
        raise RunError(f"{error}. The steps done are kept: set it right and continue with --resume") from error
    _note_stop(run)


def _note_stop(run: RunContext) -> None:
    # in checkpoints, so that a run that is killed before its result is written stays stopped
    run.state.stopped_by = run.state.stopped_by or run.callbacks.stopped_by


def _best_value(run: RunContext, metric: str | None, evaluated: Evaluated) -> float | None:
    """Return the value of the metric that chooses the best weights.

    Raises:
        InputError: the evaluation has no such metric. Before the first step nothing of the run is left behind.
    """
    if metric is None:
        return None
    try:
        return value_of(metric, evaluated.line)
    except InputError:
        _undo_start(run)
        raise


def _stale(run: RunContext) -> bool:
    """Return whether the held-out loss has not fallen for as long as early stopping waits."""
    stopping = getattr(run.config, "early_stopping", None)
    return stopping is not None and run.state.stale >= stopping.patience


def _due(interval: int | None, step: int) -> bool:
    return interval is not None and step % interval == 0


def save(run: RunContext, optimizer: torch.optim.Optimizer | None) -> None:
    """Write a checkpoint of the steps done; without the optimizer where nobody will go on."""
    if not run.folder.writes:
        return
    # a checkpoint of NaN would take the place of the last good one
    for name, weight in run.policy.model.named_parameters():
        if weight.requires_grad and not torch.isfinite(weight).all():
            raise RunError(f"{name} is not finite after step {run.state.step}. {run.advice}")
    state = {
        "loop": vars(run.state),
        "optimizer": optimizer.state_dict() if optimizer is not None else None,
        "beside": {name: module.state_dict() for name, module in run.extra_modules.items()},
        "random": torch.get_rng_state(),
        "cuda_random": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "lines": run.folder.line_digests(),  # by which a resumed run knows that nobody changed its curves
    }
    checkpoint.save(run.folder.path / "checkpoint", run.policy, state)
    if run.saves_result and run.config.checkpoint.keep > 1:
        checkpoint.keep_last(run.folder.path, run.state.step, run.config.checkpoint.keep)


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
        # a run that ended may have none, and takes no step then
        if saved["optimizer"] is not None:
            optimizer.load_state_dict(saved["optimizer"])
        for name, module in run.extra_modules.items():
            module.load_state_dict(saved["beside"][name])
        torch.set_rng_state(saved["random"])
        if saved["cuda_random"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(saved["cuda_random"])
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise checkpoint.cannot_read(folder / checkpoint.STATE, error) from error
    # the lines of later steps are written again; checkpoints of earlier versions have no digests of lines
    run.folder.rewind(run.state.step, saved.get("lines"))
    log.warning("resuming after step %d", run.state.step)
    return True
