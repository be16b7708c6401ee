"""The design on real preferences: rows that begin alike stay together, and its power is that of the textbook."""

from __future__ import annotations

import pytest
import real_preferences

import penchant as pt


def conversation(number: int, first: str) -> pt.PromptGroup:
    turns = [pt.Message("user", first), pt.Message("assistant", "Yes?"), pt.Message("user", f"question {number}")]
    return pt.PromptGroup(turns, ["a", "b"], [pt.Comparison(0, 1)])


def test_conversations_that_begin_alike_are_on_one_side_and_none_is_lost() -> None:
    groups = [conversation(number, f"{'Hello ' if number % 2 else 'hello'}  {number // 4}") for number in range(80)]
    sides = real_preferences.split(groups, test=20, validation=10)
    assert sum(map(len, sides.values())) == 80
    assert len(sides["test"]) >= 20
    assert len(sides["validation"]) >= 10
    first_turns = [{real_preferences.first_turn(group) for group in rows} for rows in sides.values()]
    assert not first_turns[0] & first_turns[1]
    assert not first_turns[0] & first_turns[2]
    assert not first_turns[1] & first_turns[2]
    assert real_preferences.split(groups[::-1], test=20, validation=10).keys() == sides.keys()


def test_the_smallest_effect_is_that_of_a_test_of_a_proportion() -> None:
    # (1.96 + 0.842) * sqrt(0.25 / 400), by hand
    assert real_preferences.smallest_visible_effect(400) == pytest.approx(0.07005)
    assert real_preferences.smallest_visible_effect(400, tests=2) > real_preferences.smallest_visible_effect(400)


def test_the_interval_of_one_test_is_wilsons() -> None:
    # 60 of 100: [0.5020, 0.6906], Wilson 1927
    assert real_preferences.shared_interval(0.6, 100, 1) == pytest.approx((0.5020, 0.6906), abs=1e-4)


def estimate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.04, "high": value + 0.04, "n": 500}


def test_a_null_result_is_printed_with_the_effect_that_could_have_been_seen() -> None:
    row = {"held out": {"accuracy": estimate(0.54), "longest_wins": estimate(0.45)}, "rate": 1e-4, "search runs": 2}
    clear = row | {"held out": {"accuracy": estimate(0.58), "longest_wins": estimate(0.45)}}
    first, second, effect = real_preferences.lines_of({"reward_model": row, "dpo": clear})
    assert "not told from one half" in first
    assert "above one half" in second
    assert effect.endswith("0.069 from one half")
