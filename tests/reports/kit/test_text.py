"""Digits, signs and foreign characters."""

from __future__ import annotations

import pytest

from penchant.metrics import Estimate
from penchant.reports.kit import text as words


def est(value, low=None, high=None):
    return Estimate(value, low, high, 10, 5)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (est(0.3114, 0.2402, 0.3811), "0.31 [0.24, 0.38]"),
        (est(-85.31, -88.2, -82.1), "−85 [−88, −82]"),
        (est(1234.5, 1100.0, 1400.0), "1,234 [1,100, 1,400]"),
        (est(0.3104, 0.2984, 0.3224), "0.310 [0.298, 0.322]"),
        (est(0.5), "0.500 [no interval]"),
        (est(0.6931, 0.6931, 0.6931), "0.693 [0.693, 0.693]"),
    ],
)
def test_digits_follow_the_interval(given, shown):
    assert words.estimate(given) == shown


def test_shares_and_changes():
    assert words.estimate(est(0.64, 0.58, 0.70), percent=True) == "64% [58%, 70%]"
    assert words.estimate(est(0.0, 0.0, 0.0), percent=True) == "0% [0%, 0%]"
    assert words.estimate(est(0.02, -0.03, 0.07), sign=True) == "+0.02 [−0.03, +0.07]"
    assert words.value_only(est(0.3114, 0.2402, 0.3811)) == "0.31"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (est(1.0, 0.9963, 1.0), "100.0% [99.6%, 100.0%]"),
        (est(0.9996, 0.9991, 0.99999), "100.0% [99.9%, 100.0%]"),
        (est(0.64, 0.58, 0.70), "64% [58%, 70%]"),
        (est(0.0, 0.0, 0.0), "0% [0%, 0%]"),
    ],
)
def test_an_interval_with_width_never_looks_as_if_it_had_none(given, shown):
    assert words.estimate(given, percent=True, decimals=0) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0.00"),
        (-0.0, "0.00"),
        (1e-9, "1.00e−09"),
        (2.5e9, "2.50e+09"),
        (12.345, "12.3"),
        (float("nan"), "not finite"),
    ],
)
def test_numbers(value, shown):
    assert words.number(value) == shown


def test_no_minus_before_nothing():
    assert words.number(-0.001, 2) == "0.00"
    assert words.signed(0.001, 2) == "0.00"


def test_never_rises_from_a_number_to_itself():
    assert words.verb(est(0.311, 0.2, 0.4), est(0.312, 0.2, 0.4)) == "stayed"
    assert words.verb(est(0.31, 0.2, 0.4), est(0.52, 0.4, 0.6)) == "rose"
    assert words.verb(est(0.52, 0.4, 0.6), est(0.31, 0.2, 0.4)) == "fell"


def test_unseen_characters_are_shown():
    assert words.clean("a\x00b\x1b") == "a␀b␛"
    assert words.clean("x\u202ey\ud800\u200b\x85") == "x⟨U+202E⟩y⟨U+D800⟩⟨U+200B⟩⟨U+0085⟩"
    assert words.clean("one\r\ntwo\tthree") == "one\ntwo\tthree"
    assert words.clean("نیم‌فاصله 👩‍🚀") == "نیم‌فاصله 👩‍🚀"  # joiners carry meaning
    words.clean("".join(map(chr, range(0x3000))) + "\udfff").encode("utf-8")


def test_short_names_keep_both_ends():
    assert words.short("runs\nwith a very long name 01", 15) == "runs wi…name 01"
    assert words.short("b01", 15) == "b01"


def test_durations_and_lists():
    assert [words.duration(s) for s in (4.21, 48, 130, 11100)] == ["4.2 s", "48 s", "2 min 10 s", "3 h 05 min"]
    assert words.listing(["a", "b", "c"]) == "a, b and c"
    assert words.count(1, "prompt") + words.count(1200, "prompt") == "1 prompt1,200 prompts"


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        (None, "–"),
        (
            {"value": None, "low": None, "high": None, "reason": "no verdict could be read"},
            "undefined (no verdict could be read)",
        ),
        (
            {"value": 0.5, "low": None, "high": None, "n": 6, "clusters": 6, "reason": "no interval: 6 prompts"},
            "50% [no interval: 6 prompts]",
        ),
        ({"value": 0.5, "low": 0.4, "high": 0.6, "n": 6, "clusters": 6}, "50% [no interval: 6 prompts]"),
        ({"value": 0.5, "low": 0.4, "high": 0.6, "n": 60, "clusters": 60, "reason": ""}, "50% [40%, 60%]"),
    ],
)
def test_recorded_numbers_say_why_there_is_no_interval(numbers, text):
    assert words.recorded(numbers, percent=True, decimals=0) == text
