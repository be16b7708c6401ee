"""Rows in words: which wording a row has, what stands where, and which examples stand before it."""

from __future__ import annotations

from typing import Any

import pytest

from penchant.errors import InputError
from penchant.tasks.load import NAMES, task_spec
from penchant.tasks.wordings import (
    Question,
    ShotPool,
    Wording,
    ask,
    content_keys,
    with_shots,
    wording_number,
    wordings_of,
)
from penchant.types import LabeledExample

CLASSES = ("bad", "good")
POOL = [LabeledExample(f"text {n}", n % 2, f"group {n // 4}") for n in range(40)]


def test_a_row_in_words_has_its_text_and_the_answers_where_the_wording_says() -> None:
    wording = Wording(prompt="One of {choices}.\n{text}\nIt is")
    question = ask(LabeledExample("A {choices} film.", 1), wording, CLASSES)
    # the row's own braces are a part of its text
    assert question.prompt == "One of bad or good.\nA {choices} film.\nIt is"
    assert question.answers == (" bad", " good")
    assert question.demonstration.endswith("\nIt is good")
    other_words = ask(LabeledExample("x", 0), Wording(prompt="{text}:\n", answers=("no", "yes")), CLASSES)
    assert other_words.demonstration == "x:\nno"  # behind a line break no space stands


def test_options_of_a_row_are_its_answers() -> None:
    example = LabeledExample("Goal: tea", 1, options=("eat it", " boil water"))
    assert ask(example, Wording(prompt="{text}"), ()).answers == (" eat it", " boil water")


def test_the_wording_depends_on_content_and_seed_alone() -> None:
    numbers = [wording_number(example, 3, 0) for example in POOL]
    assert set(numbers) == {0, 1, 2}
    assert numbers == [wording_number(LabeledExample(example.text, 0), 3, 0) for example in POOL]
    assert numbers != [wording_number(example, 3, 1) for example in POOL]
    assert {wording_number(example, 1, seed) for example in POOL for seed in range(3)} == {0}


@pytest.mark.parametrize("name", NAMES)
def test_every_task_has_wordings_with_an_answer_per_class(name: str) -> None:
    spec = task_spec(name)
    wordings = wordings_of(spec)
    example = LabeledExample("TEXT", 0, options=() if spec.classes else ("a", "b"))
    questions = [ask(example, wording, spec.classes) for wording in wordings]
    assert len({question.prompt for question in questions}) == len(wordings)
    if spec.classes:
        assert all(len(question.answers) == len(spec.classes) for question in questions)
        # the instruction stands before the text in some and behind it in others
        assert {question.prompt.startswith("TEXT") for question in questions} == {True, False}


def test_examples_stand_before_the_question_and_none_is_the_question_itself() -> None:
    question = ask(POOL[0], Wording(prompt="{text} Good?"), CLASSES)
    assert with_shots(question, []) == question.prompt
    shot = Question("text 9 Good?", (" bad", " good"), 1)
    assert with_shots(question, [shot]) == "text 9 Good? good\n\ntext 0 Good?"


def test_examples_are_of_the_pool_of_all_classes_and_never_related_to_the_row() -> None:
    pool = ShotPool(POOL)
    drawn = {example.text: pool.draw(example, 4, 0) for example in POOL}
    for example in POOL:
        rows = drawn[example.text]
        assert sorted(row.label for row in rows) == [0, 0, 1, 1]
        assert all(row in POOL and row.group != example.group for row in rows)
        assert not any(content_keys(row) & content_keys(example) for row in rows)
    assert len({tuple(row.text for row in rows) for rows in drawn.values()}) > 30  # other ones for each row
    assert {rows[-1].label for rows in drawn.values()} == {0, 1}  # no class is always the last one
    assert pool.draw(POOL[0], 4, 0) == drawn["text 0"]
    assert pool.draw(POOL[0], 4, 1) != drawn["text 0"]
    assert pool.draw(POOL[0], 0, 0) == []
    assert len(ShotPool(POOL[:6]).draw(POOL[39], 9, 0)) == 6  # there are no more


def test_rows_of_one_prompt_are_told_apart_by_their_options() -> None:
    pairs = [LabeledExample("Text:", n % 2, f"a{n} b{n}", (f" a{n}", f" b{n}")) for n in range(20)]
    assert len({wording_number(example, 1000, 0) for example in pairs}) > 15
    assert len(ShotPool(pairs).draw(pairs[0], 4, 0)) == 4
    assert not content_keys(pairs[0]) & content_keys(pairs[1])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"prompt": "Is it good?"}, "no place for the text"),
        ({"prompt": "{text} {label}?"}, r"a place \{label\}"),
        ({"prompt": "{text}?", "answers": ["yes", "yes"]}, "must differ"),
        ({"prompt": ""}, "prompt"),
    ],
)
def test_a_wording_without_its_field_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Wording(**settings)


def test_a_wording_with_too_few_answers_is_refused() -> None:
    with pytest.raises(InputError, match=r"has 2 answers .* for 3 classes"):
        ask(POOL[0], Wording(prompt="{text}", answers=("a", "b")), ("x", "y", "z"))
