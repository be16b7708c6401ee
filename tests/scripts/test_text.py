"""Mark-up, tokens and casing of the reviews."""

from __future__ import annotations

import pytest
from pretraining.text import Casing, clean, detokenize


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("One.<br /><br />Two  <i>three</i>", "One. Two three"),
        ("a < b and 3 > 2", "a < b and 3 > 2"),  # no tags
        ("It\u2019s \u201cgood\u201d\x00\n\tfun", 'It\'s "good" fun'),
        ("cafe\u0301", "caf\u00e9"),
    ],
)
def test_clean(given: str, expected: str) -> None:
    assert clean(given) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("it 's good , he said .", "it's good, he said."),
        ("they wo n't ( really ) go !", "they won't (really) go!"),
        ('the " conan " of " mars " .', 'the "conan" of "mars".'),
        ('one " odd quote', "one odd quote"),
        ("well . . . yes", "well... yes"),
        ("$ 5 and 10 %", "$5 and 10%"),
    ],
)
def test_detokenize(given: str, expected: str) -> None:
    assert detokenize(given) == expected


CASED = [
    "He met Tom on DVD.",
    "So Tom ran. I saw Tom, and I said I like DVD and a DVD or 1 DVD.",
    "I may. If I may I may.",
]


def test_casing_is_learned_inside_sentences_only() -> None:
    forms = Casing.learn(CASED).forms
    assert forms["tom"] == "Tom"
    assert forms["dvd"] == "DVD"
    assert forms["i"] == "I"
    assert "so" not in forms  # only ever seen at a start
    assert "may" not in forms  # mostly lower-case


def test_a_shout_counts_by_its_first_word_alone() -> None:
    assert set(Casing.learn(["we say THIS FILM WAS VERY BAD INDEED"] * 5).forms) == {"this"}


def test_casing_is_restored() -> None:
    casing = Casing.learn(CASED)
    assert casing.restore("i saw tom.") == "I saw Tom."
    assert casing.restore('tom came. he (so i think) sat... on "dvd". yes.') == (
        'Tom came. He (so I think) sat... on "DVD". Yes.'
    )
    assert casing.restore("j. r. hart ran") == "J. R. Hart ran"
    assert casing.restore("") == ""
