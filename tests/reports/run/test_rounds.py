"""The rounds of a run on its page: a row and a point per round, whatever the method is, and damage left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penchant.reports.run.figures import Picture
from penchant.reports.run.rounds import round_panels, round_table, stop_sentence
from penchant.runs.read import Run, read_runs
from penchant.studies.report import report


def estimate(value: float) -> dict[str, Any]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 20, "clusters": 20}


SPIN_ROW = {
    "samples": {"samples": 28},
    "before": {"real_logps": estimate(-18.0)},
    "pairs_learned": 28,
    "accuracy": estimate(0.8),
    "after": {"real_logps": estimate(-3.0), "kl_start": estimate(8.0)},
}
ITERATIVE_ROW = {
    "samples": {"samples": 32},
    "pairs_learned": 8,
    "policy": {"samples": {"policy": {"reward": estimate(0.3)}, "reference": {"reward": estimate(0.1)}}},
}
QUALITY = {"accuracy": estimate(0.6), "kappa": {**estimate(0.2)}, "takes_longer": estimate(0.7), "first_place": None}
SELF_REWARDING_ROW = {
    "samples": {"samples": 96},
    "prompts": {"drawn": 40, "new": 24, "distinct_2": 0.75, "fresh_2": None},
    "lengths": {"tokens": estimate(9.0), "chosen_longer_by": None},
    "scores": {"unscored": 3},
    "judge": QUALITY,
    "pairs_learned": 20,
}
SECONDS = [{"sampling": 3.0, "training": 6.0, "other": 1.0}]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Run]:
    def read(**result: Any) -> Run:
        (tmp_path / "config.yaml").write_text("method: spin\nrounds: 2\n")
        (tmp_path / "result.json").write_text(json.dumps({"method": "spin", "status": "done", **result}))
        return read_runs([tmp_path])[0]

    return read


def test_a_row_per_round_with_what_it_measured(run: Callable[..., Run]) -> None:
    last = {**SPIN_ROW, "accuracy": estimate(0.6), "pairs_learned": 56}
    table = round_table(run(rounds=[SPIN_ROW, last], round_seconds=[*SECONDS, *SECONDS]))
    assert table is not None
    assert table.columns[:4] == ("Round", "Samples", "Pairs", "Real told from generated")
    assert [row[:4] for row in table.rows] == [("1", "28", "28", "80% [70%, 90%]"), ("2", "28", "56", "60% [50%, 70%]")]
    assert table.rows[0][-2:] == ("10 s", "10%")
    assert "Reward" not in table.columns  # nobody measured one


def test_the_start_is_round_0_where_it_was_measured(run: Callable[..., Run]) -> None:
    spin = round_panels(run(rounds=[SPIN_ROW]))
    assert spin["round_real_logps"].series[0].x == (0, 1)
    assert spin["round_real_logps"].series[0].y == (-18, -3)
    assert "round_accuracy" not in spin  # one point alone shows no way
    iterative = round_panels(run(rounds=[ITERATIVE_ROW, ITERATIVE_ROW]))
    assert iterative["round_reward"].series[0].y == (0.1, 0.3, 0.3)
    both = round_panels(run(rounds=[SPIN_ROW, SPIN_ROW]))
    assert both["round_accuracy"].level == 0.5
    assert both["round_accuracy"].series[0].x == (1, 2)


def test_a_self_judge_has_its_worth_from_the_start_on(run: Callable[..., Run]) -> None:
    before = {"judge_before": {**QUALITY, "accuracy": estimate(0.5)}}
    read = run(rounds=[{**SELF_REWARDING_ROW, **before}, SELF_REWARDING_ROW])
    panels = round_panels(read)
    assert panels["round_judge"].series[0].y == (0.5, 0.6, 0.6)
    assert "round_judge_first" not in panels
    table = round_table(read)
    assert table is not None
    cells = dict(zip(table.columns, table.rows[0], strict=True))
    assert cells["New prompts"] == "24"
    assert cells["Distinct pairs of words in them"] == "75%"
    assert cells["Answers without a score"] == "3"
    assert cells["Length of answers"] == "9.00 [8.90, 9.10]"
    assert "of these unseen before" not in cells


def test_a_skipped_round_and_the_reason_of_the_end_are_said(run: Callable[..., Run]) -> None:
    stopped = run(rounds=[ITERATIVE_ROW, {"samples": {}, "skipped": "why"}], stop_reason="it is enough")
    table = round_table(stopped)
    assert table is not None
    assert table.rows[1][:3] == ("2", "–", "none: skipped")
    assert stop_sentence(stopped) == "Stopped after round 2: it is enough."
    assert stop_sentence(run(rounds=[SPIN_ROW])) == ""


def test_a_run_without_rounds_has_none_and_damage_is_left_out(run: Callable[..., Run]) -> None:
    assert round_table(run()) is None
    assert round_panels(run()) == {}
    damaged = run(
        rounds=[None, {**SPIN_ROW, "after": 3, "accuracy": {"value": "much"}}], round_seconds=[{"other": None}]
    )
    table = round_table(damaged)
    assert table is not None
    assert table.rows == (("1", "28", "28", "0.0 s", "–"),)


def test_the_page_has_a_section_of_rounds(
    run: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "penchant.reports.run.page.round_picture", lambda panel, _: Picture(panel.title, "<svg/>", b"", 4, 3)
    )
    run(rounds=[SPIN_ROW, SPIN_ROW], stop_reason="it is enough")
    page = report([tmp_path], tmp_path / "page.html").read_text()
    assert "Round by round" in page
    assert "Stopped after round 2: it is enough." in page
    assert "Likelihood of held-out real answers" in page
    assert "nothing to plot" not in page  # the lines are those of the rounds' own runs
    assert '<th scope="row" data-head="Round">1</th>' in page  # a phone shows no heads of columns
