"""Summarize what students of written answers were measured to have right. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penchant.metrics.estimates import Estimate
from penchant.metrics.pgr import pgr
from penchant.metrics.shares import same_interval
from penchant.metrics.two_way import two_way_mean
from penchant.studies.core.records import read_object
from penchant.studies.core.stage import Stage
from penchant.studies.core.summary import cost_of_stages, failures_of
from penchant.studies.weak_to_strong_generation.grid import GenerationGrid, GenerationTask
from penchant.studies.weak_to_strong_generation.names import CEILING, CONTROLS, NAIVE
from penchant.studies.weak_to_strong_generation.settings import GenerationConfig, stem_of
from penchant.studies.weak_to_strong_generation.stage_settings import SCORES, STRONG, WEAK
from penchant.studies.weak_to_strong_generation.summary import (
    GenerationResult,
    GenerationSummary,
    RateResult,
    RecoveredGap,
    StudentResult,
)
from penchant.tasks.generative import GROUNDS, KNOWN_TAG
from penchant.typed_json import JsonObject

Scores = NDArray[np.float64]
WRONG = 0.5
"""Scores below this are wrong, where a share of prompts is counted."""


def summarize_generation(
    config: GenerationConfig, grid: GenerationGrid, study: Path, reasons: Mapping[str, str]
) -> GenerationSummary:
    """Return the content of `study.json`.

    Args:
        study: the study's folder. reasons: why stages failed, by address.
    """
    # failures and costs are those of all stages, also of tasks without a result
    stages = grid.stages()
    results = [result for task in grid if (result := _task(task, study)) is not None]
    provenance: JsonObject = next(
        (stage_provenance for stage in stages if (stage_provenance := _facts(stage, study).get("provenance"))), {}
    )
    return GenerationSummary(
        study=config.method,
        config=config.recorded(),
        seeds=tuple(config.seeds),
        methods=config.all_methods,
        tasks=tuple(results),
        failures=failures_of(stages, reasons),
        cost=cost_of_stages(stages, study),
        provenance=provenance,
    )


def _facts(stage: Stage, study: Path) -> JsonObject:
    return read_object(study / stage.path / "stage.json")


def _scores(stage: Stage, study: Path, role: str, part: str) -> Scores:
    file = study / stage.path / SCORES.format(role, part)
    return np.asarray(np.load(file, allow_pickle=False), dtype=np.float64)


@dataclass(frozen=True)
class _Chosen:
    """A method's students at the learning rate that was chosen.

    Attributes:
        scores: shape (seeds, test prompts). facts: of the stages, by seed.
    """

    scores: Scores
    rate: float
    rates: tuple[RateResult, ...]
    facts: tuple[JsonObject, ...]


def _task(task: GenerationTask, study: Path) -> GenerationResult | None:
    """Return the results of a task; None where no seed has all of its students."""
    methods, seeds = _measured(task, study)
    if not seeds:
        return None
    supervisor, start = (
        np.stack([_scores(task.rows[seed], study, role, "test") for seed in seeds]) for role in (WEAK, STRONG)
    )
    chosen: dict[str, _Chosen] = {method: _chosen(task, method, seeds, study) for method in methods}
    facts = [_facts(task.rows[seed], study) for seed in seeds]
    ceiling = chosen[CEILING].scores
    models = _facts(task.models, study) if task.models is not None else {}
    return GenerationResult(
        task=task.name,
        title=GROUNDS[task.name].title if task.name in GROUNDS else stem_of(task.name),
        scorer=str(facts[0]["scorer"]),
        prompts=round(np.mean([fact["prompts"] for fact in facts])),
        test=supervisor.shape[1],
        validation=int(facts[0]["validation"]),
        supervisor=two_way_mean(supervisor, share=True),
        start=two_way_mean(start, share=True),
        gap=two_way_mean(ceiling - supervisor),
        labels_right=float(np.mean([fact["labels_right"] for fact in facts])),
        agreeing=float(np.mean([fact["agreeing"] / max(1, fact["prompts"] - fact["empty"]) for fact in facts])),
        empty=sum(fact["empty"] for fact in facts),
        tagged_right=models[STRONG]["right"][KNOWN_TAG] if models else None,
        parameters=(models[WEAK]["parameters"], models[STRONG]["parameters"]) if models else None,
        examples=tuple((str(prompt), str(answer), str(label)) for prompt, answer, label in facts[0]["examples"]),
        seeds=tuple(seeds),
        students=tuple(_student(method, chosen, supervisor) for method in methods),
    )


def _measured(task: GenerationTask, study: Path) -> tuple[list[str], list[int]]:
    """Return the methods and the seeds of which every student is there, at every learning rate.

    A method that fails with half of the seeds or more is left out, and not all others with it; a seed that lacks one of
    the methods that stay has no pair for its differences, and is left out whole.
    """
    # in the order of the settings, which the page keeps
    methods: list[str] = list(dict.fromkeys(student.method for student in task.students))
    missing = {(student.method, student.seed) for student in task.students if not _facts(student.stage, study)}
    seeds = [
        seed
        for seed, rows in task.rows.items()
        # both ends of every comparison
        if _facts(rows, study) and not {(NAIVE, seed), (CEILING, seed)} & missing
    ]
    failed = {method: sum((method, seed) in missing for seed in seeds) for method in methods}
    kept_methods = [method for method in methods if 2 * failed[method] < max(1, len(seeds))]
    whole_seeds = [seed for seed in seeds if not any((method, seed) in missing for method in kept_methods)]
    if not whole_seeds:
        # each fails with another seed: those that never fail have all of them
        return [method for method in methods if not failed[method]], seeds
    return kept_methods, whole_seeds


def _chosen(task: GenerationTask, method: str, seeds: Sequence[int], study: Path) -> _Chosen:
    """Return a method's students at the rate that has most validation answers right, the mean over seeds."""
    # seeds that are whole alone: a mean over other seeds would compare draws of prompts
    by_rate: dict[float, list[Stage]] = {}
    for student in task.students:
        if student.method == method and student.seed in seeds:
            by_rate.setdefault(student.rate, []).append(student.stage)
    rates = tuple(
        RateResult(
            rate,
            *(
                float(np.mean([_scores(stage, study, "student", part).mean() for stage in stages]))
                for part in ("validation", "test")
            ),
        )
        for rate, stages in by_rate.items()
    )
    # of equally good rates the first; one for all seeds, since a rate per seed would be chosen by luck
    rate = max(rates, key=lambda result: result.validation).rate
    stages = by_rate[rate]
    scores = np.stack([_scores(stage, study, "student", "test") for stage in stages])
    return _Chosen(scores, rate, rates, tuple(_facts(stage, study) for stage in stages))


def _student(method: str, chosen: Mapping[str, _Chosen], supervisor: Scores) -> StudentResult:
    student, ceiling = chosen[method], chosen[CEILING].scores
    # paired: all three answered the same prompts
    measured = pgr(supervisor, student.scores, ceiling)
    ratio = RecoveredGap(measured.value, measured.low, measured.high, measured.reason)
    difference = None if method in (NAIVE, CEILING) else student.scores - chosen[NAIVE].scores
    # Bonferroni over the methods that are held against naive: the largest of several gains is large by luck, too
    compared = max(1, len([name for name in chosen if name not in (*CONTROLS, CEILING)]))
    wide = None if difference is None else two_way_mean(difference, level=1 - 0.05 / compared)
    # only methods of two stages have pairs
    pairs = [fact["pairs"] for fact in student.facts if "pairs" in fact]
    left_out = [fact["left_out"] for fact in student.facts if "left_out" in fact]
    return StudentResult(
        method=method,
        score=two_way_mean(student.scores, share=True),
        pgr=None if method == CEILING else ratio,
        over_naive=None if difference is None else two_way_mean(difference),
        over_naive_of_many=wide,
        deception=None if method == CEILING else _deception(supervisor, student.scores, ceiling),
        rate=student.rate,
        rates=student.rates,
        rows=float(np.mean([fact["rows"] for fact in student.facts])),
        pairs=float(np.mean(pairs)) if pairs else None,
        left_out=float(np.mean(left_out)) if left_out else None,
    )


def _deception(supervisor: Scores, student: Scores, ceiling: Scores) -> Estimate | None:
    """Return how often the student is wrong where the supervisor is wrong and the ceiling right (arXiv:2406.11431)."""
    is_counted = (supervisor < WRONG) & (ceiling >= WRONG)
    if not is_counted.any():
        return None
    # a ratio of two means, by its linear part: so that the interval is for new prompts and for new seeds, as all are
    wrong = np.where(is_counted, student < WRONG, 0.0)
    value = float(wrong.sum() / is_counted.sum())
    table = value + (wrong - value * is_counted) / is_counted.mean()
    estimate = two_way_mean(table)
    prompts = int(is_counted.any(0).sum())
    low, high = (
        # all wrong or all right: as many prompts as there are say so
        same_interval(value, prompts, 0.95, (0.0, 1.0))
        if value in (0.0, 1.0) or estimate.low is None or estimate.high is None
        else (max(0.0, estimate.low), min(1.0, estimate.high))
    )
    return Estimate(value, low, high, int(is_counted.sum()), prompts)
