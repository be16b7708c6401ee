"""Loop 1: batches -> scores -> loss -> step. Every method that learns by gradient from fixed data runs through here.

It reads top to bottom: set up, (resume), for each step: micro-batches, backward, clip, step, log; evaluate and write
checkpoints now and then; end with the best or the last weights. Several processes (Accelerate) share each step's
micro-batches and add their gradients, so that a step is the same whatever their number.
"""

from __future__ import annotations

import logging
import math
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor

from penchant.engine.frozen import FrozenStates
from penchant.engine.memory import keep_freed_memory
from penchant.engine.score import Scorer
from penchant.engine.tree import TreeBatch
from penchant.errors import RunError
from penchant.models.policy import Policy
from penchant.train import checkpoint
from penchant.train.batch import Dataset, MicroBatch, micro_batches
from penchant.train.objectives import Objective, Outcome, metric_sums
from penchant.train.optimizer import clip, make_optimizer, schedule
from penchant.train.plan import Part, Unit, plan_epoch
from penchant.train.progress import Advance, progress_bar
from penchant.train.run_folder import RunFolder
from penchant.train.settings import GradientConfig

log = logging.getLogger("penchant.train")

CHECKPOINT_EVERY_S = 600.0  # where no number of steps is given

ADVICE = (
    "Lower optimizer.learning_rate or clip, use float32 (precision and model.dtype), or look at these rows; then start "
    "anew with another out"
)

Evaluation = Callable[[int, float], dict[str, Any]]  # (step, epoch) -> an "eval" line of metrics.jsonl


@dataclass
class State:
    """Where the loop is; all of it goes into a checkpoint.

    Attributes:
        step: optimizer steps done.
        seconds: spent training, over all sessions of the run.
        best_loss, best_step, stale: early stopping: the best held-out loss, where, and evaluations since.
        first, last: the first and the latest evaluation.
    """

    step: int = 0
    seconds: float = 0.0
    best_loss: float | None = None
    best_step: int | None = None
    stale: int = 0
    first: dict[str, Any] | None = None
    last: dict[str, Any] | None = None


@dataclass
class Loop:
    """All that the loop works with."""

    config: GradientConfig
    policy: Policy
    data: Dataset
    units: Sequence[Sequence[Unit]]
    objective: Objective
    folder: RunFolder
    accelerator: Accelerator
    evaluate: Evaluation | None
    budget: int
    state: State = field(default_factory=State)


def train(loop: Loop, *, resume: bool = False) -> str:
    """Train to the end, or to an interruption.

    Returns:
        `"done"`, `"stopped_early"` or `"interrupted"` (a usable checkpoint was written).

    Raises:
        RunError: a loss or gradient that is not finite (names the rows; the last checkpoint stays), a full disk.
        InputError: the checkpoint to resume from holds another model.
    """
    config, state, scorer = loop.config, loop.state, loop.policy.scorer
    steps = plan(config, loop.units)
    optimizer = make_optimizer(config.optimizer, [p for p in scorer.parameters() if p.requires_grad])
    fresh = not (resume and _restore(loop, optimizer))
    if config.gradient_checkpointing:
        loop.policy.model.gradient_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]
    keep_freed_memory()
    scorer.train()
    title = f"training ({config.method})"
    with interruptible() as interrupted:
        if fresh:  # what everything is compared with, and a checkpoint to come back to
            _evaluate(loop, 0.0)
            _save(loop, optimizer)
        with progress_bar(title, len(steps), "steps", done=state.step, quiet=not loop.folder.writes) as advance:
            status = _steps(loop, steps, optimizer, interrupted, advance)
    return status


def _steps(
    loop: Loop, steps: Sequence[list[Part]], optimizer: torch.optim.Optimizer, interrupted: Interrupt, advance: Advance
) -> str:
    """From the state's step to the end, an interruption, or the early stop; returns which."""
    config, state = loop.config, loop.state
    factor = schedule(config.schedule, len(steps))
    if _stale(loop) and state.step < len(steps):  # resuming a run that had stopped early
        return "stopped_early"
    saved = time.monotonic()
    for number in range(state.step, len(steps)):
        epoch = steps_to_epochs(config, loop.units, number + 1)
        rate = config.optimizer.learning_rate * factor(number)
        row = _step(loop, steps[number], optimizer, rate)
        state.step = number + 1
        loop.folder.append("metrics.jsonl", {"kind": "train", "step": state.step, "epoch": epoch, **row})
        loop.accelerator.log({k: v for k, v in row.items() if isinstance(v, float)}, step=state.step)
        advance(1, f"loss {row['loss']:.4f}")
        last = state.step == len(steps)
        evaluated = last or _due(config.evaluate.every_steps, state.step)
        if evaluated:
            _evaluate(loop, epoch)
        status = "done" if last else "stopped_early" if _stale(loop) else "interrupted" if interrupted else ""
        if loop.accelerator.num_processes > 1:  # only the main process evaluates, and a signal may reach them unevenly
            (status,) = broadcast_object_list([status])
        late = config.checkpoint_every is None and time.monotonic() - saved > CHECKPOINT_EVERY_S
        due = _due(config.checkpoint_every, state.step) or (config.checkpoint_every is None and evaluated)
        if due or late or status:
            _save(loop, optimizer)
            saved = time.monotonic()
        if status:
            return status
    return "done"


def _stale(loop: Loop) -> bool:
    """Whether the held-out loss has not fallen for as long as early stopping waits."""
    stopping = loop.config.early_stopping
    return stopping is not None and loop.state.stale >= stopping.patience


def plan(config: GradientConfig, units: Sequence[Sequence[Unit]]) -> list[list[Part]]:
    """Every step of the run."""
    steps = [
        step
        for epoch in range(config.epochs)
        for step in plan_epoch(units, batch_size=config.batch_size, seed=config.seed, epoch=epoch)
    ]
    return steps[: config.max_steps]


def steps_to_epochs(config: GradientConfig, units: Sequence[Sequence[Unit]], step: int) -> float:
    """How many times the data was seen after a number of steps."""
    per_epoch = math.ceil(sum(map(len, units)) / config.batch_size)
    return step / per_epoch


# -- one step -----------------------------------------------------------------------------------------------------


def _step(loop: Loop, parts: Sequence[Part], optimizer: torch.optim.Optimizer, rate: float) -> dict[str, float]:
    """One optimizer step; returns its line of metrics."""
    started = time.perf_counter()
    accelerator, config = loop.accelerator, loop.config
    parameters = [p for p in loop.policy.scorer.parameters() if p.requires_grad]
    normaliser = loop.objective.normaliser(parts, loop.data.rendered)
    batches = micro_batches(parts, loop.data, budget=loop.budget, plain=loop.policy.scorer.plain)
    forwarded = sum(batch.forwarded for batch in batches)
    mine = batches[accelerator.process_index :: accelerator.num_processes]
    outcomes = []
    for batch in mine:
        batch = batch.to(loop.policy.scorer.device)
        with accelerator.autocast():
            outcomes.append(backward(loop.policy.scorer, batch, loop.objective, normaliser, loop.data.frozen))
    loss = sum(float(outcome.losses.sum(dtype=torch.float64)) for outcome in outcomes) / normaliser
    sums = {name: value / normaliser for name, value in metric_sums(outcomes).items()}
    if accelerator.num_processes > 1:
        loss, sums = _add_up(accelerator, parameters, loss, sums)
    if not math.isfinite(loss):
        raise RunError(_not_finite(loop.state.step + 1, mine, outcomes))
    norm = clip(parameters, config.clip)
    if not torch.isfinite(norm):
        raise RunError(
            f"the gradient of step {loop.state.step + 1} is not finite although its loss is ({loss:.4g}). Rows: "
            f"{_listed([source for batch in mine for source in batch.sources])}. The last checkpoint stays. {ADVICE}"
        )
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    seconds = time.perf_counter() - started
    loop.state.seconds += seconds
    return {
        "loss": loss,
        "grad_norm": float(norm),
        "learning_rate": rate,
        "seconds": seconds,
        "tokens_per_s": forwarded / seconds,
        loop.objective.unit: float(sum(len(units) for _, units in parts)),
        **sums,
    }


def backward(
    scorer: Scorer,
    batch: MicroBatch,
    objective: Objective,
    normaliser: float,
    frozen: FrozenStates | None = None,
) -> Outcome:
    """Forward and backward of one micro-batch: gradients of its losses' sum over the normaliser are added.

    With `frozen` only the blocks above those that are frozen run.

    Where several forward passes fill the slots (a group larger than the token budget), the scores are computed
    first without a graph, the loss is differentiated by the scores, and each pass runs again with its share: exact,
    for one more forward, and memory stays that of one pass.
    """
    device = scorer.device

    def scores(part: TreeBatch) -> Tensor:
        part = part.to(device)
        logps: Tensor = scorer(part) if frozen is None else frozen.score(scorer, part)
        return logps

    if len(batch.batches) == 1:
        outcome = objective.compute(scores(batch.batches[0]), batch)
        (outcome.losses.sum() / normaliser).backward()
        return _detached(outcome)
    # the second time every pass must meet the same dropout (LoRA's) as the first: the generator is put back
    with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.no_grad():
        parts = [scores(part) for part in batch.batches]
    logps = torch.stack(parts).sum(0).requires_grad_()
    outcome = objective.compute(logps, batch)
    (slopes,) = torch.autograd.grad(outcome.losses.sum() / normaliser, logps)
    for part in batch.batches:
        (scores(part) * slopes).sum().backward()  # autocast would make `@` half precision
    return _detached(outcome)


def _detached(outcome: Outcome) -> Outcome:
    return Outcome(outcome.losses.detach(), outcome.slots, outcome.sums)


def _add_up(
    accelerator: Accelerator, parameters: Sequence[Tensor], loss: float, sums: dict[str, float]
) -> tuple[float, dict[str, float]]:
    """Gradients, loss and metrics of all processes, added. A process without a micro-batch adds zeros."""
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        parameter.grad = accelerator.reduce(parameter.grad, reduction="sum")
    shares = gather_object([{"loss": loss, **sums}])
    total = {
        name: sum(share.get(name, 0.0) for share in shares) for name in dict.fromkeys(n for s in shares for n in s)
    }
    return total.pop("loss"), total


def _not_finite(step: int, batches: Sequence[MicroBatch], outcomes: Sequence[Outcome]) -> str:
    rows = []
    for batch, outcome in zip(batches, outcomes, strict=True):
        for slots in outcome.slots[~torch.isfinite(outcome.losses)].tolist():
            rows.append(" against ".join(batch.sources[slot] for slot in slots))
    return f"the loss of step {step} is not finite. Rows: {_listed(rows)}. The last checkpoint stays. {ADVICE}"


def _listed(rows: Sequence[str]) -> str:
    more = f"; (+{len(rows) - 5} more)" if len(rows) > 5 else ""
    return "; ".join(rows[:5]) + more if rows else "on another process"


# -- parts --------------------------------------------------------------------------------------------------------


def _due(every: int | None, step: int) -> bool:
    return every is not None and step % every == 0


def _evaluate(loop: Loop, epoch: float) -> None:
    """Evaluate, keep the line, and note whether the held-out loss is a new best (then keep the weights too)."""
    state, stopping = loop.state, loop.config.early_stopping
    if loop.evaluate is None:
        return
    line = loop.evaluate(state.step, epoch)
    loop.folder.append("metrics.jsonl", line)
    loop.accelerator.log(dict(_values(line)), step=state.step)
    state.first, state.last = state.first or line, line
    loss = line.get("held_out", {}).get("loss", {}).get("value")
    if loss is not None and not math.isfinite(loss):
        raise RunError(f"the held-out loss after step {state.step} is not finite. The last checkpoint stays. {ADVICE}")
    if stopping is None or loss is None:
        return
    if state.best_loss is None or loss < state.best_loss - stopping.min_delta:
        state.best_loss, state.best_step, state.stale = loss, state.step, 0
        if loop.folder.writes:
            checkpoint.save(loop.folder.path / "best", loop.policy, None)
    else:
        state.stale += 1


def _values(estimates: dict[str, Any], path: str = "") -> Iterator[tuple[str, float]]:
    """The values of nested estimates by path, as trackers want them: `samples/policy/reward`."""
    for name, item in estimates.items():
        if isinstance(item, dict) and "value" in item:
            yield path + name, item["value"]
        elif isinstance(item, dict):
            yield from _values(item, f"{path}{name}/")


def _save(loop: Loop, optimizer: torch.optim.Optimizer) -> None:
    if not loop.folder.writes:
        return
    for name, weight in loop.policy.model.named_parameters():
        if weight.requires_grad and not torch.isfinite(weight).all():
            raise RunError(f"{name} is not finite after step {loop.state.step}. The last checkpoint stays. {ADVICE}")
    state = {
        "loop": vars(loop.state),
        "optimizer": optimizer.state_dict(),
        "random": torch.get_rng_state(),
        "cuda_random": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    checkpoint.save(loop.folder.path / "checkpoint", loop.policy, state)


def _restore(loop: Loop, optimizer: torch.optim.Optimizer) -> bool:
    """Go back to the run's checkpoint; False if it has none, so that the run starts from the beginning."""
    saved = checkpoint.load(loop.folder.path / "checkpoint", loop.policy)
    if saved is None:
        log.warning("the run stopped before its first checkpoint: starting from the beginning")
        loop.folder.rewind(-1)
        return False
    loop.state.__dict__.update(saved["loop"])
    optimizer.load_state_dict(saved["optimizer"])
    torch.set_rng_state(saved["random"])
    if saved["cuda_random"]:
        torch.cuda.set_rng_state_all(saved["cuda_random"])
    loop.folder.rewind(loop.state.step)
    log.warning("resuming after step %d", loop.state.step)
    return True


class Interrupt:
    """Whether the user asked to stop; true from the first Ctrl-C or SIGTERM on."""

    def __init__(self) -> None:
        self.asked = False

    def __bool__(self) -> bool:
        return self.asked


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """The first Ctrl-C (or SIGTERM) lets the step finish and a checkpoint be written; the second one stops hard."""
    interrupt = Interrupt()

    def handle(number: int, frame: object) -> None:
        if interrupt.asked:
            raise KeyboardInterrupt
        interrupt.asked = True
        print("stopping after this step, with a checkpoint (again to stop at once)", file=sys.stderr, flush=True)

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


def peak_memory_bytes() -> int:
    """The most memory this process has had: on the GPU where one is used, else resident."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return int(torch.cuda.max_memory_allocated())
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
