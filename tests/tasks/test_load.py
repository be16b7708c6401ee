"""Tasks: every specification, what is dropped, and that splits share nothing."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.errors import InputError
from penchant.tasks import NAMES, balanced, halves, load_task, task_spec
from penchant.tasks.spec import chance, normalized, preferred
from penchant.types import LabeledExample, PromptGroup

HUB_ROWS: dict[str, dict[str, Any]] = {
    "amazon_polarity": {"title": "Good", "content": "It works.", "label": 1},
    "anli_r2": {"premise": "A dog ran.", "hypothesis": "an animal moved.", "label": 0},
    "boolq": {"passage": "Water is wet.", "question": "is water wet", "answer": True},
    "chess_puzzles": {"FEN": "7k/P7/8/8/8/8/8/K7 b - - 0 1", "Moves": "h8g7 a7a8q", "GameUrl": "", "GameId": "x#1"},
    "chess_positions": {"FEN": "7k/P7/8/8/8/8/8/K7 b - - 0 1", "Moves": "h8g7 a7a8q", "GameId": "3"},
    "chess_easy_to_hard": {"FEN": "7k/P7/8/8/8/8/8/K7 b - - 0 1", "Moves": "h8g7 a7a8q", "GameId": "3"},
    "cola": {"sentence": "He ran.", "label": 1},
    "cosmos_qa": {
        "context": "It rained.",
        "question": "Why wet?",
        "answer0": "Rain",
        "answer1": "Sun",
        "answer2": "Fire",
        "answer3": "None",
        "label": 0,
    },
    "dream": {"dialogue": ["A: Hi", "B: Bye"], "question": "Who left?", "choice": ["A", "B", "C"], "answer": "B"},
    "emotion": {"text": "i feel fine", "label": 1},
    "ethics_deontology": {"scenario": "Should you go?", "excuse": "No, it rains.", "label": 1},
    "ethics_justice": {"scenario": "I deserve to be paid because I worked.", "label": 1},
    "hellaswag": {"ctx": "He sat", "endings": ["down.", "fly.", "blue.", "of."], "label": "0"},
    "hh_harmless": {
        "chosen": "\n\nHuman: Hi\n\nAssistant: Hello.",
        "rejected": "\n\nHuman: Hi\n\nAssistant: Go away.",
    },
    "imdb": {"text": "Good.<br />Fine.", "label": 1},
    "mc_taco": {"sentence": "He slept.", "question": "How long?", "answer": "8 hours", "label": 1},
    "multirc": {"paragraph": "A and B.", "question": "Who?", "answer": "A", "label": 1},
    "openbookqa": {
        "question_stem": "What is hot?",
        "choices": {"text": ["ice", "fire"], "label": ["A", "B"]},
        "answerKey": "B",
    },
    "paws": {"sentence1": "a b", "sentence2": "b a", "label": 0},
    "piqa": {"goal": "Open a door", "sol1": "Push", "sol2": "Eat", "label": 0},
    "quail": {"context": "It rained.", "question": "Why?", "answers": ["x", "y", "z", "w"], "correct_answer_id": 2},
    "quartz": {
        "para": "Hot is warm.",
        "question": "Which?",
        "choices": {"text": ["hot", "cold"], "label": ["A", "B"]},
        "answerKey": "A",
    },
    "sciq": {"question": "What?", "correct_answer": "a", "distractor1": "b", "distractor2": "c", "distractor3": "d"},
    "social_i_qa": {
        "context": "Ann fell.",
        "question": "How?",
        "answerA": "sad",
        "answerB": "glad",
        "answerC": "red",
        "label": "1",
    },
    "sst2": {"sentence": "fine film ", "label": 1},
    "subjectivity": {"text": "a small gem .", "label_text": "subjective"},
    "twitter_sentiment": {"text": "good", "label": 2},
    "wic": {"word": "bank", "sentence1": "A bank.", "sentence2": "The bank.", "label": 1},
}
CARDS: dict[str, tuple[str, str]] = {
    "amazon_polarity": ("label title content", "train test"),
    "anli_r2": (
        "uid premise hypothesis label reason",
        "train_r1 dev_r1 test_r1 train_r2 dev_r2 test_r2 train_r3 dev_r3 test_r3",
    ),
    "boolq": ("question answer passage", "train validation"),
    "chess_puzzles": (
        "PuzzleId GameId FEN Moves Rating RatingDeviation Popularity NbPlays Themes GameUrl OpeningTags",
        "train",
    ),
    "cola": ("sentence label idx", "train validation test"),
    "cosmos_qa": ("id context question answer0 answer1 answer2 answer3 label", "train validation test"),
    "dream": ("id dialogue_id dialogue question choice answer", "train validation test"),
    "emotion": ("text label", "train validation test"),
    "ethics_deontology": ("label scenario excuse", "train validation test"),
    "ethics_justice": ("label scenario", "train validation test"),
    "hellaswag": (
        "ind activity_label ctx_a ctx_b ctx endings source_id split split_type label",
        "train validation test",
    ),
    "hh_harmless": ("chosen rejected", "train test"),
    "imdb": ("text label", "train test unsupervised"),
    "mc_taco": ("sentence question answer label category", "validation test"),
    "multirc": ("paragraph question answer idx label", "train validation test"),
    "openbookqa": ("id question_stem choices answerKey", "train validation test"),
    "paws": ("id sentence1 sentence2 label", "train validation test"),
    "piqa": ("goal sol1 sol2 label", "train validation test"),
    "quail": (
        "id context_id question_id domain metadata context question question_type answers correct_answer_id",
        "train validation challenge",
    ),
    "quartz": ("id question choices answerKey para para_id para_anno question_anno", "train validation test"),
    "sciq": ("question distractor3 distractor1 distractor2 correct_answer support", "train validation test"),
    "social_i_qa": ("context question answerA answerB answerC label", "train validation"),
    "sst2": ("idx sentence label", "train validation test"),
    "subjectivity": ("text label label_text", "train test"),
    "twitter_sentiment": ("text label", "train validation test"),
    "wic": ("word sentence1 sentence2 start1 start2 end1 end2 idx label", "train validation test"),
}
"""Columns and splits of the hub's data sets. Which of them were seen, and which are from memory, is in
`docs/decisions/0015-hub-columns.md`."""
UNLABELLED = {"boolq", "cola", "cosmos_qa", "hellaswag", "piqa", "sst2", "multirc", "wic"}
"""Data sets whose split `test`, where they have one, has no labels."""
PAIRED = {"cosmos_qa", "dream", "hellaswag", "openbookqa", "piqa", "quail", "quartz", "sciq", "social_i_qa"}


def test_what_neither_the_folder_nor_the_hub_has_is_told_with_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(
        InputError, match=r"stanfordnlp/sst2: .*PENCHANT_DATA names another\), does not hold sst2/train.txt.gz and"
    ):
        load_task("sst2", folder=tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_every_task_reads_its_hub_row(name: str) -> None:
    spec = task_spec(name)
    assert spec.name == name
    examples = list(spec.read(HUB_ROWS[name]))
    assert all(len(spec.classes or e.options) >= 2 for e in examples)
    assert sorted(e.label for e in examples) == ([0, 1] if name in PAIRED else [examples[0].label])
    assert all(e.text and "None" not in e.text.partition("\nAnswer")[0] for e in examples)
    if name in PAIRED:
        assert len({e.group for e in examples}) == 1


@pytest.mark.parametrize("name", [name for name in NAMES if task_spec(name).hub])
def test_every_task_asks_for_columns_and_splits_that_the_hub_has(name: str) -> None:
    columns, splits = (part.split() for part in CARDS[name])
    assert set(HUB_ROWS[name]) <= set(columns)
    asked = [split.partition("[")[0] for split in task_spec(name).splits]
    assert set(asked) <= set(splits)
    assert not (name in UNLABELLED and "test" in asked)


def test_rows_with_every_answer_read_as_they_should() -> None:
    right = next(e for e in task_spec("quail").read(HUB_ROWS["quail"]) if e.label)
    assert right.text.endswith("Answer: z")
    assert list(task_spec("twitter_sentiment").read({"text": "so so", "label": 1})) == []


def test_a_comparison_is_a_prompt_with_two_options_in_an_order_that_does_not_tell() -> None:
    (example,) = task_spec("hh_harmless").read(HUB_ROWS["hh_harmless"])
    assert example.text == "Human: Hi\n\nAssistant:"
    assert example.options[example.label] == " Hello."
    asked = example.classifier_input
    assert isinstance(asked, PromptGroup)
    assert [response.text for response in asked.responses] == list(example.options)
    for number in range(20):
        one, other = preferred("p", f"a{number}", f"b{number}"), preferred("p", f"b{number}", f"a{number}")
        assert one.options == other.options
        assert one.label == 1 - other.label
    assert {preferred("p", f"a{number}", f"b{number}").label for number in range(20)} == {0, 1}
    spoiled = {"chosen": "\n\nHuman: Hi\n\nAssistant: A\n\nHuman: B", "rejected": "\n\nHuman: Hi\n\nAssistant: C"}
    assert list(task_spec("hh_harmless").read(spoiled)) == []


def test_chance_is_the_largest_class_or_one_of_the_options() -> None:
    assert chance([LabeledExample("a", 0), LabeledExample("b", 0), LabeledExample("c", 1)], 2) == pytest.approx(2 / 3)
    rows = [LabeledExample("a", 0, options=("x", "y")), LabeledExample("b", 0, options=("x", "y", "z", "w"))]
    assert chance(rows, 0) == pytest.approx(3 / 8)


def _folder(tmp_path: Path, rows: list[tuple[str, int]], test: list[tuple[str, int]]) -> Path:
    import gzip

    for name, part in (("train", rows), ("test", test)):
        file = tmp_path / "sst2" / f"{name}.txt.gz"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(gzip.compress("".join(f"{label} {text}\n" for text, label in part).encode()))
    return tmp_path


def test_duplicates_contradictions_and_what_is_tested_on_are_dropped(tmp_path: Path) -> None:
    rows = [("A fine film .", 1), ("a fine film", 1), ("So so.", 0), ("so so", 1), ("Bad.", 0), ("Seen before", 1)]
    data = load_task("sst2", folder=_folder(tmp_path, rows, [("seen BEFORE!", 1), ("Awful", 0)]))
    assert sorted(e.text for e in data.train) == ["A fine film .", "Bad."]
    assert data.dropped == {"duplicates": 2, "with two labels": 1, "related to test rows": 1, "to balance classes": 0}
    assert data.source == "sst2/train.txt.gz, sst2/test.txt.gz"


def test_a_class_that_is_too_large_is_thinned(tmp_path: Path) -> None:
    rows = [(f"good {n}", 1) for n in range(9)] + [(f"bad {n}", 0) for n in range(3)]
    data = load_task("sst2", folder=_folder(tmp_path, rows, [("x", 0), ("y", 1)]))
    assert Counter(e.label for e in data.train) == {0: 3, 1: 3}
    assert data.dropped["to balance classes"] == 6


@pytest.mark.parametrize(
    ("rows", "message"),
    [([("a", 1), ("b", 7)], "label 7"), ([("a", 1)], "no example of negative"), ([("a", "x")], "is no row of SST-2")],
)
def test_rows_that_cannot_be_are_named(tmp_path: Path, rows: list[tuple[str, int]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_task("sst2", folder=_folder(tmp_path, rows, [("x", 0), ("y", 1)]))


def test_an_unknown_task_is_named_with_those_there_are() -> None:
    with pytest.raises(InputError, match="'sst3'; there are amazon_polarity"):
        load_task("sst3")


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 1)), min_size=2, max_size=60),
    st.integers(0, 5),
)
@settings(deadline=None)
def test_halves_keep_groups_together_and_lose_nothing(rows: list[tuple[int, int]], seed: int) -> None:
    examples = [LabeledExample(f"text {n}", label, f"g{group}") for n, (group, label) in enumerate(rows)]
    one, other = halves(examples, seed)
    assert sorted(e.text for e in (*one, *other)) == sorted(e.text for e in examples)
    assert not {e.group for e in one} & {e.group for e in other}
    largest = max(Counter(e.group for e in examples).values())
    assert abs(len(one) - len(other)) <= largest


def test_another_seed_gives_other_halves_and_the_same_seed_the_same() -> None:
    examples = [LabeledExample(f"text {n}", n % 2) for n in range(50)]
    assert halves(examples, 0) == halves(list(reversed(examples)), 0)
    assert halves(examples, 0) != halves(examples, 1)
    assert balanced(examples) == balanced(list(reversed(examples)))


def test_the_first_rows_of_balanced_ones_are_balanced_too() -> None:
    examples = [LabeledExample(f"text {n}", int(n % 5 == 0)) for n in range(500)]
    rows = balanced(examples)
    assert Counter(row.label for row in rows) == {0: 100, 1: 100}
    assert 40 <= sum(row.label for row in rows[:100]) <= 60
    grouped = balanced([LabeledExample(f"text {n}", int(n % 5 == 0), f"group {n // 5}") for n in range(500)])
    groups = [row.group for row in grouped]
    assert sum(a != b for a, b in pairwise(groups)) == len(set(groups)) - 1  # each together


@pytest.mark.parametrize(
    "name",
    [
        "sst2",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("imdb", "sciq", "emotion", "ethics_justice", "ethics_deontology", "subjectivity")
        ),
    ],
)
def test_the_real_splits_share_no_text_and_no_group(name: str, shared_data: Any) -> None:
    shared_data(task_spec(name).local[0])
    data = load_task(name, folder=shared_data("README.md").parent)
    train, test = ({normalized(e.text) for e in part} for part in (data.train, data.test))
    assert not train & test
    assert len(train) == len(data.train)
    groups = [{normalized(e.group) for e in part if e.group} for part in (data.train, data.test)]
    assert not groups[0] & groups[1]
    if name == "ethics_justice":  # a third was left out where five words made a group
        assert data.dropped["related to test rows"] == 1
        assert len(train) == 21_779
    if name != "emotion":
        counts = Counter(e.label for e in data.train)
        assert max(counts.values()) <= 0.55 * len(data.train)
    assert json.dumps(data.dropped)


def test_related_rows_are_related_however_they_are_written() -> None:
    rows = [LabeledExample(f"text {n}", n % 2, group) for n, group in enumerate(("I ran.", "i  RAN", "Other") * 8)]
    for seed in range(5):
        one, other = ({normalized(row.group or "") for row in half} for half in halves(rows, seed))
        assert not one & other
