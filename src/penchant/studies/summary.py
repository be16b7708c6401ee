"""From a study's runs to plain numbers: `study.json`, which is all that its page needs. Imports no torch."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from penchant.metrics.frontier import (
    best_of_n,
    best_of_n_kl,
    efficiency,
    efficiency_difference,
    efficiency_range,
    limit_line,
    peak_share,
    reached_share,
)
from penchant.metrics.intervals import cluster_mean
from penchant.studies.grid import BEST_OF_N, LABELS, SWEPT, TRAINED, Grid
from penchant.studies.measured import (
    MeasuredRun,
    Numbers,
    Point,
    ReferenceSamples,
    aligned,
    provenance_of,
    read_run,
    seconds_of,
)
from penchant.studies.records import read_object
from penchant.studies.settings import FrontierConfig
from penchant.studies.summary_costs import cost_of
from penchant.studies.summary_texts import texts_beside
from penchant.studies.tasks import Task

RESAMPLES = 1000  # of prompts, for every interval of an efficiency


@dataclass(frozen=True)
class Curve:
    """A method's points: (points, prompts) of KL and reward, and where each comes from."""

    kl_nats: Numbers
    reward: Numbers
    facts: tuple[dict[str, Any], ...]

    def where(self, **wanted: Any) -> Curve | None:
        """The points with these facts; None if there are none."""
        kept = [i for i, facts in enumerate(self.facts) if all(facts.get(k) == v for k, v in wanted.items())]
        return Curve(self.kl_nats[kept], self.reward[kept], tuple(self.facts[i] for i in kept)) if kept else None


def summarize(config: FrontierConfig, grid: Grid, study: Path, reasons: Mapping[str, str]) -> dict[str, Any]:
    """The content of `study.json`.

    Args:
        study: the study's folder; the reference's samples must be there.
        reasons: why stages failed, by address.

    Raises:
        InputError: the reference's samples are damaged, or their rewards are all equal.
    """
    reference = ReferenceSamples.read(study / grid.reference.place)
    low, high = efficiency_range(reference.rewards.shape[1])
    runs = [read_run(task, study, reference.prompts, reasons.get(task.address, "")) for task in grid.runs]
    ended = [run for run in runs if run.complete]
    curves = {method: curve for method in TRAINED if (curve := _curve(ended, method)) is not None}
    if config.best_of_n is not None:
        curves[BEST_OF_N] = _best_of_n(reference, config.best_of_n.n)
    line = limit_line(reference.rewards)
    methods = [
        _method(name, curve, [run for run in runs if run.task.kind == name], reference, grid, study)
        for name, curve in curves.items()
    ]
    return {
        "study": config.method,
        "config": config.model_dump(mode="json"),
        "prompts": {
            "train": read_object(study / grid.prompts.place / "stage.json").get("train"),
            "eval": len(reference.prompts),
        },
        "seeds": list(config.seeds),
        "reference": {"samples": reference.rewards.shape[1], "reward": _over_prompts(reference.rewards.mean(axis=1))},
        "limit": {
            "kl_nats": _rounded(line.kl_nats),
            "reward": _rounded(line.reward),
            "trusted_kl": line.trusted_kl,
            "from_kl": low,
            "to_kl": high,
        },
        "methods": methods,
        "differences": _differences(methods, curves, reference),
        "reward_models": [_reward_model(task, study) for task in grid.reward_models.values()],
        "runs": [_run(run) for run in runs],
        "failures": _failures(grid, runs, reasons),
        "samples": texts_beside(config, ended, reference),
        "cost": {"seconds": sum(seconds_of(task, study) for task in grid.tasks())},
        "provenance": provenance_of(grid.runs, study),
    }


# -- curves -------------------------------------------------------------------------------------------------------


def _curve(runs: Sequence[MeasuredRun], method: str) -> Curve | None:
    """The evaluations of a method's runs; of one setting, those that every seed has are averaged over the seeds."""
    own = [run for run in runs if run.task.kind == method and run.points]
    rows: list[tuple[Numbers, Numbers, dict[str, Any]]] = []
    for value, rate in dict.fromkeys((run.task.value, run.task.rate) for run in own):
        for points in aligned([run for run in own if (run.task.value, run.task.rate) == (value, rate)]):
            facts = {"value": value, "rate": rate, "step": points[0].step, "seeds": len(points)}
            rows.append((_mean(points, "kl_nats"), _mean(points, "reward"), facts))
    if not rows:
        return None
    kls, rewards, facts = zip(*rows, strict=True)
    return Curve(np.array(kls), np.array(rewards), tuple(facts))


def _mean(points: Sequence[Point], name: str) -> Numbers:
    return np.asarray(np.mean([getattr(point, name) for point in points], axis=0))


def _best_of_n(reference: ReferenceSamples, wanted: Sequence[int]) -> Curve:
    """Expected rewards by prompt, at the bound of the KL."""
    expected = np.array([best_of_n(row[None]) for row in reference.rewards])
    n = sorted(dict.fromkeys(wanted))
    bounds = np.repeat(best_of_n_kl(n)[:, None], len(reference.prompts), axis=1)
    facts = tuple({"value": float(one), "rate": None, "step": None, "seeds": None} for one in n)
    return Curve(bounds, expected[:, [one - 1 for one in n]].T, facts)


def _method(
    name: str,
    curve: Curve,
    runs: Sequence[MeasuredRun],
    reference: ReferenceSamples,
    grid: Grid,
    study: Path,
) -> dict[str, Any]:
    table = reference.rewards
    points = [
        {**facts, "kl_nats": _over_prompts(kl), "reward": _over_prompts(reward)}
        for kl, reward, facts in zip(curve.kl_nats, curve.reward, curve.facts, strict=True)
    ]
    peak = None if name == BEST_OF_N else peak_share(table, curve.kl_nats, curve.reward, resamples=RESAMPLES)
    settings = dict.fromkeys((facts["value"], facts["rate"]) for facts in curve.facts) if name != BEST_OF_N else {}
    ended = [run for run in runs if run.complete]
    seeds = dict.fromkeys(run.task.seed for run in ended if run.points)
    by_seed = [
        (seed, reached_share(table, of_seed.kl_nats, of_seed.reward))
        for seed in seeds
        if (of_seed := _curve([run for run in ended if run.task.seed == seed], name)) is not None
    ]
    return {
        "name": name,
        "label": LABELS[name],
        "setting": "N" if name == BEST_OF_N else SWEPT.get(name),
        "efficiency": efficiency(table, curve.kl_nats, curve.reward, resamples=RESAMPLES).as_dict(),
        "points": points,
        "peak": None if peak is None else peak.as_dict(),
        "by_value": [
            {"value": value, "rate": rate, "efficiency": reached_share(table, part.kl_nats, part.reward)}
            for value, rate in settings
            if (part := curve.where(value=value, rate=rate)) is not None
        ],
        "by_seed": [{"seed": seed, "efficiency": share} for seed, share in by_seed],
        "seed_deviation": statistics.stdev([share for _, share in by_seed]) if len(by_seed) > 1 else None,
        "cost": None if name == BEST_OF_N else cost_of(ended, grid, study),
        "runs": {
            "all": len(runs),
            "failed": sum(run.status == "failed" for run in runs),
            "runaway": sum(run.status == "runaway" for run in runs),
            "unfinished": sum(run.unfinished for run in runs),
        },
    }


def _differences(
    methods: Sequence[Mapping[str, Any]], curves: Mapping[str, Curve], reference: ReferenceSamples
) -> list[dict[str, Any]]:
    """Paired differences in efficiency: the leading trained method against every other, and DPO against PPO."""
    trained = [method for method in methods if method["name"] != BEST_OF_N]
    if not trained:
        return []
    leader = max(trained, key=lambda method: method["efficiency"]["value"])["name"]
    pairs = [(leader, method["name"]) for method in trained if method["name"] != leader]
    pairs += [("dpo", other) for other in ("ppo", "ppo_gt") if {"dpo", other} <= curves.keys()]
    pairs = [pair for pair in dict.fromkeys(pairs) if pair[::-1] not in pairs[: pairs.index(pair)]]
    return [
        {
            "one": one,
            "other": other,
            "difference": efficiency_difference(
                reference.rewards,
                (curves[one].kl_nats, curves[one].reward),
                (curves[other].kl_nats, curves[other].reward),
                resamples=RESAMPLES,
            ).as_dict(),
        }
        for one, other in pairs
    ]


# -- records ------------------------------------------------------------------------------------------------------


def _run(run: MeasuredRun) -> dict[str, Any]:
    return {
        "method": run.task.kind,
        "value": run.task.value,
        "rate": run.task.rate,
        "seed": run.task.seed,
        "folder": run.task.place,
        "status": run.status,
        "reason": run.reason,
        "seconds": run.result.get("seconds"),
        "peak_memory_bytes": run.result.get("peak_memory_bytes"),
        "samples_drawn": run.result.get("samples_drawn"),
        "evaluations_lost": run.lost,
        "points": [
            {
                "step": point.step,
                "kl_nats": _over_prompts(point.kl_nats),
                "reward": _over_prompts(point.reward),
                "repetition": point.repetition,
            }
            for point in run.points
        ],
    }


def _reward_model(task: Task, study: Path) -> dict[str, Any]:
    final = read_object(study / task.place / "result.json").get("final") or {}
    return {"seed": task.seed, "accuracy": (final.get("held_out") or {}).get("accuracy")}


def _failures(grid: Grid, runs: Sequence[MeasuredRun], reasons: Mapping[str, str]) -> list[dict[str, str]]:
    known = [{"stage": task.label, "reason": reasons[task.address]} for task in grid.tasks() if task.address in reasons]
    why = "it did not run to its end yet, and no number here takes anything of it"
    return known + [{"stage": run.task.label, "reason": f"{why} ({run.status})"} for run in runs if run.unfinished]


def _over_prompts(means: Numbers) -> dict[str, Any]:
    return cluster_mean(means, range(len(means))).as_dict()


def _rounded(values: Numbers) -> list[float]:
    return [round(value, 6) for value in values.tolist()]
