"""Prompts each with the one response to measure others by."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penchant.errors import InputError
from penchant.studies.win_rates.answers import load_answers


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def made(*rows: dict[str, Any]) -> Path:
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return made


def answers(path: Path) -> list[tuple[Any, str]]:
    return [(group.prompt, group.responses[0].text) for group in load_answers(path)]


def test_the_preferred_response_is_who_wins_most(write: Callable[..., Path]) -> None:
    pairs = [("a", "b"), ("b", "a"), ("a", "c"), ("c", "b")]
    path = write(*({"prompt": "p", "chosen": one, "rejected": other} for one, other in pairs))
    assert answers(path) == [("p", "a")]


def test_among_equals_it_is_the_first_and_ties_change_nothing(write: Callable[..., Path]) -> None:
    tied = {"prompt": "p", "responses": ["a", "b"], "comparisons": [{"winner": 1, "loser": 0, "tie": True}]}
    assert answers(write(tied)) == [("p", "a")]
    assert answers(write({**tied, "comparisons": [{"winner": 1, "loser": 0}]})) == [("p", "b")]
    assert answers(write({"prompt": "p", "responses": ["a", "b"]})) == [("p", "a")]


def test_demonstrations_are_answers_too(write: Callable[..., Path]) -> None:
    assert answers(write({"prompt": "p", "completion": " a"}, {"prompt": "q", "completion": " b"})) == [
        ("p", " a"),
        ("q", " b"),
    ]
    assert answers(write({"article": "Long.", "highlights": "Short.", "id": "1"})) == [("Long.", "Short.")]


def test_of_openai_s_samples_the_person_s_summary_is_met(write: Callable[..., Path]) -> None:
    row = {"model_type": "gpt-xl", "context": "A post.\n\nTL;DR:", "ref_text": "Mine.", "sample": "Its."}
    assert answers(write(row, {**row, "model_type": "gpt-6b", "sample": "Other."})) == [("A post.\n\nTL;DR:", " Mine.")]


def test_rows_without_an_answer_are_refused(write: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="unknown layout"):
        load_answers(write({"prompt": "p"}))
