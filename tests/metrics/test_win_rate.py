"""Win rates: by hand, their bounds, tests between methods, and a simulation of the interval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penchant.errors import InputError
from penchant.metrics.win_rate import holm, paired_difference, win_rate


def test_by_hand() -> None:
    found = win_rate(["a", "a", "tie", "b", "unparseable"], range(5))
    assert found.rate.value == pytest.approx(2.5 / 5)
    assert found.high.value == pytest.approx(3.5 / 5)
    shares = (found.wins, found.ties, found.losses, found.unparseable)
    assert [share.value for share in shares] == pytest.approx([0.4, 0.2, 0.2, 0.2])
    assert found.rate.n == 5


def test_pairs_of_one_prompt_are_one_draw() -> None:
    outcomes = ["a", "b"] * 30
    alone = win_rate(outcomes, range(60)).rate
    together = win_rate(outcomes, [number // 2 for number in range(60)]).rate
    assert (together.n, together.clusters) == (60, 30)
    assert alone.high is not None
    assert alone.low is not None
    assert alone.high - alone.low > 0.2
    assert together.high is not None
    assert together.low is not None
    assert together.high - together.low < 0.12  # a win and a loss of each prompt cancel


def test_a_judge_who_never_named_a_winner_has_no_win_rate() -> None:
    found = win_rate(["unparseable"] * 12, range(12))
    for rate in (found.rate, found.high):
        assert (rate.value, rate.low, rate.high) == (None, None, None)
        assert rate.reason == "no verdict could be read, of 12 pairs"
    assert found.unparseable.value == 1
    ties = win_rate(["tie"] * 12, range(12)).rate
    assert ties.value == 0.5
    assert ties.low is not None
    assert ties.low < 0.5


@pytest.mark.parametrize(("outcomes", "message"), [([], "at least one"), (["A"], "got A")])
def test_what_is_no_outcome(outcomes: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        win_rate(outcomes, range(len(outcomes)))


def test_two_methods_against_the_same_opponent() -> None:
    same = paired_difference(["a", "b", "tie"] * 10, ["a", "b", "tie"] * 10, range(30))
    assert same.estimate.value == 0
    assert same.p == 1
    better = paired_difference(["a"] * 20, ["b"] * 20, range(20))
    assert better.estimate.value == 1
    assert better.p < 0.001
    few = paired_difference(["a"] * 20, ["b"] * 20, [0] * 10 + [1] * 10)
    assert few.p > 0.3, "two prompts cannot tell"
    with pytest.raises(InputError, match="3 and 2 outcomes"):
        paired_difference(["a"] * 3, ["b"] * 2, range(3))


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), min_size=1, max_size=8))
def test_holms_values_are_larger_and_keep_the_order(p_values: dict[str, float]) -> None:
    found = holm(p_values)
    assert list(found) == list(p_values)
    for name, value in found.items():
        assert p_values[name] <= value <= min(1, len(p_values) * p_values[name])
        for other in p_values:
            assert p_values[name] > p_values[other] or value <= found[other]


def test_holm_by_hand() -> None:
    assert holm({"x": 0.01, "y": 0.04, "z": 0.03}) == pytest.approx({"x": 0.03, "y": 0.06, "z": 0.06})


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.0, 0.25])
def test_the_interval_covers(spread: float) -> None:
    """Prompts of which each has a rate of its own, three pairs a prompt, one in ten unparseable."""
    rng, hits, trials = np.random.default_rng(0), 0, 600
    for _ in range(trials):
        own = np.clip(0.55 + spread * rng.standard_normal(120), 0.05, 0.95).repeat(3)
        outcomes = np.where(rng.random(360) < own, "a", "b").astype("<U11")
        outcomes[rng.random(360) < 0.1] = "unparseable"
        found = win_rate(outcomes.tolist(), np.arange(120).repeat(3).tolist()).rate
        many = np.clip(0.55 + spread * np.random.default_rng(1).standard_normal(10**6), 0.05, 0.95)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 0.9 * float(many.mean()) <= found.high
    assert 0.93 <= hits / trials <= 0.97
