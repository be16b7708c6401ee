"""What commands print, write as JSON and put on the page of few prompts and of prompts that all say the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penchant.cli.main import main

ENDS = re.compile(r"\[(−?[\d.,]+%?), (−?[\d.,]+%?)\]")


def _rows(prompts: int, same: bool) -> list[dict[str, Any]]:
    """Two judgments of each of two pairs to a prompt, by two people who are of one mind, or not."""
    rows = []
    for number in range(prompts):
        for pair in range(2):
            wins = [(number + pair) % 2, 0 if same else (number // 2) % 2]
            wins = [0, 0] if same else wins
            rows.append(
                {
                    "prompt": f"prompt {number}",
                    "responses": [f"It was lovely, {number} {pair}.", f"It was horrible, {number} {pair}."],
                    "models": ["A", "B"],
                    "comparisons": [
                        {"winner": win, "loser": 1 - win, "annotator": name}
                        for name, win in zip(("Ann", "Bob"), wins, strict=True)
                    ],
                }
            )
    return rows


def _estimates(numbers: Any) -> Iterator[dict[str, Any]]:
    if isinstance(numbers, dict):
        if {"value", "low", "high", "clusters"} <= numbers.keys():
            yield numbers
        for each in numbers.values():
            yield from _estimates(each)
    elif isinstance(numbers, list):
        for each in numbers:
            yield from _estimates(each)


def _write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def _answers(path: Path, prompts: int, texts: tuple[str, str]) -> str:
    return _write(path, [{"prompt": f"prompt {n}", "responses": [f"{texts[n % 2]} {n}"]} for n in range(prompts)])


def _command(name: str, tmp_path: Path, prompts: int, same: bool) -> list[str]:
    out = f"out={tmp_path / 'out'}"
    if name == "judge":
        kind, unkind = "It was wonderful.", "It was awful and sad."
        ours = _answers(tmp_path / "ours.jsonl", prompts, (kind, kind if same else unkind))
        theirs = _answers(tmp_path / "theirs.jsonl", prompts, (unkind, unkind if same else kind))
        return ["judge", ours, f"against={theirs}", "judge=reward", out]
    file = _write(tmp_path / "prefs.jsonl", _rows(prompts, same))
    return [name, file, "resamples=100", *(["prior=0.5"] if name == "rank" else []), out]


@pytest.mark.parametrize("same", [False, True], ids=["differing", "same"])
@pytest.mark.parametrize("prompts", [9, *(pytest.param(few, marks=pytest.mark.slow) for few in (1, 2, 6, 10, 30))])
@pytest.mark.parametrize("name", ["agree", "rank", "judge"])
def test_every_interval_obeys_one_rule(
    name: str, prompts: int, same: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(_command(name, tmp_path, prompts, same)) == 0
    said = capsys.readouterr().out
    page = (tmp_path / "out" / "report.html").read_text()
    found = list(_estimates(json.loads((tmp_path / "out" / f"{name}.json").read_text())))
    assert found
    for each in found:
        if each["low"] is None:
            assert each["reason"], each
        else:
            assert each["low"] < each["high"], each
            assert each["clusters"] >= 10 or each["n"] == each["clusters"] or each["value"] in (0, 0.5, 1), each
    for text in (said, page):
        assert all(low != high for low, high in ENDS.findall(text))
        assert not re.search(r"\bnan\b|\bNone\b", re.sub(r"<(style|script)[^>]*>.*?</\1>", "", text, flags=re.S))
    if prompts < 10 and not same and name != "judge":
        assert f"no interval: {prompts} prompt" in page
