"""What a run's page shows of evaluations from outside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from penchant.metrics.estimates import Coefficient
from penchant.reports.run.outside import change_words, outside_tables
from penchant.reports.run.page import runs_report
from penchant.runs.evaluations import OutsideEvaluation, OutsideScore, TaskRecord, read_evaluations, write_evaluation
from penchant.runs.read import read_runs


def measure(value: float, low: float | None, high: float | None, reason: str = "") -> Coefficient:
    return Coefficient(value, low, high, 40, 40, reason)


SCORE = OutsideScore(
    "sciq", "acc", measure(0.7, 0.6, 0.8), measure(0.5, 0.4, 0.6), measure(0.2, 0.05, 0.35), True, is_share=True
)
WORSE = OutsideScore("wiki", "perplexity", measure(9.0, None, None, "no mean"), measure(8.0, None, None, "no mean"),
                     measure(1.0, None, None, "no mean"), False)  # fmt: skip


def evaluation(*scores: OutsideScore, before: str = "base") -> OutsideEvaluation:
    task = TaskRecord("<b>sciq", "1.0", 2, 1000, 40, "a" * 64)
    return OutsideEvaluation(
        benchmark="lm-eval", model="run", before=before, scores=scores, tasks=(task,), notes=("<i>A note.",)
    )


def test_it_is_written_and_read_back(tmp_path: Path) -> None:
    write_evaluation(evaluation(SCORE, WORSE), tmp_path / "evaluations" / "lm-eval-1.json")
    assert read_evaluations(tmp_path) == ([evaluation(SCORE, WORSE)], [])


@pytest.mark.parametrize(
    "content", ["", "[]", '{"benchmark": "lm-eval"}', '{"benchmark": 3, "scores": [], "model": ""}']
)
def test_what_cannot_be_read_is_a_note(tmp_path: Path, content: str) -> None:
    (tmp_path / "evaluations").mkdir()
    (tmp_path / "evaluations" / "bad.json").write_text(content)
    evaluations, problems = read_evaluations(tmp_path)
    assert evaluations == []
    assert "evaluations/bad.json cannot be read" in problems[0]


def test_changes_have_their_unit_and_sign() -> None:
    assert change_words(SCORE) == "+20.0 points [+5.0, +35.0]"
    assert change_words(WORSE) == "+1.000 (no mean)"
    assert (SCORE.verdict, WORSE.verdict) == ("better", "no clear change")


@pytest.mark.slow
def test_the_page_has_it(tmp_path: Path, make_run: Callable[..., Path]) -> None:
    run = make_run()
    without = runs_report([run], tmp_path / "without.html").read_text()
    assert "Evaluated outside" not in without
    write_evaluation(evaluation(SCORE, WORSE), run / "evaluations" / "lm-eval-1.json")
    write_evaluation(evaluation(SCORE, before=""), run / "evaluations" / "lm-eval-2.json")
    page = runs_report([run], tmp_path / "page.html").read_text()
    assert "Evaluated outside" in page
    # foreign text stands there as text
    assert "&lt;b&gt;sciq" in page
    assert "&lt;i&gt;A note." in page
    assert "<b>sciq" not in page
    assert "70% [60%, 80%]" in page.replace('<span class="interval">', " ").replace("</span>", "").replace("  ", " ")
    (both,) = [part for part in outside_tables(read_runs([run])[0]) if len(part.scores.rows) == 2]
    assert both.sentence == "2 numbers of run beside base: 1 better by its 95% interval."
    assert both.scores.columns == ("Task", "Metric", "After", "Before", "Change", "Which is")
