"""Agreement of raters: by hand, beside the reference packages, in simulation, and where it is undefined."""

from __future__ import annotations

import json

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from penchant.errors import InputError
from penchant.metrics.agreement import (
    agreement_between,
    krippendorff_alpha,
    leave_one_out,
    majority,
    pair_agreement,
)
from penchant.metrics.chance_corrected import alphas

KINDS = ("first", "second", "tie")


def as_numbers(ratings):  # type: ignore[no-untyped-def]
    return np.array([[np.nan if said is None else KINDS.index(said) for said in rater] for rater in ratings])


ratings_of = st.integers(2, 4).flatmap(
    lambda raters: st.lists(
        st.lists(st.sampled_from([*KINDS, None]), min_size=raters, max_size=raters), min_size=1, max_size=25
    ).map(lambda rows: list(zip(*rows, strict=True)))
)


def test_by_hand():
    one = ["first", "first", "second", "second", None]
    other = ["first", "second", "second", "second", "first"]
    pair = pair_agreement(one, other)
    # 3 of 4 equal; by chance 1/2 * 1/4 + 1/2 * 3/4 = 1/2
    assert pair.raw.value == pytest.approx(0.75)
    assert pair.kappa.value == pytest.approx(0.5)
    assert (pair.raw.n, pair.kappa.n, pair.kappa.clusters) == (4, 4, 4)
    # values 3 first, 5 second: observed disagreement 2 of 8; expected 2 * 3 * 5 / 7 of 8
    assert krippendorff_alpha([one, other]).value == pytest.approx(1 - 2 / (30 / 7))
    assert majority([one, other, ["first", None, "tie", "first", None]]) == ["first", None, "second", "second", "first"]


@given(ratings_of)
@settings(max_examples=60)
def test_kappa_equals_scikit_learn_and_alpha_the_package(ratings):
    one, other = ratings[:2]
    both = [(a, b) for a, b in zip(one, other, strict=True) if a and b]
    kappa = pair_agreement(one, other, resamples=20).kappa
    if not both or len({said for pair in both for said in pair}) == 1:
        assert kappa.value is None
        assert kappa.reason
    else:
        assert kappa.value == pytest.approx(cohen_kappa_score(*zip(*both, strict=True)))
    alpha = krippendorff_alpha(ratings, resamples=20)
    numbers = as_numbers(ratings)
    pairable = (~np.isnan(numbers)).sum(0) >= 2
    if not pairable.any() or len(np.unique(numbers[:, pairable][~np.isnan(numbers[:, pairable])])) == 1:
        assert alpha.value is None
        assert alpha.reason
    else:
        expected = krippendorff.alpha(reliability_data=numbers, level_of_measurement="nominal")
        assert alpha.value == pytest.approx(expected)
    for found in (kappa, alpha):
        json.dumps(found.as_dict(), allow_nan=False)
        assert found.low is None or found.low <= found.value <= found.high <= 1 + 1e-9
        assert (found.reason == "") == (found.low is not None)


def test_what_is_resampled_is_the_packages_alpha_too():
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 3, (3, 40)).astype(float)
    numbers[rng.random(numbers.shape) < 0.3] = np.nan
    numbers = numbers[:, (~np.isnan(numbers)).sum(0) >= 2]
    drawn = rng.integers(0, numbers.shape[1], numbers.shape[1])
    sums = np.zeros(9)
    for unit in numbers[:, drawn].T:
        said = unit[~np.isnan(unit)].astype(int)
        for i, a in enumerate(said):
            for j, b in enumerate(said):
                sums[3 * a + b] += (i != j) / (len(said) - 1)
    expected = krippendorff.alpha(reliability_data=numbers[:, drawn], level_of_measurement="nominal")
    assert alphas(sums[None])[0] == pytest.approx(expected)


def test_nan_is_missing_too_and_numbers_are_as_good_as_words():
    words = pair_agreement(["a", None, "b", "a"], ["a", "b", "a", "a"])
    numbers = pair_agreement([0, float("nan"), 1, 0], np.array([0.0, 1.0, 0.0, 0.0]).tolist())
    assert words == numbers


@pytest.mark.parametrize(
    ("ratings", "words"),
    [
        ([["a", "b", "a"]], "one rater only"),
        ([["a", None], [None, "b"]], "rated twice"),
        ([["a", "a"], ["a", "a"]], "one and the same thing"),
        ([[None, None], [None, None]], "rated twice"),
    ],
)
def test_undefined_with_a_reason(ratings, words):
    alpha = krippendorff_alpha(ratings)
    assert alpha.value is None
    assert words in alpha.reason
    assert str(alpha).startswith("undefined: ")
    if len(ratings) == 2:
        kappa = pair_agreement(*ratings).kappa
        assert kappa.value is None
        assert kappa.reason


def test_no_overlap_leaves_nothing_undefined_in_silence():
    nothing = pair_agreement(["a", None], [None, "a"])
    assert nothing.raw.value is None
    assert "no item was rated by both" in nothing.raw.reason
    assert leave_one_out([["a", "b"]])[0].raw.value is None
    assert agreement_between([["a"]], [[None]]).value is None
    assert agreement_between([["a"]]).value is None


def test_one_prompt_or_hardly_any_difference_has_no_interval():
    alone = pair_agreement(["a", "b"], ["a", "a"], ["p", "p"])
    assert alone.kappa.value is not None
    assert alone.kappa.low is None
    assert alone.kappa.reason == "no interval: 1 prompt"
    thin = pair_agreement(["a"] * 9 + ["b"], ["a"] * 9 + ["b"]).kappa
    assert (thin.value, thin.low) == (1.0, None)
    assert "resamples" in thin.reason


def test_a_coefficient_that_never_varies_has_no_interval():
    same = pair_agreement([0, 1] * 6, [0, 1] * 6)
    assert (same.kappa.value, same.kappa.low) == (1.0, None)
    assert same.kappa.reason == "no interval: all 12 prompts say the same"
    assert (same.raw.value, same.raw.low) == (1.0, 0.025 ** (1 / 12))  # a share has an exact one
    assert agreement_between([[0, 0, 0], [1, 1, 1]]).high == pytest.approx(1 - 0.025 ** (1 / 3))
    assert krippendorff_alpha([[0, 1, 0, 1], [0, 1, 0, 0]]).reason == "no interval: 4 prompts"


def test_intervals_resample_prompts():
    rng = np.random.default_rng(1)
    prompts = np.repeat(np.arange(20), 10)
    easy = (rng.random(20) < 0.5)[prompts]  # raters agree on all of a prompt or on none of it
    one = rng.integers(0, 2, 200)
    other = np.where(easy, one, 1 - one)
    by_prompt, by_item = (
        pair_agreement(one.tolist(), other.tolist(), prompts),
        pair_agreement(one.tolist(), other.tolist()),
    )
    assert by_prompt.kappa.clusters == 20
    assert by_prompt.kappa.high - by_prompt.kappa.low > 2 * (by_item.kappa.high - by_item.kappa.low)
    assert by_prompt == pair_agreement(one.tolist(), other.tolist(), [f"prompt {p}" for p in prompts])


def test_leave_one_out_and_pooled_pairs():
    a, b, c = ["x", "x", "y", "y"], ["x", "y", "y", "y"], ["x", "x", "x", "y"]
    first, second, third = leave_one_out([a, b, c])
    assert first.raw.value == 1.0  # b and c agree on items 1 and 4 only
    assert first.raw.n == 2
    assert second.raw.value == pytest.approx(2 / 3)
    assert third.raw.value == pytest.approx(2 / 3)
    people = agreement_between([a, b, c])
    assert (people.value, people.n, people.clusters) == (pytest.approx((3 + 3 + 2) / 12), 12, 4)
    judge = agreement_between([["x", None, "y", "y"]], [a, b, c])
    assert (judge.value, judge.n) == (pytest.approx(8 / 9), 9)


def test_bad_input_is_named():
    with pytest.raises(InputError, match="one rating"):
        pair_agreement(["a"], ["a", "b"])
    with pytest.raises(InputError, match="one cluster per item"):
        krippendorff_alpha([["a", "b"], ["a", "b"]], ["p"])


def simulated(rng, prompts: int, raters: int):  # type: ignore[no-untyped-def]
    """Raters who say the truth of an item with a chance that depends on its prompt, else anything."""
    clusters = np.repeat(np.arange(prompts), 3)
    truth = rng.choice(3, size=len(clusters), p=[0.45, 0.45, 0.1])
    sees = rng.beta(4, 2, prompts)[clusters]
    knows = rng.random((raters, len(clusters))) < sees
    guess = rng.choice(3, size=knows.shape, p=[0.45, 0.45, 0.1])
    return np.where(knows, truth, guess), clusters


@pytest.mark.slow
def test_intervals_cover():
    rng = np.random.default_rng(5)
    # both chance-corrected: E[sees^2], since a guess agrees with truth and guesses as often as chance
    true = 4 * 5 / (6 * 7)
    hits, trials = np.zeros(2), 1000
    for trial in range(trials):
        said, clusters = simulated(rng, 80, 3)
        said = said.tolist()
        kappa = pair_agreement(said[0], said[1], clusters, resamples=600, seed=trial).kappa
        alpha = krippendorff_alpha(said, clusters, resamples=600, seed=trial)
        hits += [found.low <= true <= found.high for found in (kappa, alpha)]
    assert ((hits / trials >= 0.93) & (hits / trials <= 0.97)).all(), hits / trials
