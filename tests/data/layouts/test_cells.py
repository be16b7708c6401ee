"""Turns that are written as text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penchant.data.layouts.cells import unfold_turns
from penchant.data.load import load_preferences
from penchant.data.sources.values import RowError
from penchant.errors import InputError
from penchant.types import Message

TURNS = [{"id": "1", "role": "user", "content": "Say 'hi'."}, {"role": "assistant", "content": 'A "b"\nc'}]
SHAREGPT = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]


@pytest.mark.parametrize("turns", [TURNS, SHAREGPT, TURNS[0], []])
@pytest.mark.parametrize("written", [json.dumps, repr, lambda turns: json.dumps(turns, indent=2)])
def test_json_and_python_literals_are_parsed(turns: Any, written: Any) -> None:
    value = written(turns)
    assert unfold_turns({"a": value, "b": "text"}) == {"a": turns or value, "b": "text"}


@pytest.mark.parametrize(
    "text",
    [
        "[{'role': 'user', 'content': 'q'}\n {'role': 'assistant', 'content': 'a'}]",  # numpy's way
        "array([{'role': 'user', 'content': 'q'}], dtype=object)",
        '[{"role": "user", "content": "q"',
        "[{'role': 'user', 'content': open('x')}]",
        "[{'content': 'a', 'role': " + "(" * 5000,
        "{'id': 1, 'content': " + "'a'" * 10 + ", 'role': [}",
    ],
)
def test_what_cannot_be_parsed_is_refused_and_never_run(text: str) -> None:
    with pytest.raises(RowError, match="field 'a' begins like a list of turns written as text"):
        unfold_turns({"a": text})


@pytest.mark.parametrize(
    "text",
    [
        '{"from": "a@b.c", "to": "d"}',
        '{"role": "x"}',
        '[{"role": "a", "content": "b"}, 1]',
        "[1, 2]",
        '{"name": "x"}',
        "[a] b",
        "",
        "{'role'}",
        "role: user",
    ],
)
def test_other_text_stays_text(text: str) -> None:
    assert unfold_turns({"a": text}) == {"a": text}


def test_a_table_with_turns_as_text_is_read_as_turns(tmp_path: Path) -> None:
    import csv

    path = tmp_path / "a.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        answers = [[TURNS[0], {"role": "assistant", "content": text}] for text in ("Hi!", "No.")]
        csv.writer(file).writerows([("prompt", "chosen", "rejected"), (TURNS[0]["content"], *map(repr, answers))])
    (group,) = load_preferences(path)
    assert group.prompt == (Message("user", "Say 'hi'."),)
    assert [response.text for response in group.responses] == ["Hi!", "No."]


def test_a_prompt_that_is_a_list_of_texts_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"prompt": '["hi", "more"]', "chosen": "a", "rejected": "b"}))
    with pytest.raises(InputError, match=r"a.jsonl:1: field 'prompt' is a list of texts written as text"):
        load_preferences(path)
