"""The page of strengths: its numbers, its sentences, hostile text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penchant.raters.ranking import page
from penchant.raters.ranking import words as ranking_words
from penchant.raters.ranking.page import MOST_ITEMS
from penchant.raters.ranking.results import Ranking
from penchant.typed_json import from_json

HOSTILE = "<script>alert(1)</script> \u202egnp $\\frac{"


def strengths_page(numbers: dict[str, Any], folder: Path) -> None:
    page.strengths_page(from_json(Ranking, numbers), numbers["provenance"], folder)


def headline(numbers: dict[str, Any]) -> list[str]:
    return ranking_words.headline(from_json(Ranking, numbers))


def findings(numbers: dict[str, Any]) -> list[str]:
    return ranking_words.findings(from_json(Ranking, numbers))


def made_up(names: tuple[str, ...] = ("one", "two"), **changes: Any) -> dict[str, Any]:
    """Numbers as `rank` writes them."""
    items = []
    for place, name in enumerate(names):
        strength = {"value": 0.5 - place, "low": 0.2 - place, "high": 0.8 - place, "n": 20, "clusters": 9}
        elo = {**strength, "value": 1087 - 174 * place, "low": 1035 - 174 * place, "high": 1139 - 174 * place}
        places = (place + 1, place + 1)
        share = {"value": 0.625, "low": 0.5, "high": 0.75, "n": 20, "clusters": 9}
        won = {"wins": 12.5, "losses": 7.5, "win_rate": share}
        items.append({"name": name, "strength": strength, "elo": elo, "places": places, **won})
    return {
        "method": "rank",
        "file": "prefs.jsonl",
        "provenance": {"command": f"penchant rank {HOSTILE}", "versions": {"penchant": "0.3"}, "seed": None},
        "by": "models",
        "fit": "bradley-terry",
        "prior": 0.0,
        "level": 0.95,
        "resampled": "prompts",
        "comparisons": 20,
        "rankings": None,
        "ties": 1,
        "clusters": 9,
        "skipped_rows": 3,
        "against_itself": 2,
        "unranked": 0,
        "unmet": [],
        "reason": "",
        "items": items,
        "wins": [[0.0 if one == other else 12.5 for other in names] for one in names],
    } | changes


def test_the_page_has_the_numbers(tmp_path: Path) -> None:
    strengths_page(made_up(), tmp_path)
    html = (tmp_path / "report.html").read_text()
    for words in (
        "2 models ranked by wins",
        "1. one",
        "1,087",
        "12.5 of 25",
        "share of wins",
        "62.5%",
        "3 rows that cannot be used",
        "resample prompts",
    ):
        assert words in html
    assert (tmp_path / "figures" / "strengths.png").read_bytes()[1:4] == b"PNG"


def test_every_column_has_a_head(tmp_path: Path) -> None:
    strengths_page(made_up(), tmp_path)
    html = (tmp_path / "report.html").read_text()
    assert '<th scope="col"></th>' not in html
    assert '<th scope="col">wins of</th>' in html


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    strengths_page(made_up((HOSTILE, "two"), file=HOSTILE), tmp_path)
    html = (tmp_path / "report.html").read_text()
    assert html.count("<script") == 1  # ours, which saves figures
    assert "\u202e" not in html


def test_the_headline_says_how_firm_the_first_place_is() -> None:
    numbers = made_up()
    assert headline(numbers)[0] == "one is the strongest: no other may be first, by these intervals."
    numbers["items"][1]["places"] = (1, 2)
    assert headline(numbers)[0] == "one comes first, but 1 other may be first as well."
    numbers["items"][0]["places"] = None
    assert "nobody knows how firmly" in headline(numbers)[0]


def test_a_prior_and_missing_intervals_are_told() -> None:
    said = " ".join(findings(made_up(prior=0.5, reason="one prompt tells nothing of the spread")))
    assert "virtual ties" in said
    assert "There are no intervals: one prompt tells nothing of the spread." in said


def test_rankings_and_annotators_say_what_their_strengths_are(tmp_path: Path) -> None:
    strengths_page(made_up(fit="plackett-luce", rankings=5, ties=0, unranked=4), tmp_path)
    html = (tmp_path / "report.html").read_text()
    for words in ("Plackett-Luce", "5 rankings, which are 20 comparisons", "4 rows that are no rankings"):
        assert words in html
    assert "half a win" not in html
    strengths_page(made_up(by="annotators", unmet=[HOSTILE]), tmp_path)
    html = (tmp_path / "report.html").read_text()
    for words in (
        "2 annotators ranked by agreement with the others",
        "20 times that of two annotators exactly one was with the majority of the others",
        "agrees with the others, which is not the same as being right",
        "annotators who met nobody",
    ):
        assert words in html
    assert html.count("<script") == 1  # ours, which saves figures


def test_many_models_are_cut_in_the_figure_and_all_in_the_table(tmp_path: Path) -> None:
    strengths_page(made_up(tuple(f"model {n}" for n in range(MOST_ITEMS + 2))), tmp_path)
    html = (tmp_path / "report.html").read_text()
    assert f"the strongest {MOST_ITEMS}" in html
    assert f"{MOST_ITEMS + 2}. model {MOST_ITEMS + 1}" in html
    assert "Who beat whom" not in html
