"""Columns beside those of a layout: mapped, added to the prompt, named, or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penchant.data.check import check_preferences
from penchant.data.layouts.columns import is_metadata, rename_columns
from penchant.data.load import load_demonstrations, load_preferences, load_prompts, read_preferences
from penchant.data.sources.values import RowError
from penchant.errors import InputError
from penchant.types import Comparison, Message, PromptGroup

TRL = {"prompt": "Translate.", "chosen": "Hund", "rejected": "Haus"}
BARE = {"chosen": "The item is lovely.", "rejected": "The item is dull."}
CALL = [{"type": "function", "function": {"name": "weather", "arguments": {"city": "Rome"}}}]


def save(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def said(path: Path, **arguments: Any) -> str:
    with pytest.raises(InputError) as caught:
        load_preferences(path, **arguments)
    return str(caught.value)


@pytest.mark.parametrize("name", ["Prompt", "problem", "title", "user", "Frage", "text", "user prompt", "source"])
def test_a_prompt_under_another_name_is_named_and_can_be_mapped(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / "a.jsonl", {name: "Describe the item, please.", **BARE})
    message = said(path)
    assert f"a.jsonl:1: field {name!r} holds text that is not read" in message
    assert f"data.columns={{prompt: {name}}}" in message
    (group,) = load_preferences(path, columns={"prompt": name})
    assert group == PromptGroup("Describe the item, please.", list(BARE.values()), [Comparison(0, 1)])


def test_a_column_is_left_out_only_by_name(tmp_path: Path) -> None:
    row = {"chosen": "Q: a?\nYes", "rejected": "Q: a?\nNo", "note": "from a friend"}
    path = save(tmp_path / "a.jsonl", row)
    assert "field 'note' holds text" in said(path)
    assert load_preferences(path, columns={"note": None})[0].prompt == "Q: a?"
    assert load_preferences(save(tmp_path / "b.jsonl", {**row, "note": ""}))[0].prompt == "Q: a?"
    assert load_preferences(save(tmp_path / "c.jsonl", {**row, "note": 5, "id": "x1"}))[0].prompt == "Q: a?"


def test_two_columns_can_change_places() -> None:
    row = {"prompt": "p", "chosen": "a", "rejected": "b", "id": 1}
    assert rename_columns(row, {"chosen": "rejected", "rejected": "chosen"}) == {**row, "chosen": "b", "rejected": "a"}
    assert rename_columns({"problem": "q", **row}, {"prompt": "problem"})["prompt"] == "q"
    with pytest.raises(RowError, match=r"data.columns: prompt is to be 'frage', but the row has prompt, chosen"):
        rename_columns(row, {"prompt": "frage"})


def test_a_column_that_is_not_there_is_answered_with_the_nearest() -> None:
    row = {"problem": "p", "info": {"post": "q", "more": {"ask": "?"}}, "chosen": "a", "rejected": "b"}
    for column, nearest in (("problm", "problem"), ("info.pots", "info.post"), ("info.more.aks", "info.more.ask")):
        with pytest.raises(RowError, match=rf"prompt is to be '{column}', .*; did you mean '{nearest}'\?"):
            rename_columns(row, {"prompt": column})


def test_a_map_to_a_field_that_nobody_reads_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", {"question": "q", "task": "p", "chosen": "a", "rejected": "b"})
    message = said(path, columns={"promt": "task"})
    assert "data.columns={promt: task} does nothing" in message
    assert "did you mean 'prompt'? (layout question-pair" in message
    assert load_preferences(path, columns={"prompt": "task", "question": None})[0].prompt == "p"
    tagged = save(tmp_path / "b.jsonl", {**TRL, "persona": "Be kind."})
    assert load_preferences(tagged, columns={"system": "persona"})[0].prompt[0] == Message("system", "Be kind.")


def test_a_column_that_no_row_has_is_said_once(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", *({"problem": f"p{number}", **BARE} for number in range(30)))
    message = said(path, columns={"prompt": "problm"})
    assert message.count("did you mean 'problem'?") == 1
    assert "(and 29 more rows)" in message


def test_a_path_leads_into_objects_and_lists(tmp_path: Path) -> None:
    row = {"info": {"post": "p", "by": "someone"}, "turns": [{"text": "a"}, {"text": "b"}], "a.b": "c"}
    columns = {"prompt": "info.post", "chosen": "turns.0.text", "rejected": "turns.1.text"}
    loaded = read_preferences(save(tmp_path / "a.jsonl", row), columns=columns)
    assert loaded.groups == [PromptGroup("p", ["a", "b"], [Comparison(0, 1)])]
    assert loaded.unread == {"info": 1, "turns": 1, "a.b": 1}
    assert rename_columns(row, {"prompt": "a.b"})["prompt"] == "c"  # a name with a dot in it goes first
    with pytest.raises(RowError, match=r"prompt is to be 'turns\.2\.text'"):
        rename_columns(row, {"prompt": "turns.2.text"})


def test_which_of_two_columns_is_the_prompt_is_asked(tmp_path: Path) -> None:
    both = {"problem": "What is it?", "title": "A riddle", **BARE}
    message = said(save(tmp_path / "a.jsonl", both))
    assert "fields 'problem' and 'title' could all be the prompt" in message
    assert "data.columns={prompt: problem}" in message
    assert "data.columns={title: null}" in message
    columns = {"prompt": "problem", "input": "title"}
    assert load_preferences(tmp_path / "a.jsonl", columns=columns)[0].prompt == (
        Message("user", "What is it?\n\nA riddle"),
    )
    with_prompt = said(save(tmp_path / "b.jsonl", {**TRL, "question": "Which?"}))
    assert "field 'question' is not read by the layout trl" in with_prompt
    assert "it reads 'prompt' as the prompt; both could be" in with_prompt


@pytest.mark.parametrize(
    ("beside", "prompt"),
    [
        ({"input": "dog"}, (Message("user", "Translate.\n\ndog"),)),
        ({"context": "dog"}, (Message("user", "Translate.\n\ndog"),)),
        ({"system": "Be brief."}, (Message("system", "Be brief."), Message("user", "Translate."))),
        ({"system_prompt": "Be brief."}, (Message("system", "Be brief."), Message("user", "Translate."))),
        (
            {"history": [["Hi", "Ho"]], "system": "S"},
            (Message("system", "S"), Message("user", "Hi"), Message("assistant", "Ho"), Message("user", "Translate.")),
        ),
        ({"input": "", "system": None, "history": []}, "Translate."),
        ({"input": "Translate."}, "Translate."),  # a copy is no further text
    ],
)
def test_what_belongs_to_a_prompt_is_part_of_it(tmp_path: Path, beside: dict[str, Any], prompt: Any) -> None:
    path = save(tmp_path / "a.jsonl", {**TRL, **beside})
    assert load_preferences(path) == [PromptGroup(prompt, ["Hund", "Haus"], [Comparison(0, 1)])]
    assert load_prompts(path) == [PromptGroup(prompt)]
    turns = {**beside, "prompt": [{"role": "user", "content": "Translate."}], "completion": "Hund"}
    expected = (Message("user", prompt),) if isinstance(prompt, str) else prompt
    assert load_demonstrations(save(tmp_path / "b.jsonl", turns)) == [PromptGroup(expected, ["Hund"])]


def test_rows_with_another_context_never_merge(tmp_path: Path) -> None:
    for name in ("system", "input", "context"):
        rows = [{**TRL, name: "one"}, {**TRL, name: "two", "chosen": "Haus", "rejected": "Hund"}]
        loaded = read_preferences(save(tmp_path / "a.jsonl", *rows))
        assert (len(loaded.groups), loaded.contradictions) == (2, 0)


def test_two_system_turns_must_agree(tmp_path: Path) -> None:
    turns = [{"role": "system", "content": "A"}, {"role": "user", "content": "q"}]
    row = {"prompt": turns, "chosen": "a", "rejected": "b", "system": "A"}
    assert len(load_preferences(save(tmp_path / "a.jsonl", row))[0].prompt) == 2
    assert "field 'system' differs" in said(save(tmp_path / "b.jsonl", {**row, "system": "B"}))


@pytest.mark.parametrize("name", ["question", "passages", "article", "conversation", "Document"])
def test_another_name_for_a_prompt_beside_one_is_refused(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / "a.jsonl", {**TRL, name: "Some other text"})
    assert f"field {name!r} is not read by the layout trl" in said(path)
    assert load_preferences(path, columns={name: None})[0].prompt == "Translate."
    assert load_preferences(path, columns={"input": name})[0].prompt == (
        Message("user", "Translate.\n\nSome other text"),
    )
    assert load_preferences(save(tmp_path / "b.jsonl", {**TRL, name: "Translate."}))  # a copy


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"images": ["dog.jpg"]}, "images"),
        ({"imageUrl": "http://x/y.png"}, "imageUrl"),
        ({"image_path": "dog.jpg", "num_images": 1}, "image_path"),
        ({"tools": ["weather"]}, "tools[0]"),
        ({"chosen": [{"role": "assistant", "content": None, "tool_calls": ["f"]}]}, "chosen[0].tool_calls[0]"),
        ({"chosen": [{"role": "assistant", "content": "a", "confidence": 0.5}]}, "chosen[0].confidence"),
        ({"prompt": [{"role": "user", "content": "a", "images": ["x"]}]}, "prompt[0].images"),
        ({"chosen": [{"role": "assistant", "content": "a", "weight": 0}]}, "chosen[0]"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], field: str) -> None:
    assert f"field {field!r}" in said(save(tmp_path / "a.jsonl", {**TRL, **changes}))


def test_empty_tool_calls_and_null_reasoning_are_nothing(tmp_path: Path) -> None:
    turn: dict[str, Any] = {
        "role": "assistant",
        "content": "a",
        "tool_calls": None,
        "reasoning_content": "",
        "images": [],
    }
    assert load_preferences(save(tmp_path / "a.jsonl", {**TRL, "chosen": [turn], "tools": [], "images": []}))


def test_every_other_column_with_text_is_named(tmp_path: Path) -> None:
    loaded = read_preferences(save(tmp_path / "a.jsonl", {**TRL, "sentence": "dog", "id": "7", "n": 3, "messages": []}))
    (warning,) = loaded.warnings
    assert "columns with text that are not read: sentence." in warning
    assert loaded.unread == {"sentence": 1, "id": 1, "n": 1}
    assert read_preferences(tmp_path / "a.jsonl", columns={"sentence": None}).warnings == ()


def test_rows_with_one_prompt_and_other_texts_beside_it_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", {**TRL, "sentence": "dog"}, {**TRL, "sentence": "cat", "chosen": "Katze"})
    assert "a.jsonl:1 and a.jsonl:2 have the same prompt, but other texts in the column 'sentence'" in said(path)
    assert len(load_preferences(path, columns={"input": "sentence"})) == 2
    assert len(load_preferences(path, columns={"sentence": None})) == 1
    reasons = save(tmp_path / "b.jsonl", {**TRL, "rationale": "It is."}, {**TRL, "rationale": "No.", "chosen": "Katze"})
    assert len(load_preferences(reasons)) == 1  # words about the answers differ from pair to pair


def test_metadata_has_the_name_and_the_form_of_metadata() -> None:
    assert is_metadata("prompt_id", "a-1")
    assert is_metadata("source", "flan_v2")
    assert is_metadata("chosen_model", "gpt-4")
    assert not is_metadata("source", "The dog sleeps.")
    assert not is_metadata("problem", "12")


@pytest.mark.parametrize(
    "name", ["helpfulness", "rating", "is_correct", "rejected_response", "kto_label", "reward", "thumbsUp"]
)
def test_demonstrations_with_a_verdict_are_refused(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / "a.jsonl", {"prompt": "p", "completion": "c", name: 0})
    with pytest.raises(InputError, match=rf"a.jsonl:1: field '{name}' says how good the response is.*method kto"):
        load_demonstrations(path)
    assert load_demonstrations(path, columns={name: None}) == [PromptGroup("p", ["c"])]
    assert load_prompts(path) == [PromptGroup("p")]


def test_names_and_values_of_any_length_are_cut(tmp_path: Path) -> None:
    name, value = "n" * 5_000, "v" * 5_000
    for row in ({name: value}, {name: value, **BARE}, {**TRL, "prompt": {name: value}}, {**TRL, "system": {name: 1}}):
        assert len(said(save(tmp_path / "a.jsonl", row)).split("\nKnown layouts")[0]) < 1_000
    assert len(said(save(tmp_path / "b.jsonl", TRL), columns={"prompt": name})) < 1_000
    many = {f"column number {number}": value for number in range(200)}
    assert len(said(save(tmp_path / "c.jsonl", many)).split("\nKnown layouts")[0]) < 2_000


@pytest.mark.parametrize(
    ("chosen", "rejected"),
    [
        ("score_chosen", "score_rejected"),
        ("chosen-rating", "rejected-rating"),
        ("chosen_avg_rating", "rejected_avg_rating"),
        ("chosenScore", "rejectedScore"),
        ("reward_chosen", "reward_rejected"),
    ],
)
def test_ratings_of_a_pair_are_scores_ties_and_contradictions_in_every_layout(
    tmp_path: Path, chosen: str, rejected: str
) -> None:
    turns = {"role": "user", "content": "q"}
    asked = "\n\nHuman: q\n\nAssistant:"
    for row in (
        TRL,
        {**TRL, "chosen": [{"role": "assistant", "content": "Hund"}]},
        {**TRL, "chosen": {"role": "assistant", "content": "Hund"}},
        {"instruction": "i", "chosen": "Hund", "rejected": "Haus"},
        {"conversations": [turns], "chosen": "Hund", "rejected": "Haus"},
        {"messages": [turns, {"role": "assistant", "content": "Hund"}], "rejected_response": "Haus"},
        {"chosen": f"{asked} Hund", "rejected": f"{asked} Haus"},
        {"chosen": "q?\nHund", "rejected": "q?\nHaus"},
        {name: [turns, {"role": "assistant", "content": name}] for name in ("chosen", "rejected")},
    ):
        (group,) = load_preferences(save(tmp_path / "a.jsonl", {**row, chosen: 5, rejected: "2.5"}))
        assert (group.scores, group.comparisons) == ((5.0, 2.5), (Comparison(0, 1),))
        (tied,) = load_preferences(save(tmp_path / "b.jsonl", {**row, chosen: 5, rejected: 5.0}), ties="half")
        assert tied.comparisons == (Comparison(0, 1, tie=True),)
        assert "contradict the preference" in said(save(tmp_path / "c.jsonl", {**row, chosen: 1, rejected: 2}))
        (bare,) = load_preferences(save(tmp_path / "d.jsonl", {**row, chosen: None, rejected: 2}))
        assert (bare.scores, bare.comparisons) == (None, (Comparison(0, 1),))


def test_a_stated_tie_is_one(tmp_path: Path) -> None:
    assert "1 of 1 comparisons are ties" in said(save(tmp_path / "a.jsonl", {**TRL, "tie": True}))
    assert load_preferences(save(tmp_path / "b.jsonl", {**TRL, "tie": False}))[0].comparisons == (Comparison(0, 1),)


def test_a_missing_cell_is_none_whatever_a_table_writes_for_it(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "p", "chosen": "a", "rejected": "b", "system": NaN, "input": null, "context": ""}')
    assert load_preferences(path)[0].prompt == "p"


def test_a_system_turn_for_prompts_that_have_none(tmp_path: Path) -> None:
    pair = {"chosen": "Hund", "rejected": "Haus"}
    tools = [{"name": "look_up"}]
    rows = [
        {"prompt": "dog", **pair},
        {"prompt": [{"role": "user", "content": "cat"}], **pair},
        {"prompt": [{"role": "system", "content": "Mine."}, {"role": "user", "content": "owl"}], **pair},
        {"prompt": [{"role": "user", "content": "cow"}], "tools": tools, **pair},
        {"prompt": [{"role": "developer", "content": "Mine."}, {"role": "user", "content": "hen"}], **pair},
    ]
    path = save(tmp_path / "a.jsonl", *rows)
    prompts = [group.prompt for group in load_preferences(path, system="Translate.")]
    assert prompts[0] == (Message("system", "Translate."), Message("user", "dog"))
    assert [turn.content for turn in prompts[2]] == ["Mine.", "owl"]  # type: ignore[union-attr]
    roles = [[turn.role for turn in prompt] for prompt in prompts]  # type: ignore[union-attr]
    assert roles[1:] == [["system", "user"], ["system", "user"], ["tools", "system", "user"], ["developer", "user"]]
    report = check_preferences(path, system="Translate.")
    assert report.system_added == 3
    assert "rows given the system turn     3" in report.as_text()
    assert load_preferences(path) == load_preferences(path, system=None)


def test_a_system_turn_where_none_can_stand(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", {"text": "Once upon a time."})
    with pytest.raises(InputError, match="the layout text has texts without prompts"):
        load_demonstrations(path, system="Be brief.")
    with pytest.raises(InputError, match="system is empty"):
        load_demonstrations(path, system=" ")
