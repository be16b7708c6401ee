"""Transcripts: who speaks first, and what is cut where there is no room."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penchant.rounds.oversight.transcripts import Statement, cut_end, ordered, show


def words(text: str) -> int:
    return len(text.split())


def test_sides_change_places_within_each_round() -> None:
    said = [Statement(side, f"answer {side}", f"turn {turn}") for turn in (0, 1) for side in (0, 1)]
    assert [(each.side, each.text) for each in ordered(said, 1)] == [
        (1, "turn 0"),
        (0, "turn 0"),
        (1, "turn 1"),
        (0, "turn 1"),
    ]
    assert ordered(said, 0) == said


def test_a_statement_that_says_nothing_is_no_line() -> None:
    assert Statement(0, "rice", " ").line == ""
    assert Statement(0, "rice", "It is.").line == 'Advisor for "rice": It is.'
    assert show(["", " "], 10, words) == ("", False)


def test_longer_lines_are_cut_first_and_to_one_length() -> None:
    lines = ["one two", "a b c d e f g h", "p q r s t u v w x"]
    text, was_cut = show(lines, 100, words)
    assert (text, was_cut) == ("\n".join(lines), False)
    text, was_cut = show(lines, 10, words)
    assert was_cut
    # whoever says more gets no more room than the other; the short line stays whole
    assert [len(line.split()) for line in text.split("\n")] == [2, 3, 3]
    assert text.split("\n")[1] == "a b c"
    assert show(lines, 0, words) == ("", True)
    assert show(lines, -3, words) == ("", True)


@given(st.lists(st.text("ab ", max_size=30), max_size=4), st.integers(-2, 40))
def test_what_is_shown_fits(lines: list[str], room: int) -> None:
    text, was_cut = show(lines, room, words)
    assert words(text) <= max(room, 0)
    assert was_cut == (sum(map(words, lines)) > max(room, 0))


@pytest.mark.parametrize(("room", "kept"), [(0, ""), (2, "a b"), (3, "a b c"), (9, "a b c")])
def test_a_text_is_cut_at_its_end(room: int, kept: str) -> None:
    assert cut_end("a b c", room, words) == kept
