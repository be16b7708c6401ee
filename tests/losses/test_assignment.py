"""Assignments with counts: as good as those of a general solver."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from penchant.losses.assignment import assign
from penchant.losses.weak import harden


@settings(deadline=None)
@given(
    st.integers(0, 2**31), st.integers(1, 40), st.integers(2, 6), st.sampled_from([0.0, 0.1, 1.0, 30.0]), st.booleans()
)
def test_no_assignment_with_these_counts_is_better(
    seed: int, rows: int, classes: int, scale: float, rounded: bool
) -> None:
    """Of any counts, scores that are far apart, nearly equal, or tied."""
    rng = np.random.default_rng(seed)
    scores = scale * rng.normal(size=(rows, classes)) + 3 * rng.normal(size=classes)
    scores = scores.round(1) if rounded else scores
    counts = np.bincount(rng.choice(classes, rows, p=rng.dirichlet(np.ones(classes))), minlength=classes)
    chosen = assign(scores, counts.tolist())
    np.testing.assert_array_equal(np.bincount(chosen, minlength=classes), counts)
    places = np.repeat(np.arange(classes), counts)
    best = scores[:, places][linear_sum_assignment(scores[:, places], maximize=True)].sum()
    np.testing.assert_allclose(scores[np.arange(rows), chosen].sum(), best, atol=1e-6 * max(1.0, scale) * rows)


def test_many_rows_of_several_classes_are_hardened_within_a_step() -> None:
    """A general solver takes 3 s for these, and a probe's training asks a hundred times."""
    logits = torch.randn(2500, 6, generator=torch.Generator().manual_seed(0)) * 3
    assert harden(logits).sum(0).tolist() == [416.0, 416.0, 417.0, 417.0, 417.0, 417.0]


def test_logits_that_are_no_numbers_do_not_hang() -> None:
    logits = torch.randn(30, 3)
    logits[4, 1] = torch.nan
    assert harden(logits).shape == (30, 3)
