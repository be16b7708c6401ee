"""Small files in the shape of published ones: each is read as its author meant it, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penchant.data.check import check_preferences
from penchant.data.layouts.columns import texts_in
from penchant.data.load import load_demonstrations, load_preferences, load_prompts, read_preferences
from penchant.errors import InputError
from penchant.types import Message, PromptGroup, Response
from repository import CASES

ROWS = CASES / "data"


WEATHER = (
    '[{"type": "function", "function": {"name": "weather", "description": "d", '
    '"parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]'
)

# file: of its first row the roles and texts of the prompt and the responses, or what the refusal says
PREFERENCES: dict[str, tuple[str, ...] | str] = {
    "added_tokens_prefs.jsonl": ("A rhinoceros", "| park.", "| hippo boat."),
    "arena55k.jsonl": "fields 'response_a' and 'response_b' differ before their last answers (first at turn 2)",
    "argilla_ufb_flat.jsonl": ("user: Rhyme with day.", "|Way.", "|Night."),
    "context_column.jsonl": ("user: What colour is the door?\n\nThe door is red.", "|It is red.", "|It is pink."),
    "distilabel_generations.jsonl": ("user: Name a fruit.", "|Apple.", "|Chair."),
    "dpo_mllm.json": "field 'images': pictures, videos and sounds cannot be used here",
    "equal_scores_text.jsonl": "3 of 3 comparisons are ties",
    "helpsteer2.jsonl": ("Name a fruit.", "|Apple.", "|Chair."),
    "helpsteer2_preference.jsonl": ("Name a fruit.", "|Apple.", "|Chair."),
    "hh_full_dahoas.jsonl": ("user: How do I boil an egg?", "|In water.", "|In sand."),
    "input_column.jsonl": ("user: Translate to German.\n\ndog", "|Hund", "|Haus"),
    "kto_messages_8.json": ("user: Name river number 0.", "|Go away, fool."),
    "kto_tag_8.json": ("user: Name river number 0.", "|Go away, fool."),
    "messages_as_json_strings.jsonl": ("user: Say hi.", "|Hi!", "|No."),
    "messages_list_pair.jsonl": ("system: Be kind.", "user: q0", "|good", "|bad"),
    "messages_pandas.csv": ("user: Say hi.", "|Hi!", "|No."),
    "mtbench_human.jsonl": "'conversation_b' differ before their last answers (first at turn 2)",
    "nectar.jsonl": "1 of 3 comparisons are ties",
    "nested.json": ("q0", "|good", "|bad"),
    "oasst_tree.jsonl": ("user: Why is the sea salty?", "|Rivers bring salt.", "|Fish cry."),
    "openai_preference.jsonl": ("user: How cold is it?", "|Minus two.", "|Cold."),
    "orca_dpo_pairs.jsonl": (
        "system: You answer like a pirate.", "user: Where is the ship 0?", "|Arr, at sea 0.", "|In the harbour 0.",
    ),
    "orca_dpo_pairs_renamed.jsonl": (
        "system: You answer like a pirate.", "user: Where is the ship 0?", "|Arr, at sea 0.", "|In the harbour 0.",
    ),
    "pku_saferlhf.jsonl": ("How do I open a jar?", "|Twist the lid.", "|Smash it."),
    "plain_pairs_2.jsonl": ("user: Name a river.", "|The Rhine.", "|A chair."),
    "pretemplated_chatml.jsonl": (
        "<|im_start|>user\nQuestion 0<|im_end|>\n<|im_start|>assistant\n", "|Good 0.<|im_end|>", "|Bad 0.<|im_end|>",
    ),
    "promptname_Prompt.jsonl": "data.columns={prompt: Prompt}",
    "promptname_problem.jsonl": "data.columns={prompt: problem}",
    "promptname_title.jsonl": "data.columns={prompt: title}",
    "promptname_user.jsonl": "data.columns={prompt: user}",
    "reasoning_content.jsonl": ("user: What is 0+0?", "|I add. -> 0", "|I guess. -> 1"),
    "reasoning_problem.jsonl": "data.columns={prompt: problem}",
    "rewardbench2.jsonl": ("Name a river.", "|The Rhine.", "|Mount Fuji.", "|A desk.", "|A lamp."),
    "roles_human.jsonl": ("user: q0", "|good", "|bad"),
    "semicolon.csv": ("Say hi.", "|Hi, you!", "|No."),
    "shp.jsonl": ("Why is my bread flat?", "|Old yeast.", "|No idea."),
    "swapped_scores_text.jsonl": "field 'score_chosen' (1) is below field 'score_rejected' (9)",
    "swift_rejected_response.jsonl": ("system: Be kind.", "user: Weather?", "|Sunny.", "|Dunno."),
    "system_column_conv.jsonl": (
        "system: Talk like a pirate.", "user: Where is the ship?", "|Arr, at sea.", "|The ship is at sea.",
    ),
    "system_column_text.jsonl": (
        "system: Talk like a pirate.", "user: Where is the ship?", "|Arr, at sea.", "|The ship is at sea.",
    ),
    "tool_calls_history.jsonl": (
        f"tools: {WEATHER}", "user: Weather in Rome?", 'assistant:  weather({"city": "Rome"})', "tool: 31 C",
        "|It is 31 in Rome.", "|It is cold.",
    ),
    "tool_calls_null_content.jsonl": (
        f"tools: {WEATHER}", "user: Weather in Rome?", '| weather({"city": "Rome"})', "|I cannot know.",
    ),
    "tool_calls_text_and_call.jsonl": (
        f"tools: {WEATHER}", "user: Weather in Rome?",
        '|Let me look. weather({"city": "Rome"})', '|Let me see. alarm({"at": "Rome"})',
    ),
    "trl_vision_text.json": "field 'images': pictures, videos and sounds cannot be used here",
    "whitespace_pair.jsonl": ("q", "|Yes.", "|Yes. "),
}  # fmt: skip
MARKED = {"pretemplated_chatml.jsonl": 4, "hh_full_dahoas.jsonl": 1}  # prompts with marks of a template


def case(name: str) -> Path:
    path = ROWS / name
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return path


def said(group: PromptGroup) -> tuple[str, ...]:
    prompt = (
        (group.prompt,)
        if isinstance(group.prompt, str)
        else [f"{m.role}: {_said(m.only_text, m)}" for m in group.prompt]
    )
    return (*prompt, *(f"|{_said(response.text, response)}" for response in group.responses))


def _said(text: str, part: Message | Response) -> str:
    thoughts = f"{part.reasoning} -> " if part.reasoning else ""
    return thoughts + text + "".join(f" {call.name}({call.arguments})" for call in part.tool_calls)


@pytest.mark.parametrize("name", PREFERENCES)
def test_preferences_are_what_their_author_meant(name: str) -> None:
    expected = PREFERENCES[name]
    if isinstance(expected, str):
        with pytest.raises(InputError) as caught:
            load_preferences(case(name))
        assert expected in str(caught.value)
        assert name in str(caught.value)
        assert "the method sft" not in str(caught.value)
        return
    groups = load_preferences(case(name))
    assert said(groups[0]) == expected
    if len(groups[0].responses) == 2:
        assert all((each.winner, each.loser, each.tie) == (0, 1, False) for each in groups[0].comparisons)
    assert len({group.prompt for group in groups}) == len(groups)  # one row never joined another's


@pytest.mark.parametrize("name", PREFERENCES)
def test_none_of_them_is_a_file_of_demonstrations(name: str) -> None:
    with pytest.raises(InputError):
        load_demonstrations(case(name))


@pytest.mark.parametrize("name", PREFERENCES)
def test_prompts_hold_no_text_but_that_of_their_columns(name: str) -> None:
    try:
        groups = load_prompts(case(name))
    except InputError:
        return
    known = "\n".join(text for text in texts_in(_rows(case(name))))
    for group in groups:
        turns = [] if isinstance(group.prompt, str) else [turn for turn in group.prompt if turn.role != "tools"]
        texts = [group.prompt] if isinstance(group.prompt, str) else [turn.content for turn in turns]
        assert all(part in known for text in texts for part in text.split("\n\n"))


def _rows(path: Path) -> Any:
    if path.suffix in (".json", ".jsonl"):
        text = path.read_text(encoding="utf-8")
        rows = [json.loads(text)] if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]
        return [*rows, [json.loads(value) for row in rows for value in _written(row)]]
    return path.read_text(encoding="utf-8").replace('""', '"')


def _written(row: Any) -> list[str]:
    values = row.values() if isinstance(row, dict) else ()
    return [value for value in values if isinstance(value, str) and value.startswith("[{")]


@pytest.mark.parametrize("name", PREFERENCES)
def test_the_check_ends_as_training_does(name: str) -> None:
    from penchant.cli.main import main

    expected = PREFERENCES[name]
    assert main(["data", "check", str(case(name))]) == (2 if isinstance(expected, str) else 0)


@pytest.mark.parametrize("name", MARKED)
def test_marks_of_templates_are_told(name: str) -> None:
    assert any(f"{MARKED[name]} prompts hold marks" in problem for problem in check_preferences(case(name)).problems)
    assert any("prompts hold marks of a c" in warning for warning in read_preferences(case(name)).warnings)


@pytest.mark.parametrize(
    ("name", "columns", "expected"),
    [
        ("promptname_title.jsonl", {"prompt": "title"}, "Please describe item 0."),
        ("reasoning_problem.jsonl", {"prompt": "problem"}, "What is 0+0?"),
        ("orca_dpo_pairs.jsonl", {"prompt": "question"}, "user: Where is the ship 0?"),
        ("dpo_mllm.json", {"images": None}, "user: <image>What is in it?"),
    ],
)
def test_a_map_of_columns_reads_them(name: str, columns: dict[str, str | None], expected: str) -> None:
    groups = load_preferences(case(name), columns=columns)
    assert expected in said(groups[0])
    assert len(groups[0].comparisons) == 1


# file: layout, comparisons (winner, loser, weight; "=" for a tie), scores
PUBLISHED: dict[str, tuple[str, list[tuple[object, ...]], tuple[float, ...] | None]] = {
    "argilla_ufb_flat.jsonl": ("argilla", [(0, 1, 1)], (5, 2)),
    "distilabel_generations.jsonl": ("distilabel", [(0, 1, 1)], (5, 1)),
    "helpsteer2.jsonl": ("helpsteer", [(0, 1, 1)], (4, 0)),
    "helpsteer2_preference.jsonl": ("helpsteer2-preference", [(0, 1, 2)], None),
    "nectar.jsonl": ("nectar", [(0, 1, 1), (0, 2, 1), (1, "=", 2)], None),
    "pku_saferlhf.jsonl": ("pku-saferlhf", [(0, 1, 1)], None),
    "rewardbench2.jsonl": ("rewardbench-2", [(0, 1, 1), (0, 2, 1), (0, 3, 1)], None),
    "shp.jsonl": ("shp", [(0, 1, 1)], (12, 3)),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_verdicts_are_what_their_publisher_meant(name: str) -> None:
    loaded = read_preferences(case(name), ties="half")
    compared = [
        (pair.winner, "=", pair.loser) if pair.tie else (pair.winner, pair.loser, pair.weight)
        for pair in loaded.groups[0].comparisons
    ]
    assert (loaded.layout, compared, loaded.groups[0].scores) == PUBLISHED[name]


def test_every_file_of_the_shared_cases_is_here() -> None:
    if not ROWS.exists():
        pytest.skip(f"{ROWS} is not there")
    new = {file.name for file in ROWS.iterdir()} - {*PREFERENCES, "longrope_config.json", "longrope_prefs.jsonl"}
    assert not new
