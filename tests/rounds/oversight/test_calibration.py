"""The one number that says how sure a reader may be."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from penchant.rounds.oversight.calibration import fit_slope, scaled


def test_a_slope_is_found_again() -> None:
    generator = np.random.default_rng(0)
    odds = generator.normal(0, 2, 20_000)
    truth = generator.random(20_000) < expit(odds)
    # three times as sure as it may be
    assert fit_slope(expit(3 * odds), truth) == pytest.approx(1 / 3, rel=0.05)
    assert fit_slope(expit(odds), truth) == pytest.approx(1, rel=0.05)


def test_the_other_order_says_the_other_thing() -> None:
    shares = np.array([0.1, 0.5, 0.9])
    assert scaled(1 - shares, 2.0) == pytest.approx(1 - scaled(shares, 2.0))
    assert scaled(shares, 2.0) == pytest.approx(expit(2 * logit(shares)))


def test_a_reader_that_is_mostly_wrong_is_made_unsure_and_not_turned_round() -> None:
    # sure of the wrong answer in nine of ten
    shares = np.full(100, 0.9)
    slope = fit_slope(shares, np.arange(100) % 10 == 0)
    after = scaled(shares, slope)
    assert (after >= 0.5).all()
    assert after.max() < 0.51


def test_few_questions_and_certain_readers() -> None:
    assert fit_slope(np.array([0.9, 0.1]), np.array([True, False])) == 1.0
    certain = np.array([0.0, 1.0, 1.0, 0.0, 1.0, 0.0])
    always_right = fit_slope(certain, certain == 1)
    assert np.isfinite(scaled(certain, always_right)).all()
    # one mistake of a reader that was certain
    assert 0.5 < scaled(certain, fit_slope(certain, np.array([False, True, True, False, True, True]))).max() < 0.99
    assert (scaled(certain, 1.0) == certain).all()
