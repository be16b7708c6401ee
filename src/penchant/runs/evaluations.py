"""Evaluations of a run by tasks and benchmarks from outside: one JSON file for each, in the run's `evaluations`.

Imports no torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from penchant.files import atomic_write, make_folder, read_json
from penchant.metrics.estimates import Coefficient
from penchant.rich_text import html_table, interval_bars
from penchant.typed_json import OMITTED, JsonObject, from_json, to_object

FOLDER = "evaluations"
"""The folder of a run that holds them."""


@dataclass(frozen=True)
class OutsideScore:
    """A number of a task, after training and before it.

    Attributes:
        task: the task, or the section or subset of a benchmark.
        metric: as the task calls it, such as `acc` or `exact_match (strict)`.
        after, before: the model and what it is compared with; `before` is None where there is nothing.
        change: after minus before, paired by document.
        higher_is_better: None where the task does not say.
        is_share: whether the number lies between 0 and 1, so that pages print it in percent.
    """

    task: str
    metric: str
    after: Coefficient
    before: Coefficient | None = None
    change: Coefficient | None = None
    higher_is_better: bool | None = None
    is_share: bool = False

    @property
    def verdict(self) -> str:
        """What the interval of the change says: `better`, `worse`, `changed`, or `no clear change`."""
        change = self.change
        if change is None or not (change.above(0) or change.below(0)):
            return "no clear change"
        if self.higher_is_better is None:
            return "changed"
        return "better" if change.above(0) == self.higher_is_better else "worse"


@dataclass(frozen=True)
class TaskRecord:
    """A task as it was asked: its version, its documents, and a digest of what the model was shown.

    Attributes:
        documents: how many there are, and how many of them were used.
        digest: of documents, prompts and targets, in order. Two evaluations with the same digest asked the same.
    """

    name: str
    version: str | None
    few_shot: int | None
    documents: int
    used: int
    digest: str


@dataclass(frozen=True, kw_only=True, repr=False)
class OutsideEvaluation:
    """All that is known of one evaluation from outside.

    Attributes:
        benchmark: `lm-eval`, `rewardbench` or `rewardbench2`.
        model, before: what was evaluated, and what it is compared with; empty where there is nothing.
        content: digests of both, in the same order.
        settings: as they were given.
        notes: sentences that the numbers need, such as what was left out.
    """

    benchmark: str
    model: str
    before: str = ""
    content: tuple[str, ...] = ()
    scores: tuple[OutsideScore, ...]
    tasks: tuple[TaskRecord, ...] = ()
    settings: JsonObject = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    started: str = ""
    provenance: Mapping[str, object] = field(default_factory=dict)
    citation: Annotated[str | None, OMITTED] = None

    def __repr__(self) -> str:
        """Return what was evaluated by what; all numbers would fill pages."""
        compared = f" beside {self.before}" if self.before else ""
        return f"OutsideEvaluation({self.benchmark} of {self.model}{compared}, {len(self.scores)} scores)"

    def _repr_html_(self) -> str:
        rows = []
        for score in self.scores:
            measures = [measure for measure in (score.before, score.after) if measure is not None]
            bars = interval_bars([measure.interval for measure in measures if measure.interval])
            before = "" if score.before is None else score.before.text
            rows.append((score.task, score.metric, before, score.after.text, bars))
        return html_table(repr(self), rows, ("", "", "before", "after", ""))


def write_evaluation(evaluation: OutsideEvaluation, file: Path) -> None:
    """Write an evaluation, whole or not at all."""
    make_folder(file.parent)
    content = json.dumps(to_object(evaluation), ensure_ascii=False, indent=1) + "\n"
    atomic_write(file, content.encode(errors="surrogatepass"))


def read_evaluations(run: Path) -> tuple[list[OutsideEvaluation], list[str]]:
    """Return the evaluations in a run's folder by name, and a sentence for each file that cannot be read."""
    # each by itself: one damaged file must not hide what the others say
    evaluations, problems = [], []
    for file in sorted((run / FOLDER).glob("*.json")):
        try:
            evaluations.append(from_json(OutsideEvaluation, read_json(file), str(file)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            problems.append(f"{FOLDER}/{file.name} cannot be read and was left out ({type(error).__name__}: {error}).")
    return evaluations, problems
