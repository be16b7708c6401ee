"""Turns of conversations: thoughts, calls of functions, what they answer, and what is to be learned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penchant.data.layouts.calls import as_calls, as_tools
from penchant.data.layouts.turns import as_turns
from penchant.data.load import load_demonstrations, load_preferences
from penchant.data.merge import merge_groups
from penchant.data.sources.values import RowError
from penchant.errors import InputError
from penchant.types import Message, PromptGroup, Response, ToolCall, prompt_text

ASK = {"role": "user", "content": "Weather in Rome?"}
WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
TOOLS = Message("tools", json.dumps([{"type": "function", "function": WEATHER}]))
CALL = ToolCall("weather", '{"city": "Rome"}')
OPENAI = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}


def save(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def said(load: Any, path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("spelled", "expected"),
    [
        ([OPENAI], (ToolCall("weather", '{"city": "Rome"}', "c1"),)),
        ([{"name": "weather", "arguments": {"city": "Rome", "unit": None}}], (CALL,)),
        ([{"function": {"name": "weather", "arguments": {"city": "Rome"}}, "id": None, "index": 0}], (CALL,)),
        ('{"name": "weather", "arguments": {"city": "Rome"}}', (CALL,)),
        ('[{"name": "weather", "arguments": "{\\"city\\": \\"Rome\\"}"}]', (CALL,)),
        ([{"name": "weather", "parameters": {"city": "Rome"}}], (CALL,)),
        ([{"name": "now"}], (ToolCall("now"),)),
        ([{"name": "now", "arguments": ""}], (ToolCall("now"),)),
        ([{"name": "s", "arguments": '{"b": null, "a": "\u00e9"}'}], (ToolCall("s", '{"b": null, "a": "\u00e9"}'),)),
        ([], ()),
        (None, ()),
    ],
)  # fmt: skip
def test_calls_in_all_their_spellings(spelled: object, expected: tuple[ToolCall, ...]) -> None:
    assert as_calls(spelled, "calls") == expected


@pytest.mark.parametrize(
    ("spelled", "message"),
    [
        ([{"arguments": {"a": 1}}], "field 'calls[0].name': expected text, got null"),
        ([{"name": "f", "arguments": "[1]"}], "'calls[0].arguments': the arguments of a call are a JSON object, got"),
        ([{"name": "f", "arguments": [1]}], "the arguments of a call are a JSON object, got list"),
        ([{"name": "f", "arguments": "{city: Rome}"}], "'calls[0].arguments': expected JSON, got str"),
        ([{"name": "f", "arguments": '{"a": 1, "a": 2}'}], "stands twice"),
        ([{"name": "f", "arguments": {"a": float("nan")}}], "what JSON cannot say"),
        ([{"type": "custom", "function": {"name": "f"}}], "'calls[0].type': expected 'function', got str ('custom')"),
        ([{"name": "f", "note": "x"}], "'calls[0].note' of a call is not read"),
        ([{"function": {"name": "f", "note": "x"}}], "'calls[0].note' of a call is not read"),
        ([{"name": "f", "arguments": {"a": 1}, "parameters": {"b": 1}}], "'calls[0].parameters' of a call is not read"),
        (["f"], "expected JSON"),
    ],
)
def test_calls_that_cannot_be_read_are_named(spelled: object, message: str) -> None:
    with pytest.raises(RowError) as caught:
        as_calls(spelled, "calls")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "spelled",
    [
        [WEATHER],
        [{"type": "function", "function": WEATHER}],
        json.dumps([WEATHER]),
        [json.dumps(WEATHER)],
        [WEATHER | {"strict": None}],
        WEATHER,
    ],
)
def test_functions_in_all_their_spellings_are_the_same_prompt(spelled: object) -> None:
    assert as_tools(spelled, "tools") == TOOLS


@pytest.mark.parametrize("nothing", [None, [], "", "[]", "nan"])
def test_no_functions(nothing: object) -> None:
    assert as_tools(nothing, "tools") is None


@pytest.mark.parametrize(
    ("spelled", "message"),
    [
        ([{"description": "d"}], "field 'tools[0]': a function needs a 'name', it has description"),
        ([{"type": "function", "function": {"description": "d"}}], "needs a 'name'"),
        ("weather", "field 'tools': expected JSON"),
        ('"weather"', "expected a list of functions"),
        (7, "expected an object, got int (7)"),
    ],
)
def test_functions_that_cannot_be_read_are_named(spelled: object, message: str) -> None:
    with pytest.raises(RowError) as caught:
        as_tools(spelled, "tools")
    assert message in str(caught.value)


def test_sharegpt_writes_a_call_and_its_result_as_turns() -> None:
    turns = [
        {"from": "human", "value": "Weather in Rome?"},
        {"from": "function_call", "value": '{"name": "weather", "arguments": {"city": "Rome"}}'},
        {"from": "observation", "value": "31 C"},
        {"from": "gpt", "value": "It is 31."},
    ]
    assert as_turns(turns, "conversations") == (
        Message("user", "Weather in Rome?"),
        Message("assistant", "", tool_calls=(CALL,)),
        Message("tool", "31 C"),
        Message("assistant", "It is 31."),
    )


def test_calls_in_turns_of_their_own_are_calls_of_one_turn() -> None:
    def call(city: str) -> dict[str, str]:
        return {"role": "tool_call", "content": json.dumps({"name": "weather", "arguments": {"city": city}})}

    turns = [ASK, {"role": "assistant", "content": "Let me look."}, call("Rome"), call("Oslo")]
    results = [{"role": "tool_response", "content": "31 C"}, {"role": "tool", "content": {"city": "Oslo", "c": -2}}]
    read = as_turns([*turns, *results], "messages")
    assert read[1] == Message("assistant", "Let me look.", tool_calls=(CALL, ToolCall("weather", '{"city": "Oslo"}')))
    assert [turn.content for turn in read[2:]] == ["31 C", '{"city": "Oslo", "c": -2}']


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "thinking"])
def test_thoughts_that_a_turn_has_apart(field: str) -> None:
    (turn,) = as_turns([{"role": "assistant", "content": "4", field: "I add.", "tool_calls": None}], "messages")
    assert turn == Message("assistant", "4", reasoning="I add.")


@pytest.mark.parametrize(
    ("turn", "message"),
    [
        ({"role": "assistant", "content": "4", "reasoning": "a", "thinking": "b"}, "reasoning and thinking of"),
        ({"role": "user", "content": "4", "reasoning": "a"}, "belongs to a turn of the role 'assistant'"),
        ({"role": "user", "content": "4", "tool_calls": [OPENAI]}, "'messages[0].tool_calls' belongs to"),
        ({"role": "user", "content": "4", "tool_call_id": "c1"}, "'messages[0].tool_call_id' belongs to"),
        ({"role": "assistant", "content": None}, "field 'messages[0].content': expected text, got null"),
        ({"role": "assistant", "content": "4", "weight": 1, "train": False}, "weight and train of"),
        ({"role": "user", "content": "4", "train": True}, "asks for the user's turn to be learned"),
        ({"role": "assistant", "content": "4", "weight": 2}, "'messages[0].weight': expected 1 or 0"),
        (
            {"role": "assistant", "content": "4", "tool_calls": [OPENAI], "function_call": {"name": "other"}},
            "'messages[0].tool_calls' and 'messages[0].function_call' differ",
        ),
        ({"role": "assistant", "content": "4", "function_call": {"name": "f", "arguments": "x"}}, "expected JSON"),
        ({"role": "tools", "content": "[]"}, "expected the JSON list of the functions"),
    ],
)  # fmt: skip
def test_parts_that_contradict_or_belong_elsewhere_are_named(turn: dict[str, Any], message: str) -> None:
    with pytest.raises(RowError) as caught:
        as_turns([turn], "messages")
    assert message in str(caught.value)


def test_functions_stand_before_all_turns() -> None:
    listed = {"role": "tools", "content": json.dumps([WEATHER])}
    assert as_turns([listed, ASK], "messages")[0] == TOOLS
    with pytest.raises(RowError, match="stands before all turns"):
        as_turns([ASK, listed], "messages")


@pytest.mark.parametrize("column", ["tools", "functions"])
def test_a_column_of_functions_leads_the_prompt(tmp_path: Path, column: str) -> None:
    pair = {"chosen": "31.", "rejected": "Cold."}
    text = {"prompt": "Weather in Rome?", **pair, column: json.dumps([WEATHER]), "system": "Be brief."}
    (group,) = load_preferences(save(tmp_path / "a.jsonl", text))
    assert group.prompt == (TOOLS, Message("system", "Be brief."), Message("user", "Weather in Rome?"))
    with_history = {"prompt": [{"role": "system", "content": "Be brief."}, ASK], **pair, column: [WEATHER]}
    history = {"history": [["Hi.", "Hello."]]}
    (group,) = load_preferences(save(tmp_path / "b.jsonl", with_history | history))
    assert [turn.role for turn in group.prompt] == ["tools", "system", "user", "assistant", "user"]  # type: ignore[union-attr]
    assert prompt_text(group.prompt).startswith('tools: [{"type": "function"')


def test_prompts_with_other_functions_are_other_prompts(tmp_path: Path) -> None:
    row = {"prompt": "Weather?", "chosen": "31.", "rejected": "Cold."}
    path = save(tmp_path / "a.jsonl", row, row | {"tools": [WEATHER]}, row | {"tools": [WEATHER | {"name": "w"}]})
    assert len(load_preferences(path)) == 3


def test_functions_that_two_columns_list_differently(tmp_path: Path) -> None:
    row = {"prompt": "Weather?", "chosen": "31.", "rejected": "Cold.", "tools": [WEATHER]}
    assert len(load_preferences(save(tmp_path / "a.jsonl", row | {"functions": [WEATHER]}))) == 1
    other = row | {"functions": [WEATHER | {"name": "w"}]}
    assert "differs from the functions that the prompt lists" in said(
        load_preferences, save(tmp_path / "b.jsonl", other)
    )


def test_a_response_may_be_calls_alone_and_keeps_its_thoughts(tmp_path: Path) -> None:
    chosen = {"role": "assistant", "content": None, "tool_calls": [OPENAI], "reasoning_content": "I look."}
    row = {"prompt": [ASK], "chosen": [chosen], "rejected": [{"role": "assistant", "content": "I cannot know."}]}
    (group,) = load_preferences(save(tmp_path / "a.jsonl", row | {"tools": [WEATHER]}))
    called = Response("", reasoning="I look.", tool_calls=(ToolCall("weather", '{"city": "Rome"}', "c1"),))
    assert group.responses == (called, Response("I cannot know."))
    empty = row | {"chosen": [{"role": "assistant", "content": "", "reasoning_content": "I look."}]}
    assert "field 'chosen' is empty" in said(load_preferences, save(tmp_path / "b.jsonl", empty))


def test_responses_that_differ_in_calls_or_thoughts_alone_are_two() -> None:
    responses = [
        Response("a"), Response("a", tool_calls=(CALL,)), Response("a", reasoning="I add."), Response("a"),
    ]  # fmt: skip
    (group,) = merge_groups([PromptGroup("p", [response]) for response in responses], counts_add=True).groups
    assert [response.count for response in group.responses] == [2, 1, 1]


ANSWERED = [
    {"role": "assistant", "content": None, "tool_calls": [OPENAI]},
    {"role": "tool", "content": "31 C", "tool_call_id": "c1"},
]


def test_turns_that_both_answers_share_belong_to_the_prompt(tmp_path: Path) -> None:
    sides = {"chosen": [*ANSWERED, {"role": "assistant", "content": "It is 31."}]}
    sides["rejected"] = [*ANSWERED, {"role": "assistant", "content": "Cold."}]
    (group,) = load_preferences(save(tmp_path / "a.jsonl", {"prompt": [ASK], **sides}))
    assert [turn.role for turn in group.prompt] == ["user", "assistant", "tool"]  # type: ignore[union-attr]
    assert [response.text for response in group.responses] == ["It is 31.", "Cold."]
    other = sides | {"rejected": [ANSWERED[0], {"role": "tool", "content": "5 C"}, sides["rejected"][-1]]}
    message = said(load_preferences, save(tmp_path / "b.jsonl", {"prompt": [ASK], **other}))
    assert "field 'chosen': expected one turn after the prompt's 1, got 3 (assistant, tool, assistant)" in message
    repeated = {side: [{"role": "user", "content": "Rome?"}, turns[-1]] for side, turns in sides.items()}
    message = said(load_preferences, save(tmp_path / "c.jsonl", {"prompt": [ASK], **repeated}))
    assert "got 2 (user, assistant)" in message


def test_a_completion_of_several_turns_teaches_all_of_them(tmp_path: Path) -> None:
    row = {"prompt": [ASK], "completion": [*ANSWERED, {"role": "assistant", "content": "It is 31."}]}
    (group,) = load_demonstrations(save(tmp_path / "a.jsonl", row))
    assert [turn.taught for turn in group.prompt] == [None, True, None]  # type: ignore[union-attr]
    assert group.responses == (Response("It is 31."),)


@pytest.mark.parametrize(
    ("switches", "expected"),
    [
        ((None, None), (4, [None])),
        ((0, 1), (4, [False])),
        ((1, 0), (2, [])),
        ((False, None), (4, [False])),
        ((True, True), (4, [True])),
        ((None, False), (2, [])),
    ],
)
@pytest.mark.parametrize("field", ["weight", "train", "training"])
def test_what_a_file_says_is_to_be_learned(
    tmp_path: Path, switches: tuple[Any, Any], expected: tuple[int, list[bool | None]], field: str
) -> None:
    answers = [{"role": "assistant", "content": f"a{i}", field: switch} for i, switch in enumerate(switches)]
    turns = [{"role": "user", "content": "q0"}, answers[0], {"role": "user", "content": "q1"}, answers[1]]
    (group,) = load_demonstrations(save(tmp_path / "a.jsonl", {"messages": turns}))
    assert len(group.prompt) + 1 == expected[0]
    # turns behind the last one that is learned are left out
    assert [turn.taught for turn in group.prompt if turn.role == "assistant"] == expected[1]  # type: ignore[union-attr]
    assert group.responses == (Response(f"a{expected[0] // 2 - 1}"),)


def test_a_row_that_teaches_nothing_is_named(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "train": False}]
    message = said(load_demonstrations, save(tmp_path / "a.jsonl", {"messages": turns}))
    assert "field 'messages[1]': the answer is not to be learned" in message
    row = {"messages": turns, "label": True}
    assert "is not to be learned" in said(load_preferences, save(tmp_path / "b.jsonl", row))


def test_switches_of_a_pair_make_no_other_prompt(tmp_path: Path) -> None:
    def side(answer: str, weight: int | None) -> list[dict[str, Any]]:
        return [
            ASK,
            {"role": "assistant", "content": "Where?", "weight": weight},
            ASK,
            {"role": "assistant", "content": answer},
        ]

    (group,) = load_preferences(save(tmp_path / "a.jsonl", {"chosen": side("a", 0), "rejected": side("b", None)}))
    assert group.prompt == tuple(Message(turn["role"], turn["content"]) for turn in side("a", 0)[:3])


def test_a_think_block_that_is_never_closed_is_refused(tmp_path: Path) -> None:
    row = {"prompt": "p", "chosen": "<think>\nI add.\n</think>\n4", "rejected": "<think>\nI guess, then 5"}
    message = said(load_preferences, save(tmp_path / "a.jsonl", row))
    assert "a.jsonl:1: response 1 opens a think block and never closes it" in message
    assert "response 0 opens" in said(
        load_demonstrations, save(tmp_path / "b.jsonl", {"prompt": "p", "completion": "<think>I"})
    )
    sampled = {"text": "<think>I", "token_ids": [1, 2], "finished": False}
    assert load_preferences(save(tmp_path / "c.jsonl", {"prompt": "p", "responses": [sampled, "a"]}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)


OPTIONAL = dict.fromkeys(("content", "tool_calls", "reasoning", "train", "name"), JSON)
ROLE = st.sampled_from(["user", "assistant", "tool", "tools", "tool_call"])


@settings(max_examples=60, deadline=None)
@given(turn=st.fixed_dictionaries({"role": ROLE}, optional=OPTIONAL))
def test_any_turn_is_read_or_refused(turn: dict[str, object]) -> None:
    try:
        (read,) = as_turns([turn], "messages")
    except RowError:
        return
    assert all(isinstance(json.loads(call.arguments), dict) for call in read.tool_calls)


def test_a_table_fills_turns_and_calls_with_nulls(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    def row(name: str, arguments: dict[str, str]) -> dict[str, Any]:
        call = {"id": None, "type": "function", "function": {"name": name, "arguments": arguments}}
        turns = [{"role": "user", "content": [{"type": "text", "text": "Do it."}]}]
        side = [{"role": "assistant", "content": None, "tool_calls": [call]}]
        other = [{"role": "assistant", "content": "No.", "reasoning_content": "I rest."}]
        tools = [{"type": "function", "function": {"name": name, "parameters": {"properties": arguments}}}]
        return {"prompt": turns, "chosen": side, "rejected": other, "tools": tools}

    rows = [row("weather", {"city": "Rome"}), row("alarm", {"at": "six"})]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    groups = load_preferences(tmp_path / "a.parquet")
    # the table holds {"city": "Rome", "at": null}, which no call says
    assert [group.responses[0].tool_calls[0].arguments for group in groups] == ['{"city": "Rome"}', '{"at": "six"}']
    functions = [json.loads(group.prompt[0].content) for group in groups]  # type: ignore[union-attr]
    assert [[tool["function"]["parameters"] for tool in tools] for tools in functions] == [
        [{"properties": {"city": "Rome"}}],
        [{"properties": {"at": "six"}}],
    ]
    assert groups == load_preferences(save(tmp_path / "a.jsonl", *rows))


def test_turns_in_cells_of_text_keep_their_calls(tmp_path: Path) -> None:
    import csv

    chosen = [{"role": "assistant", "content": None, "tool_calls": [OPENAI]}]
    cells = [
        {"prompt": "Weather?", "chosen": write(chosen), "rejected": "Hot.", "tools": json.dumps([WEATHER])}
        for write in (json.dumps, str)  # as JSON, and as pandas writes a list
    ]
    for number, cell in enumerate(cells):
        with (tmp_path / f"{number}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, cell)
            writer.writeheader()
            writer.writerow(cell)
        (group,) = load_preferences(tmp_path / f"{number}.csv")
        assert group.prompt[0] == TOOLS
        assert group.responses[0].tool_calls == (ToolCall("weather", '{"city": "Rome"}', "c1"),)


WORD = st.text("abc \u00e9", min_size=1, max_size=6).filter(lambda text: text.strip())
SAID = st.tuples(WORD, WORD, st.none() | WORD, st.none() | WORD)


def _spellings(rounds: list[tuple[str, str, str | None, str | None]]) -> dict[str, dict[str, Any]]:
    """One conversation as OpenAI's, ShareGPT's, ms-swift's and our own files have it."""
    openai, sharegpt, swift, own = [], [], [], []
    for number, (question, answer, city, result) in enumerate(rounds):
        openai.append({"role": "user", "content": question})
        sharegpt.append({"from": "human", "value": question})
        swift.append({"role": "user", "content": question})
        own.append({"role": "user", "content": question})
        if city is not None:
            call = {"name": "weather", "arguments": {"city": city}}
            text = json.dumps(call)
            openai.append(
                {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": call}]}
            )
            sharegpt.append({"from": "function_call", "value": text})
            swift.append({"role": "tool_call", "content": text})
            arguments = json.dumps(call["arguments"], ensure_ascii=False)
            own.append(
                {"role": "assistant", "content": "", "tool_calls": [{"name": "weather", "arguments": arguments}]}
            )
            openai.append({"role": "tool", "content": result or "none"})
            sharegpt.append({"from": "observation", "value": result or "none"})
            swift.append({"role": "tool_response", "content": result or "none"})
            own.append({"role": "tool", "content": result or "none"})
        last = number == len(rounds) - 1
        openai.append({"role": "assistant", "content": answer})
        sharegpt.append({"from": "gpt", "value": answer})
        swift.append({"role": "assistant", "content": answer})
        own += [] if last else [{"role": "assistant", "content": answer}]
    return {
        "openai": {"messages": openai, "tools": [WEATHER]},
        "sharegpt": {"conversations": sharegpt, "tools": json.dumps([WEATHER])},
        "swift": {"messages": swift, "tools": json.dumps([{"type": "function", "function": WEATHER}])},
        "own": {
            "prompt": [{"role": "tools", "content": json.dumps([WEATHER])}, *own],
            "responses": [rounds[-1][1]],
        },
    }


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=st.lists(SAID, min_size=1, max_size=3))
def test_one_conversation_is_the_same_in_every_spelling(
    tmp_path: Path, rounds: list[tuple[str, str, str | None, str | None]]
) -> None:
    groups = [load_demonstrations(save(tmp_path / f"{name}.jsonl", row)) for name, row in _spellings(rounds).items()]
    assert all(group == groups[0] for group in groups)
    assert sum(len(turn.tool_calls) for turn in groups[0][0].prompt) == sum(city is not None for *_, city, _ in rounds)  # type: ignore[union-attr]
