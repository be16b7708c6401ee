"""The confident joint by hand, beside cleanlab's, and what it says of known noise."""

from __future__ import annotations

import numpy as np
import pytest

from penchant.weak.semi_supervised.confident_joint import confident_joint, noise_rate


def _noisy(
    rows: int = 600, classes: int = 3, rate: float = 0.3, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Return true classes, labels of which a share is wrong, and probabilities that are mostly right."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(classes, size=rows)
    wrong = generator.random(rows) < rate
    labels = np.where(wrong, (truth + generator.integers(1, classes, size=rows)) % classes, truth)
    logits = generator.normal(size=(rows, classes)) + 4 * np.eye(classes)[truth]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return truth, labels, probabilities


def test_counts_by_hand() -> None:
    """Thresholds .6 and .75: rows 0 and 3 keep their label, row 1 is class 1, row 2 reaches both, row 4 none."""
    labels = np.array([0, 0, 0, 1, 1])
    first = np.array([0.9, 0.1, 0.8, 0.05, 0.45])
    probabilities = np.stack([first, 1 - first], 1)
    joint = confident_joint(labels, probabilities)
    np.testing.assert_allclose(joint.thresholds, [0.6, 0.75])
    # 2 of 3 labels 0 are confidently right and 1 is wrong; of the labels 1 the only confident row is right
    np.testing.assert_allclose(joint.joint, [[2 / 5, 1 / 5], [0, 2 / 5]])
    assert joint.is_suspect.tolist() == [False, True, False, False, False]
    assert joint.noise_rate == pytest.approx(1 / 5)
    np.testing.assert_allclose(joint.noise_matrix, [[1, 0], [1 / 3, 2 / 3]])


def test_it_is_the_estimate_of_cleanlab() -> None:
    count = pytest.importorskip("cleanlab.count")
    filters = pytest.importorskip("cleanlab.filter")
    for rate, classes in ((0.1, 2), (0.3, 3), (0.5, 6)):
        _, labels, probabilities = _noisy(rate=rate, classes=classes)
        ours = confident_joint(labels, probabilities)
        theirs = count.compute_confident_joint(labels, probabilities, calibrate=False)
        table = theirs / theirs.sum(1, keepdims=True) * np.bincount(labels)[:, None] / len(labels)
        np.testing.assert_allclose(ours.joint, table, atol=1e-12)
        # theirs is rounded to whole rows
        np.testing.assert_allclose(ours.joint, count.estimate_joint(labels, probabilities), atol=1.5 / len(labels))
        issues = filters.find_label_issues(labels, probabilities, filter_by="confident_learning")
        np.testing.assert_array_equal(ours.is_suspect, issues)


def test_a_known_rate_is_in_the_interval() -> None:
    for rate in (0.1, 0.3):
        truth, labels, probabilities = _noisy(rows=1_500, rate=rate)
        estimate = noise_rate(labels, probabilities, list(range(len(labels))), resamples=200)
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low <= (truth != labels).mean() <= estimate.high
        assert estimate.high - estimate.low < 0.1


def test_related_rows_are_drawn_together_and_few_have_no_interval() -> None:
    _, labels, probabilities = _noisy(rows=300)
    alone = noise_rate(labels, probabilities, list(range(300)), resamples=200)
    doubled = noise_rate(
        np.repeat(labels, 3), np.repeat(probabilities, 3, axis=0), np.repeat(range(300), 3).tolist(), resamples=200
    )
    assert doubled.value == pytest.approx(alone.value)
    assert doubled.low == pytest.approx(alone.low, abs=0.01)
    few = noise_rate(labels[:6], probabilities[:6], list(range(6)))
    assert (few.low, few.high) == (None, None)


def test_a_class_without_a_label_takes_none() -> None:
    _, labels, probabilities = _noisy(classes=3)
    two = confident_joint(np.where(labels == 2, 0, labels), probabilities)
    assert two.joint[2].sum() == 0
    assert np.isfinite(two.noise_matrix).all()
