"""From a study of win rates to plain numbers: its `study.json`. Imports no torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from penchant.errors import InputError
from penchant.judges import Answer, ask, make_judge
from penchant.judges.settings import Longest, Random
from penchant.judges.summary import summarize
from penchant.metrics.win_rate import POINTS, holm, signed_difference
from penchant.studies.core.methods import BEST_OF_N, LABELS
from penchant.studies.core.records import read_lines, read_object
from penchant.studies.core.results import provenance_of, seconds_of
from penchant.studies.core.settings import SWEPT
from penchant.studies.win_rates.grid import REFERENCE, Contender, WinRateGrid
from penchant.studies.win_rates.published import published
from penchant.studies.win_rates.settings import WinRatesConfig
from penchant.studies.win_rates.stages import ANSWERS, from_row
from penchant.typed_json import to_object

SHOWN = 6  # prompts whose texts stand side by side
NAMES = {REFERENCE: "Reference", **LABELS}
Place = tuple[str, float]


@dataclass(frozen=True)
class Judged:
    """A method at one setting: what the judge said of its responses, of all seeds, by (domain, temperature)."""

    name: str
    value: float | None
    rate: float | None
    seeds: int
    answers: Mapping[Place, Sequence[Answer]]


def summarize_win_rates(
    config: WinRatesConfig, grid: WinRateGrid, study: Path, reasons: Mapping[str, str]
) -> dict[str, Any]:
    """The content of `study.json`.

    Args:
        study: the study's folder. reasons: why stages failed, by address.

    Raises:
        InputError: verdicts are damaged.
    """
    judged = list(_judged(grid, study))
    temperatures = sorted({temperature for one in judged for _, temperature in one.answers})
    stages = grid.stages()
    return {
        "study": config.kind,
        "config": config.recorded(),
        "domains": [
            {"name": name, "own": name == config.own, **_counts(study / task.path)}
            for name, task in grid.opponents.items()
        ],
        "trained_on": _counts(study / grid.preferences.path),
        "judge": _judge(grid, study),
        "temperatures": temperatures,
        "tested_at": temperatures[0],
        "seeds": list(config.seeds),
        "methods": [_method(one) for one in judged],
        "tests": [test for domain in grid.opponents for test in _tests(judged, (domain, temperatures[0]))],
        "published": published(config.kind),
        "examples": _examples(judged, (config.own, temperatures[0])),
        "failures": [
            {"stage": task.label, "reason": reasons[task.address]} for task in stages if task.address in reasons
        ],
        "cost": {"seconds": sum(seconds_of(task, study) for task in stages), **_asked(judged)},
        "provenance": provenance_of([*grid.learned.runs, *(task for task in (grid.judge, grid.sft) if task)], study),
    }


def _judged(grid: WinRateGrid, study: Path) -> Iterator[Judged]:
    by_setting: dict[tuple[str, float | None, float | None], list[Contender]] = defaultdict(list)
    for one in grid.contenders:
        by_setting[one.name, one.value, one.rate].append(one)
    for (name, value, rate), seeds in by_setting.items():
        answers: dict[Place, list[Answer]] = defaultdict(list)
        ended = 0
        for one in seeds:
            found = {domain: _read(study / task.path) for domain, task in one.judged.items()}
            ended += any(found.values())
            for domain, rows in found.items():
                for temperature, answer in rows:
                    answers[domain, temperature].append(answer)
        if answers:
            yield Judged(name, value, rate, ended, answers)


def _read(folder: Path) -> list[tuple[float, Answer]]:
    """A stage's answers with their temperatures; nothing where it did not end."""
    wanted = read_object(folder / "stage.json").get("pairs")
    if wanted is None:
        return []
    rows = read_lines(folder / ANSWERS)
    if len(rows) != wanted:
        raise InputError(f"{folder} is damaged: delete it, and the study makes it again")
    return [(float(row["temperature"]), from_row(row)) for row in rows]


def _counts(folder: Path) -> dict[str, Any]:
    facts = read_object(folder / "stage.json")
    return {name: value for name, value in facts.items() if name not in ("seconds", "peak_memory_bytes")}


def _judge(grid: WinRateGrid, study: Path) -> dict[str, Any] | None:
    """Of a judge that was trained here: what it learned from, and how often it is right on comparisons it never saw."""
    if grid.judge is None or grid.judge_data is None:
        return None
    final = read_object(study / grid.judge.path / "result.json").get("final") or {}
    return {"data": _counts(study / grid.judge_data.path), "held_out": final}


def _method(one: Judged) -> dict[str, Any]:
    cells = [
        {
            "domain": domain,
            "temperature": temperature,
            **to_object(summarize(answers)),
            "baselines": _baselines(answers),
            "responses": {
                "n": len(answers),
                "prompts": len({answer.asked.prompt for answer in answers}),
                "distinct": len({answer.asked.a for answer in answers}),
            },
        }
        for (domain, temperature), answers in sorted(one.answers.items(), key=lambda item: item[0][1])
    ]
    judged = [cell for cell in cells if cell["win_rate"]["rate"]["value"] is not None]
    best = {
        domain: max((cell for cell in judged if cell["domain"] == domain), key=lambda c: c["win_rate"]["rate"]["value"])
        for domain in dict.fromkeys(cell["domain"] for cell in judged)
    }
    return {
        **_named(one),
        "seeds": one.seeds,
        "cells": cells,
        "best": [
            {"domain": domain, "temperature": cell["temperature"], "rate": cell["win_rate"]["rate"]}
            for domain, cell in best.items()
        ],
    }


def _named(one: Judged) -> dict[str, Any]:
    setting = "N" if one.name == BEST_OF_N else SWEPT.get(one.name)
    return {"name": one.name, "label": NAMES[one.name], "setting": setting, "value": one.value, "rate": one.rate}


def _baselines(answers: Sequence[Answer]) -> dict[str, Any]:
    """What one who takes the longer response, and a coin, say of the same pairs: rates."""
    pairs = [answer.asked for answer in answers]
    told = {judge.name: summarize(ask(make_judge(judge), pairs)) for judge in (Longest(), Random())}
    return {name: one.win_rate.rate.as_dict() for name, one in told.items()}


def _tests(judged: Sequence[Judged], place: Place) -> list[dict[str, Any]]:
    """Between the methods two by two, on the prompts that both have, each prompt's mean over draws and seeds."""
    heard = [
        one for one in judged if any(answer.outcome != "unparseable" for answer in one.answers.get(place, ()))
    ]  # a judge without a verdict says nothing of a difference
    points = [(_named(one), _by_prompt(one.answers[place])) for one in heard]
    found = []
    for (one, first), (other, second) in combinations(points, 2):
        both = [prompt for prompt in first if prompt in second]
        if both:
            difference = signed_difference([first[prompt] - second[prompt] for prompt in both], both)
            found.append((one, other, difference))
    adjusted = holm({str(number): difference.p for number, (_, _, difference) in enumerate(found)})
    return [
        {
            "domain": place[0],
            "temperature": place[1],
            "one": one,
            "other": other,
            "difference": difference.estimate.as_dict(),
            "p": difference.p,
            "p_holm": adjusted[str(number)],
        }
        for number, (one, other, difference) in enumerate(found)
    ]


def _by_prompt(answers: Sequence[Answer]) -> dict[str, float]:
    points: dict[str, list[float]] = defaultdict(list)
    for answer in answers:
        points[answer.asked.prompt].append(POINTS[answer.outcome])
    return {prompt: sum(some) / len(some) for prompt, some in points.items()}


def _examples(judged: Sequence[Judged], place: Place) -> list[dict[str, Any]]:
    """The first prompts with the response that is met, and each method's first response with its outcome."""
    firsts = []
    for one in judged:
        first: dict[str, Answer] = {}
        for answer in one.answers.get(place, ()):
            first.setdefault(answer.asked.prompt, answer)
        firsts.append((_named(one), first))
    prompts = list(dict.fromkeys(prompt for _, first in firsts for prompt in first))[:SHOWN]
    return [
        {
            "prompt": prompt,
            "met": next(first[prompt].asked.b for _, first in firsts if prompt in first),
            "texts": [
                {**name, "text": first[prompt].asked.a, "outcome": first[prompt].outcome}
                for name, first in firsts
                if prompt in first
            ],
        }
        for prompt in prompts
    ]


def _asked(judged: Sequence[Judged]) -> dict[str, Any]:
    """What the judge cost: verdicts, tokens, seconds."""
    verdicts = [
        verdict
        for one in judged
        for answers in one.answers.values()
        for answer in answers
        for verdict in (answer.first, answer.second)
        if verdict is not None
    ]
    return {
        "verdicts": len(verdicts),
        "judge_tokens": sum(verdict.tokens for verdict in verdicts),
        "judge_seconds": sum(verdict.seconds for verdict in verdicts),
    }
