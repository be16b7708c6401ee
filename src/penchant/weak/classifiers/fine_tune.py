"""Fine-tune a language model to classify, on labels that may be weak: examples -> logits -> target -> loss -> step.

The steps are taken by the loop of all runs, `penchant.train.loop.drive`, which looks at the training now and then and
writes checkpoints where there is a folder for them.

The target may follow the student's own predictions, whose hardening is over a whole optimizer step's examples. So where
these need several forward passes and the loss looks at predictions, the logits of all come first, without gradients.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from penchant.engine.attention import evaluating
from penchant.errors import RunError
from penchant.losses import weak
from penchant.losses.weak_settings import CrossEntropy, Filtered, WeakLoss
from penchant.models.settings import ModelConfig
from penchant.runs.run_lines import Row
from penchant.train.loop import Evaluated, RunContext, Step, drive
from penchant.train.optimizer import clip, make_optimizer, schedule, set_rate
from penchant.train.setup import accelerator_for
from penchant.weak.classifiers.algorithm_steps import AlgorithmProgress, AlgorithmSteps
from penchant.weak.classifiers.looks import Look, LookRecord
from penchant.weak.classifiers.reading import EncodedRow, HeadReading, Reading
from penchant.weak.classifiers.text_network import weights_in_place
from penchant.weak.classifiers.training_folder import FineTuneConfig, config_of, digest_of, identified, run_folder
from penchant.weak.contract import Example
from penchant.weak.settings import Training
from penchant.weak.targets import target_at, weak_targets

log = logging.getLogger("penchant.weak")

Watch = Callable[[float, float | None], object]


@dataclass(kw_only=True)
class FineTuning(RunContext):
    """A fine-tuning: its examples, labels, order of steps, and what it has seen.

    Attributes:
        rows: the encoded examples. labels: (examples, classes) what the loss starts from, on the network's device.
        counts: how much each counts in a step's loss, 1 on average over those that count, shape (examples,).
        shares: of each class among hardened predictions, see `penchant.weak.targets`.
        batches: the examples of each step, by place.
        validation: encoded examples and targets to look at, where there are some.
        algorithm: takes the losses of steps, where these are of more than the labels.
    """

    config: FineTuneConfig
    reading: Reading
    rows: Sequence[EncodedRow]
    labels: Tensor
    counts: Tensor
    shares: tuple[float, ...]
    batches: Sequence[Sequence[int]]
    validation: tuple[Sequence[EncodedRow], Tensor] | None
    watch: Watch | None
    algorithm: AlgorithmSteps | None = None
    record: LookRecord = field(default_factory=LookRecord)

    @property
    def weights(self) -> list[Tensor]:
        """The network's weights that train, without the head's."""
        return [weight for weight in self.policy.model.parameters() if weight.requires_grad]

    @property
    def twin(self) -> list[nn.Parameter]:
        """The weights of a second network, where two are trained, in the order of the first's."""
        return [] if self.algorithm is None else self.algorithm.twin

    @property
    def trained(self) -> list[Tensor]:
        """All weights that train, the head's behind the network's, and a second network's last."""
        return [*self.weights, *self.reading.head, *self.twin]

    @property
    def clipped_together(self) -> list[list[Tensor]]:
        """Weights whose gradients are clipped by one norm: each network's, and those of heads of attributes apart."""
        # so that a network trains beside its twin, or with further heads, as it would alone
        network, heads = self.weights, self.reading.head
        task_heads = heads[: len(heads) - self.attribute_weight_count]
        others = [heads[len(task_heads) :], list[Tensor](self.twin)]
        return [[*network, *task_heads], *(part for part in others if part)]

    @property
    def attribute_weight_count(self) -> int:
        """How many tensors the heads of attributes have."""
        attributes = self.reading.attributes if isinstance(self.reading, HeadReading) else []
        return sum(len(list(head.parameters())) for head in attributes)


def fine_tune(
    reading: Reading,
    examples: Sequence[Example],
    targets: Tensor,
    loss: WeakLoss,
    settings: Training,
    *,
    seed: int,
    weights: Tensor | None = None,
    validation: tuple[Sequence[Example], Tensor] | None = None,
    watch: Watch | None = None,
    folder: Path | None = None,
    model: ModelConfig | None = None,
    algorithm: AlgorithmSteps | None = None,
) -> list[Look]:
    """Train the reading's network in place; return the looks at it, those before an interruption too.

    With `settings.early_stopping` the weights of the lowest validation loss are kept, else the last.

    Args:
        targets: probabilities, shape (examples, classes).
        seed: fixes the order of examples.
        weights: how much each example counts, above 0 and at most 1, shape (examples,); 1 if not given.
        validation: examples and targets whose cross-entropy is looked at four times an epoch.
        watch: called at each of these looks with the epochs done and that loss, or None without a validation. What it
            returns is kept with the look: plain numbers, lists and texts, so that a checkpoint can hold it.
        folder: where checkpoints go, every ten minutes and when the training is interrupted. If it has one of this
            very training, that is resumed to the same bits. The caller removes it when the result is safe.
        model: how the network was loaded, by which a resumed training must be the same; its name if not given.
        algorithm: what learns from rows without labels beside the labels, on the same examples first.

    Raises:
        RunError: a loss or gradient that is not finite.
        KeyboardInterrupt: the training was interrupted; the step was finished first.
    """
    rows, device = reading.encode(examples), reading.policy.scorer.device
    # what does not change from step to step is computed once: hard labels, the share of each class, rows left out
    start = weak_targets(loss, targets.float(), weights)
    encoded_validation = None if validation is None else (reading.encode(validation[0]), validation[1].float())
    batches_of = partial(_batches, np.flatnonzero(start.counts.numpy()), settings)
    batches = batches_of(seed)
    if algorithm is not None:
        algorithm.begin(batches_of)
    config = config_of(model or ModelConfig(name=reading.policy.name), loss, settings, seed, len(batches))
    if folder is not None:
        given_weights = () if weights is None else (weights,)
        config = identified(config, reading, digest_of(rows, targets, *given_weights, *(encoded_validation or ())))
        config = config if algorithm is None else config.replace(algorithm=algorithm.digest)
    record = LookRecord()
    run = FineTuning(
        config=config,
        policy=reading.policy,
        folder=run_folder(folder, config),
        accelerator=accelerator_for(config, device),
        evaluate=None,
        extra_modules=_kept_beside(reading, record, algorithm),
        # the caller saves the student; a checkpoint here is for resuming alone
        saves_result=False,
        reading=reading,
        rows=rows,
        labels=start.labels.to(device),
        counts=_mean_one(start.counts).to(device),
        shares=start.shares,
        batches=batches,
        validation=encoded_validation,
        watch=watch,
        algorithm=algorithm,
        record=record,
    )
    return _train(run)


def _kept_beside(reading: Reading, record: LookRecord, algorithm: AlgorithmSteps | None) -> dict[str, nn.Module]:
    """Return what a checkpoint holds beside the model, as modules."""
    modules: dict[str, nn.Module] = {"head": nn.ParameterList(reading.head), "record": record}
    if algorithm is None:
        return modules
    # averages, thresholds and orders: a resumed training goes on with those that it had
    return modules | {"twin": nn.ParameterList(algorithm.twin), "algorithm": AlgorithmProgress(algorithm)}


def _train(run: FineTuning) -> list[Look]:
    """Take the remaining steps, and put back the best weights where these were kept."""
    training, policy = run.config.training, run.policy
    # a head that starts from zero learns at a rate of its own; null is the paper's one rate for all
    rate = training.head_learning_rate or training.learning_rate
    own, heads = run.weights, run.reading.head
    # a twin's weights in the groups of the first network's: AdamW moves each number by its own history
    twins = run.twin[: len(own)], run.twin[len(own) :]
    optimizer = make_optimizer(run.config.optimizer, [*own, *twins[0]], [*heads, *twins[1]], rate)
    factor = schedule(run.config.schedule, len(run.batches))
    run.evaluate = partial(_look, run)
    run.folder.open()
    try:
        policy.model.train()
        take_step = partial(_step, run, optimizer, factor)
        status = drive(run, len(run.batches), take_step, optimizer, resume=run.folder.resume)
    finally:
        run.folder.close()
    # the loop has written a checkpoint and ended its step; whoever asked to stop wants no result
    if status == "interrupted":
        raise KeyboardInterrupt
    # predictions are made without the dropout of training
    policy.model.eval()
    if run.algorithm is not None:
        run.algorithm.finish()
    # of a training that stops early the best weights come last
    run.record.put_back(run.trained)
    return run.record.looks


def _look(run: FineTuning, step: int, epoch: float) -> Evaluated:
    """Measure the loss on the validation, record it, and return its line of metrics."""
    line: Row = {"kind": "eval", "step": step, "epoch": epoch}
    if not step:  # a head that starts from zero says nothing yet
        return Evaluated(line)
    # by the weights that would predict, which of a Mean Teacher are an average
    with nullcontext() if run.algorithm is None else run.algorithm.predicting():
        # on the hard or soft labels as they are: the loss's own target would follow the student
        misfit = None if run.validation is None else _loss(run, *run.validation)
        watched = None if run.watch is None else run.watch(epoch, misfit)
        run.record.add(Look(epoch, misfit, watched), run.trained, keep_best=run.config.training.early_stopping)
    return Evaluated(line | {"validation_loss": misfit})


def _step(run: FineTuning, optimizer: torch.optim.Optimizer, factor: Callable[[int], float], number: int) -> Step:
    """Take one optimizer step and return its line of metrics."""
    # the batch is fixed before training begins, so that a resumed one sees the same
    started, batch, settings = time.perf_counter(), run.batches[number], run.config.training
    # the head's group keeps its ratio to this rate
    rate = settings.learning_rate * factor(number)
    set_rate(optimizer, rate)
    if run.algorithm is None:
        # how far training is decides how much of the student's own belief counts
        target = partial(target_at, run.config.loss, step=number, steps=len(run.batches), shares=run.shares)
        rows = [run.rows[index] for index in batch]
        loss = _accumulate(run.reading, rows, run.labels[batch], run.counts[batch], target, run.config.loss)
    else:
        loss = run.algorithm.backward(number)
    norm = torch.stack([clip(part, settings.clip).cpu() for part in run.clipped_together]).max()
    # before the step: weights that are not finite cannot be mended
    if not (math.isfinite(loss) and torch.isfinite(norm)):
        raise RunError(
            f"the loss ({loss:.4g}) or its gradient ({float(norm):.4g}) of step {number + 1} is not finite: "
            "lower the learning rate"
        )
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    if run.algorithm is not None:
        run.algorithm.after_step(number)
    seconds = time.perf_counter() - started
    run.state.seconds += seconds
    row = {"loss": loss, "grad_norm": float(norm), "learning_rate": rate, "seconds": seconds}
    return Step(row, (number + 1) * settings.epochs / len(run.batches))


def all_logits(reading: Reading, rows: Sequence[EncodedRow]) -> Tensor:
    """Return the logits of encoded examples without gradients, shape (rows, classes), on the CPU."""
    parts = reading.parts(rows)
    with evaluating(reading.policy.model):
        logits = torch.cat([reading.logits([rows[index] for index in part]).cpu() for part in parts])
    # passes are filled by length, and rows go back to their order
    return torch.empty_like(logits).index_copy_(0, torch.tensor([index for part in parts for index in part]), logits)


def _batches(indices: NDArray[np.intp], settings: Training, seed: int) -> list[list[int]]:
    """Return the examples of each step; the last step of an epoch has what is left."""
    batches = []
    for epoch in range(settings.epochs):
        # by seed and epoch, not by a state: a resumed training needs no history of draws
        shuffled = np.random.default_rng([seed, epoch]).permutation(indices)
        batches += [
            shuffled[start : start + settings.batch_size].tolist()
            for start in range(0, len(shuffled), settings.batch_size)
        ]
    return batches


def _accumulate(
    reading: Reading,
    rows: Sequence[EncodedRow],
    labels: Tensor,
    counts: Tensor,
    target: Callable[[Tensor, Tensor], Tensor],
    loss: WeakLoss,
) -> float:
    """Add the gradient of the mean loss over one step's examples; return that mean.

    Args:
        counts: how much each example's loss counts, shape (examples,).
        target: logits and labels to what is taken for the truth, see `target_at`.
    """
    parts = reading.parts(rows)
    # only such losses need a pass of their own before the one with gradients
    follows = not isinstance(loss, CrossEntropy | Filtered)  # the target does, what the student itself believes
    targets = None
    if follows and len(parts) > 1:
        # hardened over the whole step, as the paper's batch is, not over each pass that fits the memory
        targets = target(all_logits(reading, rows).to(labels.device), labels)
    total = 0.0
    for part in parts:
        logits = reading.logits([rows[index] for index in part])
        part_targets = target(logits, labels[part]) if targets is None else targets[part]
        # each pass adds its share of the step's mean
        mean = (weak.cross_entropy(logits, part_targets) * counts[part]).sum() / len(rows)
        mean.backward()
        total += float(mean.detach())
    return total


def _mean_one(counts: Tensor) -> Tensor:
    """Return weights that are 1 on average over the examples that count: a step's size then does not depend on them."""
    return counts / counts[counts > 0].mean()


def _loss(run: FineTuning, rows: Sequence[EncodedRow], targets: Tensor) -> float:
    """Return the mean cross-entropy of what would be predicted: by two networks, of the mean of their probabilities."""
    logits = all_logits(run.reading, rows)
    if run.twin:
        # by what would be predicted, or the best weights would be those of one network
        with weights_in_place([*run.weights, *run.reading.head], run.twin):
            logits = mean_logps(logits, all_logits(run.reading, rows))
    return float(weak.cross_entropy(logits, targets.cpu()).mean())


def mean_logps(*logits: Tensor) -> Tensor:
    """Return the logarithms of the mean of the networks' probabilities, shape (rows, classes)."""
    return torch.stack([part.log_softmax(-1) for part in logits]).logsumexp(0) - math.log(len(logits))
