"""Reliability curves and correlations within prompts."""

from __future__ import annotations

import numpy as np
import pytest

from penchant.errors import InputError
from penchant.metrics.association import within_correlation
from penchant.metrics.calibration import expected_calibration_error, reliability


def test_a_calibrated_model_is_on_the_diagonal_and_an_overconfident_one_below() -> None:
    rng = np.random.default_rng(0)
    stated = rng.uniform(0.5, 1, 20_000)
    right = (rng.uniform(size=stated.size) < stated).astype(float)
    curve = reliability(stated, right, list(range(stated.size)))
    assert len(curve) == 5
    assert expected_calibration_error(curve) < 0.02
    assert all(one.accuracy.low <= one.confidence <= one.accuracy.high for one in curve[1:4])  # type: ignore[operator]
    bold = reliability(1 - (1 - stated) / 3, right, list(range(stated.size)))
    assert expected_calibration_error(bold) == pytest.approx(1 / 6, abs=0.02)


def test_equal_confidences_stay_in_one_bin() -> None:
    (one,) = reliability([0.5] * 4, [0.5] * 4, ["a", "a", "b", "b"])
    assert (one.confidence, one.accuracy.value, one.accuracy.clusters) == (0.5, 0.5, 2)


def test_the_calibration_error_counts_the_weights_of_the_bins() -> None:
    # ten items of weight 1 that are right .9 of the time as stated, ten of weight 9 that are .5 too sure
    right = [1.0] * 9 + [0.0] + [0.4] * 10
    curve = reliability([0.8] * 10 + [0.9] * 10, right, range(20), weights=[1.0] * 10 + [9.0] * 10)
    assert [one.weight for one in curve] == [10, 90]
    assert expected_calibration_error(curve) == pytest.approx((10 * 0.1 + 90 * 0.5) / 100)


@pytest.mark.parametrize("confidence", [[0.5, 1.2], [0.5], []])
def test_bad_confidences_are_refused(confidence: list[float]) -> None:
    with pytest.raises(InputError):
        reliability(confidence, [1.0, 0.0], ["a", "b"])


def test_what_differs_between_prompts_is_no_correlation_within_them() -> None:
    """Long answers to prompt b have high rewards; of two answers to one prompt, the longer has the lower one."""
    lengths, rewards, prompts = [1, 2, 11, 12], [1.0, 0.5, 9.0, 8.5], ["a", "a", "b", "b"]
    assert np.corrcoef(lengths, rewards)[0, 1] > 0.98
    found = within_correlation(lengths, rewards, prompts)
    assert found is not None
    assert found.value == pytest.approx(-1)
    assert found.clusters == 2


def test_the_interval_holds_the_truth_and_nothing_to_correlate_is_none() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 4))
    y = 0.5 * x + rng.normal(size=x.shape)
    found = within_correlation(x.ravel(), y.ravel(), [i for i in range(200) for _ in range(4)])
    assert found is not None
    assert found.low is not None
    assert found.low < 0.5 / np.sqrt(1.25) < found.high  # type: ignore[operator]
    assert within_correlation([1.1, 1.1, 2.3, 2.3], [1, 2, 3, 4], ["a", "a", "b", "b"]) is None
    with pytest.raises(InputError):
        within_correlation([1, np.nan], [1, 2], ["a", "a"])
