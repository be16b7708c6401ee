"""The stage of rows: prompts, a supervisor's answers to them, and what both models make of these."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from penchant.data.layouts.turns import as_prompt
from penchant.data.write import group_to_row, write_lines
from penchant.errors import InputError
from penchant.methods import train
from penchant.methods.sft import SFT
from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.models.settings import ModelConfig
from penchant.studies.core.job import StageJob
from penchant.studies.weak_to_strong_generation.answers import Scorer, draw_answers, write_answers
from penchant.studies.weak_to_strong_generation.selection import LabelledRow
from penchant.studies.weak_to_strong_generation.stage_settings import (
    ROWS,
    SCORES,
    STRONG,
    TESTS,
    VALIDATION,
    WEAK,
    RowsSettings,
    StudentLearning,
)
from penchant.tasks import generative
from penchant.tasks.generative import CROWD_TAG, GROUNDS, AnsweredPrompt, read_answered
from penchant.types import Prompt, PromptGroup, Response, prompt_text

TEST_ORDER, STUDENT_ORDER = 53, 54
"""Purposes of random numbers."""
MOST_EPOCHS = 10_000
FEWEST = 16  # answers, of which a student can learn something


def rows_stage(job: StageJob[RowsSettings], folder: Path) -> dict[str, object]:
    """Write rows to learn from and to test on, and the scores of the supervisor and of the untrained student."""
    settings = job.settings
    path = job.inputs["task"]
    rows_of_file = [] if settings.task in GROUNDS else read_answered(path)
    parts = _file_parts(settings, path, rows_of_file) if rows_of_file else _embedded_parts(settings)
    training, supervised, validation, tests = parts
    # by the whole file: by the rows of one seed, seeds could be scored by different rewards
    scorer = Scorer(scorer_of(settings.task, job.inputs.get("reward") if settings.reward else None, rows_of_file))
    # loaded once: the supervisor answers, and the student says what it makes of the answers
    weak, strong = _models(job, folder, supervised)
    rows, facts = _labelled(settings, weak, strong, training, scorer)
    _write(folder / ROWS, [_as_json(row) for row in rows])
    for name, part in ((TESTS, tests), (VALIDATION, validation)):
        _write(folder / name, [{"prompt": plain_prompt(row.prompt), "answer": row.answer} for row in part])
    # before any training: what the supervisor has right, and what the student shows of what it knows
    for role, policy in ((WEAK, weak), (STRONG, strong)):
        for name, part in (("test", tests), ("validation", validation)):
            answers = write_answers(policy, [row.prompt for row in part], _tokens(settings), f"{role} model, {name}")
            np.save(folder / SCORES.format(role, name), scorer.scores(part, answers))
    return {**facts, "scorer": scorer.name, "test": len(tests), "validation": len(validation)}


def scorer_of(task: str, name: str | None, rows: Sequence[AnsweredPrompt]) -> str:
    """Return the reward that says whether answers to a task are right."""
    if name:
        return name
    if task in GROUNDS:
        return GROUNDS[task].scorer
    # whole solutions never agree word for word, and their results do
    # all rows, since one without a marker could never be right
    has_marker = all("####" in row.answer for row in rows)
    if has_marker:
        return "number:marker=####"
    has_numbers = all(any(sign.isdigit() for sign in row.answer) for row in rows)
    return "number" if has_numbers else "exact_answer"


Part = list[AnsweredPrompt]


def _embedded_parts(settings: RowsSettings) -> tuple[Part, Part, Part, Part]:
    ground = GROUNDS[settings.task]
    measured = ground.different_problems("measured", generative.TESTS, settings.test + settings.validation)
    # prompts of the students hang on the seed, those of the tests do not
    training = ground.different_problems(f"students {settings.seed}", generative.STUDENTS, settings.prompts)
    rows = [
        [AnsweredPrompt(CROWD_TAG + problem.question, problem.answer) for problem in part]
        for part in (training, measured[settings.test :], measured[: settings.test])
    ]
    return rows[0], [], rows[1], rows[2]


def _file_parts(settings: RowsSettings, path: str, rows: Part) -> tuple[Part, Part, Part, Part]:
    """Divide the rows of a file: for the student, for the supervisor, to choose by, to test on.

    Raises:
        InputError: too few rows.
    """
    remaining = len(rows) - settings.test - settings.validation
    if remaining // 2 < FEWEST:
        raise InputError(
            f"{path}: of {len(rows)} rows {settings.test} are to test on and {settings.validation} to choose learning "
            f"rates by, which leaves {max(0, remaining)} to learn from: lower `test` and `validation`"
        )
    # the same tests for all seeds, so that an interval can count new rows and new seeds
    order = np.random.default_rng([TEST_ORDER]).permutation(len(rows))
    tests, validation, remaining_rows = np.split(order, [settings.test, settings.test + settings.validation])
    shuffled = np.random.default_rng([settings.seed, STUDENT_ORDER]).permutation(remaining_rows)
    halves = shuffled[: len(shuffled) // 2], shuffled[len(shuffled) // 2 :]
    parts = (halves[0][: settings.prompts], halves[1], validation, tests)
    training, supervised, validation_rows, test_rows = ([rows[index] for index in part] for part in parts)
    return training, supervised, validation_rows, test_rows


def _models(job: StageJob[RowsSettings], folder: Path, supervised: Part) -> tuple[Policy, Policy]:
    """Load supervisor and untrained student; the supervisor of a file first learns from true answers."""
    settings = job.settings
    if "models" in job.needs:
        weak, strong = (load_policy(str(job.needs["models"] / role), template="plain") for role in (WEAK, STRONG))
        return weak, strong
    assert settings.weak is not None
    assert settings.strong is not None
    assert settings.learning is not None
    data = folder / "supervisor.jsonl"
    _write(data, [{"prompt": plain_prompt(row.prompt), "completion": row.answer} for row in supervised])
    config = sft_config(
        settings.weak.replace(name=job.inputs[WEAK]),
        data,
        folder / "supervisor",
        settings.learning,
        rate=settings.learning_rate or 0.0,
        rows=len(supervised),
        template=settings.template,
        seed=settings.seed,
    )
    train(config)
    weak = load_policy(str(folder / "supervisor" / "checkpoint"))
    return weak, load_policy(settings.strong.replace(name=job.inputs[STRONG]), template=settings.template or "auto")


def sft_config(
    model: ModelConfig,
    data: Path,
    out: Path,
    learning: StudentLearning,
    *,
    rate: float,
    rows: int,
    template: str | None,
    seed: int,
    steps: int | None = None,
) -> SFT:
    """Return the settings of a run of SFT of so many steps, however many rows there are to go over."""
    steps = steps or learning.steps
    return SFT.model_validate(
        {
            "model": model,
            "data": {"path": str(data), "held_out": 0, "template": template or "plain"},
            "out": str(out),
            **run_values(learning, rate=rate, steps=steps, rows=rows, seed=seed),
        }
    )


def run_values(learning: StudentLearning, *, rate: float, steps: int, rows: int, seed: int) -> dict[str, object]:
    """Return the settings that all runs share: equal steps, AdamW, nothing measured on the way."""
    return {
        # as many passes as the steps take; `max_steps` ends them
        "epochs": min(MOST_EPOCHS, math.ceil(steps * learning.batch_size / max(1, rows)) + 1),
        "max_steps": steps,
        "batch_size": learning.batch_size,
        "optimizer": {"name": "adamw", "learning_rate": rate},
        "schedule": {"name": "linear", "warmup_steps": 0.1},
        "evaluate": {"samples": None},
        "checkpoint": {"optimizer": False},
        "seed": seed,
    }


def _tokens(settings: RowsSettings) -> int:
    return settings.max_new_tokens


def _labelled(
    settings: RowsSettings, weak: Policy, strong: Policy, training: Part, scorer: Scorer
) -> tuple[list[LabelledRow], dict[str, object]]:
    """Return the rows with the supervisor's answers, and counts of them."""
    prompts: list[Prompt] = [row.prompt for row in training]
    tokens, seed = settings.max_new_tokens, settings.seed
    # at temperature 1: how often it says the same tells how sure it is
    draws = draw_answers(weak, prompts, settings.draws, tokens, "draws of the supervisor", seed=seed)
    labels = (
        write_answers(weak, prompts, tokens, "answers of the supervisor")
        if settings.labels == "greedy"
        # one more draw, so that its consistency is not counted with itself
        else [row[0] for row in draw_answers(weak, prompts, 1, tokens, "answers of the supervisor", seed=seed + 1)]
    )
    student_answers = write_answers(strong, prompts, tokens, "answers of the student before it learns")
    # nothing can be learned from an empty answer
    written = [index for index, label in enumerate(labels) if label.text.strip()]
    if len(written) < FEWEST:
        raise InputError(f"the supervisor wrote {len(written)} answers that are not empty: expected {FEWEST} or more")
    likelihoods = _likelihoods(strong, [PromptGroup(prompts[index], [labels[index]]) for index in written])
    rows = [
        LabelledRow(
            prompt=prompts[index],
            answer=training[index].answer,
            label=labels[index],
            consistency=float(np.mean([scorer.agree(draw, labels[index]) for draw in draws[index]])),
            agrees=scorer.agree(student_answers[index], labels[index]),
            likelihood=likelihood,
        )
        for index, likelihood in zip(written, likelihoods, strict=True)
    ]
    # for the page: what students learn from, by the truth that they never see
    right = scorer.scores([training[index] for index in written], [labels[index] for index in written])
    facts: dict[str, object] = {
        "prompts": len(training),
        "empty": len(training) - len(rows),
        "labels_right": float(right.mean()),
        "agreeing": sum(row.agrees for row in rows),
        "examples": [[prompt_text(row.prompt), row.answer, row.label.text] for row in rows[:3]],
    }
    return rows, facts


def _likelihoods(policy: Policy, groups: Sequence[PromptGroup]) -> list[float]:
    """Return the log-probability of each answer, in nats per token: sums would prefer short ones."""
    sums = policy.score(groups)
    lengths = [len(policy.renderer.render(group).branches[0].ids) for group in groups]
    return [float(total[0]) / max(1, length) for total, length in zip(sums, lengths, strict=True)]


# -- files --------------------------------------------------------------------------------------------------------


def _write(file: Path, rows: Sequence[dict[str, object]]) -> None:
    write_lines((json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n" for row in rows), file)


def plain_prompt(prompt: Prompt) -> object:
    """Return a prompt as JSON has it: a text, or a list of turns."""
    return group_to_row(PromptGroup(prompt))["prompt"]


def _as_json(row: LabelledRow) -> dict[str, object]:
    return {
        "prompt": plain_prompt(row.prompt),
        "answer": row.answer,
        "label": row.label.text,
        "finished": row.label.finished,
        "consistency": row.consistency,
        "agrees": row.agrees,
        "likelihood": row.likelihood,
    }


def read_rows_of(folder: Path) -> list[LabelledRow]:
    """Return the rows to learn from that a stage has written."""
    lines = (folder / ROWS).read_text(encoding="utf-8", errors="surrogatepass").splitlines()
    return [
        LabelledRow(
            prompt=as_prompt(row["prompt"], "prompt"),
            answer=row["answer"],
            label=Response(row["label"], finished=row["finished"]),
            consistency=row["consistency"],
            agrees=row["agrees"],
            likelihood=row["likelihood"],
        )
        for row in map(json.loads, lines)
    ]


def read_tests_of(folder: Path, name: str) -> list[AnsweredPrompt]:
    """Return the prompts with true answers that a stage has written."""
    lines = (folder / name).read_text(encoding="utf-8", errors="surrogatepass").splitlines()
    return [AnsweredPrompt(as_prompt(row["prompt"], "prompt"), row["answer"]) for row in map(json.loads, lines)]
