"""On which side a rater saw a response."""

from __future__ import annotations

import pytest

from penchant.errors import InputError
from penchant.raters.sides import Judgment, judgments_with_side, row_order, shown_order
from penchant.types import Comparison, PromptGroup

ROW_LEFT, ROW_RIGHT = Judgment("first", True, False), Judgment("second", False, False)
RECORDED = Judgment("first", True, True)


def test_a_row_tells_its_side_only_where_the_pair_stands_there_both_ways_round() -> None:
    assert judgments_with_side([ROW_LEFT]) == ()
    assert judgments_with_side([ROW_LEFT, Judgment("second", True, False)]) == ()
    assert judgments_with_side([ROW_LEFT, ROW_RIGHT]) == (ROW_LEFT, ROW_RIGHT)
    assert judgments_with_side([RECORDED]) == (RECORDED,)
    assert judgments_with_side([Judgment("tie", None, False)]) == ()


def test_two_raters_saw_the_same_order_only_where_it_is_certain() -> None:
    assert shown_order([RECORDED]) is True
    assert shown_order([ROW_LEFT]) is None
    assert shown_order([RECORDED, Judgment("first", False, True)]) is None
    assert shown_order([]) is None


def test_what_the_order_of_rows_says() -> None:
    first_wins = [PromptGroup("p", ["a", "b"], [Comparison(0, 1)])]
    second_wins = [PromptGroup("p", ["a", "b"], [Comparison(1, 0)])]
    assert row_order("f", "response-pair", first_wins, "both") == "possible"
    assert row_order("f", "response-pair", first_wins, "row") == "shown"
    assert row_order("f", "penchant", first_wins, "both") == "unrelated"
    assert row_order("f", "penchant", second_wins, "both") == "possible"
    assert row_order("f", "trl", first_wins, "both") == "unrelated"
    with pytest.raises(InputError, match="f: order=row: rows of the layout trl"):
        row_order("f", "trl", first_wins, "row")
