"""PGR: arithmetic, what is undefined, and how often its interval covers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtri

from penchant.errors import InputError
from penchant.metrics import pgr, two_way_mean

Table = NDArray[np.float64]


def _answers(accuracy: float, seeds: int, items: int, seed: int = 0) -> Table:
    return (np.random.default_rng(seed).random((seeds, items)) < accuracy).astype(float)


def test_pgr_by_hand() -> None:
    weak, ceiling = np.zeros((2, 100)), np.ones((2, 100))
    weak[:, :60] = 1  # 0.6
    student = weak.copy()
    student[:, 60:80] = 1  # 0.8 of 1.0: half of the gap
    result = pgr(weak, student, ceiling)
    assert result.value == pytest.approx(0.5)
    assert result.low is not None
    assert result.high is not None
    assert result.low < 0.5 < result.high
    assert (result.gain.value, result.gap.value) == (pytest.approx(0.2), pytest.approx(0.4))
    assert (result.weak.value, result.student.value, result.ceiling.value) == pytest.approx((0.6, 0.8, 1.0))
    assert str(result).startswith("0.50 [")


def test_the_ends_are_where_fieller_puts_them() -> None:
    # one seed and no seed variance: the interval solves (A - rB)^2 = t^2 var(a - r b) / items, a quadratic in r
    weak, student, ceiling = (_answers(p, 1, 400, seed) for seed, p in enumerate((0.6, 0.7, 0.9)))
    result = pgr(weak, student, ceiling)
    a, b = (student - weak)[0], (ceiling - weak)[0]
    cov = np.cov(a, b) / 400 * 1.965927**2
    quadratic = [b.mean() ** 2 - cov[1, 1], -2 * (a.mean() * b.mean() - cov[0, 1]), a.mean() ** 2 - cov[0, 0]]
    low, high = sorted(np.roots(quadratic))
    assert (result.low, result.high) == pytest.approx((low, high), abs=1e-5)
    assert "one seed" in result.warnings[0]


def test_student_at_the_ends_of_the_gap() -> None:
    weak, ceiling = _answers(0.6, 3, 500), _answers(0.9, 3, 500, 1)
    assert pgr(weak, weak, ceiling).value == 0


def test_a_student_that_agrees_with_the_ceiling_on_every_item_may_differ_on_others() -> None:
    # of 20 items that all agree, up to 1 - .025^(1/20) = .168 of the others may differ, over a gap of .5
    weak, ceiling = np.zeros((1, 20)), np.ones((1, 20))
    weak[:, :10] = 1
    full = pgr(weak, ceiling, ceiling)
    assert full.value == 1
    assert (full.low, full.high) == pytest.approx((1 - 0.16843 / 0.5, 1 + 0.16843 / 0.5), abs=1e-4)


def test_right_on_20_of_20_has_the_exact_interval() -> None:
    for seeds in (1, 3):
        estimate = two_way_mean(np.ones((seeds, 20)), share=True)
        assert (estimate.value, estimate.high) == (1, 1)
        assert estimate.low == pytest.approx(0.025 ** (1 / 20))  # Clopper and Pearson, of items: seeds share them


def test_seeds_that_collapse_to_opposite_classes_leave_pgr_open() -> None:
    # each seed's student says one class throughout, so every item is right in half of the seeds
    rng = np.random.default_rng(0)
    truth = np.arange(200) % 2
    weak = (rng.random((4, 200)) < 0.5).astype(float)
    student = np.array([truth == said for said in (0, 1, 0, 1)]).astype(float)
    ceiling = np.ones((4, 200))
    assert np.ptp(student.mean(0)) == 0
    estimate = two_way_mean(student, share=True)
    assert estimate.high - estimate.low > 0.05
    result = pgr(np.zeros((4, 200)), student, ceiling)
    assert result.value == 0.5
    assert result.high - result.low > 0.05
    assert pgr(weak, student, ceiling).low < 0 < pgr(weak, student, ceiling).high


def test_rows_that_move_together_count_once() -> None:
    # every question twice, with the same answers: the intervals are those of the questions
    once = _shared_items(300, 3, 0.01, (0.6, 0.7, 0.85), seed=1)
    twice = [np.repeat(table, 2, axis=1) for table in once]
    single, grouped = pgr(*once), pgr(*twice, groups=np.repeat(np.arange(300), 2))
    naive = pgr(*twice)
    assert (grouped.value, grouped.low, grouped.high) == pytest.approx((single.value, single.low, single.high))
    assert grouped.high - grouped.low > 1.3 * (naive.high - naive.low)
    assert (grouped.student.low, grouped.student.clusters) == (pytest.approx(single.student.low, abs=0.002), 300)


def test_two_rows_of_which_one_is_right_are_narrower_together() -> None:
    # a question with its right and its wrong answer, and a model that calls both the same: always one of two right
    said = np.random.default_rng(2).random((3, 200)) < 0.5
    pairs = np.stack([said, ~said], -1).reshape(3, 400).astype(float)
    alone, together = two_way_mean(pairs), two_way_mean(pairs, groups=np.repeat(np.arange(200), 2))
    assert alone.high - alone.low > 0.05
    assert (together.value, together.low) == (0.5, None)
    assert together.reason == "no interval: all 200 test items say the same"
    assert two_way_mean(pairs, groups=np.repeat(np.arange(200), 2), share=True).low == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("groups", [[0, 1], np.arange(5)])
def test_other_groups_than_items_are_refused(groups: object) -> None:
    with pytest.raises(InputError, match="one group per test item"):
        pgr(np.zeros((2, 4)), np.zeros((2, 4)), np.ones((2, 4)), groups=groups)  # type: ignore[arg-type]


def test_one_group_shows_no_gap() -> None:
    result = pgr(np.zeros((2, 4)), np.zeros((2, 4)), np.ones((2, 4)), groups=[0, 0, 0, 0])
    assert result.value is None
    assert result.reason == "no gap can be shown: ceiling - weak is +1.000 (no interval: 1 test item)"


def test_without_a_gap_it_is_undefined_and_says_why() -> None:
    for ceiling in (_answers(0.7, 3, 500, 1), _answers(0.5, 3, 500, 1)):
        result = pgr(_answers(0.7, 3, 500), _answers(0.7, 3, 500, 2), ceiling)
        assert (result.value, result.low, result.high) == (None, None, None)
        assert result.reason.startswith("no gap: ceiling - weak is")
        assert str(result).startswith("undefined: no gap")


def test_a_small_test_set_is_named_with_the_size_that_would_do() -> None:
    sized = [_shared_items(2000, 3, 0.0, (0.6, 0.7, 0.8), seed=4)]
    (small,) = pgr(*(table[:, :200] for table in sized[0])).warnings
    assert "200 test items" in small
    assert "items would give ±0.1" in small
    assert pgr(*_shared_items(20_000, 3, 0.0, (0.6, 0.7, 0.8), seed=4)).warnings == ()


def test_seeds_that_differ_too_much_are_named() -> None:
    (warning,) = pgr(*_shared_items(5000, 3, 0.06, (0.5, 0.7, 0.9), seed=3)).warnings
    assert "more seeds" in warning


def test_items_in_another_order_and_seeds_in_another_order_change_nothing() -> None:
    tables = _shared_items(300, 4, 0.01, (0.6, 0.7, 0.85), seed=0)
    first = pgr(*tables)
    rng = np.random.default_rng(0)
    items, seeds = rng.permutation(300), rng.permutation(4)
    second = pgr(*(table[seeds][:, items] for table in tables))
    assert (second.value, second.low, second.high) == pytest.approx((first.value, first.low, first.high))


@pytest.mark.parametrize(
    ("shape", "fill", "message"),
    [((2, 5), 0.5, "same items"), ((3, 4), 2.0, "between 0 and 1"), ((3, 4), np.nan, "finite"), ((4,), 0.5, "shape")],
)
def test_bad_input(shape: tuple[int, ...], fill: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pgr(np.zeros((3, 4)), np.full(shape, fill), np.ones((3, 4)))


def test_one_item_and_bad_levels() -> None:
    with pytest.raises(InputError, match="one test item"):
        pgr(np.zeros((3, 1)), np.zeros((3, 1)), np.ones((3, 1)))
    assert two_way_mean(np.ones((3, 1))).low is None
    with pytest.raises(InputError, match="level"):
        two_way_mean(np.ones((3, 4)), level=1.0)


def test_two_way_mean_by_hand() -> None:
    # rows 0 1 and 2 3: seeds' mean square 4, items' 1, no rest; one degree of freedom each, t = 12.7062
    estimate = two_way_mean([[0.0, 1.0], [2.0, 3.0]])
    assert estimate.value == 1.5
    assert estimate.high == pytest.approx(1.5 + 12.7062 * np.sqrt(4 / 4 + 1 / 4), rel=1e-5)


def test_a_share_of_few_seeds_stays_one() -> None:
    answers = np.array([[1.0] * 40, [1.0] * 25 + [0.0] * 15])
    wide, share = two_way_mean(answers), two_way_mean(answers, share=True)
    assert wide.low < 0
    assert wide.high > 1
    assert (share.value, share.low, share.high) == (wide.value, pytest.approx(0), pytest.approx(1))
    assert pgr(np.zeros((2, 40)), answers, np.ones((2, 40))).student == share


def _shared_items(items: int, seeds: int, sd: float, accuracies: tuple[float, ...], seed: int) -> list[Table]:
    """Answers of several models: items are hard or easy for all, each seed shifts the accuracy by `sd`."""
    rng = np.random.default_rng(seed)
    difficulty, tables = rng.normal(size=items), []
    for accuracy in accuracies:
        own, noise = rng.normal(size=items), rng.normal(size=(seeds, items))
        ability = np.sqrt(0.5) * difficulty + np.sqrt(0.25) * own + np.sqrt(0.25) * noise
        bars = ndtri(np.clip(accuracy + rng.normal(0, sd, size=(seeds, 1)), 0.01, 0.99))
        tables.append((ability < bars).astype(float))
    return tables


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("sd", [0.0, 0.02])
def test_intervals_cover_and_no_gap_is_undefined(seeds: int, sd: float) -> None:
    trials, covered, undefined = 2000, 0, 0
    for trial in range(trials):
        result = pgr(*_shared_items(1000, seeds, sd, (0.6, 0.7, 0.8), trial))
        covered += result.low is not None and result.high is not None and result.low <= 0.5 <= result.high
        undefined += pgr(*_shared_items(1000, seeds, sd, (0.6, 0.6, 0.6), trial)).value is None
    assert 0.93 <= covered / trials <= 0.97
    assert undefined / trials >= 0.95


def _in_groups(seeds: int, sd: float, accuracies: tuple[float, ...], seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Correctness of three models on 150 groups of 1 to 4 items that are hard together, and each item's group.

    A model is right where a standard normal ability lies below the quantile of its accuracy; half of the ability's
    variance is common to a group's items.
    """
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(150), rng.integers(1, 5, 150))
    hard = math.sqrt(0.35) * rng.normal(size=150)[groups] + math.sqrt(0.15) * rng.normal(size=len(groups))
    tables = []
    for accuracy in accuracies:
        own = math.sqrt(0.2) * rng.normal(size=150)[groups] + math.sqrt(0.3) * rng.normal(size=(seeds, len(groups)))
        bar = ndtri(np.clip(accuracy + rng.normal(0, sd, (seeds, 1)), 0.01, 0.99))
        tables.append((hard + own < bar).astype(float))
    return tables, groups


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 3])
def test_intervals_of_groups_cover_where_those_of_items_do_not(seeds: int) -> None:
    trials, covered, by_item = 1000, 0, 0
    for trial in range(trials):
        tables, groups = _in_groups(seeds, 0.0, (0.6, 0.7, 0.85), trial)
        grouped, alone = pgr(*tables, groups=groups), pgr(*tables)
        covered += grouped.low is not None and grouped.high is not None and grouped.low <= 0.4 <= grouped.high
        by_item += alone.low is not None and alone.high is not None and alone.low <= 0.4 <= alone.high
    assert 0.93 <= covered / trials <= 0.975
    assert by_item / trials < covered / trials - 0.02


def test_consistency_is_the_share_of_pairs_of_templates_that_agree() -> None:
    from penchant.metrics.imitation import consistency

    said = [[0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]  # of three pairs: 3, 1, 1, 3 agree
    assert consistency(said).value == pytest.approx((3 + 1 + 1 + 3) / 12)
    assert consistency([[0, 1], [0, 1]]).value == 1
    assert consistency(said, [0, 0, 1, 1]).clusters == 2
    with pytest.raises(InputError, match="two templates or more"):
        consistency([[0, 1]])
