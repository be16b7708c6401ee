"""Thresholds on numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from penchant.weak.semi_supervised.fix_match import Alignment
from penchant.weak.semi_supervised.thresholds import FixedMask, FlexMask, FreeMask, SoftMask
from penchant.weak.semi_supervised.uda import annealing_bound

ROWS = torch.tensor([[0, 1, 2, 3]])


def _probabilities(*first: float) -> Tensor:
    return torch.tensor([[[p, 1 - p] for p in first]])


def test_one_threshold() -> None:
    mask = FixedMask(0.8).weights(_probabilities(0.9, 0.8, 0.79, 0.1), ROWS)
    assert mask.tolist() == [[1, 1, 0, 1]]
    assert FixedMask(1.01).weights(_probabilities(1.0, 0.0), ROWS[:, :2]).tolist() == [[0, 0]]


def test_classes_that_are_learned_slowly_have_a_lower_threshold() -> None:
    mask = FlexMask(0.9, arms=1, rows=10, classes=2, unlabeled=torch.tensor([10]))
    # at first no row was confident: all thresholds are 0
    assert mask.weights(_probabilities(0.95, 0.95, 0.95, 0.55), ROWS).tolist() == [[1, 1, 1, 1]]
    # 3 of class 0, 7 never: 3 / 7 and 0
    status = 3 / 7
    assert mask.class_thresholds()[0].tolist() == pytest.approx([0.9 * status / (2 - status), 0])
    # six more of class 0 leave one unused: 9 / 9; a row that is no longer confident keeps its class
    mask.weights(_probabilities(0.95, 0.95, 0.95, 0.6), torch.tensor([[3, 4, 5, 0]]))
    mask.weights(_probabilities(0.95, 0.95, 0.95, 0.05), torch.tensor([[6, 7, 8, 9]]))
    assert mask.class_thresholds()[0].tolist() == pytest.approx([0.9, 0.9 * (1 / 9) / (2 - 1 / 9)])


def test_the_threshold_that_follows_confidence() -> None:
    mask = FreeMask(0.5, arms=1, classes=2)
    probabilities = _probabilities(0.9, 0.55, 0.4, 0.8)
    weights = mask.weights(probabilities, ROWS)
    confidence = 0.5 * 0.5 + 0.5 * (0.9 + 0.55 + 0.6 + 0.8) / 4
    shares = (0.5 * 0.5 + 0.5 * 0.6625, 0.5 * 0.5 + 0.5 * 0.3375)
    assert float(mask.confidence) == pytest.approx(confidence)
    assert mask.class_probabilities[0].tolist() == pytest.approx(list(shares))
    assert mask.class_counts[0].tolist() == pytest.approx([0.625, 0.375])
    of_second = confidence * shares[1] / shares[0]
    reached = [confidence <= 0.9, confidence <= 0.55, of_second <= 0.6, confidence <= 0.8]
    assert weights.bool().tolist() == [reached]
    assert len(set(reached)) == 2


def test_unfairness_is_least_where_strong_views_have_the_classes_of_weak_ones() -> None:
    mask = FreeMask(0.5, arms=1, classes=2)
    mask.weights(_probabilities(0.9, 0.8, 0.2, 0.1), ROWS)
    counted = torch.ones(1, 4)
    even = mask.unfairness(torch.tensor([[[2.0, 0.0], [2.0, 0.0], [0.0, 2.0], [0.0, 2.0]]]), counted)
    one_class = mask.unfairness(torch.tensor([[[2.0, 0.0], [2.0, 0.0], [2.0, 0.0], [2.0, 0.0]]]), counted)
    assert float(even) == pytest.approx(-math.log(2), abs=1e-4)
    assert float(one_class) < float(even)
    assert float(mask.unfairness(torch.zeros(1, 4, 2), torch.zeros(1, 4))) == 0


def test_weights_fall_below_the_mean_confidence() -> None:
    mask = SoftMask(0.0, arms=1, classes=2)
    weights = mask.weights(_probabilities(0.9, 0.7, 0.6, 0.8), ROWS)
    variance = sum((p - 0.75) ** 2 for p in (0.9, 0.7, 0.6, 0.8)) / 3
    assert float(mask.variance) == pytest.approx(variance)
    expected = [1.0, math.exp(-(0.05**2) / (variance / 2)), math.exp(-(0.15**2) / (variance / 2)), 1.0]
    assert weights[0].tolist() == pytest.approx(expected, rel=1e-4)


def test_aligned_predictions_have_the_classes_of_the_labels() -> None:
    aligned = Alignment(torch.tensor([[0.5, 0.5]]))(_probabilities(0.9, 0.9, 0.9, 0.3))
    assert float(aligned[..., 0].mean()) < 0.75
    assert torch.allclose(aligned.sum(-1), torch.ones(1, 4))
    # an average that is right already changes nothing
    same = _probabilities(0.9, 0.1)
    torch.testing.assert_close(Alignment(torch.tensor([[0.5, 0.5]]))(same), same)


def test_annealing_rises_from_chance_to_one() -> None:
    for kind in ("linear", "log", "exp"):
        bounds = [annealing_bound(kind, done, 4) for done in (0.0, 0.3, 0.6, 1.0)]
        assert bounds == sorted(bounds)
        assert bounds[0] == pytest.approx(0.25, abs=0.01)
        assert bounds[-1] == pytest.approx(1, abs=0.01)
