"""Summarize the measurements of a study of kinds. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penchant.metrics.estimates import Estimate
from penchant.metrics.two_way import two_way_mean
from penchant.studies.core.records import read_object
from penchant.studies.core.stage import Stage
from penchant.studies.core.summary import cost_of_stages, failures_of
from penchant.studies.kinds.grid import BEFORE, TOGETHER, KindsGrid
from penchant.studies.kinds.settings import KindsConfig
from penchant.studies.kinds.stage_settings import MEASURED, TEXTS, KindMeasuredSettings
from penchant.studies.kinds.summary import KindResult, KindsSummary, LearnedKind, ShownPrompt

Numbers = NDArray[np.float64]
SHOWN_PROMPTS = 4


def summarize_kinds(config: KindsConfig, grid: KindsGrid, study: Path, reasons: Mapping[str, str]) -> KindsSummary:
    """Return the content of `study.json`.

    Args:
        study: the study's folder. reasons: why stages failed, by address.
    """
    stages = grid.stages()
    # a kind whose first measurement failed has no result, and is named among the failures
    results = [_kind(config, grid, study, name) for name in config.kinds]
    runs = [read_object(study / run.path / "stage.json") for run in grid.runs.values()]
    return KindsSummary(
        study=config.method,
        config=config.recorded(),
        seeds=tuple(config.seeds),
        kinds=tuple(result for result in results if result is not None),
        failures=failures_of(stages, reasons),
        cost=cost_of_stages(stages, study),
        provenance=next((facts["provenance"] for facts in runs if "provenance" in facts), {}),
    )


@dataclass(frozen=True)
class _Measured:
    """What was measured of one kind by the models of one arrangement, each of shape (seeds, prompts)."""

    reward: Numbers
    kl_nats: Numbers
    guard: Numbers | None


def _read(grid: KindsGrid, study: Path, learner: str, name: str, seeds: tuple[int, ...]) -> _Measured | None:
    """Return the means over the samples of each prompt; None unless every seed was measured."""
    rows: list[dict[str, Numbers]] = []
    for seed in seeds:
        stage = grid.measured.get((learner, name, seed))
        file = None if stage is None else study / stage.path / MEASURED
        if file is None or not file.is_file():
            return None
        with np.load(file, allow_pickle=False) as arrays:
            # samples of one prompt are not independent: the prompt is what intervals draw
            rows.append({key: arrays[key].mean(axis=1) for key in arrays.files})
    stacked = {key: np.stack([row[key] for row in rows]) for key in rows[0]}
    return _Measured(stacked["reward"], stacked["kl_nats"], stacked.get("guard"))


def _kind(config: KindsConfig, grid: KindsGrid, study: Path, name: str) -> KindResult | None:
    seeds = tuple(config.seeds)
    before = _read(grid, study, BEFORE, name, seeds[:1])
    if before is None:
        return None
    # its own first: what others do to it stands behind
    order = [name, *(other for other in config.kinds if other != name), TOGETHER]
    read = {learner: _read(grid, study, learner, name, seeds) for learner in order}
    measured = {learner: values for learner, values in read.items() if values is not None}
    # a difference needs every seed of both sides
    single, together = measured.get(name), measured.get(TOGETHER)
    return KindResult(
        name=name,
        reward=config.kinds[name].reward,
        guard=config.kinds[name].guard or "",
        before=two_way_mean(before.reward),
        before_guard=None if before.guard is None else two_way_mean(before.guard),
        results=tuple(_result(learner, values, before) for learner, values in measured.items()),
        interference=_difference(together, single),
        guard_interference=_difference(together, single, guard=True),
        comparisons=int(read_object(study / grid.pairs[name, seeds[0]].path / "stage.json").get("comparisons", 0)),
        examples=_examples(grid, study, name, seeds[0]),
    )


def _result(learner: str, values: _Measured, before: _Measured) -> LearnedKind:
    guard, guard_before = values.guard, before.guard
    return LearnedKind(
        learner=learner,
        reward=two_way_mean(values.reward),
        # the same prompts and draws, so that what a prompt adds to both falls out
        gain=two_way_mean(values.reward - before.reward),
        kl_nats=two_way_mean(values.kl_nats),
        guard=None if guard is None else two_way_mean(guard),
        guard_change=None if guard is None or guard_before is None else two_way_mean(guard - guard_before),
    )


def _difference(together: _Measured | None, single: _Measured | None, *, guard: bool = False) -> Estimate | None:
    if together is None or single is None:
        return None
    first, second = (values.guard if guard else values.reward for values in (together, single))
    return None if first is None or second is None else two_way_mean(first - second)


def _examples(grid: KindsGrid, study: Path, name: str, seed: int) -> tuple[ShownPrompt, ...]:
    """Return samples of the first prompts by the first seed's models."""
    stages = {learner: grid.measured.get((learner, name, seed)) for learner in (BEFORE, name, TOGETHER)}
    texts = {learner: _texts(stage, study) for learner, stage in stages.items()}
    settings = grid.measured[BEFORE, name, seed].settings
    assert isinstance(settings, KindMeasuredSettings)
    return tuple(
        ShownPrompt(
            prompt=prompt,
            texts={
                "alone" if learner == name else learner: tuple(rows[number])
                for learner, rows in texts.items()
                if number < len(rows)
            },
        )
        for number, prompt in enumerate(settings.prompts[:SHOWN_PROMPTS])
    )


def _texts(stage: Stage | None, study: Path) -> list[list[str]]:
    file = None if stage is None else study / stage.path / TEXTS
    return json.loads(file.read_text(encoding="utf-8")) if file is not None and file.is_file() else []
