"""Responses labelled good or bad: the layout, what any group says of its responses, and bad labels."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from penchant.data.check import check_preferences
from penchant.data.layouts.unpaired import Label, LabelCounts, count_labels, labels_of, without_ratings
from penchant.data.load import load_demonstrations, load_preferences, load_prompts, read_preferences
from penchant.data.write import write_groups
from penchant.errors import InputError
from penchant.types import Comparison, Message, PromptGroup, Response

GOOD = {"prompt": "p", "completion": " c", "label": True}


def save(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def said(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_preferences(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (GOOD, PromptGroup("p", [" c"], scores=[1])),
        (GOOD | {"label": False}, PromptGroup("p", [" c"], scores=[0])),
        ({"prompt": "p", "response": " c", "label": 0}, PromptGroup("p", [" c"], scores=[0])),
        (
            {
                "prompt": [{"role": "user", "content": "a"}],
                "completion": [{"role": "assistant", "content": "b"}],
                "label": True,
            },
            PromptGroup([Message("user", "a")], ["b"], scores=[1]),
        ),
    ],
)
def test_the_layout(tmp_path: Path, row: dict[str, Any], expected: PromptGroup) -> None:
    loaded = read_preferences(save(tmp_path / "a.jsonl", row))
    assert loaded.groups == [expected]
    assert loaded.layout == "unpaired"
    assert loaded.warnings == ()


def test_a_table_says_true_and_false_in_its_own_way(tmp_path: Path) -> None:
    for number, cells in enumerate((("true", "false"), ("True", "False"), ("1", "0"))):
        path = tmp_path / f"{number}.csv"
        path.write_text(f"prompt,completion,label\np, x,{cells[0]}\np, y,{cells[1]}\n")
        assert load_preferences(path) == [PromptGroup("p", [" x", " y"], scores=[1, 0])]


@pytest.mark.parametrize("label", ["good", "", 2, -1, 0.5, [True], {"a": 1}])
def test_what_is_no_label_is_named(tmp_path: Path, label: Any) -> None:
    path = save(tmp_path / "a.jsonl", GOOD, GOOD | {"label": label})
    assert "a.jsonl:2: field 'label': expected true (good) or false (bad), got" in said(path)


def test_a_missing_label_is_named(tmp_path: Path) -> None:
    row = {"prompt": "p", "completion": "c"}
    message = said(save(tmp_path / "a.jsonl", GOOD, row, row | {"label": None}))
    assert "a.jsonl:2: field 'label' or 'kto_tag' is missing; the layout unpaired needs prompt," in message
    assert "a.jsonl:3: field 'label' or 'kto_tag' is null" in message


def test_one_prompt_is_one_group_and_contradicting_labels_are_kept(tmp_path: Path) -> None:
    rows = [("x", True), ("y", False), ("x", False), ("x", True), ("z", True)]
    path = save(tmp_path / "a.jsonl", *({"prompt": "p", "completion": text, "label": good} for text, good in rows))
    (group,) = load_preferences(path)
    assert group == PromptGroup("p", [Response("x", count=3), "y", "z"], scores=[2 / 3, 0, 1])
    assert [(label.response, label.desirable) for label in labels_of(group)] == [
        (0, False),
        (0, True),
        (1, False),
        (2, True),
    ]
    assert [label.weight for label in labels_of(group)] == pytest.approx([1, 2, 1, 1])
    counts = count_labels([group])
    assert (counts.desirable, counts.undesirable, counts.labelled_both) == (pytest.approx(3), pytest.approx(2), 1)
    apart = load_preferences(path, merge=False)
    assert [labels_of(one) for one in apart] == [[Label(0, good, 1.0)] for _, good in rows]


def test_our_own_layout_holds_labels_too(tmp_path: Path) -> None:
    groups = [PromptGroup("p", [Response("x", count=4), "y"], scores=[0.25, 1]), PromptGroup("q", ["z"], scores=[0])]
    write_groups(groups, tmp_path / "own.jsonl")
    assert load_preferences(tmp_path / "own.jsonl") == groups
    assert labels_of(groups[0]) == [Label(0, False, 3.0), Label(0, True, 1.0), Label(1, True, 1.0)]


def test_comparisons_label_each_side_whatever_the_scores() -> None:
    comparisons = [Comparison(0, 1), Comparison(0, 2, weight=2), Comparison(1, 2, tie=True)]
    group = PromptGroup("p", ["a", "b", "c"], comparisons, scores=[7.0, 8.0, 9.0])
    assert labels_of(group) == [
        Label(0, True, 3.0),
        Label(1, False, 1.5),
        Label(1, True, 0.5),
        Label(2, False, 2.5),
        Label(2, True, 0.5),
    ]
    assert count_labels([group, PromptGroup("q", ["x"])]) == LabelCounts(4.0, 4.0, 0)


def test_where_some_are_compared_the_scores_of_the_others_are_ratings() -> None:
    compared = PromptGroup("p", ["a", "b"], [Comparison(0, 1)], scores=[0.9, -0.2])
    alike = PromptGroup("q", [Response("a", count=4)], scores=[0.7])
    assert [labels_of(group) for group in without_ratings([compared, alike])] == [
        [Label(0, True, 1.0), Label(1, False, 1.0)],
        [],
    ]
    assert without_ratings([alike]) == [alike]


@pytest.mark.parametrize("score", [-0.1, 1.5, float("nan")])
def test_ratings_are_no_labels(score: float) -> None:
    with pytest.raises(InputError, match=r"here:1: response 1 has the score .*, which is no label; .*compare_by_score"):
        labels_of(PromptGroup("p", ["a", "b"], scores=[1, score], source="here:1"))


def test_demonstrations_refuse_labelled_responses_whatever_the_label(tmp_path: Path) -> None:
    for label in (True, 0, 3, "news", "bad"):
        path = save(tmp_path / "a.jsonl", GOOD | {"label": label})
        with pytest.raises(InputError, match=r"layout unpaired, which is for responses labelled good or bad: .*kto"):
            load_demonstrations(path)
        assert load_prompts(path) == [PromptGroup("p")]
        assert load_demonstrations(path, columns={"label": None}) == [PromptGroup("p", [" c"])]


def test_the_check_counts_labels(tmp_path: Path) -> None:
    rows = [GOOD, GOOD | {"completion": " d", "label": False}, GOOD | {"completion": " d"}, GOOD | {"prompt": "q"}]
    report = check_preferences(save(tmp_path / "a.jsonl", *rows, GOOD | {"label": "x"}))
    assert report.labels == (3, 1, 1)
    assert "labels                         3 good, 1 bad (1 responses have both)" in report.as_text()
    assert report.problems[1:] == ("1 responses are labelled both good and bad",)
    (problem,) = check_preferences(save(tmp_path / "b.jsonl", GOOD, GOOD | {"prompt": "q"})).problems
    assert problem.startswith("every label is good")


def test_nothing_is_said_of_missing_comparisons(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        load_preferences(save(tmp_path / "a.jsonl", GOOD))
    assert caplog.text == ""


def test_two_labels_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    row = {"prompt": "q", "completion": "a", "label": True, "kto_tag": False}
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="fields 'label' and 'kto_tag' say the opposite of each other"):
        load_preferences(path)
    path.write_text(json.dumps(row | {"kto_tag": True}) + "\n", encoding="utf-8")
    assert load_preferences(path)[0].scores == (1.0,)
