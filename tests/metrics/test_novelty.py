"""Overlap and novelty of texts, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penchant.errors import InputError
from penchant.metrics.novelty import TextCollection, measure_novelty, ngrams, rouge_l, words_of

TEXTS = st.text(alphabet="ab c.", max_size=12)


def test_rouge_l_by_hand() -> None:
    # "the cat sat" is the longest common subsequence: 3 of 4 and 3 of 5 words, F = 6 / 9
    assert rouge_l(words_of("The cat sat down"), words_of("the big cat, sat up")) == pytest.approx(6 / 9)
    assert rouge_l((), ()) == 0
    assert rouge_l(("a",), ("b",)) == 0
    assert rouge_l(("a", "b"), ("b", "a")) == pytest.approx(0.5)  # order counts


@given(TEXTS, TEXTS)
def test_rouge_l_is_symmetric_and_one_for_equal_texts_alone(first: str, second: str) -> None:
    a, b = words_of(first), words_of(second)
    assert rouge_l(a, b) == rouge_l(b, a)
    assert (rouge_l(a, b) == 1) == (a == b != ())


@given(st.lists(TEXTS, max_size=4), TEXTS, st.sampled_from([0.3, 0.5, 0.7]))
def test_the_bound_leaves_no_near_duplicate_out(texts: list[str], text: str, threshold: float) -> None:
    collection = TextCollection(threshold)
    for known_text in texts:
        collection.add(known_text)
    slow = any(rouge_l(words_of(text), words_of(other)) > threshold for other in texts)
    assert collection.has_near(text) == slow


def test_case_and_punctuation_make_no_other_text() -> None:
    collection = TextCollection()
    collection.add("Who won?")
    assert "who WON" in collection
    assert "who lost" not in collection


def test_novelty_by_hand() -> None:
    assert ngrams(["a b a b", "c"], 2) == {("a", "b"): 2, ("b", "a"): 1}
    novelty = measure_novelty(["a b a b", "c"], ["b a"], 2)
    assert novelty.distinct == pytest.approx(2 / 3)
    assert novelty.fresh == pytest.approx(1 / 2)
    assert measure_novelty(["c"], [], 2).distinct is None
    with pytest.raises(InputError, match="at least 1 word"):
        ngrams(["a"], 0)
