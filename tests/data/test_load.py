"""The reader's choices: ties, bad rows, contradictions, merging, limits - and the real files."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penchant.data.load import load_preferences, read_preferences
from penchant.errors import InputError

SharedData = Callable[[str], Path]


def trl(prompt: str, chosen: str, rejected: str) -> dict[str, Any]:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def own(prompt: str, *, tie: bool = False) -> dict[str, Any]:
    return {"prompt": prompt, "responses": ["a", "b"], "comparisons": [{"winner": 0, "loser": 1, "tie": tie}]}


def save(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def said(path: Path, **arguments: Any) -> str:
    with pytest.raises(InputError) as caught:
        load_preferences(path, **arguments)
    return str(caught.value)


def test_the_reader_must_choose_what_a_tie_means(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = save(tmp_path / "a.jsonl", own("p"), own("q", tie=True))
    message = said(path)
    assert "1 of 2 comparisons are ties (the first: a.jsonl:2)" in message
    assert 'ties="drop"' in message
    assert 'ties="half"' in message
    half = read_preferences(path, ties="half")
    assert (half.ties, half.dropped_ties, len(half.groups)) == (1, 0, 2)
    assert half.groups[1].comparisons[0].tie
    with caplog.at_level(logging.WARNING, "penchant.data"):
        drop = read_preferences(path, ties="drop")
    assert (drop.ties, drop.dropped_ties, len(drop.groups)) == (1, 1, 1)
    assert "dropped 1 tied of 2 comparisons, and 1 rows that have nothing else" in caplog.text
    assert drop.warnings == tuple(record.message for record in caplog.records)


def test_a_file_of_ties_only_cannot_be_dropped_to_nothing(tmp_path: Path) -> None:
    assert 'use ties="half"' in said(save(tmp_path / "a.jsonl", own("p", tie=True)), ties="drop")


def test_all_bad_rows_are_named_then_counted(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", trl("p", "a", "b"), *[trl("p", "a", "a")] * 25)
    message = said(path)
    assert message.startswith(f"{path}: 25 of 26 rows cannot be used:")
    assert "a.jsonl:2: fields 'chosen' and 'rejected' are the same" in message
    assert "a.jsonl:21:" in message
    assert "a.jsonl:22:" not in message
    assert "(+5 more)" in message
    assert 'bad_rows="skip"' in message


def test_bad_rows_can_be_skipped_aloud(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = save(tmp_path / "a.jsonl", trl("p", "a", "b"), trl("", "a", "b"), trl("p", "", "b"))
    with caplog.at_level(logging.WARNING, "penchant.data"):
        loaded = read_preferences(path, bad_rows="skip")
    assert (loaded.rows, loaded.skipped_rows, len(loaded.groups)) == (3, 2, 1)
    assert "left out 2 of 3 rows" in caplog.text
    assert "a.jsonl:2: field 'prompt' is empty" in caplog.text
    message = said(save(tmp_path / "b.jsonl", trl("p", "a", "a")), bad_rows="skip")
    assert "No row is left" in message


def test_contradictions_are_a_warning_or_an_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = save(tmp_path / "a.jsonl", trl("p", "a", "b"), trl("q", "a", "b"), trl("p", "b", "a"))
    with caplog.at_level(logging.WARNING, "penchant.data"):
        loaded = read_preferences(path)
    assert loaded.contradictions == 1
    assert "1 pairs of responses are preferred in both directions, in 1 prompts (the first: a.jsonl:1)" in caplog.text
    message = said(path, contradictions="error")
    assert "1 pairs of responses are preferred in both directions" in message
    assert 'contradictions="warn"' in message
    assert read_preferences(path, merge=False).contradictions == 1


def test_rows_with_one_prompt_become_one_group_unless_asked_not_to(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", trl("p", "a", "b"), trl("p", "a", "c"), trl("q", "x", "y"), trl("p", "a", "b"))
    loaded = read_preferences(path)
    assert [len(group.responses) for group in loaded.groups] == [3, 2]
    assert [comparison.weight for comparison in loaded.groups[0].comparisons] == [2.0, 1.0]
    assert [response.count for response in loaded.groups[0].responses] == [1, 1, 1]
    assert (loaded.rows, loaded.duplicates) == (4, 1)
    apart = read_preferences(path, merge=False)
    assert len(apart.groups) == 4
    assert apart.duplicates == 1


def test_the_limit_counts_prompts_and_keeps_the_first(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", trl("p", "a", "b"), trl("q", "a", "b"), trl("p", "c", "b"), trl("r", "a", "b"))
    assert [group.prompt for group in load_preferences(path, limit=2)] == ["p", "q"]
    assert len(load_preferences(path, limit=1)[0].responses) == 3  # rows after the second prompt still belong to p
    assert [group.prompt for group in load_preferences(path, limit=2, merge=False)] == ["p", "q", "p"]
    assert len(load_preferences(path, limit=99)) == 3
    assert "limit must be at least 1" in said(path, limit=0)


def test_choices_are_checked(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", trl("p", "a", "b"))
    assert "ties must be one of error, drop, half, got 'dorp'" in said(path, ties="dorp")
    assert "contradictions must be one of" in said(path, contradictions="ignore")
    assert "bad_rows must be one of" in said(save(tmp_path / "b.jsonl", trl("p", "", "b")), bad_rows="ignore")


def test_a_file_without_any_comparison_is_no_error_but_said(tmp_path: Path) -> None:
    loaded = read_preferences(save(tmp_path / "a.jsonl", {"prompt": "p", "responses": ["a", "b"]}))
    assert any("no comparison" in warning for warning in loaded.warnings)


def test_reading_data_imports_nothing_heavy() -> None:
    heavy = "torch transformers datasets pyarrow pandas"
    code = f"import sys, penchant.data; print([name for name in {heavy.split()!r} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


# ---------------------------------------------------------------- real files


def test_real_hh_rows(shared_data: SharedData) -> None:
    path = shared_data("hh_rlhf/harmless-base.test.jsonl.gz")
    message = said(path)
    assert "9 of 2312 rows cannot be used" in message
    assert "harmless-base.test.jsonl.gz:87: field 'chosen' is empty" in message
    loaded = read_preferences(path, bad_rows="skip")
    assert (loaded.layout, loaded.rows, loaded.skipped_rows) == ("hh", 2312, 9)
    assert sum(len(group.comparisons) for group in loaded.groups) == 2303
    assert len(loaded.groups) == 2301
    assert all(group.prompt[-1].role == "user" for group in loaded.groups if not isinstance(group.prompt, str))
    assert any("'Human:'" in warning for warning in loaded.warnings)


def test_real_finegrained_rows(shared_data: SharedData) -> None:
    path = shared_data("finegrained_rlhf/dev_feedback.json.gz")
    assert "384 of 3000 comparisons are ties" in said(path)
    loaded = read_preferences(path, ties="half")
    assert (loaded.layout, loaded.rows, len(loaded.groups), loaded.ties) == (
        "finegrained-rlhf",
        500,
        500,
        384,
    )
    assert Counter((len(group.responses), len(group.comparisons)) for group in loaded.groups) == {(4, 6): 500}
    assert (loaded.duplicates, loaded.contradictions) == (0, 0)
    dropped = read_preferences(path, ties="drop")
    assert sum(len(group.comparisons) for group in dropped.groups) == 3000 - 384


def test_real_pandalm_rows(shared_data: SharedData) -> None:
    path = shared_data("pandalm/testset-v1.json.gz")
    message = said(path)
    assert "60 of 999 rows cannot be used" in message
    assert "testset-v1.json.gz row 158: field 'response1': expected text, got bool (True)" in message
    loaded = read_preferences(path, bad_rows="skip", ties="half")
    assert (loaded.layout, len(loaded.groups), loaded.skipped_rows) == ("pandalm", 164, 60)
    assert (loaded.ties, loaded.contradictions) == (316, 62)
    weight = sum(each.weight for group in loaded.groups for each in group.comparisons)
    assert weight == 3 * (999 - 60)
