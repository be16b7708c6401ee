"""Measures of hallucination against arithmetic by hand."""

from __future__ import annotations

import numpy as np
import pytest

from penchant.errors import InputError
from penchant.metrics.hallucination import (
    compare_answers,
    compare_captions,
    measure_answers,
    measure_captions,
    ratio_difference,
    read_yes_no,
)
from penchant.metrics.intervals import paired_difference
from penchant.metrics.object_mentions import ObjectVocabulary, count_caption

ANIMALS = ObjectVocabulary.of_names(["dog", "cat", "cow", "pig"])
CAPTIONS = (("A dog. A cat.", ["dog"]), ("A cow and a pig.", ["cow", "pig"]), ("Nothing.", ["dog", "cat"]))
COUNTS = [count_caption(text, objects, ANIMALS) for text, objects in CAPTIONS]


def test_captions_by_hand() -> None:
    measures = measure_captions(COUNTS, [0, 1, 2])
    values = {name: estimate.value for name, estimate in measures.items()}
    assert values == pytest.approx(
        {
            "false_per_mention": 1 / 4,
            "false_captions": 1 / 3,
            "false_sentences": 1 / 4,
            "false_objects": 1 / 3,
            "recall": 3 / 5,
            "duplicates": 0,
            "mentions": 4 / 3,
            "words": (4 + 5 + 1) / 3,
        }
    )
    silent = measure_captions([COUNTS[2]], [0])
    assert "false_per_mention" not in silent  # nothing to divide by
    assert silent["recall"].value == 0


def test_differences_are_those_of_the_measures_and_vanish_at_the_limit() -> None:
    better = [count_caption("A dog. A dog too.", CAPTIONS[0][1], ANIMALS), *COUNTS[1:]]
    pictures = list(range(3)) * 8
    before, after = measure_captions(COUNTS * 8, pictures), measure_captions(better * 8, pictures)
    differences = compare_captions(COUNTS * 8, better * 8, pictures)
    assert differences.keys() == before.keys()
    for name, difference in differences.items():
        assert difference.value == pytest.approx(after[name].value - before[name].value), name
    assert all(difference.value == 0 for difference in compare_captions(COUNTS, COUNTS, [0, 1, 2]).values())


def test_a_difference_of_ratios_equals_that_of_means_where_all_weigh_the_same() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.integers(0, 3, 40), generator.integers(0, 3, 40)
    ones, clusters = np.ones(40), np.repeat(np.arange(20), 2)
    ratio, mean = ratio_difference(a, ones, b, ones, clusters), paired_difference(a, b, clusters, share=False)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((mean.value, mean.low, mean.high))
    with pytest.raises(InputError, match="a sum below that is above 0"):
        ratio_difference(a, ones * 0, b, ones, clusters)
    with pytest.raises(InputError, match="as many items on both sides"):
        ratio_difference(a, ones, b[1:], ones[1:], clusters)


def test_intervals_of_ratios_cover() -> None:
    # captions of 1 to 4 mentions, of which one in five is false before and one in ten after, on the same pictures
    generator = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        mentions = generator.integers(1, 5, 60)
        hard = generator.random(60) < 0.5
        old, new = (generator.binomial(mentions, np.where(hard, rate * 1.5, rate * 0.5)) for rate in (0.2, 0.1))
        estimate = ratio_difference(new, mentions, old, mentions, np.arange(60))
        hits += estimate.low <= -0.1 <= estimate.high
    assert hits >= 184


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Yes.", True),
        ("no", False),
        ("  **No**, there is none", False),
        ("Yes and no", True),
        ("I think the answer is yes.", True),
        ("It is not there.", None),
        ("There is a dog.", None),
        ("It could be yes or no.", None),
        ("Not sure", None),
        ("", None),
        ("Nobody knows", None),
    ],
)
def test_answers_are_read_with_a_third_case(text: str, answer: bool | None) -> None:
    assert read_yes_no(text) is answer


def test_answers_by_hand() -> None:
    answers = [True, True, False, None, False, True, None]
    truth = [True, False, True, True, False, True, False]
    measures = measure_answers(answers, truth, range(7))
    # right: 1st, 5th, 6th. yes: 1st, 2nd, 6th, of which two are right. there: 1st, 3rd, 4th, 6th
    expected = {
        "accuracy": 3 / 7,
        "precision": 2 / 3,
        "recall": 2 / 4,
        "f1": 2 * 2 / (2 * 2 + 1 + 2),
        "yes_share": 3 / 5,
        "unparseable": 2 / 7,
        "accuracy_parsed": 3 / 5,
    }
    assert {name: estimate.value for name, estimate in measures.items()} == pytest.approx(expected)
    f1 = 2 * expected["precision"] * expected["recall"] / (expected["precision"] + expected["recall"])
    assert measures["f1"].value == pytest.approx(f1)
    nothing = measure_answers([None, None], [True, False], [0, 1])
    assert nothing.keys() == {"accuracy", "recall", "f1", "unparseable"}
    with pytest.raises(InputError, match="one answer per question is needed, got 1 for 2"):
        measure_answers([True], [True, False], [0])


def test_differences_of_answers() -> None:
    truth = [True, False] * 10
    before, after = [True] * 20, [True, False, True, None] * 5
    pictures = list(range(20))
    old, new = measure_answers(before, truth, pictures), measure_answers(after, truth, pictures)
    differences = compare_answers(before, after, truth, pictures)
    assert differences.keys() == {"accuracy", "f1", "yes_share", "unparseable"}
    for name, difference in differences.items():
        assert difference.value == pytest.approx(new[name].value - old[name].value), name
    assert differences["accuracy"].value == pytest.approx(5 / 20)
    assert differences["f1"].has_interval
