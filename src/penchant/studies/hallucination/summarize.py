"""Summarize the captioners of a study of hallucinations. Imports no torch."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.metrics.estimates import Estimate
from penchant.metrics.hallucination import read_yes_no
from penchant.metrics.two_way import two_way_mean
from penchant.studies.core.records import read_object
from penchant.studies.core.summary import cost_of_stages, failures_of
from penchant.studies.hallucination.grid import HallucinationGrid, WorldStages
from penchant.studies.hallucination.measures import (
    MEASURES,
    NEGATIVES,
    SHARES,
    answers_right,
    companion_recall,
    is_right,
    marked_caption,
    measure_caption,
)
from penchant.studies.hallucination.names import LABELS, LEARNERS, START, WORLD_LABELS
from penchant.studies.hallucination.pictures import WITH_COMPANIONS, WITHOUT_COMPANIONS, read_scenes
from penchant.studies.hallucination.settings import HallucinationConfig
from penchant.studies.hallucination.stage_settings import CAPTIONS
from penchant.studies.hallucination.summary import (
    CaptionerResult,
    Change,
    HallucinationSummary,
    QuestionResult,
    ShownPicture,
    WorldResult,
)
from penchant.tasks.scenes import Scene

Table = NDArray[np.float64]
"""Shape (seeds, pictures)."""
EXAMPLES = 8
"""Pictures that the page shows of each world."""
FEW_FALSE, FEW_RIGHT = 5, 3
"""Of these, how many captions before the second step name something false, and how many do not."""


def summarize_hallucination(
    config: HallucinationConfig, grid: HallucinationGrid, study: Path, reasons: Mapping[str, str]
) -> HallucinationSummary:
    """Return the content of `study.json`.

    Args:
        study: the study's folder. reasons: why stages failed, by address.
    """
    stages = grid.stages()
    facts = [read_object(study / world.pictures.path / "stage.json") for world in grid]
    return HallucinationSummary(
        study=config.method,
        config=config.recorded(),
        seeds=tuple(config.seeds),
        model=config.model.name,
        worlds=tuple(_World(world, study, config).result() for world, fact in zip(grid, facts, strict=True) if fact),
        failures=failures_of(stages, reasons),
        cost=cost_of_stages(stages, study),
        provenance=next((fact["provenance"] for fact in facts if fact), {}),
    )


class _World:
    """Reads what the stages of one world left; a captioner that lacks a seed is left out."""

    def __init__(self, stages: WorldStages, study: Path, config: HallucinationConfig) -> None:
        self.stages, self.study, self.seeds = stages, study, tuple(config.seeds)
        folder = study / stages.pictures.path
        self.scenes = read_scenes(folder, WITHOUT_COMPANIONS)
        self.together = read_scenes(folder, WITH_COMPANIONS)
        self.written = {
            name: written
            for name in (START, *(name for name in LEARNERS if name in config.learners))
            if (written := self._written(name)) is not None
        }

    def result(self) -> WorldResult:
        """Return the numbers of all captioners, and some pictures."""
        # without the captioner before there is nothing that a change would be from
        start = self.written.get(START)
        questions = len(start[0]["answers"]) if start else 0
        return WorldResult(
            name=self.stages.world,
            label=WORLD_LABELS[self.stages.world],
            pictures=len(self.scenes),
            together=len(self.together),
            questions=questions,
            captioners=tuple(self._captioner(name) for name in self.written) if start else (),
            examples=self._examples() if start else (),
        )

    def _written(self, name: str) -> list[dict[str, Any]] | None:
        """Return what a captioner wrote with each seed; None where a seed is missing."""
        files = [self.study / self.stages.captioners[name, seed].path / CAPTIONS for seed in self.seeds]
        # a stage is whole or not there, and means over other seeds would not be paired
        return (
            [json.loads(file.read_text(encoding="utf-8")) for file in files] if all(map(Path.is_file, files)) else None
        )

    def _captioner(self, name: str) -> CaptionerResult:
        before, after = self.written[START], self.written[name]
        is_start = name == START
        rows = [
            read_object(self.study / self.stages.captioners[name, seed].path / "stage.json").get("rows")
            for seed in self.seeds
        ]
        return CaptionerResult(
            name=name,
            label=LABELS[name],
            rows=None if is_start else float(np.mean([float(count) for count in rows if count is not None])),
            greedy=self._measures(before, after, "greedy", is_start),
            sampled=self._measures(before, after, "drawn", is_start),
            companions_kept=_change(
                self._companion_table(after), None if is_start else self._companion_table(before), share=True
            ),
            # each caption beside the picture that follows: no caption has to be written for that
            other_picture=self._of_others([run["greedy"][1:] + run["greedy"][:1] for run in after]),
            no_picture=self._of_others([[run["no_picture"]] * len(self.scenes) for run in after]),
            kl_nats=None if is_start else two_way_mean(np.array([run["kl"] for run in after])),
            questions=tuple(_questions(before, after, kind, is_start) for kind in NEGATIVES)
            if after[0]["answers"]
            else (),
        )

    def _measures(
        self, before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]], decoding: str, is_start: bool
    ) -> dict[str, Change]:
        # one table per measure, pictures in one order, so that differences are paired
        tables = self._tables([run[decoding] for run in after])
        first = None if is_start else self._tables([run[decoding] for run in before])
        return {
            name: _change(tables[name], None if first is None else first[name], share=name in SHARES)
            for name in MEASURES
        }

    def _tables(self, captions: Sequence[Sequence[str]]) -> dict[str, Table]:
        """Return each measure of the captions of every seed."""
        values = [
            [asdict(measure_caption(scene, text)) for scene, text in zip(self.scenes, of_seed, strict=True)]
            for of_seed in captions
        ]
        return {name: np.array([[numbers[name] for numbers in row] for row in values]) for name in MEASURES}

    def _of_others(self, captions: Sequence[Sequence[str]]) -> dict[str, Estimate]:
        tables = self._tables(captions)
        return {name: two_way_mean(tables[name], share=True) for name in ("false_caption", "recall")}

    def _companion_table(self, written: Sequence[Mapping[str, Any]]) -> Table:
        return np.array(
            [
                [companion_recall(scene, text) for scene, text in zip(self.together, run["together"], strict=True)]
                for run in written
            ]
        )

    def _examples(self) -> tuple[ShownPicture, ...]:
        """Return some pictures with the first seed's captions: first those that were false before, in their order."""
        before = self.written[START][0]["greedy"]
        is_false = [
            bool(measure_caption(scene, text).false_caption) for scene, text in zip(self.scenes, before, strict=True)
        ]
        # the first of both kinds, whatever became of them: nothing is picked for its outcome
        order = [index for index, wrong in enumerate(is_false) if wrong][:FEW_FALSE]
        order += [index for index, wrong in enumerate(is_false) if not wrong][: EXAMPLES - len(order)]
        return tuple(self._picture(index, self.scenes[index]) for index in sorted(order))

    def _picture(self, index: int, scene: Scene) -> ShownPicture:
        return ShownPicture(
            # in `study.json`, so that the page needs no other file
            png=base64.b64encode(scene.image().read()).decode("ascii"),
            objects=scene.objects,
            captions={
                name: tuple(marked_caption(scene.world, scene.objects, runs[0]["greedy"][index]))
                for name, runs in self.written.items()
            },
        )


def _change(values: Table, before: Table | None, *, share: bool) -> Change:
    return Change(
        value=two_way_mean(values, share=share),
        change=None if before is None else two_way_mean(values - before),
    )


def _questions(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]], kind: str, is_start: bool
) -> QuestionResult:
    """Return how right answers are where half of the questions are about what is there, and half of one other kind."""

    def table(written: Sequence[Mapping[str, Any]], value: Callable[[Mapping[str, str]], float | None]) -> Table:
        return np.array(
            [[value(answer_by_kind) for answer_by_kind in run["answers"]] for run in written], dtype=np.float64
        )

    def says_yes(answer_by_kind: Mapping[str, str]) -> float:
        return float(np.mean([read_yes_no(answer_by_kind[name]) is True for name in ("present", kind)]))

    # both halves of the questions of this kind
    answers = [answer_by_kind[name] for run in after for answer_by_kind in run["answers"] for name in ("present", kind)]
    return QuestionResult(
        kind=kind,
        accuracy=_change(
            table(after, lambda answer_by_kind: answers_right(answer_by_kind, kind)),
            None if is_start else table(before, lambda answer_by_kind: answers_right(answer_by_kind, kind)),
            share=True,
        ),
        yes=two_way_mean(table(after, says_yes), share=True),
        unreadable=float(np.mean([is_right("present", answer) is None for answer in answers])),
    )
