"""Say in lines what an evaluation found. Imports no torch."""

from __future__ import annotations

from penchant.reports.kit.text import format_estimate
from penchant.reports.run.outside import change_words
from penchant.runs.evaluations import OutsideEvaluation, OutsideScore


def terminal_lines(evaluation: OutsideEvaluation) -> list[str]:
    """Return a line per number: after training, before it, and the difference with its interval."""
    return [*map(_line, evaluation.scores), *(f"note: {note}" for note in evaluation.notes)]


def _line(score: OutsideScore) -> str:
    text = f"{score.task}, {score.metric}: {format_estimate(score.after, percent=score.is_share)}"
    if score.before is None or score.change is None:
        return text
    before = format_estimate(score.before, percent=score.is_share)
    return f"{text}; before {before}; change {change_words(score)}"
