"""The slope within groups: by hand, its interval, and what has none."""

from __future__ import annotations

import numpy as np
import pytest

from penchant.errors import InputError
from penchant.metrics.slope import within_slope


def test_a_slope_is_of_deviations_from_the_means_of_groups() -> None:
    """Two lines of slope 2 that lie far apart: over all points together the slope would be negative."""
    x, y = [0, 1, 2, 10, 11, 12], [50, 52, 54, 0, 2, 4]
    found = within_slope(x, y, ["a"] * 3 + ["b"] * 3)
    assert found is not None
    assert (found.value, found.n, found.clusters) == (pytest.approx(2), 6, 2)
    assert np.polyfit(x, y, 1)[0] < 0


def test_the_interval_is_that_of_least_squares() -> None:
    """x about 0.5, y = 0, 1, 0, 3: slope 4/5, residuals' squares 2.8, error sqrt(2.8 / 2 / 5), t 4.303."""
    found = within_slope([-1, 0, 1, 2], [0, 1, 0, 3], ["a"] * 4)
    assert found is not None
    assert found.value == pytest.approx(0.8)
    assert found.high == pytest.approx(0.8 + 4.302653 * (2.8 / 2 / 5) ** 0.5, abs=1e-4)


def test_without_variation_or_freedom_there_is_none() -> None:
    assert within_slope([1, 1, 2], [0, 1, 2], ["a", "a", "b"]) is None
    few = within_slope([0, 1], [0, 1], ["a", "a"])
    assert few is not None
    assert (few.value, few.low, few.reason) == (1, None, "no interval: 2 points")
    with pytest.raises(InputError, match="one shape"):
        within_slope([0, 1], [0], ["a", "a"])
    with pytest.raises(InputError, match="finite"):
        within_slope([0, np.nan], [0, 1], ["a", "a"])
