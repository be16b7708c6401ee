"""The page of raters' agreement: its numbers, its sentences, hostile text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penchant.errors import RunError
from penchant.raters import agreement_figures
from penchant.raters import agreement_page as page
from penchant.raters.agreement_figures import MOST_RATERS
from penchant.raters.results import Agreement
from penchant.reports.kit.canvas import Picture
from penchant.typed_json import from_json

HOSTILE = '<script>alert(1)</script> \u202egnp & "quotes" </div> $\\frac{'


def agreement_page(numbers: dict[str, Any], folder: Path) -> None:
    page.agreement_page(from_json(Agreement, numbers), numbers["provenance"], folder)


def agreement_pictures(numbers: dict[str, Any]) -> dict[str, Picture]:
    return agreement_figures.agreement_pictures(from_json(Agreement, numbers))


def headline(numbers: dict[str, Any]) -> list[str]:
    return page.headline(from_json(Agreement, numbers))


def findings(numbers: dict[str, Any]) -> list[str]:
    return page.findings(from_json(Agreement, numbers))


def about(value: float | None, n: int = 60, reason: str = "") -> dict[str, Any]:
    ends = (None, None) if value is None else (value - 0.1, value + 0.1)
    return {"value": value, "low": ends[0], "high": ends[1], "n": n, "clusters": 30, "reason": reason}


def both(raw: float | None, kappa: float | None) -> dict[str, Any]:
    return {"raw": about(raw), "kappa": about(kappa, reason="both say one and the same thing")}


def agreed(value: float) -> dict[str, Any]:
    return {"comparisons": 30, "prompts": 15, "agreement": about(value), "alpha": about(value - 0.2)}


def made_up(names: tuple[str, ...] = ("Ann", "Bob", "Cleo"), **changes: Any) -> dict[str, Any]:
    """Numbers as `agree` writes them."""
    raters = [
        {
            "name": name,
            "kind": "rater",
            "judged": 60 - place,
            "ties": 3,
            "longer": about(0.7),
            "first_shown": None,
            "majority": both(0.9, 0.8),
            "left_out": both(0.8, 0.6),
        }
        for place, name in enumerate(names)
    ]
    return {
        "method": "agree",
        "files": ["prefs.jsonl"],
        "provenance": {"command": f"penchant agree {HOSTILE}", "versions": {"penchant": "0.3"}, "seed": None},
        "people_files": [],
        "level": 0.9,
        "raters": raters,
        "comparisons": 70,
        "shared": 60,
        "prompts": 30,
        "skipped_rows": 4,
        "alike": 0,
        "contradicted": 2,
        "pairs": [
            {"one": one, "other": other, **both(0.75, -0.2)} for i, one in enumerate(names) for other in names[i + 1 :]
        ],
        "alpha": about(0.55),
        "alpha_people": None,
        "lengths": [
            {"least": 0, "most": 10, **agreed(0.6)},
            {"least": 11, "most": 1500, **agreed(0.8)},
        ],
        "orders": None,
        "topics": None,
        "human_study": None,
        "disagreements": [],
    } | changes


def test_the_page_has_the_numbers(tmp_path: Path) -> None:
    agreement_page(made_up(), tmp_path)
    html = (tmp_path / "report.html").read_text()
    for words in (
        "3 raters agree with a Krippendorff&#39;s alpha of 0.55 [0.45, 0.65].",
        "60 comparisons of 30 prompts judged by two or more",
        "Ann – Bob",
        "11 to 1,500",
        "4 rows that cannot be used",
        "2 times that somebody judged one comparison twice",
        "Intervals are 90% and resample prompts.",
    ):
        assert words in html


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    divided = {
        "prompt": HOSTILE,
        "responses": [HOSTILE, "x" * 3000],
        "models": [HOSTILE, "b"],
        "said": {HOSTILE: "first", "Bob": "tie"},
    }
    agreement_page(made_up((HOSTILE, "Bob"), files=[HOSTILE], disagreements=[divided]), tmp_path)
    html = (tmp_path / "report.html").read_text()
    assert html.count("<script") == 1  # ours, which saves figures
    assert "\u202e" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "preferred by nobody" in html
    assert "a tie for Bob" in html
    assert "the rest of the response" in html


def test_what_is_undefined_is_a_dash_with_its_reason(tmp_path: Path) -> None:
    numbers = made_up(alpha=about(None, reason="everybody says the same"))
    numbers["pairs"][0] |= both(1.0, None)
    numbers["raters"][0]["longer"] = None
    assert headline(numbers)[0] == "Krippendorff's alpha is undefined: everybody says the same."
    agreement_page(numbers, tmp_path)
    assert ">–</td>" in (tmp_path / "report.html").read_text()


def test_who_leans_to_a_length_is_named() -> None:
    numbers = made_up()
    numbers["raters"][1]["longer"] = about(0.2)
    numbers["raters"][2]["longer"] = about(0.55)
    said = " ".join(findings(numbers))
    assert "Ann leans to the longer response" in said
    assert "Bob leans to the shorter response" in said
    assert "Cleo leans" not in said


@pytest.mark.slow
def test_many_raters_are_cut_and_said_to_be(tmp_path: Path) -> None:
    numbers = made_up(tuple(f"rater {n}" for n in range(MOST_RATERS + 3)))
    pictures = agreement_pictures(numbers)
    assert pictures["kappa"].title == f"Cohen's kappa: the {MOST_RATERS} who judged most"
    assert "rater 14" not in pictures["kappa"].svg
    agreement_page(numbers, tmp_path)
    assert "pairs with fewer in common are in agree.json" in (tmp_path / "report.html").read_text()


def test_where_they_disagree(tmp_path: Path) -> None:
    rows = [{"topic": topic, **agreed(0.7)} for topic in (HOSTILE, "maths", None)]
    numbers = made_up(
        orders={"same": about(0.8), "opposite": about(0.6)},
        topics={"field": "category", "left_out": 4, "rows": rows},
    )
    numbers["raters"][0]["first_shown"] = about(0.9)
    numbers["raters"][1]["first_shown"] = about(0.1)
    agreement_page(numbers, tmp_path)
    html = (tmp_path / "report.html").read_text()
    assert html.count("<script") == 1  # ours, which saves figures
    for words in (
        "By topic: the rows&#39; field category.",
        "4 others",
        "in the same order",
        "in opposite orders",
        "prefers the first shown",
        "Ann leans to the response shown first",
        "Bob leans to the response shown second",
        "Of 3 topics some lie apart by chance alone",
    ):
        assert words in html
    assert (tmp_path / "figures" / "topics.png").exists()
    numbers["topics"] = {"field": None, "left_out": 0, "rows": rows}
    agreement_page(numbers, tmp_path)
    html = (tmp_path / "report.html").read_text()
    assert "No field says what the prompts are about" in html
    assert "not said" in html


def test_one_difference_in_length_makes_no_figure() -> None:
    assert "lengths" not in agreement_pictures(made_up(lengths=made_up()["lengths"][:1]))


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "figures").write_text("a file in the way")
    with pytest.raises(RunError, match="cannot write to"):
        agreement_page(made_up(), tmp_path)
