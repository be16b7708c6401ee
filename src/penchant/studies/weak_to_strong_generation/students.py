"""The stage of a student: train by a method on written answers, and score what it writes for prompts to test on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from penchant.data.write import write_groups
from penchant.engine.reference import fingerprint
from penchant.errors import InputError
from penchant.files import read_json, remove
from penchant.methods import train
from penchant.methods.dpo import DPO
from penchant.models.load import load_policy
from penchant.models.settings import ModelConfig
from penchant.studies.core.job import STAGE, StageJob
from penchant.studies.weak_to_strong_generation.answers import Scorer, draw_answers, write_answers
from penchant.studies.weak_to_strong_generation.names import TWO_STAGES
from penchant.studies.weak_to_strong_generation.rounds import train_by_self_play, train_in_rounds
from penchant.studies.weak_to_strong_generation.rows import read_rows_of, read_tests_of, run_values, sft_config
from penchant.studies.weak_to_strong_generation.selection import consensus_pairs, learned_groups
from penchant.studies.weak_to_strong_generation.stage_settings import (
    SCORES,
    STRONG,
    TESTS,
    VALIDATION,
    GenerationStudentSettings,
)
from penchant.types import PromptGroup

STUDENT = "student"


def student_stage(job: StageJob[GenerationStudentSettings], folder: Path) -> dict[str, object]:
    """Write the scores of a student's answers to the prompts to test on and to choose by."""
    settings = job.settings
    # the scorer that the rows were scored by, which a file's answers have decided
    scorer = Scorer(str(read_json(job.needs["rows"] / STAGE)["scorer"]))
    trained_model, facts = _train(job, folder, scorer)
    # as it was saved: what was trained is what is measured
    policy = load_policy(trained_model)
    for name, file in (("test", TESTS), ("validation", VALIDATION)):
        part = read_tests_of(job.needs["rows"], file)
        answers = write_answers(policy, [row.prompt for row in part], settings.max_new_tokens, f"the student, {name}")
        np.save(folder / SCORES.format(STUDENT, name), scorer.scores(part, answers))
    facts["weights"] = fingerprint(policy.model)
    # what it wrote is measured, and the weights of a hundred students would fill the disk
    for stage in ("sft", "second"):
        remove(folder / stage)
    return facts


def start_of(job: StageJob[GenerationStudentSettings]) -> ModelConfig:
    """Return the model that every student starts from."""
    if "models" in job.needs:
        return ModelConfig(name=str(job.needs["models"] / STRONG))
    assert job.settings.strong is not None
    return job.settings.strong.replace(name=job.inputs[STRONG])


def _train(job: StageJob[GenerationStudentSettings], folder: Path, scorer: Scorer) -> tuple[str, dict[str, object]]:
    """Train a student; return where it lies, and counts of what it learned from."""
    settings = job.settings
    is_first = settings.method in TWO_STAGES
    rows = read_rows_of(job.needs["rows"])
    groups = learned_groups(settings.method, rows, settings.seed)
    data = folder / "learned.jsonl"
    write_groups(groups, data)
    # of two stages each has half of the steps, so that no method learns longer than another
    steps = max(1, settings.learning.steps // 2) if is_first else settings.learning.steps
    config = sft_config(
        start_of(job),
        data,
        folder / "sft",
        settings.learning,
        rate=settings.learning_rate,
        rows=len(groups),
        template=settings.template,
        seed=settings.seed,
        steps=steps,
    )
    train(config)
    policy = str(folder / "sft" / "checkpoint")
    facts: dict[str, object] = {"rows": len(groups)}
    remaining_steps = settings.learning.steps - steps
    if settings.method == "dpo_consensus":
        facts |= _train_on_pairs(job, folder, scorer, remaining_steps)
        policy = str(folder / "second" / "checkpoint")
    elif settings.method == "spin":
        policy = train_by_self_play(settings, policy, data, folder / "second", steps=remaining_steps)
    elif settings.method == "iterative_dpo":
        policy, counts = train_in_rounds(settings, policy, rows, folder / "second", scorer, steps=remaining_steps)
        facts |= counts
    return policy, facts


def _train_on_pairs(
    job: StageJob[GenerationStudentSettings], folder: Path, scorer: Scorer, steps: int
) -> dict[str, object]:
    """Train the student of the first stage further on pairs of its own draws: the consensus against another answer.

    Raises:
        InputError: no prompt has a consensus and another answer.
    """
    settings = job.settings
    # all prompts, whatever the first stage learned from: a consensus needs no label
    prompts = [row.prompt for row in read_rows_of(job.needs["rows"])]
    policy = load_policy(str(folder / "sft" / "checkpoint"))
    draws = draw_answers(
        policy, prompts, settings.draws, settings.max_new_tokens, "draws of the student", seed=settings.seed
    )

    groups = [PromptGroup(prompt, row) for prompt, row in zip(prompts, draws, strict=True)]
    pairs = consensus_pairs(groups, scorer.agree)
    if not pairs:
        raise InputError(f"none of {len(prompts)} prompts has a consensus of the student's draws beside another answer")
    # kept beside the scores, so that one can look at what was preferred
    file = folder / "pairs.jsonl"
    write_groups(pairs, file)
    config = DPO.model_validate(
        {
            "model": {"name": str(folder / "sft" / "checkpoint")},
            "data": {"path": str(file), "held_out": 0, "template": settings.template or "plain"},
            "loss": {"name": "sigmoid", "beta": settings.learning.beta},
            "out": str(folder / "second"),
            **run_values(
                settings.learning, rate=settings.learning_rate, steps=steps, rows=len(pairs), seed=settings.seed
            ),
        }
    )
    train(config)
    return {"pairs": len(pairs)}
