"""Two Gaussians on losses: which rows are clean, and what is said where nothing tells them apart."""

from __future__ import annotations

import numpy as np
import pytest

from penchant.weak.semi_supervised.mixture import clean_probabilities


def test_rows_with_small_losses_are_clean() -> None:
    generator = np.random.default_rng(0)
    losses = np.concatenate([generator.normal(0.3, 0.05, 70), generator.normal(2.5, 0.3, 30)])
    clean = clean_probabilities(losses)
    assert (clean[:70] > 0.99).all()
    assert (clean[70:] < 0.01).all()
    # losses are scaled first: their unit is of no matter
    np.testing.assert_allclose(clean_probabilities(1000 * losses + 5), clean, atol=1e-6)


def test_a_group_of_equal_losses_is_divided_by_hand() -> None:
    """Two groups of equal losses have the variance that is added, 0.0005, so that the others' density is nothing."""
    np.testing.assert_allclose(clean_probabilities(np.array([1.0] * 6 + [3.0] * 4)), [1] * 6 + [0] * 4, atol=1e-12)


@pytest.mark.parametrize("losses", [[0.7] * 20, [0.1, 0.2, 5.0], [1.0, *[1 + 1e-8] * 9]])
def test_losses_that_tell_no_groups_apart_are_all_clean(losses: list[float]) -> None:
    np.testing.assert_array_equal(clean_probabilities(np.array(losses)), np.ones(len(losses)))


def test_it_is_the_mixture_of_scikit_learn() -> None:
    mixtures = pytest.importorskip("sklearn.mixture")
    generator = np.random.default_rng(1)
    for share, gap in ((0.2, 1.5), (0.5, 0.8), (0.6, 2.0)):
        wrong = generator.random(400) < share
        losses = np.where(wrong, generator.gamma(4, 0.3, 400) + gap, generator.gamma(1, 0.3, 400))
        scaled = ((losses - losses.min()) / np.ptp(losses))[:, None]
        mixture = mixtures.GaussianMixture(2, max_iter=10, tol=1e-2, reg_covar=5e-4, random_state=0).fit(scaled)
        expected = mixture.predict_proba(scaled)[:, mixture.means_[:, 0].argmin()]
        np.testing.assert_allclose(clean_probabilities(losses), expected, atol=1e-3)
