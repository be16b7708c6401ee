"""The numbers of a round, and a judge that always says the same."""

from __future__ import annotations

from typing import Any

import pytest

from penchant.rewards.rubric import Judgement
from penchant.rounds.pairs import Compared
from penchant.rounds.self_rewarding.numbers import answer_lengths, draw_numbers, near_sameness, sameness, score_numbers
from penchant.rounds.self_rewarding.scorers import compare_rated
from penchant.types import Comparison, PromptGroup, Response

GROUPS = [PromptGroup("p", ["good", "bad"]), PromptGroup("q", ["x", "y"])]


def test_one_score_for_every_answer_is_named() -> None:
    assert sameness(compare_rated(GROUPS, [3.0] * 4)) == "it gives each of 4 answers the score 3"
    assert sameness(compare_rated(GROUPS, [3.0, 3.0, 2.0, 2.0])) == ""  # it tells prompts apart
    assert sameness(compare_rated(GROUPS, [3.0, None, None, None])) == ""


def test_equal_answers_are_no_reason_to_call_a_judge_blind() -> None:
    group = PromptGroup("p", [Response("same", (1,)), Response("same", (2,))])
    assert sameness(compare_rated([group], [1.0, 1.0])) == ""


def test_a_judge_that_prefers_nothing_is_named() -> None:
    assert sameness(Compared(GROUPS)) == "it prefers no answer to another, for each of 2 prompts"
    assert sameness(Compared([GROUPS[0].replace(comparisons=[Comparison(0, 1)]), GROUPS[1]])) == ""
    assert sameness(Compared(GROUPS[:1])) == ""  # of one prompt alone it may be right


def test_scores_are_counted() -> None:
    row: dict[str, Any] = score_numbers(compare_rated(GROUPS, [3.0, 1.0, None, 3.0]))
    assert (row["scored"], row["unscored"], row["distinct"]) == (3, 1, 2)
    assert row["mean"]["value"] == pytest.approx(7 / 3)
    assert score_numbers(Compared([], 4))["mean"] is None


def test_draws_are_counted_by_score_and_by_reason() -> None:
    row: dict[str, Any] = draw_numbers(
        [Judgement(3.5, (3.0, 4.0)), Judgement(None, (None, None), ("it is empty", "it names no score"))]
    )
    assert row == {
        "draws": 4,
        "unread": 2,
        "scores": {"3": 1, "4": 1},
        "reasons": {"it is empty": 1, "it names no score": 1},
    }
    assert near_sameness(row) == ""
    assert "the score 3 in 39 of 40" in near_sameness({"scores": {"3": 39, "4": 1}})
    assert near_sameness({"scores": {}}) == ""


def test_lengths_are_those_of_drawn_tokens_and_of_the_pairs() -> None:
    responses = [Response("a b", (1, 2, 3), count=3), Response("c", (4,))]
    row: dict[str, Any] = answer_lengths([PromptGroup("p", responses, [Comparison(0, 1)])])
    assert row["tokens"]["value"] == pytest.approx((3 * 3 + 1) / 4)
    assert row["chosen_longer_by"]["value"] == 2
    assert answer_lengths([PromptGroup("p")]) == {"tokens": None, "chosen_longer_by": None}
