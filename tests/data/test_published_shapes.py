"""Shapes in which data is published: what a table's cells, flags and ratings mean, and what is no statement at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penchant.data.check import check_preferences
from penchant.data.load import load_demonstrations, load_preferences, load_prompts, read_preferences
from penchant.errors import InputError
from penchant.types import Comparison, Message, PromptGroup

PAIR = {"prompt": "Name a river.", "chosen": "The Po.", "rejected": "The moon."}
TURNS = [{"from": "human", "value": "Name a river."}, {"from": "gpt", "value": "The Po."}]
DONE = {"prompt": "Name a river.", "completion": "The Po."}
ASKED = (Message("user", "Name a river."),)


def save(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def refusal(tmp_path: Path) -> Any:
    def say(*rows: dict[str, Any], load: Any = load_preferences, **arguments: Any) -> str:
        with pytest.raises(InputError) as caught:
            load(save(tmp_path / "a.jsonl", *rows), **arguments)
        return str(caught.value)

    return say


@pytest.mark.parametrize("tie", [{"tie": "True"}, {"is_tie": "true"}, {"tie": 1}, {"tie": 1.0}, {"is_tie": "1"}])
def test_a_tie_is_one_however_a_table_writes_it(tmp_path: Path, tie: dict[str, Any]) -> None:
    (group,) = load_preferences(save(tmp_path / "a.jsonl", PAIR | tie), ties="half")
    assert group.comparisons == (Comparison(0, 1, tie=True),)


@pytest.mark.parametrize("tie", ["False", "", "nan", 0, None])
def test_what_is_no_tie(tmp_path: Path, tie: Any) -> None:
    (group,) = load_preferences(save(tmp_path / "a.jsonl", PAIR | {"tie": tie}))
    assert group.comparisons == (Comparison(0, 1),)


def test_a_tie_that_is_neither_true_nor_false(refusal: Any) -> None:
    assert "field 'tie': expected true or false, got str ('perhaps')" in refusal(PAIR | {"tie": "perhaps"})


RATED = [
    ("rm_score_chosen", "rm_score_rejected"),
    ("chosen_rm_score", "rejected_rm_score"),
    ("chosenReward", "rejectedReward"),
    ("Chosen Quality", "Rejected Quality"),
]


@pytest.mark.parametrize(("good", "bad"), RATED)
def test_ratings_are_found_under_any_name_that_says_so(tmp_path: Path, refusal: Any, good: str, bad: str) -> None:
    (group,) = load_preferences(save(tmp_path / "b.jsonl", PAIR | {good: 3, bad: "1"}))
    assert group.scores == (3.0, 1.0)
    assert f"field {good!r} (1) is below field {bad!r} (3)" in refusal(PAIR | {good: 1, bad: 3})


def test_ratings_that_are_no_usable_number_are_named(refusal: Any) -> None:
    rated = PAIR | {"score_chosen": 1.0, "score_rejected": float("inf")}
    assert "field 'score_rejected': expected a finite number" in refusal(rated)


def test_places_are_no_ratings(tmp_path: Path) -> None:
    rows = PAIR | {"chosen_score_rank": 1, "rejected_score_rank": 2}
    (group,) = load_preferences(save(tmp_path / "a.jsonl", rows))
    assert group.scores is None


NOTHING = [None, float("nan"), "nan", "None", "", "<NA>"]


@pytest.mark.parametrize("nothing", NOTHING)
def test_a_missing_cell_is_no_part_of_the_prompt(tmp_path: Path, nothing: Any) -> None:
    beside = {"system": nothing, "input": nothing}
    alpaca = {"instruction": "Name a river.", "output": "The Po."}
    (group,) = load_demonstrations(save(tmp_path / "a.jsonl", alpaca | beside))
    assert group == PromptGroup(ASKED, ["The Po."])
    (pair,) = load_preferences(save(tmp_path / "b.jsonl", PAIR | beside | {"history": nothing}))
    assert pair.prompt == "Name a river."


def test_an_input_that_looks_empty_to_a_program_is_one(tmp_path: Path) -> None:
    row = {"instruction": "Sort the list.", "input": "[]", "output": "It is empty."}
    (group,) = load_demonstrations(save(tmp_path / "a.jsonl", row))
    assert group.prompt == (Message("user", "Sort the list.\n\n[]"),)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Name a river.", "answers": ["The Po", "Po"]},
        {"prompt": "Name a river.", "output": ["The Po", "The Rhine", "The Elbe"]},
        {"instruction": "Name a river.", "output": ["The Po", "The Rhine", "The Elbe"]},
    ],
)
def test_a_list_of_answers_is_no_ranking(tmp_path: Path, refusal: Any, row: dict[str, Any]) -> None:
    message = refusal(row)
    assert "nothing says that it is ordered" in message
    assert "layout=ranked" in message
    (group,) = load_preferences(save(tmp_path / "b.jsonl", row), layout="ranked")
    assert group.comparisons[0] == Comparison(0, 1)
    assert len(load_prompts(tmp_path / "b.jsonl")) == 1  # whose answers are no matter


@pytest.mark.parametrize("opening", ["[", '{"a": '])
def test_values_nested_without_an_end_are_refused(tmp_path: Path, opening: str) -> None:
    closing = "]" if opening == "[" else "}"
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(PAIR)[:-1] + ', "x": ' + opening * 700 + '"t"' + closing * 700 + "}\n")
    with pytest.raises(InputError, match=r"a\.jsonl:1: broken JSON \(nested too deeply: more than 100 levels\)"):
        load_preferences(path)
    path.write_text(json.dumps(PAIR | {"rejected": "[" * 700}) + "\n")  # brackets in a text are text
    assert load_preferences(path)[0].responses[1].text == "[" * 700


def test_a_system_prompt_is_never_advised_as_the_prompt(refusal: Any) -> None:
    row = {"id": "1", "system_prompt": "Be kind.", "question": "Name a river.", "completion": "The Po."}
    assert "data.columns={prompt: question}" in refusal(row, load=load_demonstrations)


def test_single_turns_of_conversations_are_no_texts(refusal: Any) -> None:
    row = {"message_id": "m", "parent_id": None, "text": "How do I swim?", "role": "prompter", "lang": "en"}
    assert "field 'role' says that 'text' is a turn" in refusal(row, load=load_demonstrations)


def test_weights_of_turns(tmp_path: Path, refusal: Any) -> None:
    weighted = [turn | {"weight": weight} for turn, weight in zip(TURNS * 2, (0, 0, None, 1), strict=True)]
    (group,) = load_demonstrations(save(tmp_path / "b.jsonl", {"conversations": weighted}))
    assert [turn.role for turn in group.prompt] == ["user", "assistant", "user"]  # type: ignore[union-attr]
    message = refusal({"conversations": weighted[:2]}, load=load_demonstrations)
    assert "field 'conversations[1]': the answer is not to be learned" in message
    half = [TURNS[0], TURNS[1] | {"weight": 0.5}]
    assert "conversations[1].weight': expected 1 or 0 (true or false), got float (0.5)" in refusal(
        {"conversations": half}, load=load_demonstrations
    )


@pytest.mark.parametrize(
    "beside",
    [{"status": "rejected"}, {"kind": "Bad"}, {"passes": False}, {"nsfw": True}, {"upvote": -3}, {"reaction": "👎"}],
)
def test_what_was_judged_in_other_words_is_no_demonstration(refusal: Any, beside: dict[str, Any]) -> None:
    (name,) = beside
    assert f"field {name!r} says how good the response is" in refusal(DONE | beside, load=load_demonstrations)


def test_a_response_may_read_like_a_verdict(tmp_path: Path) -> None:
    (group,) = load_demonstrations(save(tmp_path / "a.jsonl", {"prompt": "Is it so?", "completion": "correct"}))
    assert group.responses[0].text == "correct"


@pytest.mark.parametrize(("label", "good"), [("1", 1), ("0", 0), ("1.0", 1), (1.0, 1), ("TRUE", 1)])
def test_labels_as_tables_write_them(tmp_path: Path, label: Any, good: int) -> None:
    for name in ("label", "kto_tag"):
        (group,) = load_preferences(save(tmp_path / "a.jsonl", DONE | {name: label}))
        assert group.scores == (good,)


@pytest.mark.parametrize(
    ("texts", "verdict"),
    [
        (("response_a", "response_b"), ("A", "B")),
        (("answer 1", "answer 2"), ("2", "1")),
        (("model_one", "model_two"), ("model_two", "model_one")),
    ],
)
def test_names_of_columns_are_no_responses(refusal: Any, texts: tuple[str, str], verdict: tuple[str, str]) -> None:
    row = dict(zip(texts, ("The Po.", "The moon."), strict=True))
    message = refusal({"prompt": "Name a river.", "chosen": verdict[0], "rejected": verdict[1], **row})
    assert "seem to name the columns" in message
    assert all(repr(name) in message for name in texts)


def test_short_responses_are_responses(tmp_path: Path) -> None:
    row = {"prompt": "A or B?", "chosen": "A", "rejected": "B", "reason_a": "It comes first."}
    (group,) = load_preferences(save(tmp_path / "a.jsonl", row))
    assert [response.text for response in group.responses] == ["A", "B"]


def test_preferences_from_zero_may_mean_the_opposite(tmp_path: Path, refusal: Any) -> None:
    rows = [{"instruction": f"q{n}", "output_1": "a", "output_2": "b", "preference": n} for n in (0, 1, 2)]
    message = refusal(*rows[:2], ties="drop", bad_rows="skip")
    assert "the column 'preference' holds 0 and 1 only" in message
    assert len(load_preferences(save(tmp_path / "b.jsonl", *rows[:2]), ties="drop", layout="alpaca-eval")) == 1
    assert len(load_preferences(save(tmp_path / "b.jsonl", *rows), ties="drop")) == 2  # with a 2, a 0 is a tie
    assert len(load_preferences(save(tmp_path / "b.jsonl", rows[1]))) == 1
    report = check_preferences(save(tmp_path / "b.jsonl", *rows[:2]), ties="drop")
    assert any("holds 0 and 1 only" in refused for refused in report.refusals)


@pytest.mark.parametrize("speaker", ["Assistant", "A", "Answer", "Bot"])
def test_a_transcript_of_single_lines_is_cut_where_the_answer_begins(tmp_path: Path, speaker: str) -> None:
    head = f"User: Is it so?\n{speaker}:"
    row = {"chosen": f"{head} Sure! Yes.", "rejected": f"{head} Sure! No."}
    (group,) = load_preferences(save(tmp_path / "a.jsonl", row))
    assert group.prompt == head
    assert [response.text for response in group.responses] == [" Sure! Yes.", " Sure! No."]


def test_what_nobody_sees_is_no_text(tmp_path: Path, refusal: Any) -> None:
    assert "field 'chosen' is empty" in refusal(PAIR | {"chosen": "\u200b\ufeff"})
    loaded = read_preferences(save(tmp_path / "b.jsonl", PAIR | {"rejected": "The\u200b Po."}))
    assert "1 comparisons are between responses that differ in white space" in loaded.warnings[0]


@pytest.mark.parametrize(
    "text",
    [
        "a[PAD][PAD]",
        "a<pad>",
        "q\nassistant: b",
        "a<\uff5cend\u2581of\u2581sentence\uff5c>",
        "<human>: q\n<bot>:",
        "<start_of_role>user<end_of_role>q",
    ],
)
def test_marks_of_other_templates(tmp_path: Path, text: str) -> None:
    loaded = read_preferences(save(tmp_path / "a.jsonl", PAIR | {"prompt": text}))
    assert "hold marks of a chat template" in loaded.warnings[0]


def test_a_number_of_the_best_response_is_a_verdict(refusal: Any) -> None:
    row = {"prompt": "Name a river.", "responses": ["The Po.", "The moon."], "best": 0}
    assert "field 'best' says how good" in refusal(row, load=load_demonstrations)


@pytest.mark.parametrize(("key", "value"), [("value", "Name a hill."), ("from", "gpt")])
def test_a_turn_that_says_two_things_is_refused(refusal: Any, tmp_path: Path, key: str, value: str) -> None:
    turn = {"role": "user", "content": "Name a river.", "from": "human", "value": "Name a river."}
    done = {"role": "assistant", "content": "The Po."}
    (group,) = load_demonstrations(save(tmp_path / "b.jsonl", {"messages": [turn, done]}))
    assert group == PromptGroup(ASKED, ["The Po."])
    message = refusal({"messages": [turn | {key: value}, done]}, load=load_demonstrations)
    assert f"field 'messages[0].{key}' differs" in message
