"""Comparisons of one's own as rows: who won, by which share, in an order that does not tell."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import penchant as pt
from penchant.errors import InputError
from penchant.types import PromptGroup
from penchant.weak.comparisons import longer_first, read_comparisons, write_comparisons
from penchant.weak.rows import LabelledRows, overlap


def _file(folder: Path, *rows: dict[str, Any], name: str = "prefs.jsonl") -> str:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def _won(rows: LabelledRows, place: int = 0) -> dict[str, float]:
    """The share of its verdicts that each response of a pair won."""
    pair = rows.examples[place]
    assert isinstance(pair, PromptGroup)
    assert rows.targets is not None
    return dict(zip((one.text for one in pair.responses), rows.targets[place].tolist(), strict=True))


def test_verdicts_become_shares_that_add_up(tmp_path: Path) -> None:
    pair = read_comparisons(_file(tmp_path, {"prompt": "p", "chosen": "a", "rejected": "b"}))
    assert _won(pair) == {"a": 1.0, "b": 0.0}
    told = [{"winner": 0, "loser": 1, "annotator": "x"}, {"winner": 1, "loser": 0, "annotator": "y", "weight": 3}]
    assert _won(read_comparisons(_file(tmp_path, {"prompt": "p", "responses": ["a", "b"], "comparisons": told}))) == {
        "a": 0.25,
        "b": 0.75,
    }
    tie = [{"winner": 0, "loser": 1, "tie": True}]
    tied = read_comparisons(_file(tmp_path, {"prompt": "p", "responses": ["a", "b"], "comparisons": tie}))
    assert _won(tied) == {"a": 0.5, "b": 0.5}


def test_only_what_was_compared_is_a_pair_and_without_labels_every_two_responses(tmp_path: Path) -> None:
    ranked = {"prompt": "p", "responses": ["a", "b", "c"], "comparisons": [{"winner": 0, "loser": 2}]}
    assert len(read_comparisons(_file(tmp_path, ranked)).examples) == 1
    assert len(read_comparisons(_file(tmp_path, ranked), labels=False).examples) == 1
    bare = _file(tmp_path, {"prompt": "p", "responses": ["a", "b", "c"]})
    assert len(read_comparisons(bare, labels=False).examples) == 3
    assert read_comparisons(bare, labels=False).targets is None
    with pytest.raises(InputError, match="has no comparisons of two responses"):
        read_comparisons(bare)
    with pytest.raises(InputError, match="has no prompts with two different responses"):
        read_comparisons(_file(tmp_path, {"prompt": "p", "responses": ["a"]}), labels=False)


def test_the_place_of_a_response_says_nothing_of_who_won(tmp_path: Path) -> None:
    pairs = [{"prompt": f"p{n}", "chosen": f"right {n}", "rejected": f"wrong {n}"} for n in range(60)]
    turned = [{**row, "chosen": row["rejected"], "rejected": row["chosen"]} for row in pairs]
    one, other = (read_comparisons(_file(tmp_path, *rows)) for rows in (pairs, turned))
    assert one.examples == other.examples
    assert one.targets is not None
    assert other.targets is not None
    np.testing.assert_array_equal(one.targets, 1 - other.targets)
    assert 0.3 < one.targets[:, 0].mean() < 0.7
    alike = read_comparisons(_file(tmp_path, {"prompt": "p", "chosen": "A!", "rejected": "a"}))
    same = read_comparisons(_file(tmp_path, {"prompt": "p", "chosen": "a", "rejected": "A!"}))
    assert alike.examples == same.examples


def test_what_is_written_is_a_preference_file_and_reads_as_it_was(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "Hi"}]
    rows = read_comparisons(
        _file(
            tmp_path,
            {"prompt": turns, "responses": ["Hello.", "Go away.", "What?"]},
            {"prompt": [{"role": "user", "content": "Bye"}], "responses": ["Bye.", "No."]},
        ),
        labels=False,
    )
    found = np.array([[0.75, 0.25], [1.0, 0.0], [0.125, 0.875], [0.5, 0.5]])
    write_comparisons(rows, found, tmp_path / "weak.jsonl")
    again = read_comparisons(str(tmp_path / "weak.jsonl"))
    assert (again.examples, again.groups) == (rows.examples, rows.groups)
    np.testing.assert_allclose(again.targets, found)
    groups = pt.load_preferences(tmp_path / "weak.jsonl", contradictions="keep")
    assert [len(group.responses) for group in groups] == [3, 2]


def test_conversations_end_where_the_answer_begins(tmp_path: Path) -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    rows = read_comparisons(_file(tmp_path, {"prompt": turns, "responses": ["Hello.", " Hey."]}), labels=False)
    (asked,) = rows.inputs
    assert isinstance(asked, PromptGroup)
    assert asked.prompt == "System: Be brief.\n\nHuman: Hi\n\nAssistant:"
    assert {one.text for one in asked.responses} == {" Hello.", " Hey."}
    plain = read_comparisons(_file(tmp_path, {"prompt": "Say:\n", "responses": ["a", "b"]}), labels=False)
    (asked,) = plain.inputs
    assert isinstance(asked, PromptGroup)
    assert {one.text for one in asked.responses} == {"a", "b"}


def test_pairs_of_one_prompt_are_related_whatever_its_case(tmp_path: Path) -> None:
    one = read_comparisons(_file(tmp_path, {"prompt": "Say it!", "responses": ["a", "b"]}), labels=False)
    other = read_comparisons(
        _file(tmp_path, {"prompt": "say it", "responses": ["c", "d"]}, {"prompt": "q", "responses": ["a", "b"]}),
        labels=False,
    )
    assert overlap(one, other) == [0]


def test_which_response_is_longer(tmp_path: Path) -> None:
    rows = read_comparisons(
        _file(tmp_path, {"prompt": "p", "responses": ["aaa", "b"]}, {"prompt": "q", "responses": ["c", "d"]}),
        labels=False,
    )
    first = longer_first(rows)
    pair = rows.examples[0]
    assert isinstance(pair, PromptGroup)
    assert first[0] == (pair.responses[0].text == "aaa")
    assert np.isnan(first[1])


def test_bad_rows_are_named_with_their_lines(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"prefs\.jsonl:2"):
        read_comparisons(
            _file(tmp_path, {"prompt": "p", "chosen": "a", "rejected": "b"}, {"prompt": "p", "chosen": "a"})
        )


def test_the_real_comparisons_are_those_of_the_task(shared_data: Any, tmp_path: Path) -> None:
    """Read as a file of one's own, rows of Anthropic's data ask what the task `hh_harmless` asks."""
    from penchant.tasks import task_spec

    lines = gzip.decompress(shared_data("hh_rlhf/harmless-base.test.jsonl.gz").read_bytes()).decode().splitlines()[:60]
    spec, rows, expected = task_spec("hh_harmless"), [], {}
    for line in map(json.loads, lines):
        for example in spec.read(line):
            rows.append(line)
            expected[example.classifier_input] = example.label
    found = read_comparisons(_file(tmp_path, *rows))
    assert found.targets is not None
    seen = dict(zip(found.inputs, found.targets.argmax(-1).tolist(), strict=True))
    assert len(expected) > 50
    assert seen == expected


def test_pictures_in_preferences_are_refused_with_settings_that_these_commands_have(tmp_path: Path) -> None:
    content = [{"type": "image", "image": "a.png"}, {"type": "text", "text": "What is it?"}]
    in_turn = {"prompt": [{"role": "user", "content": content}], "chosen": "a cat", "rejected": "a dog"}
    in_column = {"image": "a.png", "prompt": "What is it?", "chosen": "a cat", "rejected": "a dog"}
    for row in (in_turn, in_column):
        file = _file(tmp_path, row)
        with pytest.raises(InputError, match=r"cannot be used here.* Pictures are read as rows with a class") as caught:
            read_comparisons(file)
        assert not re.search(r"bad_rows|data\.columns", str(caught.value))
