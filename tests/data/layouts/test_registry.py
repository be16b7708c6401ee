"""Recognising layouts: the table itself, unknown and mixed ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penchant.data.layouts import registry as formats
from penchant.data.load import load_demonstrations, load_preferences, load_prompts, read_preferences
from penchant.errors import InputError
from penchant.types import Comparison, Message, PromptGroup

TRL = {"prompt": "p", "chosen": "a", "rejected": "b"}
OWN = {"prompt": "p", "responses": ["a", "b"], "comparisons": [{"winner": 0, "loser": 1}]}


def save(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def said(path: Path, **arguments: Any) -> str:
    with pytest.raises(InputError) as caught:
        load_preferences(path, **arguments)
    return str(caught.value)


def test_layout_names_are_unique_within_a_table() -> None:
    for table in (formats.PREFERENCES, formats.DEMONSTRATIONS, formats.PROMPTS):
        names = [layout.name for layout in table if layout.name != "penchant"]
        assert len(names) == len(set(names))


def test_an_unknown_layout_names_what_it_found_and_the_nearest(tmp_path: Path) -> None:
    message = said(save(tmp_path / "a.jsonl", {"post": "q", "chosen": "a", "rejected": "b"}))
    assert "a.jsonl:1: unknown layout. The rows have post, chosen, rejected." in message
    assert "The nearest known layout is trl (prompt, chosen, rejected)" in message
    assert "lacks prompt; rename 'post' to 'prompt'" in message
    message = said(save(tmp_path / "b.jsonl", {"prompt": "p", "choosen": "a", "rejected": "b"}))
    assert "rename 'choosen' to 'chosen'" in message
    message = said(save(tmp_path / "d.jsonl", {"problem": "p", "good": "a", "bad": "b"}))
    assert "set data.columns={prompt: problem, chosen: good, rejected: bad}" in message
    message = said(save(tmp_path / "e.jsonl", {"task": "p", "winner_text": "a", "text_loser": "b"}))
    assert "set data.columns={prompt: task, chosen: winner_text, rejected: text_loser}" in message
    message = said(save(tmp_path / "c.jsonl", {"foo": 1}))
    assert "The nearest known layout is penchant (prompt, responses)" in message
    for layout in formats.PREFERENCES:
        assert layout.name in message.split("Known layouts")[1]


def test_a_prompt_under_another_name_is_never_thrown_away(tmp_path: Path) -> None:
    for name in ("context", "post"):
        assert "unknown layout" in said(save(tmp_path / "a.jsonl", {name: "x", "chosen": "y a", "rejected": "y b"}))
    for name in ("question", "query", "input"):
        (group,) = load_preferences(save(tmp_path / "a.jsonl", {name: "x", "chosen": "y a", "rejected": "y b"}))
        assert group == PromptGroup((Message("user", "x"),), ["y a", "y b"], [Comparison(0, 1)])
    both = {"question": "x", "query": "z", "chosen": "y a", "rejected": "y b"}
    assert "fields 'question' and 'query' may both be the prompt: say which" in said(save(tmp_path / "b.jsonl", both))
    assert len(load_preferences(tmp_path / "b.jsonl", columns={"prompt": "question", "query": None})) == 1
    (group,) = load_preferences(
        save(tmp_path / "c.jsonl", {"question": "x", "input": "z", "chosen": "a", "rejected": "b"})
    )
    assert group.prompt == (Message("user", "x\n\nz"),)


def test_mixed_layouts_name_the_first_row_of_each(tmp_path: Path) -> None:
    message = said(save(tmp_path / "a.jsonl", TRL, TRL, OWN, OWN), bad_rows="skip")
    assert "mixed layouts" in message
    assert "a.jsonl:1 is of the layout trl (prompt, chosen, rejected)" in message
    assert "2 rows, the first: a.jsonl:3: layout penchant (prompt, responses)" in message
    assert "one layout per file" in message


def test_a_row_that_lacks_a_field_is_a_bad_row_of_its_file(tmp_path: Path) -> None:
    lacking = [{key: TRL[key] for key in TRL if key != gone} for gone in TRL]
    message = said(save(tmp_path / "a.jsonl", TRL, *lacking, {**TRL, "chosen": None}))
    assert "4 of 5 rows cannot be used" in message
    assert "a.jsonl:2: field 'prompt' is missing; the layout trl needs prompt, chosen, rejected" in message
    assert "a.jsonl:3: field 'chosen' is missing" in message
    assert "a.jsonl:4: field 'rejected' is missing" in message
    assert "a.jsonl:5: field 'chosen' is null" in message


def test_bad_rows_before_the_first_good_one_are_named_too(tmp_path: Path) -> None:
    message = said(save(tmp_path / "a.jsonl", {"prompt": "p"}, {"x": 1}, TRL))
    assert "a.jsonl:1: fields" not in message
    assert "a.jsonl:1: field 'chosen', 'rejected' is missing" in message
    assert "a.jsonl:2: field 'prompt', 'chosen', 'rejected' is missing" in message


def test_text_and_turns_do_not_mix(tmp_path: Path) -> None:
    turns = {"prompt": "p", "chosen": [{"role": "assistant", "content": "a"}], "rejected": "b"}
    assert "a.jsonl:2: field 'chosen': expected text, got list" in said(save(tmp_path / "a.jsonl", TRL, turns))
    assert "b.jsonl:2: field 'chosen': expected turns" in said(save(tmp_path / "b.jsonl", turns, TRL))


def test_the_layout_can_be_prescribed(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", {"chosen": "x a", "rejected": "x b", "input": "noise"})
    loaded = read_preferences(path, layout="trl-implicit")
    assert (loaded.layout, loaded.groups[0].prompt) == ("trl-implicit", "x")
    instructed = save(tmp_path / "b.jsonl", {"instruction": "noise", "chosen": "x a", "rejected": "x b"})
    assert load_preferences(instructed, layout="trl-implicit")[0].prompt == "x"
    message = said(path, layout="tlr")
    assert "unknown layout 'tlr'; did you mean 'trl'?" in message
    assert "field 'prompt' is missing" in said(path, layout="trl")


def test_transcripts_are_recognised_in_every_container(tmp_path: Path) -> None:
    row = {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant: c"}
    jsonl = save(tmp_path / "a.jsonl", row)
    (tmp_path / "a.json").write_text(json.dumps([row]), encoding="utf-8")
    cells = ",".join(f'"{text}"' for text in row.values())
    (tmp_path / "a.csv").write_text(f"chosen,rejected\n{cells}\n", encoding="utf-8", newline="")
    for path in (jsonl, tmp_path / "a.json", tmp_path / "a.csv"):
        loaded = read_preferences(path)
        assert loaded.layout == "hh"
        assert loaded.groups == load_preferences(jsonl)


def test_each_loader_sends_the_others_files_on(tmp_path: Path) -> None:
    alpaca = save(tmp_path / "alpaca.jsonl", {"instruction": "i", "input": "", "output": "o"})
    message = said(alpaca)
    assert "alpaca.jsonl:1 has the layout alpaca, which is for demonstrations" in message
    assert "load_demonstrations" in message
    prefs = save(tmp_path / "prefs.jsonl", {**TRL, "response": "a"})
    with pytest.raises(InputError, match=r"has the layout trl, which is for preferences: .* preferred_ft"):
        load_demonstrations(prefs)
    assert load_prompts(prefs)[0].prompt == "p"


def test_a_long_file_of_an_unknown_layout_is_given_up_early(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", *[{"foo": 1}] * 1000, TRL)
    assert "a.jsonl:1: unknown layout" in said(path)


def test_advice_is_given_whatever_the_cells_hold(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"Prompt": false, "answer": false, "question": null}\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.jsonl:1: unknown layout"):
        load_preferences(path)


def test_the_only_text_of_a_row_is_offered_where_prompts_will_do(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", {"id": 7, "opening": "The film was"})
    with pytest.raises(InputError, match=r"'opening' is the only text\. If .* data\.columns=\{prompt: opening\}"):
        load_prompts(path)
    assert load_prompts(path, columns={"prompt": "opening"})[0].prompt == "The film was"
    assert "only text" not in said(path)  # comparisons need more than prompts
    with pytest.raises(InputError, match=r"The nearest known layout is"):
        load_prompts(save(tmp_path / "b.jsonl", {"opening": "The film was", "remark": "what a start that is"}))


def test_the_column_of_a_verifier_is_named_in_the_reward_and_not_renamed(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", {"problem": "1+1=", "solution": "2"})
    with pytest.raises(InputError, match=r"a reward names its column itself \(reward=number:column=solution\)"):
        load_prompts(path, columns={"prompt": "problem", "answer": "solution"})
