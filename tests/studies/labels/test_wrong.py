"""Which labels are wrong, and which rows keep theirs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penchant.errors import InputError
from penchant.studies.labels.wrong import clean_rows, wrong_labels

TRUTH = np.arange(60) % 3


@given(rate=st.floats(0, 0.99), seed=st.integers(0, 50), classes=st.integers(2, 5))
def test_exactly_the_share_is_wrong_and_never_the_true_class(rate: float, seed: int, classes: int) -> None:
    truth = np.arange(60) % classes
    changed = wrong_labels(truth, classes, "symmetric", rate, seed)
    assert (changed != truth).sum() == round(rate * 60)
    assert set(changed.tolist()) <= set(range(classes))


def test_symmetric_wrong_labels_are_spread_over_the_other_classes() -> None:
    truth = np.zeros(3000, dtype=np.int64)
    changed = wrong_labels(truth, 4, "symmetric", 0.6, 0)
    counts = np.bincount(changed, minlength=4)
    assert counts[0] == 1200
    assert counts[1:].min() > 500


def test_asymmetric_wrong_labels_are_the_next_class_of_every_second_one() -> None:
    truth = np.repeat(np.arange(5), 10)
    changed = wrong_labels(truth, 5, "asymmetric", 0.4, 1)
    for number in range(5):
        moved = changed[truth == number]
        assert (moved != number).sum() == (4 if number % 2 == 0 else 0)
        assert set(moved[moved != number].tolist()) <= {(number + 1) % 5}


def test_a_rate_outside_0_to_1_is_refused() -> None:
    for rate in (-0.1, 1.0):
        with pytest.raises(InputError, match="lies in"):
            wrong_labels(TRUTH, 3, "symmetric", rate, 0)


@given(count=st.integers(3, 59), seed=st.integers(0, 20))
def test_clean_rows_are_balanced_and_nested(count: int, seed: int) -> None:
    rows = clean_rows(TRUTH, count, seed)
    assert len(set(rows.tolist())) == count
    counts = np.bincount(TRUTH[rows], minlength=3)
    assert counts.max() - counts.min() <= 1
    assert set(clean_rows(TRUTH, 3, seed).tolist()) <= set(rows.tolist())


def test_a_rare_class_leaves_its_turns_to_the_others() -> None:
    truth = np.array([0] * 50 + [1] * 2)
    assert np.bincount(truth[clean_rows(truth, 10, 0)]).tolist() == [8, 2]


def test_too_few_and_too_many_are_refused() -> None:
    with pytest.raises(InputError, match="2 clean labels are too few for 3 classes"):
        clean_rows(TRUTH, 2, 0)
    with pytest.raises(InputError, match="there are 60 rows"):
        clean_rows(TRUTH, 60, 0)
