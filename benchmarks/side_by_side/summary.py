"""From a row's runs to its numbers: speed, memory, their ratios, the distance to the limit, and equality."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any

from side_by_side.rows import WARMUP

Run = dict[str, Any]
LOSS_TOLERANCE = 1e-4  # two right float32 implementations agree to this at every step
GRADIENT_TOLERANCE = 1e-4  # norm of the difference over the norm
LIMIT_TARGET = 0.75  # share of the machine's matrix rate
UNITS = 3  # forward, gradient of the input, gradient of the weight: as much arithmetic each


def span(values: Iterable[float]) -> dict[str, float]:
    """Median and range."""
    known = list(values)
    return {"median": median(known), "low": min(known), "high": max(known)}


def pairs_per_s(run: Run, pairs_per_step: int) -> float:
    """Comparisons a second over the steps after the warm-up: training only."""
    return pairs_per_step / step_seconds(run)


def step_seconds(run: Run) -> float:
    """Mean seconds of a step after the warm-up, the optimizer included."""
    ends = [step["end_s"] for step in run["steps"]]
    return (ends[-1] - ends[WARMUP - 1]) / (len(ends) - WARMUP)


def parts(runs: Sequence[Run], part: str) -> list[Run]:
    """The runs of one part of a row."""
    return [run for run in runs if run["part"] == part]


def speed(runs: Sequence[Run], pairs_per_step: int) -> dict[str, Any]:
    """Pairs/s and peak memory of each side, and ratios of Penchant to the others within a repeat.

    Returns:
        By side: `pairs_per_s`, `peak_mib`, `runs`, `forwarded` (tokens a pair), and but for Penchant `speed_ratio`,
        `memory_ratio`; all but the counts are spans.
    """
    by_side: dict[str, dict[int, Run]] = {}
    for run in parts(runs, "speed"):
        by_side.setdefault(run["side"], {})[run["repeat"]] = run["result"]
    measures: dict[str, Callable[[Run], float]] = {
        "pairs_per_s": lambda run: pairs_per_s(run, pairs_per_step),
        "peak_mib": lambda run: run["peak_mib"],
    }
    told: dict[str, Any] = {}
    for side, of in by_side.items():
        told[side] = {name: span(map(measure, of.values())) for name, measure in measures.items()}
        told[side]["runs"] = len(of)
        told[side]["forwarded"] = median(
            run["tokens"]["forwarded"] / (pairs_per_step * len(run["steps"])) for run in of.values()
        )
        common = sorted(of.keys() & by_side.get("penchant", {}).keys())
        if side == "penchant" or not common:
            continue
        for name, measure in (("speed_ratio", "pairs_per_s"), ("memory_ratio", "peak_mib")):
            of_run = measures[measure]
            told[side][name] = span(of_run(by_side["penchant"][repeat]) / of_run(of[repeat]) for repeat in common)
    return told


def limit_seconds(step: dict[str, int], rate: dict[str, float]) -> float:
    """The floor of an optimizer step: its matrix products alone at the machine's rate for these shapes.

    Args:
        step: `tokens` through the trunk, `positions` through the head.
        rate: `trunk_flop`, `head_flop` (a token and unit), `trunk_rate`, `head_rate` (FLOP/s).
    """
    trunk = UNITS * rate["trunk_flop"] * step["tokens"] / rate["trunk_rate"]
    return trunk + UNITS * rate["head_flop"] * step["positions"] / rate["head_rate"]


def distance(runs: Sequence[Run]) -> dict[str, Any] | None:
    """Seconds of Penchant's step, its limit, their share, the rates: medians over the repeats; None without runs."""
    rates = {run["repeat"]: run["result"] for run in parts(runs, "rate")}
    ours = {run["repeat"]: run["result"] for run in parts(runs, "speed") if run["side"] == "penchant"}
    common = sorted(rates.keys() & ours.keys())
    if not common:
        return None
    measured = [step_seconds(ours[repeat]) for repeat in common]
    limits = [
        sum(limit_seconds(step, rates[repeat]) for step in steps) / len(steps)
        for repeat in common
        for steps in [ours[repeat]["tokens"]["needed"][WARMUP:]]
    ]
    return {
        "measured_s": median(measured),
        "limit_s": median(limits),
        "share": span(limit / seconds for limit, seconds in zip(limits, measured, strict=True)),
        "trunk_gflops": median(rates[repeat]["trunk_rate"] for repeat in common) / 1e9,
        "head_gflops": median(rates[repeat]["head_rate"] for repeat in common) / 1e9,
    }


def equality(runs: Sequence[Run]) -> dict[str, Any] | None:
    """The largest differences between the sides over the steps, whether they are small enough; None without runs."""
    found = parts(runs, "equality")
    if not found:
        return None
    result = found[-1]["result"]
    pairs = list(zip(result["steps"]["penchant"], result["steps"]["trl-precomputed"], strict=True))
    losses = [its["loss"] for _, its in pairs]
    told: dict[str, Any] = {
        "steps": len(pairs),
        "loss_first": losses[0],
        "loss_lowest": min(losses),
        "loss": max(_gap(abs(mine["loss"] - its["loss"])) for mine, its in pairs),
        "gradient": _gap(result["gradient"]["gradient_difference"]),
    }
    for name in ("chosen_logps", "rejected_logps", "grad_norm"):
        told[name] = max(_gap(abs(mine[name] - its[name]) / abs(its[name])) for mine, its in pairs)
    told["equal"] = told["loss"] <= LOSS_TOLERANCE and told["gradient"] <= GRADIENT_TOLERANCE
    return told


def _gap(difference: float) -> float:
    """A difference; infinite where it is not a number, so that the largest one shows it."""
    return math.inf if math.isnan(difference) else difference


def verdict(value: float, target: float, *, at_most: bool = False) -> str:
    """Whether a target is met, or by how much it is missed, in percent of the target."""
    missed = (value / target - 1) if at_most else (1 - value / target)
    return "met" if missed <= 0 else f"missed by {100 * missed:.1f} %"
