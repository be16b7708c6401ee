"""The stage of a mixture of tasks: demonstrations in words, without anything that is measured."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from penchant.errors import InputError
from penchant.models.load import load_renderer
from penchant.studies.core.job import StageJob
from penchant.studies.instructions.prompts import PromptMaker
from penchant.studies.instructions.rows import TaskRows
from penchant.studies.instructions.stage_settings import MEASURED_ROLE, TUNED_ROLE, MixtureSettings
from penchant.tasks.load import group_of
from penchant.tasks.wordings import content_keys
from penchant.types import LabeledExample


def mixture_stage(job: StageJob[MixtureSettings], folder: Path) -> dict[str, object]:
    """Write a file of prompts and completions for each task, and how many rows were left out by their content.

    Raises:
        InputError: no task has a row left.
    """
    policy = job.settings.policy
    renderer = load_renderer(job.inputs["model"], rendering=policy.rendering)
    tuned_tasks, measured = (
        [TaskRows.read(path) for role, path in sorted(job.needs.items()) if role.startswith(prefix)]
        for prefix in (TUNED_ROLE, MEASURED_ROLE)
    )
    # by content and not by name alone: one sentence may stand in two tasks, and be tuned_tasks in the one
    kept_apart = _keys(example for rows in measured for example in (*rows.train, *rows.test))
    kept_apart |= _keys(example for rows in tuned_tasks for example in rows.test)
    counts, left_out, cut = {}, {}, 0
    for number, rows in enumerate(tuned_tasks):
        maker = PromptMaker(renderer, job.settings.prompts, rows.task, rows.classes)
        kept_rows = [example for example in rows.train if not shared_keys(example) & kept_apart]
        left_out[rows.task] = len(rows.train) - len(kept_rows)
        # a source without a row is refused by training
        if not kept_rows:
            continue
        counts[rows.task] = len(kept_rows)
        cut += _write_demonstrations(folder / f"{number:03d}.jsonl", maker, kept_rows)
    if not counts:
        raise InputError(
            "no row is left to tune on: what other tasks have stands in the tasks that are measured, too. Name other "
            "tasks in `clusters`"
        )
    return {
        "rows": sum(counts.values()),
        "tasks": counts,
        "left_out": left_out,
        "cut": cut,
    }


def _keys(examples: Iterable[LabeledExample]) -> set[str]:
    return {key for example in examples for key in shared_keys(example)}


def shared_keys(example: LabeledExample) -> set[str]:
    """Return the keys by which rows of two tasks are the same content."""
    group = group_of(example)
    # writer 7 of one file is not writer 7 of another: such a number says nothing beyond its own task
    is_number = bool(example.group) and group.replace(" ", "").isdecimal()
    return content_keys(replace(example, group="")) if is_number else content_keys(example)


def _write_demonstrations(file: Path, maker: PromptMaker, examples: Iterable[LabeledExample]) -> int:
    """Write rows with their answers; return how many texts were shortened."""
    count = 0
    # zero-shot: examples in the prompt would be another kind of tuning
    # errors="surrogatepass" would write what no reader of data takes, and a lone surrogate is no letter anyway
    with file.open("w", encoding="utf-8", errors="replace") as lines:
        for example in examples:
            question, is_cut = maker.question(example)
            row = {"prompt": question.prompt, "completion": maker.answers(question)[question.label]}
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += is_cut
    return count
