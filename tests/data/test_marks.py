"""Marks of chat templates, and responses that look the same."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from penchant.data.check import check_preferences
from penchant.data.load import load_demonstrations, read_preferences
from penchant.data.marks import BRACKETS, FOLDED, find_marks, has_odd_turns, joined_words, look_alike
from penchant.types import Comparison, Message, PromptGroup, Response, ToolCall


def save(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "<|im_start|>user\nQ<|im_end|>\n",
        "[INST] Q [/INST]",
        "<<SYS>>\nBe kind.",
        "<start_of_turn>user",
        "<|start_header_id|>user<|end_header_id|>",
        "A text</s>",
        "\n\nHuman: Q\n\nAssistant:",
        "### Instruction:\nQ",
        "USER: Q ASSISTANT:",
        "<image>What is it?",
    ],
)
def test_a_mark_is_found_in_prompts_turns_and_responses(text: str) -> None:
    for group in (
        PromptGroup(text, ["a"], source="f:1"),
        PromptGroup([Message("user", text)], ["a"], source="f:1"),
        PromptGroup("q", ["a", text], source="f:1"),
    ):
        marks = find_marks([PromptGroup("q", ["a"]), group])
        assert marks.sources == ("f:1",)
        assert "1 prompts hold marks of a chat template" in marks.sentence()


@pytest.mark.parametrize(
    "text", ["a < b | c > d", "Human nature", "x <- [1]", "Ask a human: me.", "#### Answer", "<b>"]
)
def test_other_text_has_none(text: str) -> None:
    assert find_marks([PromptGroup(text, [text])]).sentence() == ""


def test_special_tokens_of_the_tokenizer_are_marks() -> None:
    group = PromptGroup("q", ["a ~END~"], source="f:1")
    assert not find_marks([group]).sources
    assert find_marks([group], ["~END~", ""]).marks == ("~END~",)


def test_look_alikes_differ_in_white_space_or_unicode_alone() -> None:
    pairs = [("Yes.", "Yes. "), ("Caf\u00e9", "Cafe\u0301"), ("a b", "a\n\nb"), ("a", "A")]
    groups = [PromptGroup("q", pair, [Comparison(0, 1)], source=f"f:{n}") for n, pair in enumerate(pairs)]
    assert look_alike(groups) == ("f:0", "f:1", "f:2")


def test_both_are_findings_of_the_check_and_warnings_of_the_readers(tmp_path: Path) -> None:
    marked = {"prompt": "<|im_start|>user\nQ<|im_end|>\n", "chosen": "Yes.<|im_end|>", "rejected": "No."}
    alike = {"prompt": "q", "chosen": "Yes.", "rejected": "Yes.\n"}
    path = save(tmp_path / "a.jsonl", marked, alike)
    warnings = read_preferences(path).warnings
    assert "'<|im_start|>', '<|im_end|>'; the first: a.jsonl:1" in warnings[0]
    assert "1 comparisons are between responses that differ in white space" in warnings[1]
    problems = check_preferences(path).problems
    assert any("marks of a chat template" in problem for problem in problems)
    assert any("differ in white space" in problem for problem in problems)


def test_demonstrations_are_looked_at_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    load_demonstrations(save(tmp_path / "a.jsonl", {"text": "One.<|endoftext|>Two."}))
    assert "<|endoftext|>" in caplog.text


@pytest.mark.parametrize("roles", [["user", "assistant"], ["user", "user"], ["system"], ["assistant", "assistant"]])
def test_turns_that_do_not_alternate_are_told_before_training(tmp_path: Path, roles: list[str]) -> None:
    prompt = [{"role": role, "content": f"t{n}"} for n, role in enumerate(roles)]
    answers = [{"role": "assistant", "content": text} for text in "ab"]
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"prompt": prompt, "chosen": answers[:1], "rejected": answers[1:]}) + "\n")
    (warning,) = read_preferences(path).warnings
    assert "1 conversations have turns that do not alternate" in warning


def test_no_text_without_brackets_shows_a_mark_in_brackets() -> None:
    """Texts without any of these characters are not folded, so they must be all that folding makes brackets of."""
    folded = {letter: unicodedata.normalize("NFKC", letter.translate(FOLDED)) for letter in map(chr, range(0xD800))}
    folded |= {
        letter: unicodedata.normalize("NFKC", letter.translate(FOLDED)) for letter in map(chr, range(0xE000, 0x10000))
    }
    made = {letter for letter, text in folded.items() if "<" in text or "[" in text}
    assert made == {letter for letter in folded if BRACKETS.match(letter)}
    assert len(made) > 4


def test_marks_in_thoughts_and_in_what_is_called_are_found() -> None:
    turn = Message("assistant", "Yes.", reasoning="<|im_start|>I add.")
    called = Response("", tool_calls=(ToolCall("say", '{"text": "[INST] hi"}'),))
    groups = [
        PromptGroup((Message("user", "q"), turn, Message("user", "r")), ["a"], source="a:1"),
        PromptGroup("q", [called], source="a:2"),
        PromptGroup("q", [Response("a", reasoning="plain")], source="a:3"),
    ]
    found = find_marks(groups)
    assert found.marks == ("<|im_start|>", "[INST]")
    assert found.sources == ("a:1", "a:2")


@pytest.mark.parametrize(
    ("roles", "odd"),
    [
        ("user", False),
        ("tools system user", False),
        ("user assistant tool", False),
        ("user assistant tool tool assistant user", False),
        ("user tool", True),
        ("user assistant", True),
        ("user assistant tool user", True),
        ("developer user assistant user", False),
    ],
)
def test_what_a_tool_answers_is_a_turn_like_a_question(roles: str, odd: bool) -> None:
    group = PromptGroup(tuple(Message(role, "text") for role in roles.split()), ["a"])
    assert has_odd_turns(group) is odd


def test_answers_that_call_differently_do_not_look_alike() -> None:
    calls = [Response("", tool_calls=(ToolCall(name),)) for name in ("say", "ask")]
    assert look_alike([PromptGroup("q", calls, [Comparison(0, 1)], source="a:1")]) == ()
    spaced = [Response(text, tool_calls=(ToolCall("say"),)) for text in ("Yes.", "Yes. ")]
    assert look_alike([PromptGroup("q", spaced, [Comparison(0, 1)], source="a:1")]) == ("a:1",)


def test_words_that_a_plain_model_would_read_as_one() -> None:
    def said(prompt: str, *responses: str) -> str:
        return joined_words([PromptGroup(prompt, list(responses))])

    assert "reads 'wasdull.'" in said("The film was", "dull.", "fine.")
    for prompt, responses in (("It was ", ("a",)), ("It was", (" a",)), ("Is it?", ("Yes",)), ("x = ", ("1",))):
        assert said(prompt, *responses) == ""
    assert joined_words([]) == ""
    ends = [PromptGroup("Is it so?", ["Yes."])] * 3
    assert joined_words([*ends, PromptGroup("It was", ["dull."])]) == ""  # one in four: no habit of the file
