"""Variety of texts, with the counting done by hand."""

from __future__ import annotations

import pytest

from penchant.errors import InputError
from penchant.metrics import distinct_n, repetition


def test_distinct_pairs_by_hand():
    # (1,2) (2,1) (1,2): 2 of 3 are distinct
    assert distinct_n([[1, 2, 1, 2], [1, 2, 3]], 2) == pytest.approx([2 / 3, 1.0])


def test_repeated_four_grams_by_hand():
    # 1111 1111 1111: the second and third occurred before
    assert repetition([[1] * 6]) == pytest.approx([2 / 3])
    assert repetition([[1, 2, 3, 4, 5]]) == [0.0]


def test_a_loop_comes_near_one():
    assert repetition([[1, 2] * 200])[0] > 0.99


def test_too_short_repeats_nothing():
    assert distinct_n([[], [5]], 2) == [1.0, 1.0]
    assert repetition([[], [1, 2, 3]]) == [0.0, 0.0]


def test_refuses_grams_of_no_length():
    with pytest.raises(InputError, match="n = 0"):
        distinct_n([[1]], 0)
