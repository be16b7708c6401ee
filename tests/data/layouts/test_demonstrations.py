"""Demonstrations for SFT, and bare prompts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penchant.data.load import load_demonstrations, load_prompts
from penchant.errors import InputError
from penchant.types import Message, PromptGroup, Response


def save(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def turns(*contents: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[i % 2], "content": content} for i, content in enumerate(contents)]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "p", "completion": " c"}, PromptGroup("p", [" c"])),
        ({"prompt": "p", "response": "r"}, PromptGroup("p", ["r"])),
        (
            {"prompt": turns("a"), "completion": [{"role": "assistant", "content": "b"}]},
            PromptGroup((Message("user", "a"),), ["b"]),
        ),
        (
            {"messages": turns("a", "b", "c", "d")},
            PromptGroup((Message("user", "a"), Message("assistant", "b"), Message("user", "c")), ["d"]),
        ),
        (
            {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
            PromptGroup((Message("user", "a"),), ["b"]),
        ),
        (
            {"instruction": "i", "input": "x", "output": "o"},
            PromptGroup((Message("user", "i\n\nx"),), ["o"]),
        ),
        ({"prompt": "p", "responses": ["a", "b"]}, PromptGroup("p", ["a", "b"])),
        ({"text": "Once upon a time."}, PromptGroup("", ["Once upon a time."])),
    ],
)
def test_every_demonstration_layout(tmp_path: Path, row: dict[str, Any], expected: PromptGroup) -> None:
    groups = load_demonstrations(save(tmp_path / "a.jsonl", row))
    assert groups == [expected]
    assert groups[0].source == "a.jsonl:1"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "", "completion": "c"}, "field 'prompt' is empty"),
        ({"prompt": "p", "completion": ""}, "field 'completion' is empty"),
        ({"prompt": "p", "completion": turns("a", "b")}, "field 'completion': expected one assistant turn"),
        ({"messages": turns("a", "b", "c")}, "field 'messages': its last turn must be the assistant's"),
        ({"messages": turns("a", "b")[1:]}, "field 'messages': no turn with text stands before"),
        ({"instruction": "i", "output": " "}, "field 'output' is empty"),
        ({"text": ""}, "field 'text' is empty"),
        ({"prompt": "", "responses": ["a"]}, "field 'prompt' is empty"),
    ],
)
def test_bad_demonstrations_name_row_and_field(tmp_path: Path, row: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        load_demonstrations(save(tmp_path / "a.jsonl", row))
    assert f"a.jsonl:1: {expected}" in str(caught.value)


def test_repeated_demonstrations_are_counted_but_plain_text_is_never_merged(tmp_path: Path) -> None:
    row = {"prompt": "p", "completion": "c"}
    path = save(tmp_path / "a.jsonl", row, {**row, "completion": "d"}, row)
    assert load_demonstrations(path) == [PromptGroup("p", [Response("c", count=2), "d"])]
    assert len(load_demonstrations(path, merge=False)) == 3
    assert len(load_demonstrations(save(tmp_path / "b.jsonl", {"text": "a"}, {"text": "b"}, {"text": "a"}))) == 3


@pytest.mark.parametrize(
    ("changes", "method"),
    [({"comparisons": [{"winner": 0, "loser": 1}]}, "preferred_ft"), ({"scores": [1, 0]}, "kto")],
)
def test_judged_responses_of_ours_are_refused_with_the_method_that_reads_them(
    tmp_path: Path, changes: dict[str, Any], method: str
) -> None:
    row = {"prompt": "p", "responses": ["a", "b"], **changes}
    with pytest.raises(InputError, match=rf"a.jsonl:1: .*sft would teach .*method {method}"):
        load_demonstrations(save(tmp_path / "a.jsonl", row))
    left_out = dict.fromkeys(changes)
    assert load_demonstrations(tmp_path / "a.jsonl", columns=left_out) == [PromptGroup("p", ["a", "b"])]
    with pytest.raises(InputError, match="no row has a response"):
        load_demonstrations(save(tmp_path / "b.jsonl", {"prompt": "p", "responses": []}))


def test_prompts_from_a_text_file(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_bytes("\ufeffOnce upon\r\n\n  a time \nOnce upon\n".encode())
    groups = load_prompts(path)
    assert groups == [PromptGroup("Once upon"), PromptGroup("  a time ")]
    assert groups[1].source == "prompts.txt:3"
    assert len(load_prompts(path, merge=False)) == 3
    assert len(load_prompts(path, limit=1)) == 1
    path.write_bytes(b"fine\n\xff\n")
    with pytest.raises(InputError, match=r"prompts\.txt:2: invalid UTF-8"):
        load_prompts(path)


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"prompt": "p"}, "p"),
        ({"prompt": turns("a")}, (Message("user", "a"),)),
        ({"prompt": "p", "chosen": "a", "rejected": "b"}, "p"),
        ({"instruction": "i", "input": "", "output": "o"}, (Message("user", "i"),)),
        ({"prompt": "p", "responses": []}, "p"),
    ],
)
def test_prompts_of_other_files(tmp_path: Path, row: dict[str, Any], prompt: object) -> None:
    assert load_prompts(save(tmp_path / "a.jsonl", row)) == [PromptGroup(prompt)]  # type: ignore[arg-type]


def test_rows_without_a_prompt_are_an_unknown_layout(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nearest known layout is prompts"):
        load_prompts(save(tmp_path / "a.jsonl", {"post": "q"}))


def user(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


@pytest.mark.parametrize(
    ("row", "prompt", "answer"),
    [
        (
            {"instruction": "When?", "context": "It was 1999.", "response": "In 1999.", "category": "closed_qa"},
            user("When?\n\nIt was 1999."),
            "In 1999.",
        ),
        ({"instruction": "Why?", "context": "", "response": "So.", "category": "open_qa"}, user("Why?"), "So."),
        ({"question": "2+2?", "answer": "It is 4.\n#### 4"}, user("2+2?"), "It is 4.\n#### 4"),
        (
            {"id": "niv.1", "system_prompt": "Be kind.", "question": "Who?", "response": "Me."},
            (Message("system", "Be kind."), *user("Who?")),
            "Me.",
        ),
        ({"id": "flan.2", "system_prompt": "", "question": "Who?", "response": "Me."}, user("Who?"), "Me."),
        ({"query": "Who?", "response": "Me.", "type": "GSM_FOBAR"}, user("Who?"), "Me."),
    ],
)
def test_dolly_gsm8k_and_openorca_are_read_by_their_names(
    tmp_path: Path, row: dict[str, Any], prompt: tuple[Message, ...], answer: str
) -> None:
    path = save(tmp_path / "a.jsonl", row)
    assert load_demonstrations(path) == [PromptGroup(prompt, [answer])]
    assert load_prompts(path) == [PromptGroup(prompt)]


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ({"question": "2+2?", "choices": ["3", "4"], "answer": "4"}, "'choices'"),
        ({"question": "2+2?", "A": "3", "B": "4", "answer": "B"}, "'A'"),
        ({"question": "Is it?", "passage": "It is so.", "answer": "Yes."}, "'passage'"),
        ({"query": "Who?", "original_question": "Whom?", "response": "Me."}, "'original_question'"),
        ({"question": "2+2?", "answer": 4}, "'answer'"),
        ({"instruction": "Say.", "response": "Hi.", "response_2": "No, thanks."}, "'response_2'"),
        ({"question": "Who?", "answer": "Me.", "is_correct": False}, "'is_correct'"),
        ({"prompt": "Which?", "options": ["a", "b"], "completion": "b"}, "'options'"),
    ],
)
def test_questions_whose_other_columns_belong_to_them_are_refused(
    tmp_path: Path, row: dict[str, Any], word: str
) -> None:
    with pytest.raises(InputError, match=f"field {word}"):
        load_demonstrations(save(tmp_path / "a.jsonl", row))


def test_a_question_about_another_text_is_never_advised_as_a_text(tmp_path: Path) -> None:
    row = {"title": "T", "context": "Bob did.", "question": "Who?", "answers": {"text": ["Bob"], "answer_start": [0]}}
    with pytest.raises(InputError) as caught:
        load_demonstrations(save(tmp_path / "a.jsonl", row))
    assert "text: context" not in str(caught.value)
