"""Evaluate a model by tasks or a benchmark from outside, and keep the result where reports find it."""

from __future__ import annotations

import hashlib
import json
import time
from datetime import UTC, datetime
from pathlib import Path

from penchant.evaluation.settings import EvaluateConfig
from penchant.evaluation.subjects import find_subjects, open_subject, output_folder
from penchant.runs.evaluations import OutsideEvaluation, write_evaluation
from penchant.runs.provenance import surroundings
from penchant.typed_json import to_object

LM_EVAL = "lm-eval"


def evaluate(config: EvaluateConfig) -> tuple[OutsideEvaluation, Path]:
    """Return what a configuration's evaluation found, and the file that holds it.

    The file lies in the run's `evaluations`. Its name has a digest of the settings, so that the same evaluation takes
    the place of an earlier one, and another one does not.

    Raises:
        InputError: a model, task or file that cannot be read. RunError: lm-eval or the judge stopped.
    """
    if config.benchmark is None:
        evaluation, folder = _by_tasks(config)
    else:
        from penchant.evaluation.benchmark import grade_benchmark

        evaluation, folder = grade_benchmark(config)
    file = folder / f"{evaluation.benchmark}-{_digest(config)}.json"
    write_evaluation(evaluation, file)
    return evaluation, file


def _by_tasks(config: EvaluateConfig) -> tuple[OutsideEvaluation, Path]:
    """Return the evaluation of a model, and of the one before it, by tasks of lm-eval."""
    from penchant.evaluation.documents import compare
    from penchant.evaluation.harness import CITATION, Harness, check_harness, run_tasks

    started, begin = datetime.now(UTC), time.monotonic()
    harness_version = check_harness(config.tasks)
    after, before = find_subjects(config)
    folder = output_folder(config, after)
    harness = Harness.from_tasks(config.tasks)  # before any weights: a mistyped task is answered at once
    notes = []
    policy = open_subject(after, config)
    after_chat = policy.renderer.chat
    found_after = run_tasks(policy, after, harness, config)
    del policy  # two models at once may be more than the memory holds
    found_before = None
    if before is not None:
        other = open_subject(before, config)
        found_before = run_tasks(other, before, harness, config)
        if other.renderer.chat != after_chat:
            templated, untemplated = (after.name, before.name) if after_chat else (before.name, after.name)
            notes.append(f"{templated} is asked with its chat template, and {untemplated}, which has none, without.")
    evaluation = OutsideEvaluation(
        benchmark=LM_EVAL,
        model=after.name,
        before=before.name if before else "",
        content=tuple(subject.content for subject in (after, before) if subject),
        scores=tuple(compare(found_after.metrics, found_before.metrics if found_before else None)),
        tasks=found_after.tasks,
        settings=config.recorded(),
        notes=tuple(notes),
        seconds=time.monotonic() - begin,
        started=started.isoformat(timespec="seconds"),
        provenance={**to_object(surroundings()), "lm_eval": harness_version, "chat_template": after_chat},
        citation=CITATION,
    )
    return evaluation, folder


def _digest(config: EvaluateConfig) -> str:
    """Return a digest of the settings that decide what is asked, for the file's name."""
    settings = {key: value for key, value in config.recorded().items() if key not in ("out", "device", "batch_size")}
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:10]
