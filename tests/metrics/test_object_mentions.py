"""Mentions of objects, and what a caption says that is true or false."""

from __future__ import annotations

import pytest

from penchant.errors import InputError
from penchant.metrics.object_mentions import (
    CaptionCounts,
    ObjectVocabulary,
    count_caption,
    false_mentions,
    sentence_spans,
)

STREET = ObjectVocabulary(
    {"dog": ("puppy",), "light": (), "traffic light": ("stoplight",), "bus": ()}, ignored=("hot dog",)
)


def names(text: str) -> list[str]:
    return [found.name for found in STREET.mentions(text) if not found.is_denied]


def test_mentions_are_whole_words_synonyms_and_plurals() -> None:
    assert names("Two dogs, a Puppy and buses.") == ["dog", "dog", "bus"]
    assert names("A traffic  light; a stoplight, a light.") == ["traffic light", "traffic light", "light"]
    assert names("A dogma, a sheep-dog, lightning.") == []
    assert names("A man eats a hot dog beside his dog.") == ["dog"]


def test_what_is_denied_claims_nothing() -> None:
    assert names("There is no dog. There isn't a bus, and not any other light, without traffic lights.") == []
    assert names("No. A dog is there.") == ["dog"]
    assert [found.is_denied for found in STREET.mentions("no dog, a bus")] == [True, False]


def test_counts_of_a_caption_by_hand() -> None:
    text = "A dog beside a dog. A bus and a light! No traffic light here"
    counts = count_caption(text, ["puppy", "bus", "bus"], STREET)
    # dog twice (once too often), the bus that is there twice, and a light that is not
    assert counts == CaptionCounts(
        true=3, false=1, recalled=2, objects=2, invented=1, duplicates=1, sentences=3, false_sentences=1, words=14
    )
    assert counts.score == 2 - 1 - 1
    assert [text[found.start : found.end] for found in false_mentions(text, ["dog", "bus"], STREET)] == ["light"]
    assert count_caption("A bus and a bus.", ["bus", "bus"], STREET).duplicates == 0


def test_an_empty_caption_says_nothing() -> None:
    assert count_caption("", ["dog"], STREET) == CaptionCounts(0, 0, 0, 1, 0, 0, 0, 0, 0)


def test_sentences_end_at_marks_and_lines() -> None:
    text = "One. Two?!\nThree 3.5 m"
    assert [text[start:end].strip() for start, end in sentence_spans(text)] == ["One.", "Two?!", "Three 3.5 m"]


def test_a_wrong_vocabulary_is_refused() -> None:
    with pytest.raises(InputError, match="'cat' stands for 'cat' and for 'lion': a word names one object"):
        ObjectVocabulary({"cat": (), "lion": ("cat",)})
    with pytest.raises(InputError, match="expected a list of words"):
        ObjectVocabulary({"cat": "kitten"})
    with pytest.raises(InputError, match="has an empty word"):
        ObjectVocabulary({"cat": (" ",)})
    with pytest.raises(InputError, match="at least one object"):
        ObjectVocabulary({})
    with pytest.raises(InputError, match="has no object 'cow'; it has bus, dog"):
        count_caption("A cow.", ["cow"], STREET)
