"""Best-of-N is its policy at n = 1, finds the best of its candidates, and gains what the exact expectation says."""

from __future__ import annotations

import numpy as np
import pytest

import penchant as pt
from penchant.metrics import best_of_n

PROMPTS = ["Once upon a time,", "Tom was sad."]


def longest(pairs: list[tuple[str, str]]) -> list[float]:
    return [float(len(response)) for _, response in pairs]


def test_of_one_it_is_the_policy(story_policy: pt.Policy) -> None:
    settings = {"n": 3, "max_new_tokens": 8, "seed": 4}
    assert pt.BestOfN(story_policy, longest, 1).generate(PROMPTS, **settings) == story_policy.generate(
        PROMPTS, **settings
    )


def test_it_keeps_the_best_of_each_block(story_policy: pt.Policy) -> None:
    candidates = story_policy.generate(PROMPTS, n=6, max_new_tokens=8, seed=4)
    kept = pt.BestOfN(story_policy, longest, 3).generate(PROMPTS, n=2, max_new_tokens=8, seed=4)
    assert kept == [[max(row[:3], key=len), max(row[3:], key=len)] for row in candidates]


def test_it_gains_what_the_expectation_from_one_set_says(story_policy: pt.Policy) -> None:
    drawn = story_policy.generate(PROMPTS, n=64, max_new_tokens=8, seed=1)
    expected = best_of_n([[len(text) for text in row] for row in drawn])
    fresh = pt.BestOfN(story_policy, longest, 4).generate(PROMPTS, n=32, max_new_tokens=8, seed=2)
    lengths = np.array([[len(text) for text in row] for row in fresh])
    error = lengths.std(axis=1).mean() / np.sqrt(lengths.size)
    assert abs(lengths.mean() - expected[3]) < 4 * error
    assert lengths.mean() > expected[0]


def test_refused(story_policy: pt.Policy) -> None:
    with pytest.raises(pt.InputError, match="at least one candidate"):
        pt.BestOfN(story_policy, longest, 0)
    with pytest.raises(pt.InputError, match="returned 1 numbers for 4"):
        pt.BestOfN(story_policy, lambda pairs: [1.0], 2).generate(PROMPTS, max_new_tokens=4)
