"""The stage that asks a model: logps of every possible answer of a cluster's test rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penchant.engine.score import score, token_budget
from penchant.errors import RunError
from penchant.metrics.resampling import cluster_codes
from penchant.models.policy import Policy
from penchant.runs.progress import progress_bar
from penchant.studies.core.job import StageJob, start_policy, trained_policy
from penchant.studies.instructions.prompts import PromptMaker
from penchant.studies.instructions.rows import TaskRows
from penchant.studies.instructions.stage_settings import MEASURED_ROLE, AnswersSettings
from penchant.tasks.load import group_of
from penchant.tasks.wordings import ShotPool

Logps = NDArray[np.float64]


def answers_stage(job: StageJob[AnswersSettings], folder: Path) -> dict[str, object]:
    """Write for each task of a cluster the logps of its rows' answers, before tuning or after it."""
    settings = job.settings
    # the same settings but for the weights: nothing else may tell the models apart
    load = trained_policy if "run" in job.needs else start_policy
    policy = load(job, settings.policy)
    needs = sorted((role, path) for role, path in job.needs.items() if role.startswith(MEASURED_ROLE))
    tasks = []
    # sorted by role, so that the same task has the same file for every model
    for number, (_, path) in enumerate(needs):
        rows = TaskRows.read(path)
        maker = PromptMaker(policy.renderer, settings.prompts, rows.task, rows.classes)
        scored = [_ask_all(policy, maker, rows, shots) for shots in settings.shots]
        np.savez(
            folder / f"{number:03d}.npz",
            # (shots, rows, answers); a row with fewer answers than the longest list ends in -inf
            logps=np.stack([logps for logps, _, _ in scored]),
            tokens=np.stack([tokens for _, tokens, _ in scored]),
            labels=np.array([example.label for example in rows.test]),
            # related rows are right or wrong together, so that intervals draw them together
            groups=cluster_codes([group_of(example) for example in rows.test]),
        )
        tasks.append({"task": rows.task, "counts": [counts for _, _, counts in scored]})
    return {"tasks": tasks}


def _ask_all(policy: Policy, maker: PromptMaker, rows: TaskRows, shots: int) -> tuple[Logps, Logps, dict[str, int]]:
    """Return logps and numbers of tokens of the answers, shape (rows, answers), and what was cut."""
    pool = ShotPool(rows.train)
    fitted = [maker.fitted(example, pool, shots) for example in rows.test]
    rendered = [row.rendered for row in fitted]
    width = max(len(row.branches) for row in rendered)
    logps, tokens = np.full((len(fitted), width), -np.inf), np.ones((len(fitted), width))
    # the tokens of the prompts that are forwarded: answers of a few tokens hardly count
    with progress_bar(
        f"{rows.task}, {shots} examples", sum(len(row.prompt_ids) for row in rendered), "tokens"
    ) as advance:
        budget = token_budget(policy.scorer.device, rendered)
        scores = score(policy.scorer, rendered, budget=budget, progress=advance)
    if not all(bool(row_scores.isfinite().all()) for row_scores in scores):
        raise RunError(f"{rows.task}: logps are not finite: the run has diverged, lower `learning_rate`")
    for number, (row, row_scores) in enumerate(zip(rendered, scores, strict=True)):
        logps[number, : len(row_scores)] = row_scores.numpy()
        tokens[number, : len(row_scores)] = [branch.scored for branch in row.branches]
    cut, left_out = sum(row.is_cut for row in fitted), sum(row.left_out for row in fitted)
    return logps, tokens, {"cut": cut, "examples_left_out": left_out}
