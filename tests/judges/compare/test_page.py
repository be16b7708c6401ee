"""The page of `penchant judge`: its numbers, temperatures, hostile text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penchant.errors import RunError
from penchant.judges.compare.page import judge_page, judge_pictures
from penchant.judges.compare.results import JudgeResults
from penchant.judges.compare.words import findings, headline, terminal_lines
from penchant.typed_json import from_json

HOSTILE = '<script>alert(1)</script> \u202egnp & "quotes" </div> $\\frac{ {{ 7 * 7 }}'


def about(value: float, n: int = 40) -> dict[str, Any]:
    return {"value": value, "low": max(value - 0.1, 0.0), "high": min(value + 0.1, 1.0), "n": n, "clusters": 20}


def rates(value: float) -> dict[str, Any]:
    parts = {"wins": value - 0.1, "ties": 0.2, "losses": 0.85 - value, "unparseable": 0.05}
    return {"rate": about(value), "high": about(value + 0.05), **{key: about(part) for key, part in parts.items()}}


def made_up_numbers(
    names: tuple[str, ...] = ("dpo", "ppo"), temperatures: tuple[float, ...] = (), **changes: Any
) -> Any:
    """Numbers as `judge` writes them."""
    methods = {}
    for place, name in enumerate(names):
        for temperature in temperatures or (None,):
            key = name if temperature is None else f"{name} at {temperature:g}"
            methods[key] = {
                "run": name,
                "temperature": temperature,
                "win_rate": rates(0.6 - 0.2 * place - 0.1 * (temperature or 0)),
                "length_controlled": None if temperature == 0 else about(0.45),
                "first_place": about(0.55),
                "flipped": None,
                "tokens": 5000,
                "seconds": 75.0,
                "warnings": [],
            }
    return {
        "method": "judge",
        "level": 0.95,
        "config": {
            "responses": list(names),
            "against": "ref.jsonl",
            "temperatures": list(temperatures),
            "orders": "both",
            "judge": {"name": "endpoint", "model": "m", "base_url": None},
        },
        "against": "ref.jsonl",
        "prompts": 20,
        "methods": methods,
        "baselines": {name: {key: rates(0.3) for key in methods} for name in ("longest", "random")},
        "tests": [{"one": "dpo", "other": "ppo", "difference": about(0.2), "p": 0.0004, "p_holm": 0.012}],
        "examples": {key: [] for key in methods},
        "provenance": {"seed": None, "versions": {"penchant": "0.3.0"}},
    } | changes


def made_up(*names: Any, **changes: Any) -> JudgeResults:
    return from_json(JudgeResults, made_up_numbers(*names, **changes))


def test_the_page_has_the_numbers(tmp_path: Path) -> None:
    judge_page(made_up(), tmp_path)
    html = (tmp_path / "report.html").read_text()
    for words in (
        "dpo wins 60% [50%, 70%] against ref.jsonl.",
        "40 pairs each, of 20 prompts; a tie is half a win.",
        "if the longer one won",
        "dpo minus ppo",
        "p &lt; 0.001",
        "p 0.012",
        "10,000 tokens, 2 min 30 s of waiting",
        "endpoint, model m",
        "Intervals are 95% and resample prompts.",
        "versions.penchant",
    ):
        assert words in html
    assert (tmp_path / "figures" / "wins.png").stat().st_size > 5000
    assert "Worth a look" not in html


def test_temperatures_are_a_line_a_run(tmp_path: Path) -> None:
    numbers = made_up(temperatures=(0.0, 0.5, 1.0))
    assert list(judge_pictures(numbers)) == ["temperatures", "equal-lengths", "longest"]
    assert headline(numbers)[0] == (
        "dpo wins 50% [40%, 60%] (temperature 1) to 60% [50%, 70%] (temperature 0) against ref.jsonl."
    )
    judge_page(numbers, tmp_path)
    html = (tmp_path / "report.html").read_text()
    assert html.count('<svg class="swatch') == 2
    assert "ppo at 0.5" in html
    assert "responses are the same at every temperature. Only those of the runs" in html
    assert list(judge_pictures(replace(numbers, baselines={}))) == ["temperatures", "equal-lengths"]


def test_pairs_stand_side_by_side_with_what_the_judge_said_in_each_order(tmp_path: Path) -> None:
    pair = {"outcome": "b", "prompt": "Who?", "a": "Ann.", "b": "", "said": "Verdict: B", "said_swapped": "Verdict: A"}
    silent = pair | {"outcome": "unparseable", "said": "", "said_swapped": ""}
    judge_page(made_up(examples={"dpo": [pair, silent]}), tmp_path)
    html = (tmp_path / "report.html").read_text()
    assert html.index("dpo: lost") < html.index("Ann.") < html.index("(empty)") < html.index("Verdict: B")
    assert html.index("Verdict: B") < html.index("The judge, of the right one as A") < html.index("Verdict: A")
    assert html.count("The judge, of the left one as A") == 1
    assert "dpo: no verdict" in html


def test_the_first_lines_name_the_judge_and_the_task(tmp_path: Path) -> None:
    numbers = made_up_numbers()
    numbers["config"]["judge"] = {"name": "endpoint", "model": "m", "max_tokens": 64, "base_url": None}
    judge_page(from_json(JudgeResults, numbers), tmp_path)
    about = (tmp_path / "report.html").read_text().partition('class="about"')[2].partition("</dl>")[0]
    assert "<dt>Task</dt><dd><bdi>ask a judge whose responses win</bdi></dd>" in about
    assert "endpoint, model m, max tokens 64" in about


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    """In names, prompts, responses, verdicts, warnings and settings."""
    pair = dict.fromkeys(("prompt", "a", "b", "said", "said_swapped"), HOSTILE) | {"outcome": "a"}
    numbers = made_up_numbers(
        (HOSTILE, "ppo"), against=HOSTILE, examples={HOSTILE: [pair]}, provenance={"command": HOSTILE}
    )
    numbers["methods"][HOSTILE]["warnings"] = [HOSTILE]
    numbers["config"] |= {"against": HOSTILE, "judge": {"name": HOSTILE}}
    numbers["tests"][0]["one"] = HOSTILE
    for one in (numbers, numbers | {"methods": {HOSTILE: numbers["methods"][HOSTILE] | {"temperature": 0.5}}}):
        judge_page(from_json(JudgeResults, one), tmp_path)
        html = (tmp_path / "report.html").read_text()
        assert html.count("<script") == 1  # ours, which saves figures
        assert "\u202e" not in html
        assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 10
        assert html.count("</div>") == html.count("<div")
        assert "{{ 7 * 7 }}" in html
    assert not any("\u202e" in line for line in terminal_lines(from_json(JudgeResults, numbers)))


def test_findings_say_only_what_was_done() -> None:
    quiet = made_up(tests=[], baselines={})
    quiet.config["orders"] = "one"
    told = " ".join(findings(quiet))
    assert "in one order only" in told
    assert "coin" not in told
    assert "Holm" not in told
    assert "temperature" not in told
    assert "coin" in " ".join(findings(made_up()))


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "figures").write_text("in the way")
    with pytest.raises(RunError, match="cannot write to"):
        judge_page(made_up(), tmp_path)
