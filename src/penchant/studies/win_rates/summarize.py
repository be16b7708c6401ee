"""Summarize a study of win rates from its stages. Imports no torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from penchant.errors import InputError
from penchant.judges import Answer, ask, make_judge
from penchant.judges.settings import Longest, Random
from penchant.judges.summary import summarize
from penchant.metrics.estimates import Coefficient
from penchant.metrics.win_rate import POINTS, holm, signed_difference
from penchant.studies.core.methods import BEST_OF_N, LABELS
from penchant.studies.core.records import read_lines, read_object
from penchant.studies.core.results import provenance_of, seconds_of
from penchant.studies.core.settings import SWEPT
from penchant.studies.core.summary import failures_of
from penchant.studies.win_rates.grid import FEW_SHOT, REFERENCE, Contender, WinRateGrid
from penchant.studies.win_rates.published import published
from penchant.studies.win_rates.settings import WinRatesConfig
from penchant.studies.win_rates.stages import ANSWERS, from_row
from penchant.studies.win_rates.summary import (
    BestRate,
    Domain,
    Example,
    ExampleText,
    JudgedCell,
    JudgingCost,
    MethodRates,
    MethodSetting,
    MethodTest,
    ResponseCounts,
    RowCounts,
    TrainedJudgeFacts,
    WinRateSummary,
)
from penchant.typed_json import from_json

EXAMPLE_PROMPTS = 6  # prompts whose texts stand side by side
NAMES = {REFERENCE: "Reference", FEW_SHOT: "Base model", **LABELS}
SWEPT_NAMES = {**SWEPT, BEST_OF_N: "N", FEW_SHOT: "examples"}
CellKey = tuple[str, float]


@dataclass(frozen=True)
class JudgedMethod:
    """A method at one setting: what the judge said of its responses, of all seeds, by (domain, temperature)."""

    setting: MethodSetting
    seeds: int
    answers: Mapping[CellKey, Sequence[Answer]]


def summarize_win_rates(
    config: WinRatesConfig, grid: WinRateGrid, study: Path, reasons: Mapping[str, str]
) -> WinRateSummary:
    """Return what the study found, the content of `study.json`.

    Args:
        study: the study's folder. reasons: why stages failed, by address.

    Raises:
        InputError: verdicts are damaged.
    """
    methods = list(_judged_methods(grid, study))
    temperatures = sorted({temperature for method in methods for _, temperature in method.answers})
    stages = grid.stages()
    return WinRateSummary(
        study=config.kind,
        config=config.recorded(),
        domains=tuple(
            Domain(name, name == config.own, _counts(study / stage.path)) for name, stage in grid.opponents.items()
        ),
        trained_on=_counts(study / grid.preferences.path),
        judge=_judge(grid, study),
        temperatures=tuple(temperatures),
        tested_at=temperatures[0],  # at each temperature, tests would ask the same prompts again and again
        seeds=tuple(config.seeds),
        methods=tuple(map(_method, methods)),
        tests=tuple(test for domain in grid.opponents for test in _tests(methods, (domain, temperatures[0]))),
        published=published(config.kind),
        examples=_examples(methods, (config.own, temperatures[0])),
        failures=failures_of(stages, reasons),
        cost=_cost(methods, sum(seconds_of(stage, study) for stage in stages)),
        provenance=provenance_of([*grid.learned.runs, *(stage for stage in (grid.judge, grid.sft) if stage)], study),
    )


def _judged_methods(grid: WinRateGrid, study: Path) -> Iterator[JudgedMethod]:
    """Gather the answers of each method at one setting, over its seeds."""
    by_setting: dict[tuple[str, float | None, float | None], list[Contender]] = defaultdict(list)
    for contender in grid.contenders:
        by_setting[contender.name, contender.value, contender.rate].append(contender)
    # The answers of all seeds lie together: intervals resample prompts, and every prompt has an answer of each seed.
    for (name, value, rate), seeds in by_setting.items():
        answers: dict[CellKey, list[Answer]] = defaultdict(list)
        ended_seeds = 0
        for contender in seeds:
            rows_of = {domain: _read(study / stage.path) for domain, stage in contender.verdicts.items()}
            # A seed counts from its first judged domain on.
            ended_seeds += any(rows_of.values())
            for domain, rows in rows_of.items():
                for temperature, answer in rows:
                    answers[domain, temperature].append(answer)
        if answers:
            setting = MethodSetting(name, NAMES[name], SWEPT_NAMES.get(name), value, rate)
            yield JudgedMethod(setting, ended_seeds, answers)


def _read(folder: Path) -> list[tuple[float, Answer]]:
    """Return a stage's answers with their temperatures; empty where the stage has not ended."""
    pairs = read_object(folder / "stage.json").get("pairs")
    if pairs is None:
        return []
    rows = read_lines(folder / ANSWERS)
    if len(rows) != pairs:  # lines are read up to the first damaged one
        raise InputError(f"{folder} is damaged: delete it, and the study makes it again")
    return [(float(row["temperature"]), from_row(row)) for row in rows]


def _counts(folder: Path) -> RowCounts:
    return from_json(RowCounts, read_object(folder / "stage.json"))


def _judge(grid: WinRateGrid, study: Path) -> TrainedJudgeFacts | None:
    """Return what a judge that was trained here learned from, and how often it is right on unseen comparisons."""
    if grid.judge is None or grid.judge_data is None:
        return None
    final = read_object(study / grid.judge.path / "result.json").get("final") or {}
    return TrainedJudgeFacts(_counts(study / grid.judge_data.path), final)


def _method(method: JudgedMethod) -> MethodRates:
    by_temperature = sorted(method.answers.items(), key=lambda item: item[0][1])
    cells = tuple(_cell(domain, temperature, answers) for (domain, temperature), answers in by_temperature)
    return MethodRates(**vars(method.setting), seeds=method.seeds, cells=cells, best=_best(cells))


def _cell(domain: str, temperature: float, answers: Sequence[Answer]) -> JudgedCell:
    # `a` is the method's response, `b` the data's.
    prompts, texts = ({getattr(answer.question, part) for answer in answers} for part in ("prompt", "a"))
    responses = ResponseCounts(len(answers), len(prompts), len(texts))
    return JudgedCell(domain, temperature, summarize(answers), _baselines(answers), responses)


def _best(cells: Sequence[JudgedCell]) -> tuple[BestRate, ...]:
    """Return the highest rate of each domain; of equal ones that at the lowest temperature."""
    best: dict[str, JudgedCell] = {}
    # Cells come by temperature, so only a strictly higher rate takes the place of an earlier one.
    for cell in cells:
        highest = best.get(cell.domain)
        if cell.rate.value is not None and (highest is None or cell.rate.value > (highest.rate.value or 0.0)):
            best[cell.domain] = cell
    return tuple(BestRate(domain, cell.temperature, cell.rate) for domain, cell in best.items())


def _baselines(answers: Sequence[Answer]) -> dict[str, Coefficient]:
    """Return the win rates of the same pairs by a judge that takes the longer response, and by a coin."""
    pairs = [answer.question for answer in answers]
    # A judge that learned little looks just like one that counts characters, so the page has both.
    return {judge.name: summarize(ask(make_judge(judge), pairs)).win_rate.rate for judge in (Longest(), Random())}


def _tests(methods: Sequence[JudgedMethod], cell: CellKey) -> list[MethodTest]:
    """Compare the methods two by two, on the prompts that both have, by each prompt's mean over draws and seeds."""
    points = []
    for method in methods:
        answers = method.answers.get(cell, ())
        # A judge without a single verdict says nothing of a difference.
        if any(answer.outcome != "unparseable" for answer in answers):
            points.append((method.setting, _points_by_prompt(answers)))
    differences = []
    for (setting, own_points), (other_setting, other_points) in combinations(points, 2):
        common = [prompt for prompt in own_points if prompt in other_points]
        if common:
            difference = signed_difference([own_points[prompt] - other_points[prompt] for prompt in common], common)
            differences.append((setting, other_setting, difference))
    # Holm over all pairs of this domain at this one temperature: more temperatures would ask the same prompts again.
    adjusted = holm({str(number): difference.p for number, (_, _, difference) in enumerate(differences)})
    return [
        MethodTest(*cell, setting, other_setting, difference.estimate, difference.p, adjusted[str(number)])
        for number, (setting, other_setting, difference) in enumerate(differences)
    ]


def _points_by_prompt(answers: Sequence[Answer]) -> dict[str, float]:
    """Return each prompt's mean of points: 1 for a win, one half for a tie."""
    points: dict[str, list[float]] = defaultdict(list)
    for answer in answers:
        points[answer.question.prompt].append(POINTS[answer.outcome])
    return {prompt: sum(prompt_points) / len(prompt_points) for prompt, prompt_points in points.items()}


def _examples(methods: Sequence[JudgedMethod], cell: CellKey) -> tuple[Example, ...]:
    """Return the first prompts with the data's response, and each method's first response with its outcome."""
    firsts: list[tuple[MethodSetting, dict[str, Answer]]] = []
    for method in methods:
        first: dict[str, Answer] = {}
        for answer in method.answers.get(cell, ()):
            first.setdefault(answer.question.prompt, answer)
        firsts.append((method.setting, first))
    prompts = list(dict.fromkeys(prompt for _, first in firsts for prompt in first))[:EXAMPLE_PROMPTS]
    return tuple(
        Example(
            prompt,
            # The data's response is the same for every method, so whichever was judged has it.
            next(first[prompt].question.b for _, first in firsts if prompt in first),
            tuple(
                ExampleText(**vars(setting), text=first[prompt].question.a, outcome=first[prompt].outcome)
                for setting, first in firsts
                if prompt in first
            ),
        )
        for prompt in prompts
    )


def _cost(methods: Sequence[JudgedMethod], seconds: float) -> JudgingCost:
    """Return what the study and its judge cost.

    Args:
        seconds: of all stages.
    """
    verdicts = [
        verdict
        for method in methods
        for answers in method.answers.values()
        for answer in answers
        # Both orders were asked and paid for; the second is None where one was enough.
        for verdict in (answer.first, answer.second)
        if verdict is not None
    ]
    tokens, judge_seconds = (sum(verdict.tokens for verdict in verdicts), sum(verdict.seconds for verdict in verdicts))
    return JudgingCost(seconds, len(verdicts), tokens, judge_seconds)
