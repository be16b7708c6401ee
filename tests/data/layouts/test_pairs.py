"""Layouts with one pair a row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penchant.data.layouts.registry import PREFERENCES, detect
from penchant.data.load import load_preferences, read_preferences
from penchant.data.sources.values import RowError
from penchant.types import Comparison, Message, PromptGroup


def read(row: dict[str, Any]) -> tuple[str, PromptGroup]:
    layout = detect(row, PREFERENCES)
    assert layout is not None
    return layout.name, layout.parse(row, "here:1")


def refused(row: dict[str, Any]) -> RowError:
    layout = detect(row, PREFERENCES)
    assert layout is not None
    with pytest.raises(RowError) as caught:
        layout.parse(row, "here:1")
    return caught.value


def texts(group: PromptGroup) -> list[str]:
    return [response.text for response in group.responses]


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def test_explicit_text_is_taken_as_it_stands() -> None:
    name, group = read({"prompt": "The sky is", "chosen": " blue.", "rejected": " green.", "id": 7})
    assert name == "trl"
    assert group == PromptGroup("The sky is", [" blue.", " green."], [Comparison(0, 1)])
    assert group.source == "here:1"


@pytest.mark.parametrize(
    ("chosen", "rejected", "prompt"),
    [
        ("Q: x\nA: yes", "Q: x\nA: no", "Q: x\nA:"),
        ("Q: x\n\nAssistant: I am", "Q: x\n\nAssistant: I was", "Q: x\n\nAssistant:"),
        ("<|assistant|>\nGood day", "<|assistant|>\nGood night", "<|assistant|>\n"),
    ],
)
def test_an_implicit_text_prompt_ends_where_both_responses_begin(chosen: str, rejected: str, prompt: str) -> None:
    name, group = read({"chosen": chosen, "rejected": rejected})
    assert name == "trl-implicit"
    assert group.prompt == prompt
    assert texts(group) == [chosen[len(prompt) :], rejected[len(prompt) :]]


@pytest.mark.parametrize(
    ("chosen", "rejected", "prompt"),
    [
        ("The sky is blue.", "The sky is green.", "The sky is"),
        ("The sky is grey.", "The sky is green.", "The sky is"),  # no word is cut in two
        ("Hi there", "Hi there friend", "Hi"),  # no response is empty
    ],
)
def test_a_shared_beginning_that_ends_inside_a_sentence_is_taken_only_if_prescribed(
    chosen: str, rejected: str, prompt: str
) -> None:
    row = {"chosen": chosen, "rejected": rejected}
    error = refused(row)
    assert error.kind == "history"
    assert f"share the beginning {prompt!r}, which ends inside a sentence" in str(error)
    assert "layout=trl-implicit" in str(error)
    layout = detect(row, PREFERENCES)
    assert layout is not None
    assert layout.parse(row, "here:1", prescribed=True).prompt == prompt


@pytest.mark.parametrize("tag", ["think", "reasoning", "scratchpad"])
def test_a_shared_beginning_never_ends_inside_a_block(tag: str) -> None:
    row = {name: f"<{tag}>\nI add. {name}\n</{tag}>\n{name}" for name in ("chosen", "rejected")}
    layout = detect(row, PREFERENCES)
    assert layout is not None
    for prescribed in (False, True):
        with pytest.raises(RowError, match="ends inside a block"):
            layout.parse(row, "here:1", prescribed=prescribed)
    done = {name: f"<{tag}>I add.</{tag}>\nWhat is it?\n{name}" for name in ("chosen", "rejected")}
    assert read(done)[1].prompt == f"<{tag}>I add.</{tag}>\nWhat is it?"


def test_texts_without_a_shared_beginning_have_no_prompt() -> None:
    error = refused({"chosen": "Yes, sure", "rejected": "No, never"})
    assert error.kind == "history"
    assert "add a field 'prompt'" in str(error)


def test_explicit_turns() -> None:
    turns = [user("a"), assistant("b"), user("c")]
    name, group = read({"prompt": turns, "chosen": [assistant("d")], "rejected": [assistant("e")]})
    assert name == "trl-conversational"
    assert group.prompt == (Message("user", "a"), Message("assistant", "b"), Message("user", "c"))
    assert texts(group) == ["d", "e"]


def test_ultrafeedback_binarized_repeats_the_prompt_in_its_lists() -> None:
    row = {
        "prompt": "a",
        "prompt_id": "x",
        "chosen": [user("a"), assistant("b")],
        "rejected": [user("a"), assistant("c")],
        "messages": [user("a"), assistant("b")],
        "score_chosen": 8.5,
        "score_rejected": 3.0,
    }
    name, group = read(row)
    assert name == "trl-conversational"
    assert group == PromptGroup((Message("user", "a"),), ["b", "c"], [Comparison(0, 1)], [8.5, 3.0])
    _, tied = read({**row, "score_rejected": 8.5})
    assert tied.comparisons[0].tie
    assert "none of the turns" in str(refused({**row, "prompt": "another"}))


def test_a_text_prompt_with_response_turns_is_the_users_turn() -> None:
    _, group = read({"prompt": "a", "chosen": [assistant("b")], "rejected": [assistant("c")]})
    assert group.prompt == (Message("user", "a"),)


def test_implicit_turns_share_all_but_the_last() -> None:
    row = {"chosen": [user("a"), assistant("b")], "rejected": [user("a"), assistant("c")]}
    name, group = read(row)
    assert name == "trl-implicit-conversational"
    assert group == PromptGroup((Message("user", "a"),), ["b", "c"], [Comparison(0, 1)])
    error = refused({**row, "rejected": [user("z"), assistant("c")]})
    assert error.kind == "history"
    assert "first at turn 1" in str(error)
    assert "no turn stands before" in str(refused({"chosen": [assistant("b")], "rejected": [assistant("c")]}))
    wrong = {"chosen": [user("a"), user("b")], "rejected": [user("a"), user("c")]}
    assert "must be the assistant's, got role 'user'" in str(refused(wrong))


def test_text_parts_are_joined_and_other_parts_refused() -> None:
    parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    row = {"prompt": [{"role": "user", "content": parts}], "chosen": "b", "rejected": "c"}
    assert read(row)[1].prompt == (Message("user", "one two"),)
    row["prompt"] = [{"role": "user", "content": [{"type": "image", "url": "x"}]}]
    assert "field 'prompt[0].content[0]': a picture cannot be used here, text alone can" in str(refused(row))
    row["prompt"] = [{"role": "user", "content": [{"type": "smell"}]}]
    expected = "field 'prompt[0].content[0]': expected a part of the type text, image, video or audio, got 'smell'"
    assert expected in str(refused(row))


HH = "\n\nHuman: Hello\n\nAssistant: Hi.\n\nHuman: Who are you?\n\nAssistant:"


def test_hh_transcripts_become_turns() -> None:
    name, group = read({"chosen": HH + " A model.", "rejected": HH + "  A person. "})
    assert name == "hh"
    assert group.prompt == (
        Message("user", "Hello"),
        Message("assistant", "Hi."),
        Message("user", "Who are you?"),
    )
    assert texts(group) == ["A model.", "A person."]


def test_hh_rows_that_would_teach_nonsense_are_refused() -> None:
    assert refused({"chosen": HH + " ", "rejected": HH + " No."}).kind == "empty"
    assert refused({"chosen": HH + " No.", "rejected": HH + " No. "}).kind == "identical"
    went_on = HH + " A model.\n\nHuman: And?\n\nAssistant: So."
    error = refused({"chosen": went_on, "rejected": HH + " No."})
    assert error.kind == "history"
    assert "first at turn 4 of 6 and 4" in str(error)
    assert "got role 'user'" in str(refused({"chosen": HH + " a\n\nHuman: b", "rejected": HH + " a\n\nHuman: c"}))
    assert "must begin with 'Human:'" in str(refused({"chosen": HH + " a", "rejected": "something else"}))


def test_a_marker_within_a_line_is_no_turn() -> None:
    _, group = read({"chosen": HH + " He said Human: stop.", "rejected": HH + " No."})
    assert texts(group)[0] == "He said Human: stop."


def test_llamafactory_instruction_rows_become_conversations() -> None:
    row = {
        "instruction": "Translate",
        "input": "Hund",
        "system": "Be brief.",
        "history": [["Hi", "Hello"]],
        "chosen": "dog",
        "rejected": "cat",
    }
    name, group = read(row)
    assert name == "llamafactory"
    assert group.prompt == (
        Message("system", "Be brief."),
        Message("user", "Hi"),
        Message("assistant", "Hello"),
        Message("user", "Translate\n\nHund"),
    )
    assert read({**row, "input": "", "history": None, "system": ""})[1].prompt == (Message("user", "Translate"),)
    assert "history[0]" in str(refused({**row, "history": [["only one"]]}))
    assert refused({**row, "instruction": "", "input": " "}).kind == "empty"


def test_llamafactory_sharegpt_rows() -> None:
    row = {
        "conversations": [{"from": "system", "value": "s"}, {"from": "human", "value": "a"}],
        "chosen": {"from": "gpt", "value": "b"},
        "rejected": {"from": "gpt", "value": "c"},
    }
    name, group = read(row)
    assert name == "llamafactory-sharegpt"
    assert group == PromptGroup((Message("system", "s"), Message("user", "a")), ["b", "c"], [Comparison(0, 1)])
    openai = {"messages": [user("a")], "chosen": assistant("b"), "rejected": assistant("c")}
    assert read(openai)[1].prompt == (Message("user", "a"),)
    row["conversations"] = [{"from": "martian", "value": "a"}]
    assert "field 'conversations[0].from': expected one of human" in str(refused(row))


@pytest.mark.parametrize(
    ("changes", "kind", "expected"),
    [
        ({"chosen": 5}, "type", "field 'chosen': expected text, got int (5)"),
        ({"prompt": " "}, "empty", "field 'prompt' is empty"),
        ({"rejected": ""}, "empty", "field 'rejected' is empty"),
        ({"rejected": "a"}, "identical", "'chosen' and 'rejected' are the same"),
        ({"chosen": "x\ud83d"}, "value", "half of a surrogate pair (\\ud83d) at character 2"),
        ({"prompt": []}, "empty", "field 'prompt' is empty"),
        ({"prompt": [{"role": "user"}]}, "type", "field 'prompt[0].content': expected text, got null"),
        ({"prompt": [{"text": "a"}]}, "missing", "field 'prompt[0]': a turn needs 'role' and 'content'"),
        ({"prompt": ["a"]}, "type", "field 'prompt[0]': expected an object, got str"),
        (
            {"prompt": [user("p")], "chosen": [assistant("b"), assistant("c")]},
            "history",
            "field 'chosen': expected one turn after the prompt's 1, got 2",
        ),
    ],
)
def test_bad_pairs_name_the_field(changes: dict[str, Any], kind: str, expected: str) -> None:
    error = refused({"prompt": "p", "chosen": "a", "rejected": "b", **changes})
    assert error.kind == kind
    assert expected in str(error)


def test_openai_s_samples_of_summaries(shared_data: Callable[[str], Path]) -> None:
    """A hundred posts, each with the person's summary against those of twelve models."""
    path = shared_data("tldr/instructgpt_tldr_samples.csv.gz")
    unknown = read_preferences(path)
    assert not any(group.comparisons for group in unknown.groups)
    assert any("nobody compared these summaries" in warning for warning in unknown.warnings)
    groups = load_preferences(path, layout="instructgpt-summaries", contradictions="keep", ties="drop")
    assert len(groups) == 100
    for group in groups:
        assert isinstance(group.prompt, str)
        assert group.prompt.endswith("\n\nTL;DR:")
        assert group.prompt.count("TL;DR:") == 1
        assert {comparison.winner for comparison in group.comparisons} == {0}
        assert all(response.text.startswith(" ") and response.text.strip() for response in group.responses)
    assert sum(len(group.comparisons) for group in groups) > 1_100  # models that said the same are one response
