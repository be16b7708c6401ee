"""Loop 1: batches -> scores -> loss -> step. Every method that learns by gradient from fixed data runs through here.

It reads top to bottom: set up, (resume), for each step: micro-batches, backward, clip, step, log; evaluate and write
checkpoints now and then; end with the best or the last weights. Several processes (Accelerate) share each step's
micro-batches and add their gradients, so that a step is the same whatever their number.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from penchant.engine.frozen import FrozenStates
from penchant.engine.memory import keep_freed_memory
from penchant.engine.score import Scorer
from penchant.engine.tree import TreeBatch
from penchant.errors import RunError
from penchant.train.batch import Dataset, MicroBatch, micro_batches
from penchant.train.evaluation.estimates import listed
from penchant.train.fresh_noise import FreshNoise
from penchant.train.loop import RunContext, Step, drive
from penchant.train.mismatched import step_kl
from penchant.train.objectives import MicroBatchLoss, Objective, metric_sums
from penchant.train.optimizer import clip, make_optimizer, schedule, set_rate
from penchant.train.plan import Mixing, Part, Unit, plan_epoch
from penchant.train.settings import GradientConfig

# what a message names where this process had no micro-batch of the step
ELSEWHERE = ("on another process",)


@dataclass(kw_only=True)
class Loop(RunContext):
    """All that the gradient loop works with.

    Attributes:
        head: weights with a learning rate of their own, `head_rate`; none where all have the same.
        units: per group, what the steps count of it.
        budget: tokens of one forward pass.
        mixing: how often groups are drawn, where sources have weights.
        noise: gives each step the noise that its pictures are scored with; None where responses are text.
    """

    config: GradientConfig
    data: Dataset
    units: Sequence[Sequence[Unit]]
    objective: Objective
    budget: int
    head: Sequence[Tensor] = ()
    head_rate: float = 0.0
    mixing: Mixing | None = None
    noise: FreshNoise | None = None


def train(loop: Loop, *, resume: bool = False) -> str:
    """Train to the end, or to an interruption; see `penchant.train.loop.drive` for what comes back.

    Raises:
        RunError: a loss or gradient that is not finite (names the rows; the last checkpoint stays), a full disk.
        InputError: the checkpoint to resume from holds another model.
    """
    config, scorer = loop.config, loop.policy.scorer
    steps = plan(config, loop.units, loop.mixing)
    per_epoch = epoch_steps(config, loop.units, loop.mixing)
    head = {id(weight) for weight in loop.head}  # a tensor's `==` compares its numbers
    rest = [weight for weight in loop.parameters() if id(weight) not in head]
    optimizer = make_optimizer(config.optimizer, rest, loop.head, loop.head_rate)
    factor = schedule(config.schedule, len(steps))
    if config.gradient_checkpointing:
        loop.policy.model.gradient_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]
    # glibc gives large blocks back after every step: touching fresh pages made a step 1.1 times as long (decision 0006)
    keep_freed_memory()
    scorer.train()

    def step(number: int) -> Step:
        row = _step(loop, steps[number], optimizer, config.optimizer.learning_rate * factor(number))
        return Step(row, (number + 1) / per_epoch)

    return drive(loop, len(steps), step, optimizer, resume=resume)


def plan(config: GradientConfig, units: Sequence[Sequence[Unit]], mixing: Mixing | None = None) -> list[list[Part]]:
    """Return every step of the run."""
    steps = (
        step
        for epoch in range(config.epochs)
        for step in plan_epoch(units, batch_size=config.batch_size, seed=config.seed, epoch=epoch, mixing=mixing)
    )
    # lazily: epochs that `max_steps` never reaches are not even shuffled
    return list(islice(steps, config.max_steps))


def epoch_steps(config: GradientConfig, units: Sequence[Sequence[Unit]], mixing: Mixing | None = None) -> int:
    """Return how many steps an epoch has."""
    counts = [len(group) for group in units]
    total = float(sum(counts))
    if mixing is not None:
        # on average: which groups of a source an epoch draws differs, and so may the number of their units
        sums = np.bincount(mixing.owners, counts, len(mixing.weights))
        if mixing.one_source:  # the last step of each source may have fewer
            parts = zip(sums.tolist(), mixing.passes, strict=True)
            return sum(math.ceil(count * passes / config.batch_size) for count, passes in parts)
        total = sum(count * passes for count, passes in zip(sums.tolist(), mixing.passes, strict=True))
    # an epoch's last step may have fewer units, and counts as one all the same
    return math.ceil(total / config.batch_size)


# -- one step -----------------------------------------------------------------------------------------------------


def _step(loop: Loop, parts: Sequence[Part], optimizer: torch.optim.Optimizer, rate: float) -> dict[str, float]:
    """Take one optimizer step and return its line of metrics."""
    started = time.perf_counter()
    accelerator, config = loop.accelerator, loop.config
    parameters = loop.parameters()
    normaliser = loop.objective.normaliser(parts, loop.data.rendered)
    packing = loop.policy.scorer.packing_for(loop.data.rendered[group] for group, _ in parts)
    needs = loop.objective.needs
    batches = micro_batches(parts, loop.data, budget=loop.budget, packing=packing, needs=needs)
    forwarded = sum(batch.forwarded for batch in batches)
    # before the micro-batches, once: KTO's estimate must not depend on how a step is cut (decision 0007)
    if loop.data.mismatched is not None:
        groups = [group for group, _ in parts]
        kl = step_kl(loop.data.mismatched, loop.policy.scorer, groups, accelerator, budget=loop.budget)
        batches = [replace(batch, kl=kl) for batch in batches]
    # DDP expects the same number of backward passes on every process, which micro-batches by tokens do not have:
    # so each runs its share, and gradients are added by hand (decision 0003)
    own_batches = batches[accelerator.process_index :: accelerator.num_processes]
    outcomes = []
    for batch in own_batches:
        batch = batch.to(loop.policy.scorer.device)
        with accelerator.autocast():
            if loop.noise is not None:
                batch = loop.noise.draw(batch, loop.state.step)
            outcomes.append(backward(loop.policy.scorer, batch, loop.objective, normaliser, loop.data.frozen))
    # float64: the sum must not depend on how many processes and micro-batches share the step
    loss = sum(float(outcome.losses.sum(dtype=torch.float64)) for outcome in outcomes) / normaliser
    sums = {name: value / normaliser for name, value in metric_sums(outcomes).items()}
    if accelerator.num_processes > 1:
        loss, sums = _add_up(accelerator, parameters, loss, sums)
    means = loop.objective.means(sums)
    if not math.isfinite(loss):
        raise RunError(_not_finite(loop, own_batches, outcomes))
    # a step of NaN would spoil the weights for good: it is refused before it is taken
    norm = clip(parameters, config.clip)
    if not torch.isfinite(norm):
        rows = [source for batch in own_batches for source in batch.sources]
        raise RunError(
            f"the gradient of step {loop.state.step + 1} is not finite although its loss is ({loss:.4g}). Rows: "
            f"{listed(rows or ELSEWHERE)}. {loop.advice}"
        )
    set_rate(optimizer, rate)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    seconds = time.perf_counter() - started
    loop.state.seconds += seconds
    return {
        "loss": loss,
        "grad_norm": float(norm),  # before clipping, which hides how large it was
        "learning_rate": rate,
        "seconds": seconds,
        "tokens_per_s": forwarded / seconds,  # unique tokens, without padding
        loop.objective.unit: float(sum(len(units) for _, units in parts)),
        **means,
    }


def backward(
    scorer: Scorer,
    batch: MicroBatch,
    objective: Objective,
    normaliser: float,
    frozen: FrozenStates | None = None,
) -> MicroBatchLoss:
    """Run one micro-batch forward and backward, and add the gradients of its summed losses over the normaliser.

    With `frozen` only the blocks above those that are frozen run.

    Where several forward passes fill the slots (a group larger than the token budget), the scores are computed
    first without a graph, the loss is differentiated by the scores, and each pass runs again with its share: exact,
    for one more forward, and memory stays that of one pass.
    """
    device = scorer.device

    # trees move to the device one at a time: several passes need the memory of one
    def scores(part: TreeBatch) -> Tensor:
        part = part.to(device)
        logps: Tensor = scorer(part) if frozen is None else frozen.score(scorer, part)
        return logps

    # the usual case: one pass fills all slots, and the graph of its scores is kept
    if len(batch.batches) == 1:
        outcome = objective.compute(scores(batch.batches[0]), batch)
        (outcome.losses.sum() / normaliser).backward()
        return _detached(outcome)
    # the second time every pass must meet the same dropout (LoRA's) as the first: the generator is put back
    with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.no_grad():
        parts = [scores(part) for part in batch.batches]
    torch.clear_autocast_cache()  # casts made without gradients must not serve the passes with them
    logps = torch.stack(parts).sum(0).requires_grad_()
    outcome = objective.compute(logps, batch)
    (slopes,) = torch.autograd.grad(outcome.losses.sum() / normaliser, logps)
    for part in batch.batches:
        (scores(part) * slopes).sum().backward()  # autocast would make `@` half precision
    return _detached(outcome)


def _detached(outcome: MicroBatchLoss) -> MicroBatchLoss:
    return MicroBatchLoss(outcome.losses.detach(), outcome.slots, outcome.sums)


def _add_up(
    accelerator: Accelerator, parameters: Sequence[Tensor], loss: float, sums: dict[str, float]
) -> tuple[float, dict[str, float]]:
    """Add gradients, loss and metrics over all processes. A process without a micro-batch adds zeros."""
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        parameter.grad = accelerator.reduce(parameter.grad, reduction="sum")
    # objects, not tensors: a process without a micro-batch knows none of the metrics' names
    shares = gather_object([{"loss": loss, **sums}])
    total = {
        name: sum(share.get(name, 0.0) for share in shares) for name in dict.fromkeys(n for s in shares for n in s)
    }
    return total.pop("loss"), total


def _not_finite(loop: Loop, batches: Sequence[MicroBatch], outcomes: Sequence[MicroBatchLoss]) -> str:
    """Return the message for a loss that is not finite, with the rows whose terms are not."""
    rows = []
    for batch, outcome in zip(batches, outcomes, strict=True):
        for slots in outcome.slots[~torch.isfinite(outcome.losses)].tolist():
            rows.append(" against ".join(batch.sources[slot] for slot in slots))
    return f"the loss of step {loop.state.step + 1} is not finite. Rows: {listed(rows or ELSEWHERE)}. {loop.advice}"
