"""The page of a study of annotators: its numbers, its sentences, hostile text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from penchant.studies.annotators.page import findings, headline
from penchant.studies.annotators.summary import AnnotatorsSummary
from penchant.typed_json import from_json

HOSTILE = '<script>alert(1)</script> \u202egnp & "quotes" </div>'


def about(value: float, half: float = 0.02) -> dict[str, Any]:
    return {"value": value, "low": value - half, "high": value + half, "n": 600, "clusters": 40}


def row(**agreement: float | None) -> dict[str, Any]:
    told = {"others": 0.8, "longer": 0.6, "dpo": 0.61, "reward_model": 0.7, **agreement}
    return {
        "comparisons": 240,
        "prompts": 120,
        "agreement": {name: None if value is None else about(value) for name, value in told.items()},
        "differences": [
            {"one": one, "other": other, "difference": about(told[one] - told[other])}
            for one in ("dpo", "reward_model")
            for other in ("others", "longer")
            if told[one] is not None
        ],
    }


def made_up(**agreement: float | None) -> dict[str, Any]:
    """Numbers as the summary writes them."""
    judges = [
        {"name": "dpo", "label": "DPO (implicit reward)"},
        {"name": "reward_model", "label": "Reward model"},
    ]
    rows = [{"annotator": name, "trained_on": 560, **row(**agreement)} for name in ("Ann", "Bob")]
    return {
        "study": "annotators",
        "config": {"model": {"name": "penchant-0.5m"}, "data": {"path": "pandalm.json"}},
        "annotators": ["Ann", "Bob"],
        "seeds": [0],
        "too_long": 7,
        "skipped_rows": 3,
        "judges": judges,
        "rows": rows,
        "all": row(**agreement),
        "failures": [],
        "cost": {"seconds": 300.0},
        "provenance": {"machine": {"cpu": "AMD EPYC", "cores": 2}},
    }


def read(numbers: dict[str, Any]) -> AnnotatorsSummary:
    return from_json(AnnotatorsSummary, numbers)


def test_the_page_has_the_numbers(page: Callable[[dict[str, Any]], str], tmp_path: Path) -> None:
    html = page(made_up())
    for words in (
        "Agreement with an annotator that no model learned from",
        "70%",
        "[68%, 72%]",
        "Ann",
        "all in turn",
        "560",
        "without 3 rows that cannot be used and 7 prompts",
    ):
        assert words in html, words
    assert "http" not in html.replace("http-equiv", "")
    assert [path.name for path in (tmp_path / "page-figures").iterdir()] == ["agreement.png"]


def test_hostile_text_does_nothing_and_what_is_missing_is_left_out(page: Callable[[dict[str, Any]], str]) -> None:
    numbers = json.loads(json.dumps(made_up()).replace('"Ann"', json.dumps(HOSTILE)))
    numbers["failures"] = [{"stage": HOSTILE, "reason": HOSTILE}]
    numbers["config"]["data"]["path"] = HOSTILE
    html = page(numbers)
    assert html.count("<script") == 1  # ours, which saves figures
    assert "\u202e" not in html
    empty = {"comparisons": 0, "prompts": 0, "agreement": dict.fromkeys(("others", "longer", "dpo", "reward_model"))}
    numbers |= {"rows": [], "all": {**empty, "differences": []}, "provenance": {}}
    assert "No model was judged yet." in page(numbers)


def test_sentences_go_as_far_as_the_intervals() -> None:
    said = " ".join([*headline(read(made_up())), *findings(read(made_up()))])
    assert (
        "DPO (implicit reward) 61% [59%, 63%] and Reward model 70% [68%, 72%]. For comparison: the other annotators 80%"
        in said
    )
    assert "240 comparisons on 120 held-out prompts, 1 seed" in said
    assert "Reward model agrees less than the other annotators do (−10 [−12, −8] percentage points" in said
    assert "Reward model agrees more than a rule that picks the longer response (+10" in said
    assert "DPO (implicit reward) agrees neither clearly more nor less than a rule" in said
    assert "A rule that picks the longer response agrees with Ann in 60% [58%, 62%]." in said
    assert "guessing" not in said
    assert "Reward model cannot be told apart from guessing (51%" in " ".join(
        findings(read(made_up(reward_model=0.51)))
    )
    assert "DPO" not in " ".join(findings(read(made_up(dpo=None))))
