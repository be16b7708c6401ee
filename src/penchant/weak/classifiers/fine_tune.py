"""Fine-tune a language model to classify, on labels that may be weak: examples -> logits -> target -> loss -> step.

The target may follow the student's own predictions, whose hardening is over a whole optimizer step's examples. So where
these need several forward passes and the loss looks at predictions, the logits of all come first, without gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from penchant.engine.score import evaluating
from penchant.errors import RunError
from penchant.losses import weak
from penchant.losses.weak_settings import CrossEntropy, Filtered, WeakLoss
from penchant.runs.progress import progress_bar
from penchant.train.optimizer import clip, make_optimizer, schedule, set_rate
from penchant.train.settings import AdamW, Cosine
from penchant.weak.classifiers.reading import Reading
from penchant.weak.classifiers.targets import target_at, weak_targets
from penchant.weak.contract import Example
from penchant.weak.settings import Training

Watch = Callable[[float, float | None], None]
LOOKS = 4  # an epoch


def fine_tune(
    reading: Reading,
    examples: Sequence[Example],
    targets: Tensor,
    loss: WeakLoss,
    settings: Training,
    *,
    seed: int,
    validation: tuple[Sequence[Example], Tensor] | None = None,
    watch: Watch | None = None,
) -> None:
    """Train the reading's network in place.

    Args:
        targets: probabilities, shape (examples, classes).
        seed: fixes the order of examples.
        validation: examples and targets whose cross-entropy is looked at four times an epoch.
        watch: called at each of these looks with the epochs done and that loss, or None without a validation.

    With `settings.early_stopping` the weights of the lowest validation loss are kept, else the last.

    Raises:
        RunError: a loss or gradient that is not finite.
    """
    rows, device = reading.encode(examples), reading.policy.scorer.device
    begun = weak_targets(loss, targets.float())
    labels, shares, places = begun.labels.to(device), begun.shares, np.flatnonzero(begun.counts.numpy())
    held = None if validation is None else (reading.encode(validation[0]), validation[1].float())
    steps = settings.epochs * math.ceil(len(places) / settings.batch_size)
    looks = {math.ceil(steps * look / (LOOKS * settings.epochs)) for look in range(1, LOOKS * settings.epochs + 1)}
    network = reading.policy.model
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    trained = [*weights, *reading.head]
    head_rate = settings.head_learning_rate or settings.learning_rate
    optimizer = make_optimizer(AdamW(learning_rate=settings.learning_rate), weights, reading.head, head_rate)
    factor = schedule(Cosine(), steps)
    best, kept = math.inf, list[Tensor]()
    with progress_bar("fine-tuning", steps, "steps") as advance:
        network.train()
        for step, batch in enumerate(_order(places, settings, seed)):
            set_rate(optimizer, settings.learning_rate * factor(step))
            at = partial(target_at, loss, step=step, steps=steps, shares=shares)
            value = _accumulate(reading, [rows[place] for place in batch], labels[batch], at, loss)
            norm = clip(trained, settings.clip)
            if not (math.isfinite(value) and torch.isfinite(norm)):
                raise RunError(
                    f"the loss ({value:.4g}) or its gradient ({float(norm):.4g}) of step {step + 1} is not finite: "
                    "lower the learning rate"
                )
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            advance(1, f"loss {value:.4f}")
            if step + 1 not in looks:
                continue
            found = None if held is None else _loss(reading, *held)
            if watch is not None:
                watch((step + 1) * settings.epochs / steps, found)
            if settings.early_stopping and found is not None and found < best:
                best, kept = found, [weight.detach().cpu().clone() for weight in trained]
    network.eval()
    if kept:
        with torch.no_grad():
            for weight, value_kept in zip(trained, kept, strict=True):
                weight.copy_(value_kept)


def all_logits(reading: Reading, rows: Sequence[Any]) -> Tensor:
    """Of encoded examples, shape (rows, classes), on the CPU. No gradients."""
    parts = reading.parts(rows)
    with evaluating(reading.policy.model):
        found = torch.cat([reading.logits([rows[place] for place in part]).cpu() for part in parts])
    return torch.empty_like(found).index_copy_(0, torch.tensor([place for part in parts for place in part]), found)


def _order(places: Any, settings: Training, seed: int) -> list[list[int]]:
    """The examples of each step; the last step of an epoch has what is left."""
    batches = []
    for epoch in range(settings.epochs):
        shuffled = np.random.default_rng([seed, epoch]).permutation(places)
        batches += [
            shuffled[start : start + settings.batch_size].tolist()
            for start in range(0, len(shuffled), settings.batch_size)
        ]
    return batches


def _accumulate(
    reading: Reading, rows: Sequence[Any], labels: Tensor, target: Callable[[Tensor, Tensor], Tensor], loss: WeakLoss
) -> float:
    """Add the gradient of the mean loss over one step's examples; return that mean.

    Args:
        target: logits and labels to what is taken for the truth, see `target_at`.
    """
    parts = reading.parts(rows)
    follows = not isinstance(loss, CrossEntropy | Filtered)  # the target does, what the student itself believes
    targets = None
    if follows and len(parts) > 1:
        targets = target(all_logits(reading, rows).to(labels.device), labels)
    total = 0.0
    for part in parts:
        logits = reading.logits([rows[place] for place in part])
        own = target(logits, labels[part]) if targets is None else targets[part]
        mean = weak.cross_entropy(logits, own).sum() / len(rows)
        mean.backward()
        total += float(mean.detach())
    return total


def _loss(reading: Reading, rows: Sequence[Any], targets: Tensor) -> float:
    return float(weak.cross_entropy(all_logits(reading, rows), targets.cpu()).mean())
