"""From a study's runs to plain numbers: `study.json`, which is all that its page needs. Imports no torch."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from penchant.metrics.frontier import Scale
from penchant.metrics.intervals import cluster_mean
from penchant.metrics.limit import TOLERANCE, best_of_n_by_prompt, best_of_n_kl
from penchant.studies.core.methods import BEST_OF_N, LABELS
from penchant.studies.core.records import read_object
from penchant.studies.core.results import (
    MeasuredRun,
    Numbers,
    Point,
    ReferenceSamples,
    aligned,
    provenance_of,
    read_run,
    seconds_of,
)
from penchant.studies.core.settings import SWEPT, TRAINED
from penchant.studies.core.stage import Stage
from penchant.studies.frontier.costs import cost_of
from penchant.studies.frontier.grid import Grid
from penchant.studies.frontier.matched import Contender, common_columns, differences, setting_alone, winner
from penchant.studies.frontier.settings import FrontierConfig
from penchant.studies.frontier.texts import texts_beside

RESAMPLES = 1000  # of prompts, for every interval of an efficiency
VERSION = 2  # of study.json; 1 averaged a hull over KLs where it had no points


@dataclass(frozen=True)
class Curve:
    """A method's points: (points, prompts) of KL and reward, and where each comes from."""

    kl_nats: Numbers
    reward: Numbers
    facts: tuple[dict[str, Any], ...]


def summarize(config: FrontierConfig, grid: Grid, study: Path, reasons: Mapping[str, str]) -> dict[str, Any]:
    """The content of `study.json`.

    Args:
        study: the study's folder; the reference's samples must be there.
        reasons: why stages failed, by address.

    Raises:
        InputError: the reference's samples are damaged, or their rewards are all equal.
    """
    reference = ReferenceSamples.read(study / grid.reference.path)
    scale = Scale.of(reference.rewards, config.matched_nats, resamples=RESAMPLES)
    runs = [read_run(stage, study, reference.prompts, reasons.get(stage.address, "")) for stage in grid.runs]
    ended = [run for run in runs if run.complete]
    curves = {method: curve for method in TRAINED if (curve := _curve(ended, method)) is not None}
    contenders = [
        Contender.of_runs(name, [run for run in ended if run.stage.kind == name], config.seeds, scale)
        for name in curves
    ]
    common = common_columns(contenders)
    methods = [
        _method(one, curves[one.name], [run for run in runs if run.stage.kind == one.name], config.seeds, common, scale)
        | {"cost": cost_of([run for run in ended if run.stage.kind == one.name], grid, study)}
        for one in contenders
    ]
    if config.best_of_n is not None:
        exact = Contender.best_of_n(BEST_OF_N, reference.rewards, scale)
        curve = _best_of_n(reference, config.best_of_n.n)
        methods.append(_method(exact, curve, [], (), common, scale) | {"cost": None})
    line = scale.limit
    return {
        "study": config.method,
        "version": VERSION,
        "config": config.recorded(),
        "prompts": {
            "train": read_object(study / grid.prompts.path / "stage.json").get("train"),
            "eval": len(reference.prompts),
        },
        "seeds": list(config.seeds),
        "reference": {"samples": reference.rewards.shape[1], "reward": _over_prompts(reference.rewards.mean(axis=1))},
        "limit": {
            "kl_nats": _rounded(line.kl_nats),
            "reward": _rounded(line.reward),
            "trusted_kl": line.trusted_kl,
            "tolerance": TOLERANCE,
        },
        "matched": {"kl_nats": list(scale.matched), "common": [scale.matched[place] for place in common]},
        "methods": methods,
        "differences": differences(contenders, scale),
        "winner": winner(contenders, common, scale),
        "search": {"open": grid.open},
        "reward_models": [_reward_model(seed, stage, study) for seed, stage in grid.judged.items()],
        "runs": [_run(run) for run in runs],
        "failures": _failures(grid, runs, reasons),
        "samples": texts_beside(config, ended, reference),
        "cost": {"seconds": sum(seconds_of(stage, study) for stage in grid.stages())},
        "provenance": provenance_of(grid.runs, study),
    }


# -- curves -------------------------------------------------------------------------------------------------------


def _curve(runs: Sequence[MeasuredRun], method: str) -> Curve | None:
    """The evaluations of a method's runs; of one setting, those that every seed has are averaged over the seeds."""
    own = [run for run in runs if run.stage.kind == method and run.points]
    rows: list[tuple[Numbers, Numbers, dict[str, Any]]] = []
    for value, rate in dict.fromkeys((run.stage.value, run.stage.rate) for run in own):
        for points in aligned([run for run in own if (run.stage.value, run.stage.rate) == (value, rate)]):
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
    n = sorted(dict.fromkeys(wanted))
    bounds = np.repeat(best_of_n_kl(n)[:, None], len(reference.prompts), axis=1)
    facts = tuple({"value": float(one), "rate": None, "step": None, "seeds": None} for one in n)
    return Curve(bounds, best_of_n_by_prompt(reference.rewards, n), facts)


def _method(
    contender: Contender,
    curve: Curve,
    runs: Sequence[MeasuredRun],
    seeds: Sequence[int],
    common: Sequence[int],
    scale: Scale,
) -> dict[str, Any]:
    name, exact = contender.name, contender.name == BEST_OF_N
    points = [
        {**facts, "kl_nats": _over_prompts(kl), "reward": _over_prompts(reward)}
        for kl, reward, facts in zip(curve.kl_nats, curve.reward, curve.facts, strict=True)
    ]
    ended = [run for run in runs if run.complete]
    settings = dict.fromkeys((run.stage.value, run.stage.rate) for run in ended)
    alone = {
        setting: setting_alone(
            [run for run in ended if (run.stage.value, run.stage.rate) == setting], seeds, common, scale
        )
        for setting in settings
    }
    share = contender.over(common, scale)
    by_seed = list(zip(seeds, contender.by_seed(common), strict=True)) if seeds else []
    spread = [known for _, known in by_seed if known is not None]
    return {
        "name": name,
        "label": LABELS[name],
        "setting": "N" if exact else SWEPT.get(name),
        "efficiency": None if share is None else share.as_dict(),
        "matched": contender.at(scale),
        "points": points,
        "by_value": [{"value": value, "rate": rate, "efficiency": alone[value, rate]} for value, rate in settings],
        "by_seed": [{"seed": seed, "efficiency": known} for seed, known in by_seed],
        "seed_deviation": statistics.stdev(spread) if len(spread) > 1 else None,
        "runs": {
            "all": len(runs),
            "failed": sum(run.status == "failed" for run in runs),
            "runaway": sum(run.status == "runaway" for run in runs),
            "unfinished": sum(run.unfinished for run in runs),
        },
    }


# -- records ------------------------------------------------------------------------------------------------------


def _run(run: MeasuredRun) -> dict[str, Any]:
    return {
        "method": run.stage.kind,
        "value": run.stage.value,
        "rate": run.stage.rate,
        "seed": run.stage.seed,
        "folder": run.stage.path,
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


def _reward_model(seed: int, judged: Stage, study: Path) -> dict[str, Any]:
    """Its accuracy on comparisons of unseen prompts."""
    facts = read_object(study / judged.path / "stage.json")
    right = facts.get("right")
    return {"seed": seed, "accuracy": cluster_mean(right, facts["prompt"]).as_dict() if right else None}


def _failures(grid: Grid, runs: Sequence[MeasuredRun], reasons: Mapping[str, str]) -> list[dict[str, str]]:
    known = [
        {"stage": stage.label, "reason": reasons[stage.address]} for stage in grid.stages() if stage.address in reasons
    ]
    why = "it did not run to its end yet, and no number here takes anything of it"
    return known + [{"stage": run.stage.label, "reason": f"{why} ({run.status})"} for run in runs if run.unfinished]


def _over_prompts(means: Numbers) -> dict[str, Any]:
    return cluster_mean(means, range(len(means))).as_dict()


def _rounded(values: Numbers) -> list[float]:
    return [round(value, 6) for value in values.tolist()]
