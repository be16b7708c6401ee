"""Augmentations of texts: what each changes and keeps, and what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.errors import InputError
from penchant.types import PromptGroup
from penchant.weak.augmentation.settings import Reworded, TextCrop, Views, WordDropout, WordSwap
from penchant.weak.augmentation.texts import augment

TEXTS = ["one two three four five six seven eight", "a b c d e f g h i j", "word"]


def test_words_are_left_out_in_their_order() -> None:
    (changed, *_) = augment(TEXTS, [WordDropout(share=0.5)], seed=3)
    words = iter(TEXTS[0].split())
    assert all(word in words for word in str(changed).split())  # a subsequence
    assert 0 < len(str(changed).split()) < 8


def test_words_are_exchanged_and_none_is_lost() -> None:
    changed = augment(TEXTS, [WordSwap(share=0.3)], seed=1)
    assert [Counter(str(text).split()) for text in changed] == [Counter(text.split()) for text in TEXTS]
    assert changed[0] != TEXTS[0]


def test_a_piece_is_kept() -> None:
    (changed, *_) = augment(TEXTS, [TextCrop(share=0.5)], seed=0)
    assert str(changed) in TEXTS[0]
    assert len(str(changed).split()) == 4


def test_templates_surround_the_text() -> None:
    changed = augment(TEXTS * 9, [Reworded(templates=("<{text}>", "Text: {text}"))], seed=0)
    assert {str(text)[0] for text in changed} == {"<", "T"}
    assert all(given in str(text) for given, text in zip(TEXTS * 9, changed, strict=True))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.text(), max_size=6), st.integers(0, 9))
def test_an_examples_draws_depend_on_its_place_alone_and_no_text_gets_lost(texts: list[str], seed: int) -> None:
    given_texts = [*texts, TEXTS[0]]
    chain = [WordSwap(share=0.5), TextCrop(share=0.6)]
    changed = augment(given_texts, chain, seed)
    assert changed == augment(given_texts, chain, seed)
    assert len(changed) == len(given_texts)
    assert all(bool(str(text).split()) == bool(given.split()) for text, given in zip(changed, given_texts, strict=True))
    assert augment([*given_texts, "more text here"], chain, seed)[: len(changed)] == changed


def test_what_changes_nothing_or_is_no_text_is_refused() -> None:
    with pytest.raises(InputError, match="augmentation word_dropout changes none of the 2 examples"):
        augment(["word", "other"], [WordDropout()], 0)
    with pytest.raises(InputError, match="augmentation crop reads single texts"):
        augment([PromptGroup("So?", ["Yes.", "No."])], [TextCrop()], 0)
    assert augment([], [WordDropout()], 0) == []


CODE = """
def louder(examples, seed, mark="!"):
    examples[0] += mark
    return examples

def fewer(examples, seed):
    return examples[1:]

def numbers(examples, seed):
    return [1 for _ in examples]

def fails(examples, seed):
    raise ValueError("no such word")

same = list
"""


def test_a_function_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    views = Views(
        strong=["mine.py:louder"], weak=[{"name": "custom", "function": "mine.py:louder", "settings": {"mark": "?"}}]
    )
    assert views.strong[0].label == "mine.py:louder"
    assert augment(TEXTS, views.strong, 0) == [TEXTS[0] + "!", *TEXTS[1:]]
    assert augment(TEXTS, views.weak, 0)[0] == TEXTS[0] + "?"
    for name, message in (
        ("fewer", "expected a list of 3 examples, and it returned 2 of them"),
        ("numbers", "example 0 came as str and went as int"),
        ("fails", "no such word"),
    ):
        with pytest.raises(InputError, match=message):
            augment(TEXTS, Views(strong=[f"mine.py:{name}"]).strong, 0)
