"""Layouts that other frameworks document: what each means, and what of them is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penchant.data.load import load_demonstrations, load_preferences, load_prompts
from penchant.errors import InputError
from penchant.types import Comparison, Message, PromptGroup, Response, ToolCall


def save(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str | None, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


ASKED = (Message("user", "q"),)
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {}}}
TOOLS = Message("tools", json.dumps([WEATHER]))
CALL = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
CALLED = Response("", tool_calls=(ToolCall("weather", '{"city": "Rome"}', "c"),))
WON = [Comparison(0, 1)]

PREFERENCES: list[tuple[str, dict[str, Any], PromptGroup]] = [
    (
        "openai-preference",
        {
            "input": {"messages": [user("q")], "tools": [WEATHER], "parallel_tool_calls": True},
            "preferred_output": [assistant(None, tool_calls=[CALL])],
            "non_preferred_output": [assistant("b")],
        },
        PromptGroup((TOOLS, *ASKED), [CALLED, "b"], WON),
    ),
    (
        "swift-messages",
        {"messages": [user("q"), assistant("a")], "rejected_messages": [user("q"), assistant("b")], "tools": [WEATHER]},
        PromptGroup((TOOLS, *ASKED), ["a", "b"], WON),
    ),
    (
        "swift",
        {"messages": [user("q"), assistant("a", reasoning_content="r")], "rejected_response": "b"},
        PromptGroup(ASKED, [Response("a", reasoning="r"), "b"], WON),
    ),
    (
        "swift",
        {"messages": [user("q"), assistant("a")], "rejected_response": [assistant(None, tool_calls=[CALL])]},
        PromptGroup(ASKED, ["a", CALLED], WON),
    ),
    (
        "nemo-rl",
        {"context": [user("q")], "completions": [
            {"rank": 1, "completion": [assistant("b")]}, {"rank": 0, "completion": [assistant("a")]},
            {"rank": 1, "completion": [assistant("c")]},
        ]},
        PromptGroup(ASKED, ["b", "a", "c"], [Comparison(1, 0), Comparison(0, 2, tie=True), Comparison(1, 2)]),
    ),
    # axolotl: chatml.intel and llama3.intel, then icr, then prompt_pairs, ultra, argilla_chat, chat_template.default
    ("question-pair", {"system": "s", "question": "q", "chosen": "a", "rejected": "b"},
     PromptGroup((Message("system", "s"), *ASKED), ["a", "b"], WON)),
    ("question-pair", {"input": "q", "chosen": "a", "rejected": "b"}, PromptGroup(ASKED, ["a", "b"], WON)),
    ("trl", {"system": "s", "prompt": "q", "chosen": "a", "rejected": "b"},
     PromptGroup((Message("system", "s"), *ASKED), ["a", "b"], WON)),
    ("trl-conversational",
     {"prompt": "q", "chosen": [user("q"), assistant("a")], "rejected": [user("q"), assistant("b")]},
     PromptGroup(ASKED, ["a", "b"], WON)),
    ("trl-implicit-conversational",
     {"chosen": [user("q"), assistant("a")], "rejected": [user("q"), assistant("b")]},
     PromptGroup(ASKED, ["a", "b"], WON)),
    ("llamafactory-sharegpt", {"messages": [user("q")], "chosen": assistant("a"), "rejected": assistant("b")},
     PromptGroup(ASKED, ["a", "b"], WON)),
    # OpenRLHF and NeMo-RL's binary form: the answers as lists of turns
    ("trl-conversational", {"prompt": [user("q")], "chosen": [assistant("a")], "rejected": [assistant("b")]},
     PromptGroup(ASKED, ["a", "b"], WON)),
    # LLaMA-Factory
    (
        "llamafactory-sharegpt",
        {"conversations": [{"from": "human", "value": "q"}], "chosen": {"from": "gpt", "value": "a"},
         "rejected": {"from": "gpt", "value": "b"}, "tools": json.dumps([WEATHER["function"]])},
        PromptGroup((TOOLS, *ASKED), ["a", "b"], WON),
    ),
    ("llamafactory", {"instruction": "q", "input": "i", "chosen": "a", "rejected": "b", "system": "s"},
     PromptGroup((Message("system", "s"), Message("user", "q\n\ni")), ["a", "b"], WON)),
]  # fmt: skip

LABELLED: list[tuple[str, dict[str, Any], PromptGroup]] = [
    # axolotl's argilla, intel, prompt_pairs and argilla_chat, LLaMA-Factory, TRL, ms-swift
    ("unpaired-instruction", {"system": "s", "instruction": "q", "completion": "a"},
     PromptGroup((Message("system", "s"), *ASKED), ["a"])),
    ("unpaired-instruction", {"question": "q", "input": "i", "completion": "a"},
     PromptGroup((Message("user", "q\n\ni"),), ["a"])),
    ("unpaired-instruction", {"input": "q", "output": "a", "system": "s"},
     PromptGroup((Message("system", "s"), *ASKED), ["a"])),
    ("unpaired", {"prompt": "q", "completion": "a"}, PromptGroup("q", ["a"])),
    ("unpaired-conversation", {"completion": [user("q"), assistant("a")]}, PromptGroup(ASKED, ["a"])),
    ("unpaired-alpaca", {"instruction": "q", "input": "", "output": "a"}, PromptGroup(ASKED, ["a"])),
    ("unpaired-messages", {"messages": [user("q"), assistant("a")]}, PromptGroup(ASKED, ["a"])),
    ("unpaired-messages", {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
     PromptGroup(ASKED, ["a"])),
    ("unpaired", {"prompt": [user("q")], "completion": [assistant(None, tool_calls=[CALL])], "tools": [WEATHER]},
     PromptGroup((TOOLS, *ASKED), [CALLED])),
]  # fmt: skip

DEMONSTRATIONS: list[tuple[dict[str, Any], PromptGroup]] = [
    # OpenAI's chat format, with functions in its first spelling
    ({"messages": [user("q"), assistant("a")], "functions": [WEATHER["function"]], "parallel_tool_calls": False},
     PromptGroup((TOOLS, *ASKED), ["a"])),
    # axolotl: gpteacher, metharme, pygmalion, summarizetldr, Camel, context_qa and its second form, jeopardy, OpenOrca
    ({"instruction": "q", "input": "i", "response": "a"}, PromptGroup((Message("user", "q\n\ni"),), ["a"])),
    ({"prompt": "q", "generation": "a"}, PromptGroup("q", ["a"])),
    ({"conversations": [{"role": "user", "value": "q"}, {"role": "assistant", "value": "a"}]},
     PromptGroup(ASKED, ["a"])),
    ({"article": "q", "summary": "a"}, PromptGroup("q", ["a"])),
    ({"message_1": "q", "message_2": "a"}, PromptGroup(ASKED, ["a"])),
    ({"article": "It is.", "question": "q", "answer": "a"}, PromptGroup((Message("user", "It is.\n\nq"),), ["a"])),
    ({"context": "It is.", "question": "q", "answer": "a"}, PromptGroup((Message("user", "q\n\nIt is."),), ["a"])),
    ({"question": "q", "category": "SEAS", "answer": "a"}, PromptGroup(ASKED, ["a"])),
    ({"system_prompt": "s", "question": "q", "response": "a"}, PromptGroup((Message("system", "s"), *ASKED), ["a"])),
    ({"segments": [{"label": False, "text": "q "}, {"label": False, "text": "r"}, {"label": True, "text": " a"}]},
     PromptGroup("q r", [" a"])),
    ({"segments": [{"label": True, "text": "a "}, {"label": True, "text": "b"}]}, PromptGroup("", ["a b"])),
    # OpenRLHF: its keys as text and as turns
    ({"input": "q", "output": "a"}, PromptGroup(ASKED, ["a"])),
    ({"input": [user("q")], "output": [assistant("a")]}, PromptGroup(ASKED, ["a"])),
    # ms-swift: rounds, and a question with its history
    ({"conversation": [{"human": "p", "assistant": "b"}, {"human": "q", "assistant": "a"}], "system": "s"},
     PromptGroup((Message("system", "s"), Message("user", "p"), Message("assistant", "b"), *ASKED), ["a"])),
    ({"query": "q", "response": "a", "history": [["p", "b"]]},
     PromptGroup((Message("user", "p"), Message("assistant", "b"), *ASKED), ["a"])),
    # TRL: text parts of a vision row, and GPT-OSS' thoughts
    ({"messages": [user([{"type": "text", "text": "q"}]), assistant("a", thinking="t")], "images": []},
     PromptGroup(ASKED, [Response("a", reasoning="t")])),
]  # fmt: skip

PROMPTS: list[tuple[dict[str, Any], PromptGroup]] = [
    # verl, ms-swift's GRPO, ShareGPT, and a question alone
    ({"data_source": "x/y", "prompt": [user("q")], "ability": "math",
      "reward_model": {"style": "rule", "ground_truth": "4"}, "extra_info": {"split": "train"}}, PromptGroup(ASKED)),
    ({"messages": [{"role": "system", "content": "s"}, user("q")], "solution": "4"},
     PromptGroup((Message("system", "s"), *ASKED))),
    ({"conversations": [{"from": "human", "value": "q"}]}, PromptGroup(ASKED)),
    ({"messages": [user("q")], "tools": [WEATHER]}, PromptGroup((TOOLS, *ASKED))),
    ({"question": "q"}, PromptGroup(ASKED)),
    ({"instruction": "q", "input": "i"}, PromptGroup((Message("user", "q\n\ni"),))),
    ({"input": "q"}, PromptGroup(ASKED)),
]  # fmt: skip


@pytest.mark.parametrize(("layout", "row", "expected"), PREFERENCES)
def test_pairs_and_rankings(tmp_path: Path, layout: str, row: dict[str, Any], expected: PromptGroup) -> None:
    from penchant.data.load import read_preferences

    loaded = read_preferences(save(tmp_path / "a.jsonl", row), ties="half")
    assert loaded.layout == layout
    assert loaded.groups == [expected]
    with pytest.raises(InputError):
        load_demonstrations(tmp_path / "a.jsonl")  # which would teach the losing answer
    assert load_prompts(tmp_path / "a.jsonl") == [PromptGroup(expected.prompt)]


@pytest.mark.parametrize("label", ["label", "kto_tag"])
@pytest.mark.parametrize(("layout", "row", "expected"), LABELLED)
def test_labels(tmp_path: Path, layout: str, row: dict[str, Any], expected: PromptGroup, label: str) -> None:
    from penchant.data.load import read_preferences

    loaded = read_preferences(save(tmp_path / "a.jsonl", row | {label: False}))
    assert loaded.layout == layout
    assert loaded.groups == [expected.replace(scores=(0.0,))]
    with pytest.raises(InputError, match="method kto"):
        load_demonstrations(tmp_path / "a.jsonl")


@pytest.mark.parametrize(("row", "expected"), DEMONSTRATIONS)
def test_demonstrations(tmp_path: Path, row: dict[str, Any], expected: PromptGroup) -> None:
    assert load_demonstrations(save(tmp_path / "a.jsonl", row)) == [expected]


@pytest.mark.parametrize(("row", "expected"), PROMPTS)
def test_prompts(tmp_path: Path, row: dict[str, Any], expected: PromptGroup) -> None:
    assert load_prompts(save(tmp_path / "a.jsonl", row)) == [expected]


NEMO = {"context": [user("q")], "completions": [{"rank": 0, "completion": [assistant("a")]}]}
OPENAI = {
    "input": {"messages": [user("q")]},
    "preferred_output": [assistant("a")],
    "non_preferred_output": [assistant("b")],
}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (NEMO, "field 'completions': expected at least two to compare, got 1"),
        (NEMO | {"completions": NEMO["completions"] * 2}, "which are the same"),
        (
            NEMO | {"completions": [*NEMO["completions"], {"completion": [assistant("b")]}]},
            "field 'completions[1].rank': expected a number, got null",
        ),
        (
            NEMO | {"completions": [*NEMO["completions"], {"rank": 1, "completion": [user("b"), assistant("b")]}]},
            "field 'completions[1].completion': expected one turn",
        ),
        (OPENAI | {"input": {"messages": []}}, "field 'input.messages' is empty"),
        (OPENAI | {"input": {}}, "field 'input.messages': expected a list of turns, got null"),
        (OPENAI | {"input": {"messages": [user("q")], "persona": "x"}}, "field 'input.persona' is not read"),
        (OPENAI | {"preferred_output": [user("a")]}, "field 'preferred_output': its last turn must be the assistant's"),
        (NEMO | {"completions": [{**NEMO["completions"][0], "critique": "x"}] * 2}, "'completions[0].critique' is not"),
        (
            {"messages": [user("q"), assistant("a")], "rejected_response": [user("r"), assistant("b")]},
            "field 'rejected_response': expected one turn, got 2",
        ),
        (
            {"messages": [user("q"), assistant("a")], "rejected_messages": [user("r"), assistant("b")]},
            "differ before the last turn",
        ),
        (
            {
                "messages": [user("q"), assistant("a")],
                "rejected_messages": [user("q"), assistant("b")],
                "rejected_tools": [WEATHER],
            },
            "field 'rejected_tools' differs from 'tools'",
        ),
        ({"prompt": "p", "completions": ["a", "b"], "labels": [True, False]}, "judge the steps of one answer"),
    ],
)
def test_what_of_them_cannot_be_read_is_named(tmp_path: Path, row: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        load_preferences(save(tmp_path / "a.jsonl", row))
    assert "a.jsonl:1: " in str(caught.value)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            {"segments": [{"label": True, "text": "a"}, {"label": False, "text": "b"}]},
            "field 'segments[1]' is not to be learned, but stands behind segments that are",
        ),
        ({"segments": [{"label": False, "text": "a"}]}, "field 'segments' is empty"),
        ({"conversation": []}, "field 'conversation' is empty"),
        ({"conversation": [{"human": "q", "assistant": "a", "note": "x"}]}, "field 'conversation[0].note' is not read"),
        ({"conversation": [{"human": "q"}]}, "field 'conversation[0].assistant': expected text, got null"),
        ({"input": "q", "output": "a", "hint": "Think of a river."}, "field 'hint' holds text that"),
        ({"input": [user("q")], "output": [user("r"), assistant("a")]}, "field 'output': expected one turn"),
        ({"messages": [user("q"), assistant("a")], "chat_template_kwargs": {"x": True}}, "data.template_args"),
    ],
)
def test_demonstrations_that_cannot_be_read_are_named(tmp_path: Path, row: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        load_demonstrations(save(tmp_path / "a.jsonl", row))
    assert expected in str(caught.value)


def test_a_question_that_says_nothing_is_refused_by_its_own_column(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"messages": None, "query": "", "rejected_messages": None}) + "\n")
    with pytest.raises(InputError, match=r"rows.jsonl:1: field 'query' is empty"):
        load_prompts(file)
