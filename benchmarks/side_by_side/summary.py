"""From the runs of a workload to its numbers: speed, memory, their ratios, and whether both sides did the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from side_by_side.runs import SIDES

Run = dict[str, Any]
LOSS_TOLERANCE = 1e-4  # two right float32 implementations agree to this at every step


def pairs_per_s(run: Run, pairs_per_step: int, warmup: int) -> float:
    """Comparisons a second over the steps after the warm-up: training only."""
    ends = [step["end_s"] for step in run["steps"]]
    start = ends[warmup - 1] if warmup else run["ready_s"]
    return pairs_per_step * (len(ends) - warmup) / (ends[-1] - start)


def summarise(runs: Sequence[Run], *, pairs_per_step: int, steps: int, warmup: int) -> dict[str, Any]:
    """Medians of each side, ratios of runs of the same repeat, and the largest differences between the sides."""
    measures: dict[str, Callable[[Run], float]] = {
        "pairs_per_s": lambda run: pairs_per_s(run, pairs_per_step, warmup),
        "peak_mib": lambda run: run["peak_mib"],
        "job_s": lambda run: run["job_s"],
    }
    pairs = pairs_per_step * steps
    by_side = {side: [run for run in runs if run["side"] == side] for side in SIDES}
    sides = {
        side: {name: median(map(measure, of)) for name, measure in measures.items()}
        | {f"{name}_a_pair": count / pairs for name, count in of[0]["tokens"].items()}
        for side, of in by_side.items()
    }
    ratios = {
        side: {
            name: _ratio([measure(a) / measure(b) for a, b in zip(by_side["penchant"], of, strict=True)])
            for name, measure in measures.items()
        }
        for side, of in by_side.items()
        if side != "penchant"
    }
    same = {side: differences(by_side["penchant"], of) for side, of in by_side.items() if side != "penchant"}
    return {"sides": sides, "ratios": ratios, "differences": same}


def _ratio(values: Sequence[float]) -> dict[str, float]:
    return {"median": median(values), "low": min(values), "high": max(values)}


def differences(ours: Sequence[Run], theirs: Sequence[Run]) -> dict[str, float]:
    """The largest over all steps and repeats: of the loss in nats, of the others relative to TRL's."""
    steps = [
        (mine, its) for a, b in zip(ours, theirs, strict=True) for mine, its in zip(a["steps"], b["steps"], strict=True)
    ]
    largest = {"loss": max(_gap(abs(mine["loss"] - its["loss"])) for mine, its in steps)}
    for name in ("chosen_logps", "rejected_logps", "grad_norm"):
        largest[f"{name}_relative"] = max(_gap(abs(mine[name] - its[name]) / abs(its[name])) for mine, its in steps)
    return largest


def _gap(difference: float) -> float:
    """A difference; infinite where it is not a number, so that the largest one shows it."""
    return math.inf if math.isnan(difference) else difference


def agree(summary: dict[str, Any]) -> bool:
    """Whether all losses are equal within the tolerance."""
    return all(largest["loss"] <= LOSS_TOLERANCE for largest in summary["differences"].values())
