"""Intervals that resample prompts: by hand, by simulation, and at the edges."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.stats import binomtest

from penchant.errors import InputError
from penchant.metrics import Estimate, cluster_mean, independent_difference, paired_difference
from penchant.metrics.intervals import mean_within


def test_mean_and_weighted_mean_by_hand():
    assert cluster_mean([1.0, 2.0, 6.0], ["a", "b", "b"]).value == pytest.approx(3.0)
    # weights 2, 1, 1: (2*1 + 2 + 6) / 4
    weighted = cluster_mean([1.0, 2.0, 6.0], ["a", "b", "b"], weights=[2, 1, 1])
    assert weighted.value == pytest.approx(2.5)
    assert (weighted.n, weighted.clusters) == (3, 2)


def test_a_weight_equals_writing_the_item_twice():
    values, clusters = [0.0, 1.0, 1.0, 0.0], ["a", "a", "b", "c"]
    weighted = cluster_mean(values, clusters, weights=[1, 2, 1, 1])
    written = cluster_mean([0.0, 1.0, 1.0, 1.0, 0.0], ["a", "a", "a", "b", "c"])
    assert (weighted.value, weighted.low, weighted.high) == pytest.approx((written.value, written.low, written.high))


def test_deterministic_and_blind_to_the_type_of_labels():
    values = np.linspace(-1, 1, 40)  # no skewness, so that the resampled interval goes farther than the other
    numbers = np.arange(40) // 2
    first = cluster_mean(values, numbers)
    assert first == cluster_mean(values, numbers)
    assert first == cluster_mean(values, [f"prompt {k}" for k in numbers])
    assert first != cluster_mean(values, numbers, seed=1)


def test_one_cluster_has_a_mean_and_no_interval():
    estimate = cluster_mean([0.0, 1.0], ["a", "a"])
    assert estimate == Estimate(0.5, None, None, 2, 1, "no interval: 1 prompt")
    assert json.loads(json.dumps(estimate.as_dict(), allow_nan=False)) == {
        "value": 0.5, "low": None, "high": None, "n": 2, "clusters": 1, "reason": "no interval: 1 prompt",
    }  # fmt: skip


def test_reads_back_what_it_wrote():
    for estimate in (Estimate(0.5, 0.4, 0.6, 20, 12), Estimate(0.5, None, None, 6, 6, "no interval: 6 prompts")):
        assert Estimate.from_dict(json.loads(json.dumps(estimate.as_dict()))) == estimate


@pytest.mark.parametrize(
    ("low", "high", "clusters", "reason"),
    [
        (0.4, 0.6, 12, ""),
        (0.4, 0.6, 9, "no interval: 9 prompts"),
        (0.5, 0.5, 30, "no interval: all 30 prompts say the same"),
        (None, None, 1, "no interval: 1 prompt"),
    ],
)
def test_intervals_of_older_versions_that_were_too_narrow_are_left_out(low, high, clusters, reason):
    estimate = Estimate.from_dict({"value": 0.5, "low": low, "high": high, "n": 40, "clusters": clusters})
    assert estimate.reason == reason
    assert (estimate.low, estimate.high) == ((None, None) if reason else (low, high))


@pytest.mark.parametrize("clusters", [6, 30])
def test_equal_values_without_known_bounds_have_no_interval(clusters):
    estimate = cluster_mean([0.1] * clusters, range(clusters))
    assert (estimate.value, estimate.low, estimate.high) == (pytest.approx(0.1), None, None)
    words = {6: "no interval: 6 prompts", 30: "no interval: all 30 prompts say the same"}
    assert estimate.reason == words[clusters]


def test_a_share_at_the_edge_has_the_exact_interval():
    # all of 30: the rate p with p^30 = .025; by binomtest also 1 wrong of 20, and 5 of 6
    assert (cluster_mean([1] * 30, range(30)).low, cluster_mean([1] * 30, range(30)).high) == (0.025 ** (1 / 30), 1)
    assert cluster_mean([0.0] * 30, range(30)).high == pytest.approx(1 - 0.025 ** (1 / 30))
    for right, of in ((19, 20), (5, 6), (3, 38), (1, 1)):
        expected = binomtest(right, of).proportion_ci(0.95, "exact")
        found = cluster_mean([True] * right + [False] * (of - right), range(of))
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_all_alike_in_few_clusters_is_exact_on_the_clusters():
    found = cluster_mean([1] * 24, np.repeat(range(4), 6))
    assert (found.value, found.low, found.high, found.clusters) == (1, pytest.approx(0.025 ** (1 / 4)), 1, 4)


def test_few_clusters_of_several_answers_have_no_interval():
    found = cluster_mean([1, 0] * 9, np.repeat(range(9), 2))
    assert (found.low, found.high, found.reason) == (None, None, "no interval: 9 prompts")
    assert cluster_mean([2.5, 3.0, 1.0], "abc", unit="step").reason == "no interval: 3 steps"
    assert cluster_mean(np.arange(10.0), range(10)).low is not None


def test_prompts_that_are_all_half_right_may_have_unseen_others():
    # no prompt of another kind among 30: such prompts may be up to 1 - .025^(1/30) of all, and be right or wrong
    found = cluster_mean([1, 0] * 30, np.repeat(range(30), 2))
    assert (found.low, found.high) == pytest.approx((0.5 - 0.0578517, 0.5 + 0.0578517))


def test_answers_of_a_prompt_that_are_all_alike_count_about_once():
    rng = np.random.default_rng(1)
    right = rng.random(60) < 0.7
    once, six_times = cluster_mean(right, range(60)), cluster_mean(np.repeat(right, 6), np.repeat(range(60), 6))
    assert (six_times.low, six_times.high) == pytest.approx((once.low, once.high), abs=0.005)


def test_differences_of_shares_stay_within_their_bounds():
    none = paired_difference([1] * 30, [1] * 30, range(30))
    assert (none.value, none.low, none.high) == (0, pytest.approx(-0.1157033), pytest.approx(0.1157033))
    assert paired_difference([1] * 30, [0] * 30, range(30)).high == 1
    assert paired_difference([2.0] * 30, [1.0] * 30, range(30)).reason == "no interval: all 30 prompts say the same"


def test_a_share_outside_0_and_1_is_refused():
    with pytest.raises(InputError, match="between 0 and 1"):
        cluster_mean([0.5, 1.5], "ab", share=True)


def _simulate(trials: int, prompts: int) -> tuple[float, float]:
    """Share of trials whose interval holds the true mean: resampling prompts, and resampling items."""
    rng = np.random.default_rng(7)
    hits = np.zeros(2)
    for trial in range(trials):
        clusters = np.repeat(np.arange(prompts), rng.integers(1, 9, prompts))
        values = rng.normal(0.0, 0.3, prompts)[clusters] + rng.normal(0.0, 0.3, len(clusters))
        for kind, labels in enumerate((clusters, np.arange(len(values)))):
            estimate = cluster_mean(values, labels, resamples=500, seed=trial)
            hits[kind] += estimate.low <= 0.0 <= estimate.high
    by_prompt, by_item = hits / trials
    return by_prompt, by_item


@pytest.mark.parametrize("prompts", [24, 48])
def test_covers_as_often_as_it_says_and_ignoring_prompts_does_not(prompts):
    by_prompt, by_item = _simulate(600, prompts)
    assert 0.92 <= by_prompt <= 0.98
    assert by_item < 0.85


def test_pairing_narrows_the_interval():
    rng = np.random.default_rng(3)
    difficulty = rng.normal(0, 1, 60)
    policy, reference = difficulty + 0.3 + rng.normal(0, 0.1, 60), difficulty + rng.normal(0, 0.1, 60)
    paired = paired_difference(policy, reference, range(60))
    alone = cluster_mean(policy, range(60))
    assert paired.low < 0.3 < paired.high
    assert paired.high - paired.low < 0.3 * (alone.high - alone.low)


def test_more_clusters_than_one_chunk_holds(monkeypatch):
    symmetric = np.linspace(-1, 1, 50)
    whole = cluster_mean(symmetric, range(50), resamples=100)
    assert whole != cluster_mean(symmetric, range(50), resamples=100, seed=1)  # what is resampled decides
    monkeypatch.setattr("penchant.metrics.resampling._CHUNK", 170)
    assert cluster_mean(symmetric, range(50), resamples=100) == whole


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"values": [], "clusters": []}, "non-empty"),
        ({"values": [[1.0]], "clusters": ["a"]}, "shape"),
        ({"values": [1.0, float("nan")], "clusters": ["a", "b"]}, "item 1: nan"),
        ({"values": [float("inf")], "clusters": ["a"]}, "finite"),
        ({"values": [1.0], "clusters": ["a", "b"]}, "2 clusters"),
        ({"values": [1.0], "clusters": ["a"], "weights": [0.0]}, "positive"),
        ({"values": [1.0], "clusters": ["a"], "weights": [1.0, 1.0]}, "2 weights"),
        ({"values": [1.0], "clusters": ["a"], "level": 1.0}, "level"),
        ({"values": [1.0], "clusters": ["a"], "resamples": 0}, "resamples"),
    ],
)
def test_refuses_and_says_why(arguments, words):
    with pytest.raises(InputError, match=words):
        cluster_mean(**arguments)


def test_a_pair_needs_two_sides():
    with pytest.raises(InputError, match="got 2 and 1"):
        paired_difference([1.0, 2.0], [1.0], ["a", "b"])


def test_a_difference_of_means_without_common_prompts_adds_arms_in_quadrature() -> None:
    a, b = Estimate(0.5, 0.2, 0.9, 10, 5), Estimate(0.1, 0.0, 0.4, 20, 10)
    found = independent_difference(a, b)
    assert found.value == pytest.approx(0.4)
    assert found.low == pytest.approx(0.4 - math.sqrt(0.3**2 + 0.3**2))  # a's lower arm, b's upper one
    assert found.high == pytest.approx(0.4 + math.sqrt(0.4**2 + 0.1**2))
    assert (found.n, found.clusters) == (30, 15)
    assert independent_difference(a, Estimate(0.1, None, None, 4, 1)).low is None


def test_a_difference_of_independent_means_covers_the_truth() -> None:
    generator = np.random.default_rng(3)
    hits = 0
    for trial in range(800):
        samples = [generator.normal(mean, 1.0, size) for mean, size in ((0.3, 40), (0.0, 25))]
        a, b = (cluster_mean(values, range(len(values)), resamples=200, seed=trial) for values in samples)
        found = independent_difference(a, b)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 0.3 <= found.high
    assert 0.93 <= hits / 800 <= 0.97


@pytest.mark.parametrize("values", [[1, 0.5] + [0] * 10, [1] * 9 + [0.5, 0, 0]])
def test_a_tie_does_not_open_the_interval(values: list[float]) -> None:
    """It says no less than a win or a loss in its place."""
    tied = cluster_mean(values, range(len(values)))
    wins, losses = ([float(v) if v != 0.5 else other for v in values] for other in (1.0, 0.0))
    won, lost = cluster_mean(wins, range(len(values))), cluster_mean(losses, range(len(values)))
    assert None not in (tied.low, tied.high, won.low, won.high, lost.low, lost.high)
    assert tied.high - tied.low <= max(won.high - won.low, lost.high - lost.low)  # type: ignore[operator]
    assert lost.low <= tied.low <= won.low  # type: ignore[operator]
    assert lost.high <= tied.high <= won.high  # type: ignore[operator]


def test_the_interval_of_what_cannot_be_negative_stays_above_zero() -> None:
    # eleven small losses and a large one: the plain interval of their mean 0.92 goes below 0
    losses = [0.01] * 6 + [0.02] * 5 + [10.88]
    plain = mean_within(losses, range(12), None)
    bounded = mean_within(losses, range(12), (0.0, math.inf))
    assert plain.low is not None
    assert plain.low < 0
    # worked out by logarithms, of the half of the mean below which the scale changes
    half = plain.value / 2
    expected = math.exp(math.log(half) - (half - plain.low) / half)
    assert bounded.low == pytest.approx(expected)
    assert 0 < expected < plain.value
    assert (bounded.value, bounded.high) == (plain.value, plain.high)
    # what cannot be positive is the same from the other side
    negative = mean_within([-loss for loss in losses], range(12), (-math.inf, 0.0))
    assert (negative.low, negative.high) == pytest.approx((-plain.high, -expected))


def test_far_from_its_bound_an_interval_is_what_it_is_without_one() -> None:
    rng = np.random.default_rng(0)
    values = 100 + rng.normal(size=40)
    plain, bounded = (mean_within(values, range(40), bounds) for bounds in (None, (0.0, math.inf)))
    assert bounded == plain


def test_a_value_beyond_its_bound_shows_that_there_is_none() -> None:
    values = [-1e-7, *range(1, 20)]
    assert mean_within(values, range(20), (0.0, math.inf)) == mean_within(values, range(20), None)


def test_equal_losses_have_no_interval_though_they_are_bounded_below() -> None:
    # nothing bounds what an unseen prompt may have above
    estimate = mean_within([0.7] * 12, range(12), (0.0, math.inf))
    assert (estimate.low, estimate.high) == (None, None)
    assert estimate.reason == "no interval: all 12 prompts say the same"
