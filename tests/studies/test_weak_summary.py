"""What is made of a weak-to-strong study's predictions."""

from __future__ import annotations

import numpy as np
import pytest

from penchant.studies.weak_predictions import Predictions
from penchant.studies.weak_summary import _lost, _stopping


def _guessing(seed: int, looks: int = 12, rows: int = 200) -> np.ndarray:
    return np.random.default_rng(seed).random((3, looks, rows)) < 0.7


def test_the_best_of_many_looks_is_not_better_by_luck() -> None:
    """Students that never change but by chance lose nothing on average; the plain best of their looks is better."""
    lost = [_lost(_guessing(seed)).value for seed in range(200)]
    assert abs(np.mean(lost)) < 4 * np.std(lost) / np.sqrt(len(lost))
    plain = [curve.mean((0, 2)).max() - curve[:, -1].mean() for curve in map(_guessing, range(200))]
    assert np.mean(plain) > 0.02


def test_what_overfitting_costs_is_found() -> None:
    curve = _guessing(0)
    curve[:, 3] = True
    found = _lost(curve)
    assert found.low is not None
    assert found.low > 0
    assert found.value == pytest.approx(1 - curve[:, -1].mean())


def test_the_supervisor_stands_beside_a_curve_on_the_same_rows() -> None:
    """Looks at the first 50 of 200 rows, where the supervisor is always right."""
    curve = _guessing(1, rows=50)
    found = Predictions(np.zeros(200), {}, {"a": list(range(12))}, {"a": curve}, {}, {}, {})
    supervisor = np.tile(np.arange(200) < 50, (3, 1))
    said = _stopping(found, "a", supervisor)
    assert said["curve_from"] == 1
    assert said["oracle"]["accuracy"] == pytest.approx(curve.mean((0, 2)).max())
    assert _stopping(found, "b", supervisor)["curve"] is None
