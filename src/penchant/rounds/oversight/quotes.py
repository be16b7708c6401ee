"""Sentences of a passage, how far they overlap with an answer, and whether a quote stands there. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from penchant.tasks.spec import normalized

FEWEST_WORDS = 3
"""Words of a quote: fewer in quotation marks are a term, and stand in most passages by chance."""
QUOTE = re.compile(r"<quote>(.*?)</quote>|[\"\u201c]([^\"\u201c\u201d]+)[\"\u201d]", re.DOTALL)
"""What an advisor says that the passage has: between marks of its own, or in quotation marks."""
VERIFIED, UNVERIFIED = '"{}" (this stands in the passage)', '"{}" (this does not stand in the passage)'
_COMMON = """
a an and are as at be been by can do does for from had has have how in into is it its of on or than that the
their then there these they this those to was were what when where which who why will with
"""
COMMON = frozenset(_COMMON.split())
"""Words that stand everywhere, and say nothing of what a sentence is about."""


def sentences(passage: str) -> list[str]:
    """Split a passage into its sentences."""
    return [part.strip() for part in re.split(r"(?<=[.!?])\s+|\n+", passage) if part.strip()]


def content_words(text: str) -> frozenset[str]:
    """Return a text's words in lower case without the common ones; all of them where it has no others."""
    # by words and not by letters: `rise` stands in no `surprise`
    words = frozenset(normalized(text).split())
    return words - COMMON or words


def covered(part: str, text: str) -> float:
    """Return the share of a part's words that a text has, from 0 to 1."""
    words = content_words(part)
    return len(words & content_words(text)) / len(words) if words else 0.0


def support(sentence: str, question: str, answer: str) -> float:
    """Return how well a sentence speaks for an answer: how much it has of the answer, and of the question.

    The answer counts twice: a sentence on the question's subject that lacks the answer speaks for no answer at all.
    """
    # weights by hand and not learned: an advisor has no labelled questions
    return 2 * covered(answer, sentence) + covered(question, sentence)


def best_sentences(passage: str, question: str, answer: str) -> list[str]:
    """Return a passage's sentences, those first that speak best for an answer; of equal ones the earlier."""
    # `sorted` is stable, so that equal ones stay in the passage's order
    return sorted(sentences(passage), key=lambda sentence: -support(sentence, question, answer))


@dataclass(frozen=True)
class CheckedText:
    """A statement whose quotes were looked up.

    Attributes:
        text: with a note on each quote. quotes: how many. verified: how many stand in the passage.
    """

    text: str
    quotes: int
    verified: int


def check_quotes(text: str, passage: str) -> CheckedText:
    """Say behind each quote of a statement whether it stands in the passage.

    Case, spaces and punctuation do not count. A quote that is not there stays, marked: who reads should know that it
    was made up.
    """
    counts = [0, 0]
    return CheckedText(QUOTE.sub(_noting(passage, counts), text), *counts)


def _noting(passage: str, counts: list[int]) -> Callable[[re.Match[str]], str]:
    """Return what replaces a quote by itself with its note, and counts it."""
    # with spaces around, so that no quote begins or ends within a word
    searched = f" {normalized(passage)} "

    def note(match: re.Match[str]) -> str:
        tagged, marked = match.groups()
        quote = (tagged if tagged is not None else marked).strip()
        words = normalized(quote)
        # between its own marks whatever is there counts, since it was meant as a quote
        if tagged is None and len(words.split()) < FEWEST_WORDS:
            return match[0]
        is_there = bool(words) and f" {words} " in searched
        counts[0] += 1
        counts[1] += is_there
        return (VERIFIED if is_there else UNVERIFIED).format(quote)

    return note
