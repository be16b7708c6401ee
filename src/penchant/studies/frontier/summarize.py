"""Summarize the runs of a frontier study. Imports no torch."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from penchant.metrics.efficiency import Scale
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
    over_prompts,
    provenance_of,
    read_run,
)
from penchant.studies.core.settings import SWEPT, TRAINED
from penchant.studies.core.stage import Stage
from penchant.studies.core.summary import Failure, PromptCounts, cost_of_stages, failures_of
from penchant.studies.frontier.costs import cost_of
from penchant.studies.frontier.grid import Grid
from penchant.studies.frontier.matched import Contender, common_columns, differences, setting_alone, winner
from penchant.studies.frontier.settings import FrontierConfig
from penchant.studies.frontier.summary import (
    CurvePoint,
    FrontierSummary,
    Limit,
    MatchedKLs,
    MethodCost,
    MethodSummary,
    Reference,
    RewardModelAccuracy,
    RunCounts,
    RunPoint,
    RunSummary,
    SearchState,
    SeedShare,
    SettingShare,
)
from penchant.studies.frontier.texts import side_by_side_texts

RESAMPLES = 1000  # of prompts, for every interval of an efficiency
VERSION = 2  # of study.json; 1 averaged a hull over KLs where it had no points


class Origin(NamedTuple):
    """The origin of a point of a curve: setting, step and number of seeds; for Best-of-N its N alone."""

    value: float | None
    rate: float | None
    step: int | None
    seeds: int | None


@dataclass(frozen=True)
class Curve:
    """A method's points: (points, prompts) of KL and reward, and where each comes from."""

    kl_nats: Numbers
    reward: Numbers
    origins: tuple[Origin, ...]


def summarize(config: FrontierConfig, grid: Grid, study: Path, reasons: Mapping[str, str]) -> FrontierSummary:
    """Return the content of `study.json`.

    Args:
        study: the study's folder; the reference's samples must be there.
        reasons: why stages failed, by address.

    Raises:
        InputError: the reference's samples are damaged, or their rewards are all equal.
    """
    reference = ReferenceSamples.read(study / grid.reference.path)
    # The same resamples of the prompts for every method, so that differences are paired.
    scale = Scale.from_rewards(reference.rewards, config.matched_nats, resamples=RESAMPLES)
    # An evaluation that lacks a prompt of the reference is lost: efficiencies compare the two prompt by prompt.
    runs = [read_run(stage, study, reference.prompts, reasons.get(stage.address, "")) for stage in grid.runs]
    # A run that was stopped counts nowhere: its early evaluations would lift or lower a mean by when it was stopped.
    complete_runs = [run for run in runs if run.complete]
    curves = {method: curve for method in TRAINED if (curve := _curve(_of_method(complete_runs, method))) is not None}
    contenders = [Contender.of_runs(name, _of_method(complete_runs, name), config.seeds, scale) for name in curves]
    common = common_columns(contenders)
    methods = [
        _method(
            contender,
            curves[contender.name],
            _of_method(runs, contender.name),
            config.seeds,
            common,
            scale,
            cost_of(_of_method(complete_runs, contender.name), study),
        )
        for contender in contenders
    ]
    # After the others, and not in `contenders`: it trains nothing, so it neither wins nor decides which KLs are shared.
    if config.best_of_n is not None:
        exact = Contender.best_of_n(BEST_OF_N, reference.rewards, scale)
        curve = _best_of_n(reference, config.best_of_n.n)
        methods.append(_method(exact, curve, [], (), common, scale, None))
    line = scale.limit
    return FrontierSummary(
        study=config.method,
        version=VERSION,
        config=config.recorded(),
        prompts=PromptCounts(
            read_object(study / grid.prompts.path / "stage.json").get("train"), len(reference.prompts)
        ),
        seeds=tuple(config.seeds),
        reference=Reference(reference.rewards.shape[1], over_prompts(reference.rewards.mean(axis=1))),
        limit=Limit(_rounded(line.kl_nats), _rounded(line.reward), line.trusted_kl, TOLERANCE),
        matched=MatchedKLs(tuple(scale.matched), tuple(scale.matched[column] for column in common)),
        methods=tuple(methods),
        differences=differences(contenders, scale),
        winner=winner(contenders, common, scale),
        search=SearchState(grid.open),
        reward_models=tuple(_reward_model(seed, stage, study) for seed, stage in grid.judgements.items()),
        runs=tuple(_run(run) for run in runs),
        failures=_failures(grid, runs, reasons),
        samples=side_by_side_texts(config, complete_runs, reference),
        cost=cost_of_stages(grid.stages(), study),
        provenance=provenance_of(grid.runs, study),
    )


def _of_method(runs: Sequence[MeasuredRun], method: str) -> list[MeasuredRun]:
    return [run for run in runs if run.stage.kind == method]


def _by_setting(runs: Sequence[MeasuredRun]) -> dict[tuple[float | None, float | None], list[MeasuredRun]]:
    """Group the runs of a method by (value, learning rate): a run per seed in each."""
    groups: dict[tuple[float | None, float | None], list[MeasuredRun]] = {}
    for run in runs:
        groups.setdefault((run.stage.value, run.stage.rate), []).append(run)
    return groups


def _curve(runs: Sequence[MeasuredRun]) -> Curve | None:
    """Return a method's evaluations, those of one setting averaged over the seeds where every seed has them."""
    rows: list[tuple[Numbers, Numbers, Origin]] = []
    for (value, rate), of_setting in _by_setting([run for run in runs if run.points]).items():
        # Evaluation by evaluation, and not step by step: of other comparisons a run may have other steps.
        for points in aligned(of_setting):
            origin = Origin(value, rate, points[0].step, len(points))
            rows.append((_mean(points, "kl_nats"), _mean(points, "reward"), origin))
    if not rows:
        return None
    kls, rewards, origins = zip(*rows, strict=True)
    return Curve(np.array(kls), np.array(rewards), tuple(origins))


def _mean(points: Sequence[Point], name: str) -> Numbers:
    return np.asarray(np.mean([getattr(point, name) for point in points], axis=0))


def _best_of_n(reference: ReferenceSamples, sizes: Sequence[int]) -> Curve:
    """Return expected rewards by prompt, at the upper bound of the KL: log N - (N - 1) / N nats."""
    n = sorted(dict.fromkeys(sizes))
    bounds = np.repeat(best_of_n_kl(n)[:, None], len(reference.prompts), axis=1)
    origins = tuple(Origin(float(size), None, None, None) for size in n)
    return Curve(bounds, best_of_n_by_prompt(reference.rewards, n), origins)


def _method(
    contender: Contender,
    curve: Curve,
    runs: Sequence[MeasuredRun],
    seeds: Sequence[int],
    common: Sequence[int],
    scale: Scale,
    cost: MethodCost | None,
) -> MethodSummary:
    name, exact = contender.name, contender.name == BEST_OF_N
    points = tuple(
        CurvePoint(**origin._asdict(), kl_nats=over_prompts(kl), reward=over_prompts(reward))
        for kl, reward, origin in zip(curve.kl_nats, curve.reward, curve.origins, strict=True)
    )
    # Best-of-N has no seeds: it is exact, from samples that all seeds share.
    by_seed = list(zip(seeds, contender.by_seed(common), strict=True)) if seeds else []
    spread = [efficiency for _, efficiency in by_seed if efficiency is not None]
    return MethodSummary(
        name=name,
        label=LABELS[name],
        setting="N" if exact else SWEPT.get(name),
        efficiency=contender.over(common, scale),
        matched=contender.shares_at_matched_kls(scale),
        points=points,
        by_value=tuple(
            SettingShare(value=value, rate=rate, efficiency=setting_alone(of_setting, seeds, common, scale))
            for (value, rate), of_setting in _by_setting([run for run in runs if run.complete]).items()
        ),
        by_seed=tuple(SeedShare(seed, efficiency) for seed, efficiency in by_seed),
        # Across seeds alone; the interval of the efficiency has the prompts in it as well.
        seed_deviation=statistics.stdev(spread) if len(spread) > 1 else None,
        runs=RunCounts(
            all=len(runs),
            failed=sum(run.status == "failed" for run in runs),
            runaway=sum(run.status == "runaway" for run in runs),
            unfinished=sum(run.unfinished for run in runs),
        ),
        cost=cost,
    )


def _run(run: MeasuredRun) -> RunSummary:
    return RunSummary(
        method=run.stage.kind,
        value=run.stage.value,
        rate=run.stage.rate,
        seed=run.stage.seed,
        folder=run.stage.path,
        status=run.status,
        reason=run.reason,
        seconds=run.result.get("seconds"),
        peak_memory_bytes=run.result.get("peak_memory_bytes"),
        samples_drawn=run.result.get("samples_drawn"),
        evaluations_lost=run.lost_evaluations,
        points=tuple(
            RunPoint(point.step, over_prompts(point.kl_nats), over_prompts(point.reward), point.repetition)
            for point in run.points
        ),
    )


def _reward_model(seed: int, judgement: Stage, study: Path) -> RewardModelAccuracy:
    """Return a reward model's accuracy on comparisons of unseen prompts."""
    facts = read_object(study / judgement.path / "stage.json")
    right = facts.get("right")  # none where the stage has not ended
    # By prompt, since comparisons of one prompt share its responses.
    return RewardModelAccuracy(seed, cluster_mean(right, facts["prompt"]) if right else None)


def _failures(grid: Grid, runs: Sequence[MeasuredRun], reasons: Mapping[str, str]) -> tuple[Failure, ...]:
    explanation = "it did not run to its end yet, and no number here takes anything of it"
    # A run that waits is no failure, but a reader must see that it is in none of the numbers.
    unfinished = tuple(Failure(run.stage.label, f"{explanation} ({run.status})") for run in runs if run.unfinished)
    return failures_of(grid.stages(), reasons) + unfinished


def _rounded(values: Numbers) -> tuple[float, ...]:
    return tuple(round(value, 6) for value in values.tolist())
