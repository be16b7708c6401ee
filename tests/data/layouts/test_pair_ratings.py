"""Ratings, differences and verdicts beside a pair: they agree with its order, make it a tie, or refuse it by name."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from penchant.data.check import check_preferences
from penchant.data.load import load_preferences, read_preferences
from penchant.errors import InputError
from penchant.types import Comparison

PAIR = {"prompt": "Name a river.", "chosen": "The Po.", "rejected": "The moon."}
OTHER = {"prompt": "Name a hill.", "chosen": "The Etna.", "rejected": "The sea."}


def save(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def refusal(folder: Path, *rows: dict[str, Any]) -> str:
    with pytest.raises(InputError) as caught:
        load_preferences(save(folder, *rows))
    assert "a.jsonl:1" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("score_w", "score_l"),
        ("winner_score", "loser_score"),
        ("reward_win", "reward_lose"),
        ("preferredRating", "dispreferredRating"),
        ("score_pos", "score_neg"),
        ("better_quality", "worse_quality"),
    ],
)
def test_ratings_under_other_names_of_the_two_sides(tmp_path: Path, good: str, bad: str) -> None:
    (group,) = load_preferences(save(tmp_path, PAIR | {good: 5, bad: 1}))
    assert group.scores == (5.0, 1.0)
    assert f"field {good!r} (1) is below field {bad!r} (5)" in refusal(tmp_path, PAIR | {good: 1, bad: 5})


def test_ratings_of_both_sides_in_one_object_and_as_fractions(tmp_path: Path) -> None:
    (group,) = load_preferences(save(tmp_path, PAIR | {"scores": {"chosen": 5, "rejected": 1}}))
    assert group.scores == (5.0, 1.0)
    message = refusal(tmp_path, PAIR | {"scores": {"chosen": 1, "rejected": 5}})
    assert "field 'scores[chosen]' (1) is below field 'scores[rejected]' (5)" in message
    assert "data.columns={scores: null}" in message
    commas = {"score_chosen": "1,5", "score_rejected": "2,5"}
    assert "(1.5) is below" in refusal(tmp_path, PAIR | commas)
    assert "(0.2) is below" in refusal(tmp_path, PAIR | {"chosen-rating": "1/5", "rejected-rating": "4/5"})


def test_ratings_that_are_decimals_in_parquet(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    rated = PAIR | {"score_chosen": Decimal("1.5"), "score_rejected": Decimal("2.5")}
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([rated]), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"'score_chosen' \(1.5\) is below field 'score_rejected' \(2.5\)"):
        load_preferences(tmp_path / "a.parquet")
    labels = [{"prompt": "q", "completion": text, "label": Decimal(text)} for text in "01"]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(labels), tmp_path / "b.parquet")
    assert [group.scores for group in load_preferences(tmp_path / "b.parquet", merge=False)] == [(0.0,), (1.0,)]


@pytest.mark.parametrize("name", ["margin", "score_diff", "rating_difference", "reward_margin", "scoreDelta"])
def test_a_negative_difference_contradicts_the_order(tmp_path: Path, name: str) -> None:
    assert f"field {name!r} (-2) is below 0" in refusal(tmp_path, PAIR | {name: -2}, OTHER | {name: 1})
    (group,) = load_preferences(save(tmp_path, PAIR | {name: 1.5}))
    assert group.comparisons == (Comparison(0, 1),)
    (left_out,) = load_preferences(save(tmp_path, PAIR | {name: -2}), columns={name: None})
    assert left_out.comparisons == (Comparison(0, 1),)


def test_a_difference_of_nothing_is_a_tie_but_a_margin_of_nothing_is_none(tmp_path: Path) -> None:
    (group,) = load_preferences(save(tmp_path, PAIR | {"score_diff": 0}), ties="half")
    assert group.comparisons == (Comparison(0, 1, tie=True),)
    (margin,) = load_preferences(save(tmp_path, PAIR | {"margin": 0}))
    assert margin.comparisons == (Comparison(0, 1),)


@pytest.mark.parametrize(
    "verdict", [{"status": "tie"}, {"winner": "Tie"}, {"human_preference": "tie (bothbad)"}, {"label": "equal"}]
)
def test_a_tie_in_words_is_one(tmp_path: Path, verdict: dict[str, str]) -> None:
    path = save(tmp_path, PAIR | verdict, OTHER)
    with pytest.raises(InputError, match="1 of 2 comparisons are ties"):
        load_preferences(path)
    assert [group.comparisons[0].tie for group in load_preferences(path, ties="half")] == [True, False]


def test_a_category_of_ties_is_no_verdict(tmp_path: Path) -> None:
    (group,) = load_preferences(save(tmp_path, PAIR | {"category": "tie"}))
    assert not group.comparisons[0].tie


@pytest.mark.parametrize("verdict", [{"preference": "rejected"}, {"status": "discarded"}, {"winner": "loser"}])
def test_a_verdict_against_the_order_is_refused(tmp_path: Path, verdict: dict[str, str]) -> None:
    (name,) = verdict
    assert f"field {name!r} says {verdict[name]!r}" in refusal(tmp_path, PAIR | verdict)


@pytest.mark.parametrize(
    "beside",
    [
        {"flipped": True},
        {"label": 0},
        {"is_valid": False},
        {"rating": [1, 5]},
        {"chosen_rank": 2, "rejected_rank": 1},
        {"chosen_helpfulness": 1, "rejected_helpfulness": 4},
        {"margin": [-1]},
        {"weight": 0},
        {"winner": 1},
        {"preferred": 2},
        {"winner": "model_b"},
        {"better": "B"},
    ],
)
def test_what_judges_and_is_not_read_is_told(tmp_path: Path, beside: dict[str, Any]) -> None:
    path = save(tmp_path, PAIR | beside)
    name = next(iter(beside))
    for sentences in (read_preferences(path).warnings, check_preferences(path).problems):
        assert any(f"columns that judge and are not read: {name}" in sentence for sentence in sentences)
    columns = dict.fromkeys(beside, None)
    assert read_preferences(path, columns=columns).warnings == ()


def test_a_rating_beside_a_label_is_told(tmp_path: Path) -> None:
    rows = [{"prompt": "q", "completion": text, "label": text == "a", "rating": 1} for text in "ab"]
    assert "judge and are not read: rating" in read_preferences(save(tmp_path, *rows)).warnings[0]


@pytest.mark.parametrize(
    "beside", [{"chosen_length": 3, "rejected_length": 9}, {"reference_chosen_logps": -3.5}, {"id": 4}, {"turn": 1}]
)
def test_what_counts_or_identifies_is_not(tmp_path: Path, beside: dict[str, Any]) -> None:
    assert read_preferences(save(tmp_path, PAIR | beside)).warnings == ()


def test_a_place_below_nought_is_no_place(tmp_path: Path) -> None:
    row = {"prompt": "q", "responses": ["x", "y", "z"], "ranks": [1, -1, 2]}
    assert "field 'ranks[1]': -1 is no place" in refusal(tmp_path, row)
