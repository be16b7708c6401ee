"""From a study's runs to plain numbers: `study.json`, which is all that its page needs. Imports no torch."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
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
    reached_share,
)
from penchant.metrics.intervals import cluster_mean
from penchant.studies.grid import SWEPT, TRAINED, Grid
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
from penchant.studies.tasks import Task

BEST_OF_N = "best_of_n"
LABELS = {
    "dpo": "DPO",
    "kto": "KTO",
    "preferred_ft": "Preferred-FT",
    "unlikelihood": "Unlikelihood",
    "ppo": "PPO",
    "ppo_gt": "PPO-GT",
    BEST_OF_N: "Best-of-N",
}
RESAMPLES = 1000  # of prompts, for every interval of an efficiency
EQUAL_KL = 2.0  # nats at which texts stand side by side
SHOWN_PROMPTS = 6


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
        _method(name, curve, [run for run in runs if run.task.kind == name], reference, grid, study, high)
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
        "samples": _samples(config, ended, reference),
        "cost": {"seconds": sum(seconds_of(task, study) for task in grid.tasks())},
        "provenance": provenance_of(grid.runs, study),
    }


# -- curves -------------------------------------------------------------------------------------------------------


def _curve(runs: Sequence[MeasuredRun], method: str) -> Curve | None:
    """The evaluations of a method's runs; of one setting, those that every seed has are averaged over the seeds."""
    own = [run for run in runs if run.task.kind == method and run.points]
    rows: list[tuple[Numbers, Numbers, dict[str, Any]]] = []
    for value in dict.fromkeys(run.task.value for run in own):
        for points in aligned([run for run in own if run.task.value == value]):
            facts = {"value": value, "step": points[0].step, "seeds": len(points)}
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
    facts = tuple({"value": float(one), "step": None, "seeds": None} for one in n)
    return Curve(bounds, expected[:, [one - 1 for one in n]].T, facts)


def _method(
    name: str,
    curve: Curve,
    runs: Sequence[MeasuredRun],
    reference: ReferenceSamples,
    grid: Grid,
    study: Path,
    high: float,
) -> dict[str, Any]:
    table = reference.rewards
    points = [
        {**facts, "kl_nats": _over_prompts(kl), "reward": _over_prompts(reward)}
        for kl, reward, facts in zip(curve.kl_nats, curve.reward, curve.facts, strict=True)
    ]
    within = [point for point in points if point["kl_nats"]["value"] <= high]
    values = dict.fromkeys(facts["value"] for facts in curve.facts) if name != BEST_OF_N else {}
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
        "best": max(within, key=lambda point: point["reward"]["value"], default=None),
        "by_value": [
            {"value": value, "efficiency": reached_share(table, part.kl_nats, part.reward)}
            for value in values
            if (part := curve.where(value=value)) is not None
        ],
        "by_seed": [{"seed": seed, "efficiency": share} for seed, share in by_seed],
        "seed_deviation": statistics.stdev([share for _, share in by_seed]) if len(by_seed) > 1 else None,
        "cost": None if name == BEST_OF_N else _cost(ended, grid, study),
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


# -- costs --------------------------------------------------------------------------------------------------------


def _cost(ended: Sequence[MeasuredRun], grid: Grid, study: Path) -> dict[str, Any] | None:
    """What a run takes, as means over the method's runs that came to their end (peak memory: the most of any), and what
    has to be there before, as means over seeds."""
    if not ended:
        return None
    before = [read_object(study / task.place / "stage.json") for task in _before(ended, "comparisons", grid)]
    models = [read_object(study / task.place / "result.json") for task in _before(ended, "reward_model", grid)]
    return {
        "seconds": _mean_of(run.result.get("seconds") for run in ended),
        "training_seconds": _mean_of(run.result.get("training_seconds") for run in ended),
        "preparation_seconds": _mean_of(facts.get("seconds") for facts in before)
        + _mean_of(facts.get("seconds") for facts in models),
        "peak_memory_bytes": max(run.result.get("peak_memory_bytes") or 0 for run in ended),
        "samples_drawn": _mean_of(run.result.get("samples_drawn") for run in ended)
        + _mean_of(facts.get("samples_drawn") for facts in before),
        "trained_tokens": _mean_of(run.trained_tokens for run in ended),
        "steps": _mean_of(run.result.get("steps") for run in ended),
    }


def _before(runs: Sequence[MeasuredRun], role: str, grid: Grid) -> list[Task]:
    """The stages that runs need, those behind a reward model too, each once."""
    found: dict[str, Task] = {}
    for run in runs:
        model = run.task.needs.get("reward_model")
        for needs in (run.task.needs, model.needs if model else {}):
            if role in needs:
                found[needs[role].address] = needs[role]
    return list(found.values())


def _mean_of(values: Iterable[Any]) -> float:
    known = [float(value) for value in values if value is not None]
    return sum(known) / len(known) if known else 0.0


# -- records ------------------------------------------------------------------------------------------------------


def _run(run: MeasuredRun) -> dict[str, Any]:
    return {
        "method": run.task.kind,
        "value": run.task.value,
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


# -- texts --------------------------------------------------------------------------------------------------------


def _samples(config: FrontierConfig, runs: Sequence[MeasuredRun], reference: ReferenceSamples) -> dict[str, Any]:
    """Texts for the first prompts: the first draw of the reference, and of each method where its KL comes nearest."""
    shown = range(min(SHOWN_PROMPTS, len(reference.prompts)))
    columns = [
        {
            "name": "reference",
            "label": "Reference",
            "kl_nats": 0.0,
            "texts": [_text(reference.texts[i][0], reference.rewards[i, 0]) for i in shown],
        }
    ]
    for method in TRAINED:
        found = [
            (abs(float(point.kl_nats.mean()) - EQUAL_KL), run, point)
            for run in runs
            if run.task.kind == method and run.task.seed == config.seeds[0]
            for point in run.points
        ]
        if found:
            _, run, point = min(found, key=lambda one: one[0])
            columns.append(
                {
                    "name": method,
                    "label": LABELS[method],
                    "setting": SWEPT.get(method),
                    "value": run.task.value,
                    "step": point.step,
                    "kl_nats": float(point.kl_nats.mean()),
                    "texts": [_text(point.texts[i], point.first_rewards[i]) for i in shown],
                }
            )
    if config.best_of_n is not None:
        n = min(config.best_of_n.n, key=lambda one: abs(float(best_of_n_kl(one)) - EQUAL_KL))
        kept = [int(reference.rewards[i, :n].argmax()) for i in shown]
        columns.append(
            {
                "name": BEST_OF_N,
                "label": LABELS[BEST_OF_N],
                "setting": "N",
                "value": float(n),
                "kl_nats": float(best_of_n_kl(n)),
                "texts": [
                    _text(reference.texts[i][k], reference.rewards[i, k]) for i, k in zip(shown, kept, strict=True)
                ],
            }
        )
    return {"target_kl": EQUAL_KL, "prompts": [reference.prompts[i] for i in shown], "columns": columns}


def _text(text: str, reward: float) -> dict[str, Any]:
    return {"text": text, "reward": float(reward)}


def _over_prompts(means: Numbers) -> dict[str, Any]:
    return cluster_mean(means, range(len(means))).as_dict()


def _rounded(values: Numbers) -> list[float]:
    return [round(value, 6) for value in values.tolist()]
