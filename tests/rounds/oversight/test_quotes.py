"""Sentences, what speaks for an answer, and quotes that stand in a passage or do not."""

from __future__ import annotations

import pytest

from penchant.rounds.oversight.quotes import best_sentences, check_quotes, covered, sentences

PASSAGE = "Yeast makes bread rise. Cheese needs mesophiles, which like 30 degrees.\nWine is old."


def test_sentences_end_at_marks_and_lines() -> None:
    assert sentences(PASSAGE) == [
        "Yeast makes bread rise.",
        "Cheese needs mesophiles, which like 30 degrees.",
        "Wine is old.",
    ]


def test_the_sentence_with_the_answer_speaks_best_for_it() -> None:
    question = "What does cheese need?"
    assert best_sentences(PASSAGE, question, "mesophiles")[0].startswith("Cheese")
    assert best_sentences(PASSAGE, question, "yeast")[0].startswith("Yeast")
    # without the answer anywhere, the sentence on the question's subject
    assert best_sentences(PASSAGE, question, "gold")[0].startswith("Cheese")


def test_common_words_cover_nothing() -> None:
    assert covered("the bread", "the wine") == 0
    assert covered("bread and wine", "Bread, wine!") == 1
    assert covered("of the", "of the") == 1  # where there are no others
    assert covered("", "words") == 0


@pytest.mark.parametrize(
    ("text", "quotes", "verified", "note"),
    [
        ("<quote>yeast makes  bread rise</quote>", 1, 1, '"yeast makes  bread rise" (this stands in the passage)'),
        ("<quote>Yeast makes beer</quote>", 1, 0, '"Yeast makes beer" (this does not stand in the passage)'),
        ('He says "Wine is old" and more', 1, 1, 'He says "Wine is old" (this stands in the passage) and more'),
        # two words in quotation marks are a term
        ('the "Cheese needs" of it', 0, 0, 'the "Cheese needs" of it'),
        # from within a word to within another one
        ("<quote>east makes bread ris</quote>", 1, 0, '"east makes bread ris" (this does not stand in the passage)'),
        ("<quote></quote>", 1, 0, '"" (this does not stand in the passage)'),
        ("no quote", 0, 0, "no quote"),
    ],
)
def test_quotes_are_looked_up_and_marked(text: str, quotes: int, verified: int, note: str) -> None:
    checked = check_quotes(text, PASSAGE)
    assert (checked.quotes, checked.verified, checked.text) == (quotes, verified, note)
