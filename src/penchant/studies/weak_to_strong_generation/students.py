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
    run, facts = _train(job, folder, scorer)
    # as it was saved: what was trained is what is measured
    policy = load_policy(str(run / "checkpoint"))
    for name, file in (("test", TESTS), ("validation", VALIDATION)):
        part = read_tests_of(job.needs["rows"], file)
        answers = write_answers(policy, [row.prompt for row in part], settings.max_new_tokens, f"the student, {name}")
        np.save(folder / SCORES.format(STUDENT, name), scorer.scores(part, answers))
    facts["weights"] = fingerprint(policy.model)
    # what it wrote is measured, and the weights of a hundred students would fill the disk
    for stage in ("sft", "dpo"):
        remove(folder / stage)
    return facts


def start_of(job: StageJob[GenerationStudentSettings]) -> ModelConfig:
    """Return the model that every student starts from."""
    if "models" in job.needs:
        return ModelConfig(name=str(job.needs["models"] / STRONG))
    assert job.settings.strong is not None
    return job.settings.strong.replace(name=job.inputs[STRONG])


def _train(job: StageJob[GenerationStudentSettings], folder: Path, scorer: Scorer) -> tuple[Path, dict[str, object]]:
    """Train a student; return the folder of its last run, and counts of what it learned from."""
    settings = job.settings
    has_pairs = settings.method == "dpo_consensus"
    rows = read_rows_of(job.needs["rows"])
    groups = learned_groups(settings.method, rows, settings.seed)
    data = folder / "learned.jsonl"
    write_groups(groups, data)
    steps = settings.learning.steps
    config = sft_config(
        start_of(job),
        data,
        folder / "sft",
        settings.learning,
        rate=settings.learning_rate,
        rows=len(groups),
        template=settings.template,
        seed=settings.seed,
        # of two stages each has half of the steps, so that no method learns longer than another
        steps=max(1, steps // 2) if has_pairs else steps,
    )
    train(config)
    facts: dict[str, object] = {"rows": len(groups)}
    if not has_pairs:
        return folder / "sft", facts
    pairs_facts = _train_on_pairs(job, folder, scorer, steps - max(1, steps // 2))
    return folder / "dpo", {**facts, **pairs_facts}


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
            "out": str(folder / "dpo"),
            **run_values(
                settings.learning, rate=settings.learning_rate, steps=steps, rows=len(pairs), seed=settings.seed
            ),
        }
    )
    train(config)
    return {"pairs": len(pairs)}
