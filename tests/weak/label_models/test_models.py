"""Label models: values by hand, limits, and equality with other implementations."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import issparse

from penchant.errors import InputError
from penchant.weak.label_models.copies import excess_agreement, weights_by_redundancy
from penchant.weak.label_models.dawid_skene import fit_dawid_skene, fit_one_coin
from penchant.weak.label_models.fit import accuracy_estimates
from penchant.weak.label_models.majority import fit_majority, shares_of_votes
from penchant.weak.label_models.moments import _in_order, fit_moments, second_moments
from penchant.weak.label_models.posterior import LabelFit, accuracies_by_posterior, posterior
from penchant.weak.label_models.settings import Triplets
from penchant.weak.label_models.triplets import fit_triplets
from penchant.weak.label_models.votes import Patterns, one_hot, patterns_of

UNIFORM = np.array([0.5, 0.5])
Rows = NDArray[np.int64]


def simulate(
    accuracies: list[float], rows: int, *, coverage: float = 1.0, positive: float = 0.5, seed: int = 0, classes: int = 2
) -> tuple[Rows, Rows]:
    """Return the truth and the votes of independent sources, which err alike in all classes."""
    random = np.random.default_rng(seed)
    shares = [1 - positive, positive] if classes == 2 else [1 / classes] * classes
    truth = random.choice(classes, size=rows, p=shares)
    right = random.random((rows, len(accuracies))) < accuracies
    other = (truth[:, None] + random.integers(1, classes, right.shape)) % classes
    votes = np.where(right, truth[:, None], other)
    return truth, np.where(random.random(votes.shape) < coverage, votes, -1)


def by_row(patterns: Patterns, values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[patterns.pattern_of_row]


def test_the_majority_by_hand() -> None:
    votes = np.array([[0, 0, 1], [1, -1, -1], [-1, -1, -1], [0, 1, -1]])
    patterns = patterns_of(votes, 2)
    prior = np.array([0.7, 0.3])
    fit = fit_majority(patterns, prior)
    np.testing.assert_allclose(by_row(patterns, fit.probabilities)[:, 0], [2.5 / 4, 0.25, 0.7, 0.5])
    # the third source meets others in row 0 alone, and both say otherwise
    assert fit.accuracies[2] == 0
    shares = by_row(patterns, fit_majority(patterns, prior, smoothing=0).probabilities)
    np.testing.assert_allclose(shares[:2], [[2 / 3, 1 / 3], [0, 1]])
    weighted = by_row(patterns, fit_majority(patterns, prior, weights=np.array([1.0, 1.0, 4.0])).probabilities)
    np.testing.assert_allclose(weighted[0], [2.5 / 7, 4.5 / 7])


def test_equal_rows_are_counted_and_the_posterior_is_bayes_rule() -> None:
    votes = np.array([[0, 1], [0, 1], [1, -1]])
    patterns = patterns_of(votes, 2)
    assert sorted(patterns.counts.tolist()) == [1, 2]
    np.testing.assert_array_equal(patterns.answers[patterns.pattern_of_row], votes)
    table = np.array([[[0.9, 0.1, 1], [0.2, 0.8, 1]], [[0.6, 0.4, 1], [0.3, 0.7, 1]]])
    found = by_row(patterns, posterior(patterns.indicators, table, np.array([0.25, 0.75])))
    # by hand: .25 * .9 * .4 against .75 * .2 * .7, and .25 * .1 against .75 * .8
    np.testing.assert_allclose(found[:, 0], [0.09 / 0.195, 0.09 / 0.195, 0.025 / 0.625])
    silent = posterior(patterns_of(np.array([[0, 1]]), 2).indicators, table, UNIFORM, weights=np.zeros(2))
    np.testing.assert_allclose(silent, [[0.5, 0.5]])


def dawid_skene_again(votes: Rows, classes: int, iterations: int) -> NDArray[np.float64]:
    """Return the posterior by products of probabilities and loops over all cells."""
    sources = votes.shape[1]
    q = np.array([[np.mean([vote == k for vote in row if vote >= 0]) for k in range(classes)] for row in votes])
    for _ in range(iterations):
        prior = q.mean(0)
        table = np.zeros((sources, classes, classes))
        for source, y, answer in np.ndindex(*table.shape):
            table[source, y, answer] = max(q[votes[:, source] == answer, y].sum(), 1e-10)
        table /= table.sum(-1, keepdims=True)
        joint = np.array(
            [
                [prior[y] * np.prod([table[s, y, a] for s, a in enumerate(row) if a >= 0]) for y in range(classes)]
                for row in votes
            ]
        )
        q = joint / joint.sum(-1, keepdims=True)
    return q


CROWD_KIT = {"abstention": "missing", "smoothing": 0.0, "learn_prior": True, "tolerance": -np.inf}


def votes_of_people() -> Rows:
    _, votes = simulate([0.9, 0.8, 0.75, 0.6, 0.7], 120, coverage=0.7, classes=3)
    return votes[(votes >= 0).any(1)]


def test_dawid_skene_equals_a_derivation_by_loops() -> None:
    votes = votes_of_people()
    patterns = patterns_of(votes, 3)
    fit = fit_dawid_skene(patterns, np.full(3, 1 / 3), iterations=20, **CROWD_KIT)
    np.testing.assert_allclose(by_row(patterns, fit.probabilities), dawid_skene_again(votes, 3, 20), atol=1e-6)
    assert (fit.iterations, fit.converged) == (20, False)


def test_dawid_skene_equals_crowd_kit_s() -> None:
    classification = pytest.importorskip("crowdkit.aggregation.classification.dawid_skene")
    import pandas as pd

    votes = votes_of_people()
    rows, sources = np.nonzero(votes >= 0)
    frame = pd.DataFrame({"task": rows, "worker": sources, "label": votes[rows, sources]})
    peer = classification.DawidSkene(n_iter=20, tol=-np.inf).fit(frame)
    patterns = patterns_of(votes, 3)
    fit = fit_dawid_skene(patterns, np.full(3, 1 / 3), iterations=20, **CROWD_KIT)
    theirs = peer.probas_.sort_index()[[0, 1, 2]].to_numpy()
    np.testing.assert_allclose(by_row(patterns, fit.probabilities), theirs, atol=1e-4)


def test_a_source_that_is_always_wrong_is_turned_round_and_a_silent_one_says_nothing() -> None:
    truth, votes = simulate([0.9, 0.85, 0.8, 0.1], 600)
    patterns = patterns_of(np.c_[votes, np.full(600, -1)], 2)
    for fit in (fit_dawid_skene(patterns, UNIFORM), fit_one_coin(patterns, UNIFORM)):
        np.testing.assert_allclose(fit.accuracies[:4], [0.9, 0.85, 0.8, 0.1], atol=0.05)
        assert np.isnan(fit.accuracies[4])
        assert (by_row(patterns, fit.probabilities).argmax(-1) == truth).mean() > 0.93
        assert fit.converged


def test_one_coin_has_no_side() -> None:
    _, votes = simulate([0.9, 0.7, 0.6], 200, coverage=0.6, positive=0.3)
    patterns, swapped = patterns_of(votes, 2), patterns_of(np.where(votes < 0, -1, 1 - votes), 2)
    found = by_row(patterns, fit_one_coin(patterns, UNIFORM).probabilities)
    np.testing.assert_allclose(found[:, ::-1], by_row(swapped, fit_one_coin(swapped, UNIFORM).probabilities))


def moments_again(votes: Rows, prior: NDArray[np.float64], scale: float, epochs: int) -> NDArray[np.float64]:
    """Return mu by a gradient of finite differences of the loss as Snorkel states it."""
    rows, sources = votes.shape
    classes = len(prior)
    indicator = np.stack([(votes == k) for k in range(classes)], -1).reshape(rows, -1).astype(float)
    overlaps = indicator.T @ indicator / rows
    start = np.zeros((sources * classes, classes))
    for source in range(sources):
        for k in range(classes):
            row = source * classes + k
            start[row, k] = min(1.0, overlaps[row, row] * 0.7 / prior[k])

    def loss(mu: NDArray[np.float64]) -> float:
        difference = overlaps - mu @ np.diag(prior) @ mu.T
        for source in range(sources):
            block = slice(source * classes, (source + 1) * classes)
            difference[block, block] = 0
        return float((difference**2).sum() + ((mu @ prior - np.diag(overlaps)) ** 2).sum())

    mu, velocity = start * scale, np.zeros_like(start)
    for _ in range(epochs):
        gradient = np.zeros_like(mu)
        for index in np.ndindex(*mu.shape):
            step = np.zeros_like(mu)
            step[index] = 1e-5
            gradient[index] = (loss(mu + step) - loss(mu - step)) / 2e-5
        velocity = 0.9 * velocity + gradient
        mu = mu - 0.01 * velocity
    return np.clip(mu, 0.01, 0.99)


def test_moment_matching_equals_a_derivation_from_the_same_start() -> None:
    _, votes = simulate([0.9, 0.7, 0.8], 90, coverage=0.8)
    prior = np.array([0.4, 0.6])
    patterns = patterns_of(votes, 2)
    fit = fit_moments(patterns, prior, start_scale=0.8, epochs=60)
    assert fit.answers is not None
    again = moments_again(votes, prior, 0.8, 60).reshape(3, 2, 2)
    np.testing.assert_allclose(fit.answers[:, :, :2].transpose(0, 2, 1), again, atol=1e-7)


@pytest.mark.parametrize("prior", [[0.5, 0.5], [0.3, 0.7], [0.4, 0.4, 0.2]])
@pytest.mark.parametrize("accuracies", [[0.9, 0.7, 0.8, 0.6], [0.1, 0.3, 0.2, 0.35]])
def test_moment_matching_equals_snorkel_s(prior: list[float], accuracies: list[float]) -> None:
    label_model = pytest.importorskip("snorkel.labeling.model.label_model")
    _, votes = simulate(accuracies, 400, coverage=0.8, classes=len(prior))
    peer = label_model.LabelModel(cardinality=len(prior), verbose=False)
    peer.fit(votes, class_balance=prior, n_epochs=600, seed=1, progress_bar=False)
    patterns = patterns_of(votes, len(prior))
    # it multiplies its start by the first number that it draws after setting its seed
    scale = float(np.random.RandomState(1).random_sample())
    fit = fit_moments(patterns, np.array(prior), epochs=600, start_scale=scale)
    np.testing.assert_allclose(by_row(patterns, fit.probabilities), peer.predict_proba(votes), atol=1e-4)
    assert fit.answers is not None
    given_class = fit.answers[:, :, :-1].transpose(0, 2, 1).reshape(-1, len(prior))
    np.testing.assert_allclose(given_class, peer.mu.detach().numpy(), atol=1e-5)


def test_columns_change_places_between_classes_of_one_prior_alone() -> None:
    # two sources that vote for the other class, as descent may end
    swapped = np.array([[0.2, 0.8], [0.8, 0.2], [0.1, 0.7], [0.9, 0.3]])
    np.testing.assert_array_equal(_in_order(swapped, UNIFORM), swapped[:, ::-1])
    np.testing.assert_array_equal(_in_order(swapped, np.array([0.4, 0.6])), swapped)
    eight = np.eye(8)[:, [1, 0, *range(2, 8)]]
    np.testing.assert_array_equal(_in_order(eight, np.full(8, 1 / 8)), np.eye(8))
    np.testing.assert_array_equal(_in_order(eight, np.array([0.1, 0.3, *[0.1] * 6])), eight)


def test_moments_and_triplets_recover_sources_and_name_what_they_need() -> None:
    _, votes = simulate([0.9, 0.75, 0.65, 0.8], 4000, positive=0.3, coverage=0.8)
    prior = np.array([0.7, 0.3])
    patterns = patterns_of(votes, 2)
    for fit in (fit_moments(patterns, prior, epochs=2000), fit_triplets(patterns, prior)):
        np.testing.assert_allclose(fit.accuracies, [0.9, 0.75, 0.65, 0.8], atol=0.04)
    for fitter in (fit_moments, fit_triplets):
        with pytest.raises(InputError, match="at least 3 sources, got 2"):
            fitter(patterns_of(votes[:, :2], 2), prior)
    with pytest.raises(InputError, match="two classes, got 3"):
        fit_triplets(patterns_of(votes, 3), np.full(3, 1 / 3))


def test_triplets_tell_a_source_of_one_class() -> None:
    # fires on 60% of class 1 and 5% of class 0: right in .6 / .65 of its votes
    random = np.random.default_rng(1)
    truth, votes = simulate([0.9, 0.8], 6000)
    fires = random.random(6000) < np.where(truth == 1, 0.6, 0.05)
    fit = fit_triplets(patterns_of(np.c_[votes, np.where(fires, 1, -1)], 2), UNIFORM)
    assert fit.answers is not None
    np.testing.assert_allclose(fit.answers[2, :, 1], [0.05, 0.6], atol=0.03)
    np.testing.assert_allclose(fit.accuracies[2], 0.6 / 0.65, atol=0.03)


def test_copies_share_one_vote() -> None:
    _, votes = simulate([0.8, 0.7, 0.75], 500, coverage=0.7)
    excess = excess_agreement(patterns_of(np.c_[votes, votes[:, 0]], 2), UNIFORM)
    assert excess[0, 3] > 0.95
    weights = weights_by_redundancy(excess)
    np.testing.assert_allclose(weights[[0, 3]], 0.5, atol=0.06)
    np.testing.assert_array_equal(weights[[1, 2]], 1)
    assert (np.diag(excess) == 0).all()


def test_the_class_behind_two_sources_is_the_majority_of_the_others() -> None:
    _, votes = simulate([0.8, 0.7, 0.75, 0.6], 200, coverage=0.6)
    patterns, prior = patterns_of(votes, 2), np.array([0.3, 0.7])
    others = patterns_of(patterns.answers[:, 2:], 2)
    expected = by_row(others, fit_majority(others, prior).probabilities)
    totals = one_hot(patterns.answers[:, 2:], 2)[:, :, :-1].sum(1)
    np.testing.assert_array_equal(shares_of_votes(totals, prior), expected)
    # of two sources nobody is left, and the prior stands for the class
    copies = patterns_of(np.array([[0, 0]] * 5 + [[1, 1]] * 3), 2)
    np.testing.assert_allclose(excess_agreement(copies, UNIFORM)[0, 1], 1)
    # alike on half of the rows, which votes of half and half are by chance
    unrelated = patterns_of(np.array([[0, 0], [1, 1], [0, 1], [1, 0]]), 2)
    assert excess_agreement(unrelated, UNIFORM)[0, 1] < 1e-9


def coverage_of_triplets(simulations: int, rows: int, resamples: int) -> float:
    """Return the share of intervals that hold the true accuracy of a source, over simulations of three sources."""
    accuracies, prior = np.array([0.85, 0.75, 0.8]), np.array([0.6, 0.4])
    held = []
    for seed in range(simulations):
        _, votes = simulate(accuracies.tolist(), rows, positive=prior[1], seed=seed)
        patterns = patterns_of(votes, 2)
        fit = fit_triplets(patterns, prior)
        estimates = accuracy_estimates(
            Triplets(), patterns, prior, fit, sources=("a", "b", "c"), resamples=resamples, seed=seed
        )
        for estimate, truth in zip(estimates, accuracies, strict=True):
            assert estimate is not None
            assert estimate.low is not None
            assert estimate.high is not None
            held.append(estimate.low <= truth <= estimate.high)
    return float(np.mean(held))


def test_intervals_of_triplets_hold_the_truth() -> None:
    # of 30 intervals that cover .95, fewer than 24 hold the truth once in 5,000 times
    assert coverage_of_triplets(10, 1000, 60) >= 0.8


@pytest.mark.slow
@pytest.mark.timeout(900)  # 100,000 fits: 51 s of a processor
def test_intervals_of_triplets_cover_as_often_as_they_say() -> None:
    assert 0.93 <= coverage_of_triplets(500, 1000, 200) <= 0.97  # 1,500 intervals; measured: 0.949


def dense_excess(votes: Rows, counts: NDArray[np.float64], prior: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return excess agreement by tables of all rows and answers, silence among them."""
    indicators, sources = one_hot(votes, len(prior)), votes.shape[1]
    excess = np.zeros((sources, sources))
    for first, second in zip(*np.nonzero(~np.eye(sources, dtype=bool)), strict=True):
        a, b = indicators[:, first], indicators[:, second]
        totals = indicators[:, :, :-1].sum(1) - a[:, :-1] - b[:, :-1]
        shares = (totals + 1 / len(prior)) / (totals.sum(-1, keepdims=True) + 1)
        mass = np.where(totals.sum(-1, keepdims=True) > 0, shares, prior) * counts[:, None]
        either = counts * (1 - a[:, -1] * b[:, -1])
        observed = (either * (a * b).sum(-1)).sum() / either.sum()
        given_a, given_b = (mass.T @ of_source / mass.sum(0)[:, None] for of_source in (a, b))
        alike, voted = (given_a * given_b)[:, :-1].sum(-1), 1 - given_a[:, -1] * given_b[:, -1]
        expected = (mass.sum(0) * alike).sum() / (mass.sum(0) * voted).sum()
        excess[first, second] = max(0.0, (observed - expected) / (1 - expected))
    return excess


@pytest.mark.parametrize("most", [0, 2**20])
def test_sums_over_votes_are_those_over_full_tables(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penchant.weak.label_models.votes.MOST_IN_FULL", most)
    _, votes = simulate([0.9, 0.7, 0.6, 0.8, 0.55], rows=300, classes=3, coverage=0.3)
    votes[:, 4] = votes[:, 0]
    patterns, prior = patterns_of(votes, 3), np.array([0.5, 0.3, 0.2])
    random = np.random.default_rng(1)
    full = one_hot(patterns.answers, 3)
    table = random.dirichlet(np.ones(4), size=(5, 3))
    logs = np.einsum("psa,ska->pk", full, np.log(table)) + np.log(prior)
    expected = np.exp(logs) / np.exp(logs).sum(-1, keepdims=True)
    np.testing.assert_allclose(posterior(patterns.indicators, table, prior), expected, rtol=1e-9)
    mass = patterns.counts[:, None, None] * full[:, :, :-1]
    right = np.einsum("psk,pk->s", mass, expected) / mass.sum((0, 2))
    estimated = accuracies_by_posterior(patterns.indicators, patterns.counts, expected)
    np.testing.assert_allclose(estimated, right, rtol=1e-9)
    np.testing.assert_array_equal(patterns.votes_by_source, mass.sum((0, 2)))
    flat = full[:, :, :-1].reshape(len(full), -1)
    moments = (flat * patterns.counts[:, None]).T @ flat / 300
    np.testing.assert_allclose(second_moments(patterns), moments, rtol=1e-12)
    np.testing.assert_allclose(
        excess_agreement(patterns, prior), dense_excess(patterns.answers, patterns.counts, prior), atol=1e-9
    )


@pytest.mark.parametrize("classes", [2, 3])
def test_sparse_and_full_tables_fit_alike(classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    _, votes = simulate([0.9, 0.7, 0.6, 0.8], rows=400, classes=classes, coverage=0.6)
    prior = np.full(classes, 1 / classes)
    models = [fit_majority, fit_dawid_skene, fit_one_coin, fit_moments, *([fit_triplets] if classes == 2 else [])]

    def fits() -> list[LabelFit]:
        return [fit_model(patterns_of(votes, classes), prior) for fit_model in models]

    full = fits()
    monkeypatch.setattr("penchant.weak.label_models.votes.MOST_IN_FULL", 0)
    assert issparse(patterns_of(votes, classes).indicators)
    for one, other in zip(full, fits(), strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-9)
        np.testing.assert_allclose(one.accuracies, other.accuracies, atol=1e-9)
