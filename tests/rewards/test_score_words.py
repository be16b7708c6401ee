"""What counts as a score in a judge's answer, and what does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penchant.rewards.score_words import read_score

READ = [
    ("4", 4), ("4.", 4), ("**4**", 4), ("4/5", 4), ("4 out of 5", 4), ("3.5", 3.5), ("3,5", 3.5), ("0", 0),
    ("5 points", 5),
    ("Score: 4", 4), ("score:4/5", 4), ("Score: 4 out of 5", 4), ("**Score:** 4", 4), ("**Score**: 4", 4),
    ("Score = 3", 3),
    ("Rating: [[3]]", 3), ("Score: <3>", 3), ("The score is 2.", 2), ("I give it a score of 3 here.", 3),
    ("Score: four", 4),
    ('{"reason": "clear", "score": 4}', 4), ('{"score": "4"}', 4), ("# Score\n\n4", 4), ("Score:\n4", 4),
    ("Score - 4", 4),
    ("It is clear.\n\n4", 4), ("4\nIt is clear.", 4), ("Final score: 3.", 3), ("Score: 4. It is 3 times as long.", 4),
    ("<think>Score: 1? Or Score: 2?</think>Score: 5", 5), ("hm, Score: 1 would be low</think>\nScore: 3", 3),
    ("Score: 1 for relevance\nTotal score: 3", 3), ("A score of 2 would be harsh.\nScore: 3", 3),
    ("Score: 3\nScore: 3", 3),
    ("Ratings: 2", 2), ("Overall rating: 5/5", 5),
]  # fmt: skip
NOT_READ = [
    ("", "empty"), ("Good.", "names no score"), ("Score: N", "names no score"), ("Score: 6", "no number from 0 to 5"),
    ("Score: -1", "no number from 0 to 5"), ("Score: 8/10", "no number from 0 to 5"), ("8/10", "no number from 0 to 5"),
    ("Score: 1 + 1 + 1 = 3", "no number from 0 to 5"), ("Score: 3 → 4", "no number from 0 to 5"),
    ("Score: 3-4", "no number from 0 to 5"), ("Score: 3 to 4", "no number from 0 to 5"), ("3-4", "names no score"),
    ("Score: 80%", "no number from 0 to 5"), ("Score: 0.5.1", "names no score"), ("Score: 4\nScore: 2", "contradicts"),
    ("4\nIt is clear.\n2", "contradicts"), ("<think>Score: 4", "ends inside"), ("It has 4 parts.", "names no score"),
    ("Score: 55", "no number from 0 to 5"), ("Score: 4th", "names no score"),
    ("Score: <total points>", "names no score"),
    ("Score: 3 or 4", "no number from 0 to 5"), ("underscore: 3", "names no score"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "score"), READ)
def test_a_score_is_read(answer: str, score: float) -> None:
    assert read_score(answer).score == score


@pytest.mark.parametrize(("answer", "reason"), NOT_READ)
def test_nothing_is_guessed(answer: str, reason: str) -> None:
    reading = read_score(answer)
    assert reading.score is None
    assert reason in reading.reason


def test_the_scale_is_the_callers() -> None:
    assert read_score("8/10", 1, 10).score == 8
    assert read_score("Score: 0", 1, 10).score is None
    assert read_score("Score: -1", -2, 2).score == -1


@given(st.text(alphabet="Score:/of0123456789-., \n*[]<>{}\"'%thinkpoints", max_size=80))
def test_no_text_raises_and_every_score_lies_on_the_scale(answer: str) -> None:
    score = read_score(answer).score
    assert score is None or 0 <= score <= 5


@pytest.mark.parametrize(
    "text",
    ["Score:" + " " * 49_000 + "x", "a" + "\n" * 49_000 + "a score 4", "score: " * 7_000, "Score: " + "*[(" * 16_000],
)
def test_a_hostile_answer_is_read_at_once(text: str) -> None:
    # with the runs left in, the first took minutes: there is nothing to measure where the test ends at all
    assert read_score(text).score is None
