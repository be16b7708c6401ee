"""The rows of a task of the study of instructions, and the stage that writes them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from penchant.errors import InputError
from penchant.files import read_json
from penchant.runs.provenance import surroundings
from penchant.studies.core.job import STAGE, StageJob
from penchant.studies.instructions.sentences import load_sentences
from penchant.studies.instructions.stage_settings import TEST_ROWS, TRAIN_ROWS, TaskRowsSettings
from penchant.tasks.load import TaskData, load_task
from penchant.tasks.own_file import OwnFile, load_own
from penchant.typed_json import to_object
from penchant.types import LabeledExample

FEWEST_TEST = 10
"""Test rows of a task, at least: of fewer no interval says anything."""


@dataclass(frozen=True)
class TaskRows:
    """The rows of a task, as its stage wrote them.

    Attributes:
        task: its name. classes: empty where rows have options of their own.
        train, test: they share no content.
    """

    task: str
    classes: tuple[str, ...]
    train: tuple[LabeledExample, ...]
    test: tuple[LabeledExample, ...]

    @classmethod
    def read(cls, folder: Path) -> TaskRows:
        """Read the rows from the stage's folder."""
        facts = read_json(folder / STAGE)
        return cls(
            facts["task"], tuple(facts["classes"]), _read_rows(folder / TRAIN_ROWS), _read_rows(folder / TEST_ROWS)
        )


def task_rows_stage(job: StageJob[TaskRowsSettings], folder: Path) -> dict[str, object]:
    """Write the rows of a task to tune on and to measure on."""
    rows = _load(job)
    labels = Counter(example.label for example in rows.train)
    # the most frequent answer would always be right
    if len(labels) < 2:
        raise InputError(f"{job.inputs['task']}: all {len(rows.train)} rows to tune on have the same answer")
    if len(rows.test) < FEWEST_TEST:
        raise InputError(
            f"{job.inputs['task']}: {len(rows.test)} rows to measure on are too few, at least {FEWEST_TEST} are needed"
        )
    # as rows and not yet in words: another wording reads no file again
    _write_rows(folder / TRAIN_ROWS, rows.train)
    _write_rows(folder / TEST_ROWS, rows.test)
    return {
        "task": job.inputs["task"],
        "title": rows.spec.title,
        "source": rows.source,
        "classes": list(rows.spec.classes),
        "train": len(rows.train),
        "test": len(rows.test),
        # by the rows to tune on: which class the tests have most often is not known before they are seen
        "majority": labels.most_common(1)[0][0],
        "dropped": dict(rows.dropped),
        "provenance": to_object(surroundings()),
    }


def _load(job: StageJob[TaskRowsSettings]) -> TaskData:
    settings, task = job.settings, job.inputs["task"]
    # a name alone would not say how it is read: a file here may be called as a task is
    if settings.kind == "sentences":
        return load_sentences(task, train=settings.train, test=settings.test)
    if settings.kind == "file":
        columns = tuple((settings.columns or {}).items())
        file = OwnFile(job.inputs["rows"], "", columns, settings.test_share or 0.0)
        return load_own(file, train=settings.train, test=settings.test)
    return load_task(task, train=settings.train, test=settings.test, folder=Path(job.inputs["folder"]))


def _write_rows(file: Path, rows: Sequence[LabeledExample]) -> None:
    content = [[row.text, row.label, row.group, list(row.options)] for row in rows]
    # a row may hold a lone surrogate, which strict UTF-8 neither writes nor reads
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8", errors="surrogatepass")


def _read_rows(file: Path) -> tuple[LabeledExample, ...]:
    content = json.loads(file.read_text(encoding="utf-8", errors="surrogatepass"))
    return tuple(LabeledExample(text, label, group, tuple(options)) for text, label, group, options in content)
