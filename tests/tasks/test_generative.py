"""Generative tasks: what is right, what a crowd would write, which problems are for whom, and files of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penchant.errors import InputError
from penchant.tasks.generative import (
    GROUNDS,
    LOOKS,
    PRETRAINING,
    STUDENTS,
    TESTS,
    AnsweredPrompt,
    Problem,
    read_answered,
)


def test_sums_have_their_last_digit_first_and_a_crowd_carries_nothing() -> None:
    for problem in GROUNDS["addition"].different_problems("some", TESTS, 50):
        first, second = problem.question.rstrip("=").split("+")
        assert int(problem.answer[::-1]) == int(first) + int(second)
        # digit by digit, without what is carried: 158 + 267 is 315
        digits = [(int(a) + int(b)) % 10 for a, b in zip(first, second, strict=True)]
        assert problem.crowd == "".join(map(str, digits[::-1])) + "0"


def test_rules_on_strings_by_hand() -> None:
    problems = {p.question[0]: p for p in GROUNDS["string_rules"].different_problems("some", STUDENTS, 60)}
    assert sorted(problems) == ["c", "r", "s", "t", "w"]
    for rule, problem in problems.items():
        text = problem.question[2:-1]
        right = {
            "c": text,
            "r": text[::-1],
            "s": "".join(sorted(text)),
            "t": text[2:] + text[:2],
            "w": text[3:] + text[:3],
        }
        assert problem.answer == right[rule]
        assert problem.crowd == text


@pytest.mark.parametrize("name", GROUNDS)
def test_problems_of_different_parts_are_different(name: str) -> None:
    ground = GROUNDS[name]
    parts = [
        {p.question for p in ground.different_problems("same seed", tuple(part), 200)}
        for part in (PRETRAINING, LOOKS, STUDENTS, TESTS)
    ]
    assert all(len(part) == 200 for part in parts)
    assert not any(first & second for index, first in enumerate(parts) for second in parts[index + 1 :])
    # the same seed gives the same problems, another one others
    assert {p.question for p in ground.different_problems("same seed", STUDENTS, 200)} == parts[2]
    assert {p.question for p in ground.different_problems("other", STUDENTS, 200)} != parts[2]


@pytest.mark.parametrize("name", GROUNDS)
def test_questions_and_answers_have_the_stated_form(name: str) -> None:
    ground = GROUNDS[name]
    for problem in ground.different_problems("form", TESTS, 100):
        assert len(problem.question) == ground.question_length
        assert {len(problem.answer), len(problem.crowd)} == {ground.answer_length}
        assert set(problem.question + problem.answer + problem.crowd) <= set(ground.alphabet)


def test_a_ground_without_so_many_problems_says_so() -> None:
    from dataclasses import replace

    ground = replace(GROUNDS["addition"], make=lambda draws: Problem("1+1=", "2", "2"))
    part = (Problem("1+1=", "2", "2").bucket,)
    with pytest.raises(InputError, match="no 2 different problems"):
        ground.different_problems("few", part, 2)


@pytest.mark.parametrize(("prompt", "answer"), [("question", "answer"), ("prompt", "answer"), ("prompt", "completion")])
def test_files_of_prompts_and_answers(tmp_path: Path, prompt: str, answer: str) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps({prompt: f"{n}+{n}?", answer: f"so\n#### {2 * n}"}) + "\n" for n in range(4)))
    rows = read_answered(file)
    assert [row.answer for row in rows] == [f"so\n#### {2 * n}" for n in range(4)]
    assert all(isinstance(row, AnsweredPrompt) for row in rows)
    assert len(read_answered(file, limit=2)) == 2


def test_a_prompt_with_two_answers_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps({"prompt": "1+1?", "answer": answer}) + "\n" for answer in ("2", "3")))
    with pytest.raises(InputError, match="1 prompts have several answers"):
        read_answered(file)
