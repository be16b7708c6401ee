"""Fill the tables of the page of runs with what tasks and benchmarks from outside found."""

from __future__ import annotations

from dataclasses import dataclass

from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import DASH, count, format_estimate
from penchant.runs.evaluations import OutsideEvaluation, OutsideScore
from penchant.runs.read import Run

TITLES = {"lm-eval": "lm-eval", "rewardbench": "RewardBench", "rewardbench2": "RewardBench 2"}


@dataclass(frozen=True)
class OutsideTables:
    """The tables of one evaluation: its numbers, and the tasks as they were asked."""

    title: str
    sentence: str
    scores: Table
    tasks: Table | None
    notes: tuple[str, ...]


def outside_tables(run: Run) -> list[OutsideTables]:
    """Return the tables of every evaluation of a run from outside."""
    return [_tables(evaluation) for evaluation in run.outside]


def change_words(score: OutsideScore) -> str:
    """Return the change, of shares in points of percent, with the sign and the interval."""
    change = score.change
    if change is None or change.value is None:
        return DASH
    scale, unit, decimals = (100, " points", 1) if score.is_share else (1, "", 3)
    text = f"{scale * change.value:+.{decimals}f}{unit}"
    if change.low is None or change.high is None:
        return f"{text} ({change.reason or 'no interval'})"
    return f"{text} [{scale * change.low:+.{decimals}f}, {scale * change.high:+.{decimals}f}]"


def _tables(evaluation: OutsideEvaluation) -> OutsideTables:
    # columns that no number fills would be dashes from top to bottom
    has_before = any(score.before for score in evaluation.scores)
    heads = ("Task", "Metric", "After", *(("Before", "Change", "Which is") if has_before else ()))
    rows = tuple(_row(score, has_before) for score in evaluation.scores)
    units = "documents" if evaluation.benchmark == "lm-eval" else "prompts"
    caption = f"With 95% intervals over {units}{'; the change is paired' if has_before else ''}."
    task_table = Table(
        "The tasks as they were asked.",
        ("Task", "Version", "Examples", "Documents", "Digest"),
        tuple(
            (
                task.name,
                task.version or DASH,
                DASH if task.few_shot is None else str(task.few_shot),
                f"{task.used:,} of {task.documents:,}",
                task.digest[:12],
            )
            for task in evaluation.tasks
        ),
    )
    return OutsideTables(
        TITLES.get(evaluation.benchmark, evaluation.benchmark),
        _sentence(evaluation),
        Table(caption, heads, rows),
        task_table if evaluation.tasks else None,
        evaluation.notes,
    )


def _row(score: OutsideScore, has_before: bool) -> tuple[str, ...]:
    after = format_estimate(score.after, percent=score.is_share)
    if not has_before:
        return score.task, score.metric, after
    before = format_estimate(score.before, percent=score.is_share) if score.before else DASH
    return score.task, score.metric, after, before, change_words(score), score.verdict if score.change else DASH


def _sentence(evaluation: OutsideEvaluation) -> str:
    """Return how many numbers an evaluation tells apart from those before training."""
    changes = [score for score in evaluation.scores if score.change is not None]
    if not changes:
        return f"{count(len(evaluation.scores), 'number')} of {evaluation.model}, compared with nothing."
    tally = {word: sum(score.verdict == word for score in changes) for word in ("better", "worse", "changed")}
    parts = [f"{number} {word}" for word, number in tally.items() if number] or ["none is told apart"]
    return (
        f"{count(len(changes), 'number')} of {evaluation.model} beside {evaluation.before}: {', '.join(parts)} by its "
        "95% interval."
    )
