"""Rewards that read other columns of a row: handed over by name, refused early, and named with the row they fail on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import penchant as pt
from penchant.data.load import load_demonstrations, load_prompts
from penchant.data.merge import merge_groups
from penchant.data.write import write_groups
from penchant.errors import InputError
from penchant.rewards import checked_reward, load_reward, score_groups
from penchant.rewards.columns import check_columns, column_names
from penchant.types import PromptGroup

REWARDS = """
def same(pairs, answer):
    return [float(response == right) for (_, response), right in zip(pairs, answer)]

def by_keyword(pairs, *, answer, scale=2.0):
    return [scale * (response == right) for (_, response), right in zip(pairs, answer)]

def every(pairs, columns):
    return [len(row) for row in columns]

def fragile(pairs, answer):
    return [1 / (int(right) - 4) for right in answer]

def alone(pairs, answer, /):
    return [0.0] * len(pairs)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mine.py").write_text(REWARDS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(folder: Path, *rows: dict[str, object], name: str = "prompts.jsonl") -> str:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder / name)


SUMS = ({"prompt": "2+2=", "answer": "4", "id": 1}, {"prompt": "2+3=", "answer": "5", "id": 2})


def test_prompts_keep_their_columns_where_asked(folder: Path) -> None:
    path = rows(folder, *SUMS)
    groups = load_prompts(path, keep_columns=True)
    assert [dict(group.columns) for group in groups] == [{"answer": "4", "id": 1}, {"answer": "5", "id": 2}]
    assert all(not group.columns for group in load_prompts(path))


def test_the_answer_that_a_layout_reads_is_a_column(folder: Path) -> None:
    path = rows(folder, {"question": "Two and two?", "answer": "It is\n#### 4"})
    (prompt,), (demonstration,) = load_prompts(path, keep_columns=True), load_demonstrations(path, keep_columns=True)
    assert prompt.columns == demonstration.columns == {"answer": "It is\n#### 4"}


def test_nested_cells_and_the_prompt_itself_are_left_out(folder: Path) -> None:
    row = {"prompt": "2+2=", "tests": ["4", "four"], "meta": {"a": 1}, "turns": [{"b": 1}], "again": "2+2="}
    (group,) = load_prompts(rows(folder, row), keep_columns=True)
    assert group.columns == {"tests": ["4", "four"]}


def test_rows_of_one_prompt_keep_what_they_agree_in(folder: Path) -> None:
    path = rows(folder, *SUMS, {"prompt": "2+2=", "answer": "4", "id": 3}, {"prompt": "2+3=", "answer": "6", "id": 2})
    assert [dict(group.columns) for group in load_prompts(path, keep_columns=True)] == [{"answer": "4"}, {"id": 2}]


def test_columns_survive_writing_and_reading(folder: Path) -> None:
    group = PromptGroup("2+2=", ["4"], columns={"answer": "4", "level": 2})
    write_groups([group], folder / "groups.jsonl")
    (read,) = load_prompts(folder / "groups.jsonl")
    assert read.columns == group.columns
    (merged,) = merge_groups([group, group], counts_add=True).groups
    assert merged.columns == group.columns
    with pytest.raises(InputError, match="'columns': expected an object"):
        load_prompts(rows(folder, {"prompt": "2+2=", "responses": [], "columns": "answer"}, name="bad.jsonl"))


def test_groups_of_a_session_have_columns(folder: Path) -> None:
    groups = [
        PromptGroup("2+2=", ["4", "5"], columns={"answer": "4"}),
        PromptGroup("2+3=", ["4"], columns={"answer": "5"}),
    ]
    assert [group.scores for group in pt.score_groups(groups, load_reward("mine.py:same"))] == [(1.0, 0.0), (0.0,)]
    # a function of the session itself, too
    assert [g.scores for g in score_groups(groups, lambda pairs, answer: [float(a) for a in answer])] == [(4, 4), (5,)]


def test_a_parameter_with_a_default_is_no_column(folder: Path) -> None:
    group = PromptGroup("2+2=", ["4"], columns={"answer": "4", "scale": "x"})
    assert score_groups([group], load_reward("mine.py:by_keyword"))[0].scores == (2.0,)
    assert column_names(lambda pairs, scale=1.0, **others: []) == ()
    assert checked_reward(lambda pairs, scale=3.0: [scale] * len(pairs))([("", "")]) == [3.0]


def test_the_parameter_columns_is_handed_all_of_them(folder: Path) -> None:
    assert score_groups([PromptGroup("a", ["b"], columns={"x": 1, "y": 2})], load_reward("mine.py:every"))[
        0
    ].scores == (2,)


def test_a_column_that_rows_lack_is_refused_with_those_they_have(folder: Path) -> None:
    groups = load_prompts(rows(folder, SUMS[0], {"prompt": "2+3=", "anwser": "5"}), keep_columns=True)
    reward = load_reward("mine.py:same")
    with pytest.raises(InputError, match=r"prompts.jsonl:2 does not have; its columns: anwser.*did you mean 'anwser'"):
        check_columns(reward, groups)
    check_columns(reward, groups[:1])
    check_columns(load_reward("vader"), groups)


def test_without_rows_there_are_no_columns(folder: Path) -> None:
    with pytest.raises(InputError, match="asks for the column 'answer' of the rows, and prompts and responses alone"):
        load_reward("mine.py:same")([("2+2=", "4")])
    assert load_reward("mine.py:same")([]) == []


def test_a_reward_that_raises_is_named_with_its_row(folder: Path) -> None:
    groups = [group.replace(responses=("x",)) for group in load_prompts(rows(folder, *SUMS[::-1]), keep_columns=True)]
    with pytest.raises(InputError, match=r"mine.py:fragile` failed on .*prompts.jsonl:2, response 'x': ZeroDivision"):
        score_groups(
            [group.replace(responses=pt.PromptGroup("", ["x"]).responses) for group in groups],
            load_reward("mine.py:fragile"),
        )


def test_a_parameter_without_a_name_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match=r"missing a required argument: 'answer'|positional"):
        load_reward("mine.py:alone")


def test_a_judge_has_no_columns(folder: Path) -> None:
    from penchant.judges.scored import RewardJudge

    with pytest.raises(InputError, match="a judge has prompts and responses alone"):
        RewardJudge("mine.py:same")


def test_samples_of_a_command_are_scored_by_their_rows(folder: Path, tiny_model: str) -> None:
    from penchant.cli.main import main

    path = rows(folder, *SUMS)
    arguments = ["sample", tiny_model, path, "n=2", "max_new_tokens=2", "out=out.jsonl"]
    assert main([*arguments, "reward=mine.py:every"]) == 0
    written = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [set(row["scores"]) for row in written] == [{2.0}, {2.0}]
    assert [row["columns"]["answer"] for row in written] == ["4", "5"]
    assert (
        main(
            [
                *arguments,
                "reward=mine.py:same",
                "prompts=" + rows(folder, {"prompt": "a"}, name="b.jsonl"),
                "out=c.jsonl",
            ]
        )
        != 0
    )
    assert not Path("c.jsonl").exists()
