"""Thoughts and answers: which part of a text is which."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.thoughts import answer_of, find_thoughts, split_thoughts
from penchant.types import Response, ToolCall


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Four.", (None, "Four.")),
        ("", (None, "")),
        (" Four.\n", (None, " Four.\n")),
        ("<think>\nTwo and two.\n</think>\n\nFour.", ("Two and two.", "Four.")),
        ("\n<think></think>Four.", ("", "Four.")),
        ("[THINK]Two.[/THINK]Four.", ("Two.", "Four.")),
        # drawn behind a prompt that ends with the opening mark
        ("Two and two.\n</think>\nFour.", ("Two and two.", "Four.")),
        ("<think>\nTwo and", ("Two and", "")),
        # the marks are the text's own
        ("Write <think>a</think> here.", (None, "Write <think>a</think> here.")),
        ("Write <think>.", (None, "Write <think>.")),
        ("<think>a</think>b</think>c", ("a", "b</think>c")),
        ("<|channel|>analysis<|message|>Two.<|end|><|start|>assistant<|channel|>final<|message|>4", ("Two.", "4")),
        ("analysisTwo.assistantfinal4", ("Two.", "4")),
        ("<|channel|>analysis<|message|>Two", ("Two", "")),
        ("analysis of the river", (None, "analysis of the river")),
        ("analysis", (None, "analysis")),
    ],
)
def test_thoughts_are_told_from_the_answer(text: str, expected: tuple[str | None, str]) -> None:
    assert split_thoughts(text) == expected


@settings(max_examples=40, deadline=None)
@given(st.text("ab<>/ \n", max_size=20), st.text("ab<>/ \n", max_size=20))
def test_a_block_is_taken_apart_and_joins_again(thoughts: str, answer: str) -> None:
    text = f"<think>{thoughts}</think>{answer}"
    block = find_thoughts(text)
    assert block is not None
    assert (text[block.start : block.end], text[block.answer :], block.closed) == (thoughts, answer.lstrip(), True)
    assert split_thoughts(answer) == (None, answer)


def test_a_reader_sees_the_answer_and_the_calls() -> None:
    calls = (ToolCall("add", '{"b": 2, "a": 1}', "c1"), ToolCall('say "so"'))
    assert answer_of(Response("Four.")) == "Four."
    assert answer_of(Response("<think>\nx\n</think>\nFour.", reasoning="y")) == "Four."
    first, second, third = answer_of(Response("<think>x</think> Wait.\n", tool_calls=calls)).split("\n")
    assert (first, second) == ("Wait.", '{"name": "add", "arguments": {"b": 2, "a": 1}}')
    assert json.loads(third) == {"name": 'say "so"', "arguments": {}}
    assert answer_of(Response("", tool_calls=calls[:1])) == second
