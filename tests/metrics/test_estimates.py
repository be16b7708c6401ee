"""What an interval excludes."""

from __future__ import annotations

import pytest

from penchant.metrics import Estimate
from penchant.metrics.estimates import Coefficient, Measure


def estimate(low: float | None, high: float | None) -> Estimate:
    return Estimate(0.5, low, high, 20, 20)


@pytest.mark.parametrize("measure", [estimate(0.2, 0.6), Coefficient(0.5, 0.2, 0.6, 20, 20)])
def test_a_number_inside_or_at_the_end_is_not_excluded(measure: Measure) -> None:
    assert measure.has_interval
    assert (measure.above(0.1), measure.above(0.2), measure.above(0.7)) == (True, False, False)
    assert (measure.below(0.7), measure.below(0.6), measure.below(0.1)) == (True, False, False)


def test_two_intervals_are_apart_only_if_they_share_no_point() -> None:
    low, high = estimate(0.1, 0.3), estimate(0.4, 0.6)
    assert high.above(low)
    assert low.below(high)
    assert not high.below(low)
    assert not low.above(high)
    touching = estimate(0.3, 0.4)
    assert not touching.above(low)
    assert not touching.below(high)


def test_without_an_interval_nothing_is_excluded() -> None:
    bare = estimate(None, None)
    assert not bare.has_interval
    assert not bare.above(-9)
    assert not bare.below(9)
    assert not bare.above(estimate(-3, -2))
    assert not estimate(2, 3).above(bare)
    assert not estimate(-3, -2).below(bare)
