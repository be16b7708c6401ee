"""OpenAssistant's trees: one per row, and spread over a table of messages."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from penchant.data.load import load_demonstrations, load_preferences, load_prompts
from penchant.errors import InputError
from penchant.types import Comparison, Message, PromptGroup


def message(identity: str, role: str, *replies: dict[str, Any], rank: int | None = None, **more: Any) -> dict[str, Any]:
    return {
        "message_id": identity,
        "text": f"text {identity}",
        "role": role,
        "rank": rank,
        "replies": list(replies),
        **more,
    }


def answer(identity: str, *replies: dict[str, Any], rank: int | None = None, **more: Any) -> dict[str, Any]:
    return message(identity, "assistant", *replies, rank=rank, **more)


TREE = message(
    "q1",
    "prompter",
    answer("a1", message("q2", "prompter", answer("b1", rank=2), answer("b2", rank=0), answer("b3", rank=1)), rank=1),
    answer("a2", message("q3", "prompter", answer("c1")), message("q4", "prompter"), rank=0),
)
FIRST = Message("user", "text q1")
EXPECTED = [
    PromptGroup((FIRST,), ["text a1", "text a2"], [Comparison(1, 0)]),
    PromptGroup(
        (FIRST, Message("assistant", "text a1"), Message("user", "text q2")),
        ["text b1", "text b2", "text b3"],
        [Comparison(1, 0), Comparison(2, 0), Comparison(1, 2)],
    ),
    PromptGroup((FIRST, Message("assistant", "text a2"), Message("user", "text q3")), ["text c1"]),
]


def tree(root: dict[str, Any], name: str = "t") -> dict[str, Any]:
    return {"message_tree_id": name, "tree_state": "ready_for_export", "prompt": root}


def flat(root: dict[str, Any], parent: str | None = None, name: str = "t") -> list[dict[str, Any]]:
    """The messages of a tree as rows, parents first."""
    values = {key: value for key, value in root.items() if key != "replies"}
    row = {**values, "parent_id": parent, "message_tree_id": name, "lang": "en"}
    return [row, *(line for reply in root["replies"] for line in flat(reply, root["message_id"], name))]


def save(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def said(path: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        load_preferences(path, **options)
    return str(caught.value)


def test_every_answered_turn_of_a_tree_is_a_prompt(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", tree(TREE))
    assert load_preferences(path) == EXPECTED
    assert [group.prompt for group in load_prompts(path)] == [group.prompt for group in EXPECTED]
    with pytest.raises(InputError, match="layout oasst, which is for preferences"):
        load_demonstrations(path)


def test_a_table_of_messages_gives_the_same_in_any_order(tmp_path: Path) -> None:
    rows = [*flat(TREE), *flat(message("r", "prompter", answer("s", rank=0), answer("u", rank=1)), name="t2")]
    other = PromptGroup((Message("user", "text r"),), ["text s", "text u"], [Comparison(0, 1)])
    assert load_preferences(save(tmp_path / "a.jsonl", *rows)) == [*EXPECTED, other]
    random.Random(5).shuffle(rows)
    shuffled = load_preferences(save(tmp_path / "b.jsonl", *rows))
    assert {_key(group) for group in shuffled} == {_key(group) for group in [*EXPECTED, other]}


def _key(group: PromptGroup) -> tuple[Any, ...]:
    texts = [response.text for response in group.responses]
    return group.prompt, frozenset(texts), frozenset((texts[c.winner], texts[c.loser]) for c in group.comparisons)


def test_deleted_messages_and_what_is_below_them_are_left_out(tmp_path: Path) -> None:
    gone = answer("a3", message("q5", "prompter", answer("d1", rank=0), answer("d2", rank=1)), rank=2, deleted=True)
    root = {**TREE, "replies": [*TREE["replies"], gone]}
    assert load_preferences(save(tmp_path / "a.jsonl", tree(root))) == EXPECTED
    assert load_preferences(save(tmp_path / "b.jsonl", *flat(root))) == EXPECTED


def test_answers_of_one_rank_tie_and_those_without_one_are_not_compared(tmp_path: Path) -> None:
    root = message("q", "prompter", answer("a", rank=0), answer("b", rank=0), answer("c"))
    (group,) = load_preferences(save(tmp_path / "a.jsonl", tree(root)), ties="half")
    assert group.comparisons == (Comparison(0, 1, tie=True),)
    assert len(group.responses) == 3


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([tree(message("q", "prompter"))], "a.jsonl:1: field 'prompt': nobody answered it"),
        ([tree(message("q", "narrator", answer("a")))], "field 'role': expected prompter or assistant, got 'narrator'"),
        ([tree(message("q", "prompter", message("q2", "prompter")))], "its turns must alternate, got user, user"),
        ([tree(message("q", "prompter", {**answer("a"), "text": ""}))], "field 'text' is empty"),
        ([tree(message("q", "prompter", answer("a", rank=0), {**answer("a", rank=1)}))], "which are the same"),
        ([*flat(TREE)[:1], flat(TREE)[2]], "no row of the file has the message_id 'a1'"),
        ([*flat(TREE), flat(TREE)[0]], "field 'message_id': 'q1' stands twice in the file"),
        ([tree({**message("q", "prompter"), "replies": "none"})], "field 'replies': expected a list"),
    ],
)
def test_trees_that_cannot_be_read_are_named(tmp_path: Path, rows: list[dict[str, Any]], expected: str) -> None:
    good = tree(message("g", "prompter", answer("h", rank=0), answer("i", rank=1)), "good")
    path = save(tmp_path / "a.jsonl", *rows, good)
    assert expected in said(path)
    groups = load_preferences(path, bad_rows="skip")
    assert PromptGroup((Message("user", "text g"),), ["text h", "text i"], [Comparison(0, 1)]) in groups


def test_replies_without_an_end_are_refused(tmp_path: Path) -> None:
    rows = flat(TREE)
    rows[0]["parent_id"] = "b1"  # a circle: no message is the first
    message = said(save(tmp_path / "a.jsonl", *rows))
    assert f"{len(rows)} of {len(rows)} rows cannot be used" in message
    assert "a.jsonl:1: field 'parent_id': 'q1' is a reply to its own replies" in message
