"""The win rate at equal lengths: by hand, beside scikit-learn, in simulation, and at the edges."""

from __future__ import annotations

import importlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from penchant.errors import InputError
from penchant.metrics import cluster_mean, length_controlled


def simulated(prompts: int, theta: float, phi: float, seed: int = 0, shift: float = 0.0):  # type: ignore[no-untyped-def]
    """Outcomes of four comparisons a prompt; the model's answers are longer by `shift` standard deviations."""
    rng = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(prompts), 4)
    longer = 300 * (rng.normal(shift, 0.8, len(clusters)) + rng.normal(0, 0.6, prompts)[clusters])
    chance = expit(theta + phi * np.tanh(longer / longer.std()))
    return (rng.random(len(clusters)) < chance).astype(float), longer, clusters


def test_equals_the_raw_rate_where_length_tells_nothing():
    won = np.array([1.0, 0.0, 0.5, 1.0] * 10)
    clusters = np.arange(40) // 4
    raw = cluster_mean(won, clusters)
    same = length_controlled(won, np.full(40, 120.0), clusters)
    assert same.value == pytest.approx(raw.value)
    assert (same.n, same.clusters) == (40, 10)
    # every outcome stands once with the longer and once with the shorter answer
    balanced = length_controlled(np.tile(won, 2), np.repeat([70.0, -70.0], 40), np.tile(clusters, 2))
    assert balanced.value == pytest.approx(raw.value, abs=1e-9)
    won, longer, clusters = simulated(400, 0.5, 0.0)
    assert length_controlled(won, longer, clusters).value == pytest.approx(won.mean(), abs=0.005)


def test_takes_the_bias_away_where_there_is_one():
    won, longer, clusters = simulated(800, 0.0, 2.0, shift=0.7)
    assert cluster_mean(won, clusters).low > 0.6  # longer answers, nothing else
    controlled = length_controlled(won, longer, clusters)
    assert controlled.low < 0.5 < controlled.high
    assert controlled.value == pytest.approx(0.5, abs=0.04)


def test_equals_scikit_learn():
    won, longer, clusters = simulated(50, 0.4, 1.0, shift=0.5)
    won[::7] = 0.3  # a judge's probability
    x = np.tanh(longer / longer.std())[:, None]
    model = LogisticRegression(C=np.inf, tol=1e-10)
    model.fit(np.vstack([x, x]), np.repeat([1, 0], len(won)), sample_weight=np.concatenate([won, 1 - won]))
    expected = expit(model.intercept_[0])
    assert length_controlled(won, longer, clusters).value == pytest.approx(expected, abs=2e-4)  # the prior of phi


def test_the_unit_of_length_does_not_matter():
    won, longer, clusters = simulated(30, 0.2, 1.0)
    one, other = length_controlled(won, longer, clusters), length_controlled(won, longer * 1000, clusters)
    assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))


def test_the_other_side_has_the_rest():
    won, longer, clusters = simulated(30, 0.2, 1.0)
    ours, theirs = length_controlled(won, longer, clusters), length_controlled(1 - won, -longer, clusters)
    assert ours.value == pytest.approx(1 - theirs.value, abs=1e-6)


def test_all_won_and_length_that_decides_everything_stay_finite():
    everything = length_controlled(np.ones(12), np.arange(12.0), np.arange(12))
    assert (everything.value, everything.low, everything.high) == (1.0, pytest.approx(0.025 ** (1 / 12)), 1.0)
    decided = length_controlled([0.0] * 10 + [1.0] * 10, np.arange(20.0) - 9.5, np.arange(20))
    assert decided.value == pytest.approx(0.5, abs=1e-6)
    json.dumps(decided.as_dict(), allow_nan=False)
    assert (decided.low, decided.reason) == (None, "no interval: length decides every verdict")
    alike = length_controlled([0.0] * 10 + [1.0] * 10, np.full(20, 3.0), np.arange(20))
    assert (alike.value, alike.low, alike.reason) == (0.5, None, "no interval: all lengths differ by the same")
    tied = length_controlled([0.5] + [0.0] * 10 + [1.0] * 10, np.r_[0.0, np.arange(20.0) - 9.5], np.arange(21))
    assert tied.low is not None


def test_one_prompt_has_no_interval():
    alone = length_controlled([1.0, 0.0, 1.0], [5.0, -5.0, 2.0], ["a"] * 3)
    assert (alone.low, alone.high, alone.clusters) == (None, None, 1)


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.integers(-500, 500), st.integers(0, 5)), min_size=1, max_size=30
    )
)
@settings(max_examples=30)
def test_always_a_share_with_its_interval_around_it(rows):
    won, longer, clusters = zip(*rows, strict=True)
    found = length_controlled(won, longer, clusters, resamples=50)
    assert 0 <= found.value <= 1
    if found.low is not None:
        assert 0 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize(
    ("won", "longer", "clusters", "words"),
    [
        ([], [], [], "non-empty"),
        ([1.0], [1.0, 2.0], ["a"], "1 outcomes, 2 differences and 1 clusters"),
        ([1.0, 2.0], [1.0, 2.0], ["a", "b"], "between 0 and 1"),
        ([1.0, float("nan")], [1.0, 2.0], ["a", "b"], "finite"),
        ([1.0, 0.0], [1.0, float("inf")], ["a", "b"], "finite"),
    ],
)
def test_bad_input_is_named(won, longer, clusters, words):
    with pytest.raises(InputError, match=words):
        length_controlled(won, longer, clusters)


@pytest.mark.slow
def test_the_interval_covers():
    hits = 0
    for trial in range(400):
        won, longer, clusters = simulated(150, 0.4, 1.2, seed=trial, shift=0.4)
        found = length_controlled(won, longer, clusters, resamples=600)
        hits += found.low <= expit(0.4) <= found.high
    assert 0.93 <= hits / 400 <= 0.97


def test_many_prompts_leave_out_several_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variance of the jackknife by parts is near that of one prompt at a time."""
    rng = np.random.default_rng(0)
    longer = rng.normal(size=400)
    won = (rng.random(400) < 0.97) * 1.0
    one = length_controlled(won, longer, np.arange(400), resamples=50)
    monkeypatch.setattr(importlib.import_module("penchant.metrics.length_controlled"), "MOST_PARTS", 100)
    parts = length_controlled(won, longer, np.arange(400), resamples=50)
    assert (parts.low, parts.high) == pytest.approx((one.low, one.high), abs=0.01)
    assert parts.low != one.low
