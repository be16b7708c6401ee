"""How many labels are wrong."""

from __future__ import annotations

import numpy as np
import pytest

from penchant.errors import InputError
from penchant.metrics.label_noise import ClassPairs, label_noise


def pairs(counts: dict[tuple[int, int], int]) -> ClassPairs:
    """Rows by (given, predicted), each row a cluster of its own."""
    rows = np.array([pair for pair, count in counts.items() for _ in range(count)]).reshape(-1, 2)
    return ClassPairs(rows[:, 0], rows[:, 1], range(len(rows)))


# right in 8 of 10 rows of each class
TESTED = pairs({(0, 0): 80, (0, 1): 20, (1, 1): 80, (1, 0): 20})


def drawn(rng: np.random.Generator, rows: int, wrong: tuple[float, ...], right: float) -> tuple[ClassPairs, ClassPairs]:
    """Labels that are wrong at random, by their class, and a classifier that is right at random."""
    classes = len(wrong)

    def other(values: np.ndarray, chance: np.ndarray) -> np.ndarray:
        moved = (values + rng.integers(1, classes, len(values))) % classes
        return np.where(rng.random(len(values)) < chance, moved, values)

    truth, test_truth = rng.integers(0, classes, rows), rng.integers(0, classes, rows // 2)
    labels = other(truth, np.array(wrong)[truth])
    predicted, on_test = (other(t, np.full(len(t), 1 - right)) for t in (truth, test_truth))
    return ClassPairs(labels, predicted, range(rows)), ClassPairs(test_truth, on_test, range(rows // 2))


def test_the_share_by_hand() -> None:
    # agreement g = .62 by an accuracy of a = .8: (a - g) / (2a - 1) = .18 / .6
    labelled = pairs({(0, 0): 31, (0, 1): 19, (1, 1): 31, (1, 0): 19})
    noise = label_noise(labelled, TESTED, classes=2)
    assert noise.value == pytest.approx(0.3)
    assert noise.low is not None
    assert noise.high is not None
    assert 0.05 < noise.low < 0.3 < noise.high < 0.6
    # who never errs agrees where the label is right
    perfect = pairs({(0, 0): 50, (1, 1): 50})
    assert label_noise(labelled, perfect, classes=2).value == pytest.approx(0.38)


def test_errors_of_one_class_alone_and_of_three_classes() -> None:
    rng = np.random.default_rng(0)
    for wrong in ((0.4, 0.0), (0.1, 0.3, 0.5)):
        noise = label_noise(*drawn(rng, 20_000, wrong, 0.75), classes=len(wrong), resamples=100)
        assert noise.value == pytest.approx(np.mean(wrong), abs=0.03)


def test_the_interval_holds_the_share_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(100):
        noise = label_noise(*drawn(rng, 200, (0.3, 0.3), 0.85), classes=2, resamples=200)
        assert noise.low is not None
        assert noise.high is not None
        held += noise.low <= 0.3 <= noise.high
    assert held >= 90


def test_related_rows_count_together() -> None:
    labelled = pairs({(0, 0): 31, (0, 1): 19, (1, 1): 31, (1, 0): 19})
    alone = label_noise(labelled, TESTED, classes=2)
    twice = ClassPairs(*(np.repeat(column, 2) for column in (labelled.given, labelled.predicted)), np.arange(200) // 2)
    related = label_noise(twice, TESTED, classes=2)
    assert (related.value, related.n, related.clusters) == (pytest.approx(0.3), 200, 100)
    assert related.low == pytest.approx(alone.low, abs=0.02)


def test_what_cannot_be_said() -> None:
    labelled = pairs({(0, 0): 31, (0, 1): 19, (1, 1): 31, (1, 0): 19})
    assert label_noise(labelled, pairs({(0, 0): 30}), classes=2).reason == "a class has no test row"
    chance = pairs({(0, 0): 20, (0, 1): 20, (1, 1): 20, (1, 0): 20})
    assert "hardly tells the classes" in label_noise(labelled, chance, classes=2).reason
    few = label_noise(labelled, pairs({(0, 0): 4, (1, 1): 4}), classes=2)
    assert (few.value, few.low, few.reason) == (pytest.approx(0.38), None, "no interval: 8 rows")
    clean = pairs({(0, 0): 50, (1, 1): 50})
    assert label_noise(clean, clean, classes=2).reason == "no interval: all 100 rows say the same"
    # the test rows say right in .8, the labels agree in 1: chance leads beyond the bound
    assert label_noise(clean, TESTED, classes=2).value == 0
    with pytest.raises(InputError, match="there are 2, got 0 to 2"):
        label_noise(pairs({(0, 2): 3}), TESTED, classes=2)
    with pytest.raises(InputError, match="per row are needed, got 2, 1 and 2"):
        label_noise(ClassPairs(np.array([0, 1]), np.array([0]), range(2)), TESTED, classes=2)
