"""The metric by which a run's best weights are chosen: its name, its value, and which way is better."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from penchant.errors import InputError, did_you_mean
from penchant.metrics.directions import HIGHER_IS_BETTER
from penchant.train.settings import RunConfig

LOSS = "held_out.loss"
SIDES = ("held_out", "samples")
"""The blocks of an evaluation that metrics are taken from; of samples those of the policy."""


def best_metric(config: RunConfig) -> str | None:
    """Return the full name of the metric that chooses the best weights; None where none are kept."""
    name = config.checkpoint.best
    if name is None:
        return LOSS if getattr(config, "early_stopping", None) is not None else None
    return name if "." in name else f"held_out.{name}"


def metric_values(line: Mapping[str, object]) -> dict[str, float | None]:
    """Return the metrics of an evaluation that have a better and a worse, by name; None for one without a value."""
    return {name: value for side in SIDES for name, value in _values(side, line.get(side))}


def _values(side: str, estimates: object) -> Iterator[tuple[str, float | None]]:
    block = estimates.get("policy", estimates) if side == "samples" and isinstance(estimates, Mapping) else estimates
    for key, estimate in block.items() if isinstance(block, Mapping) else ():
        if isinstance(estimate, Mapping) and "value" in estimate and better_is_higher(key) is not None:
            value = estimate["value"]
            yield f"{side}.{key}", value if isinstance(value, float | int) and math.isfinite(value) else None


def better_is_higher(name: str) -> bool | None:
    """Return whether more of a metric is better; None where neither is, and where nobody knows the metric."""
    return HIGHER_IS_BETTER.get(name.rpartition(".")[2])


def improves(name: str, value: float, best: float | None, min_delta: float = 0.0) -> bool:
    """Return whether a value of a metric is better than the best so far, by more than `min_delta`."""
    if best is None:
        return True
    return value > best + min_delta if better_is_higher(name) else value < best - min_delta


def check_best(config: RunConfig, *, held_out: bool, samples: bool) -> None:
    """Refuse a metric of something that the run does not measure, before anything is computed.

    Args:
        held_out: whether prompts are held out. samples: whether samples are evaluated.

    Raises:
        InputError: names the setting that would have it measured.
    """
    name = best_metric(config)
    if config.checkpoint.best is None or name is None:
        return
    side, _, key = name.partition(".")
    if side not in SIDES:
        raise _unknown(name, [f"{other_side}.{key}" for other_side in SIDES])
    if better_is_higher(key) is None:
        raise _unknown(name, [f"{side}.{metric}" for metric in HIGHER_IS_BETTER])
    if side == "held_out" and not held_out:
        raise InputError(
            f"checkpoint.best={config.checkpoint.best} is measured on held-out prompts, but none are held out: set "
            "data.held_out"
        )
    if side == "samples" and not samples:
        raise InputError(
            f"checkpoint.best={config.checkpoint.best} is measured on samples, but none are drawn: set "
            "evaluate.samples (and evaluate.samples.reward)"
        )
    if config.evaluate.every_steps is None and not config.evaluate.at_steps:
        raise InputError(
            "checkpoint.best chooses among evaluations while training, but there are none: set evaluate.every_steps"
        )


def value_of(name: str, line: Mapping[str, object]) -> float | None:
    """Return the value of a metric in an evaluation; None where it has none, such as an accuracy of ties alone.

    Raises:
        InputError: the evaluation has no such metric; names those that it has.
    """
    values = metric_values(line)
    if name not in values:
        raise _unknown(name, values)
    return values[name]


def _unknown(name: str, names: Mapping[str, object] | list[str]) -> InputError:
    choices = ", ".join(names) or "none"
    return InputError(
        f"checkpoint.best={name} is no metric that this run measures and that has a better and a worse: expected one "
        f"of {choices}{did_you_mean(name, names)}"
    )
