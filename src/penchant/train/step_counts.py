"""How many optimizer steps a run should have at least, and which batch size and epochs give them. Imports no torch."""

from __future__ import annotations

import math

GOOD_STEPS = 30  # a run of fewer hardly moves; small files are gone over more often
FEW_STEPS = 20  # below this a run is warned of: a user's own settings may stay somewhat below what we would choose
MOST_EPOCHS = 10
BATCHES = (64, 32, 16, 8, 4)


def choose_batch_size(units: int) -> int:
    """Return the largest batch size with which an epoch has enough steps; the smallest for small files."""
    return next((size for size in BATCHES if units >= size * GOOD_STEPS), BATCHES[-1])


def choose_epochs(units: int, batch_size: int) -> int:
    """Return how often to go over the data for enough steps."""
    return min(MOST_EPOCHS, math.ceil(GOOD_STEPS / math.ceil(units / batch_size)))


def few_steps_advice(units: int, *, batch_size: int, epochs: int, max_steps: int | None = None) -> str:
    """Return a sentence where the settings leave few optimizer steps, with settings that give more; else nothing.

    Args:
        units: what the steps of one epoch count: comparisons, labels or responses.
        max_steps: a limit of the user's; who sets one below what the data give wants no more.
    """
    per_epoch = math.ceil(units / batch_size)
    steps = per_epoch * epochs
    if not units or steps >= FEW_STEPS or (max_steps is not None and max_steps < steps):
        return ""
    better_batch = min(batch_size, choose_batch_size(units))
    better_epochs = max(epochs, choose_epochs(units, better_batch))
    reason = f"a batch of {batch_size} holds all {units} rows" if per_epoch == 1 else f"{units} rows, {batch_size} each"
    better = [
        f"{name}={value}"
        for name, value, former in (("batch_size", better_batch, batch_size), ("epochs", better_epochs, epochs))
        if value != former
    ]
    sentence = (
        f"the run has {steps} optimizer {'step' if steps == 1 else 'steps'} ({reason}), which hardly moves a model"
    )
    if not better:
        return f"{sentence}: more rows would help"
    return f"{sentence}: try {' '.join(better)} ({math.ceil(units / better_batch) * better_epochs} steps)"
