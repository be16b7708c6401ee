"""`penchant rank`: comparisons to strengths and a page."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penchant.cli import main
from penchant.errors import InputError
from penchant.pipelines.agree_settings import Rank
from penchant.pipelines.rank_runs import rank, rank_numbers

TRUE = {"strong <b>": 1.0, "middling": 0.0, "weak": -1.0}


def row(winner: str, loser: str, number: int, **more: Any) -> dict[str, Any]:
    return {
        "prompt": f"prompt {number}",
        "responses": [f"{winner} {number}", f"{loser} {number}"],
        "models": [winner, loser],
        "comparisons": [{"winner": 0, "loser": 1} | more],
    }


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    return str(path)


@pytest.fixture
def file(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    rows = []
    for number in range(120):
        for one, other in combinations(TRUE, 2):
            wins = rng.random() < 1 / (1 + np.exp(TRUE[other] - TRUE[one]))
            rows.append(row(*((one, other) if wins else (other, one)), number))
    return write(tmp_path / "prefs.jsonl", rows)


def test_the_strengths_are_found_and_written(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rank", file, f"out={tmp_path / 'run'}", "resamples=200"]) == 0
    said = capsys.readouterr().out
    assert "rank: 3 models, 360 comparisons (0 ties)" in said
    assert "1. strong <b>: " in said
    numbers = json.loads((tmp_path / "run" / "rank.json").read_text())
    for item in numbers["items"]:
        assert item["strength"]["low"] < TRUE[item["name"]] < item["strength"]["high"]
        assert item["elo"]["value"] == pytest.approx(1000 + 173.72 * item["strength"]["value"], abs=0.1)
    assert [item["name"] for item in numbers["items"]] == list(TRUE)
    assert numbers["items"][0]["places"] == [1, 1]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "strong &lt;b&gt;" in page
    assert "<b>" not in page
    assert "Who beat whom" in page
    assert (tmp_path / "run" / "figures" / "strengths.png").exists()


def test_every_setting_has_an_effect(file: str, tmp_path: Path) -> None:
    base = Rank(file=file, resamples=100)
    first = rank_numbers(base)["items"][0]["strength"]
    for change in ({"level": 0.8}, {"resamples": 150}, {"seed": 1}):
        other = rank_numbers(base.replace(**change))["items"][0]["strength"]
        assert other["value"] == first["value"]
        assert (other["low"], other["high"]) != (first["low"], first["high"])
    drawn = rank_numbers(base.replace(prior=50))["items"][0]["strength"]
    assert drawn["value"] < first["value"]
    with Path(file).open("a") as more:
        more.write('{"prompt": "p", "responses": ["a"], "comparisons": [{"winner": 0, "loser": 4}]}\n')
    with pytest.raises(InputError, match="1 of 361 rows cannot be used"):
        rank_numbers(base)
    assert rank_numbers(base.replace(bad_rows="skip"))["skipped_rows"] == 1
    with pytest.raises(InputError, match="rows cannot be used"):
        rank_numbers(base.replace(layout="trl"))
    run = rank(base.replace(bad_rows="skip", out=str(tmp_path / "there")))
    assert run.path == tmp_path / "there"


def test_who_falls_apart_is_named_and_a_prior_helps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row("A", "B", 1), row("B", "A", 2), row("A", "C", 3), row("B", "C", 4)]
    file = write(tmp_path / "prefs.jsonl", rows)
    assert main(["rank", file, f"out={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert "fall apart into 2 groups" in error
    assert "A, B | C" in error
    assert "prior=0.1" in error
    assert not (tmp_path / "run").exists()
    assert main(["rank", file, f"out={tmp_path / 'run'}", "prior=0.5", "resamples=100"]) == 0
    assert "with a prior of 0.5 virtual ties" in capsys.readouterr().out
    assert "A prior of 0.5" in (tmp_path / "run" / "report.html").read_text().replace("0.500", "0.5")


def test_thin_data_have_no_intervals_and_say_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "prefs.jsonl", [row("A", "B", 1), row("B", "A", 2)])
    assert main(["rank", file, f"out={tmp_path / 'run'}"]) == 0
    assert "no intervals: in" in capsys.readouterr().out
    assert "no interval" in (tmp_path / "run" / "report.html").read_text()


def test_ties_weights_and_a_model_against_itself(tmp_path: Path) -> None:
    itself = row("A", "A", 4) | {"responses": ["x", "y"]}
    rows = [row("A", "B", 1, weight=3.0), row("B", "A", 2), row("A", "B", 3, tie=True), itself]
    numbers = rank_numbers(Rank(file=write(tmp_path / "prefs.jsonl", rows), resamples=100))
    assert (numbers["comparisons"], numbers["ties"], numbers["against_itself"]) == (5, 1, 1)
    assert (numbers["items"][0]["wins"], numbers["items"][0]["losses"]) == (3.5, 1.5)
    with pytest.raises(InputError, match="ranking counts whole comparisons"):
        rank_numbers(Rank(file=write(tmp_path / "half.jsonl", [row("A", "B", 1, weight=0.5)])))


def test_responses_to_one_prompt(tmp_path: Path) -> None:
    pairs = [(0, 1), (1, 2), (2, 0), (0, 2), (0, 1), (1, 0)]
    rows = [
        {
            "prompt": "A slogan, please.",
            "responses": ["one", "two", "three"],
            "comparisons": [{"winner": winner, "loser": loser, "annotator": f"person {number % 5}"}],
        }
        for number, (winner, loser) in enumerate(pairs * 5)
    ]
    file = write(tmp_path / "prefs.jsonl", rows)
    numbers = rank_numbers(Rank(file=file, by="responses", resamples=100))
    assert numbers["items"][0]["name"] == "one"
    assert (numbers["clusters"], numbers["resampled"]) == (5, "annotators")
    for each in rows:
        each["comparisons"] = [{key: value for key, value in each["comparisons"][0].items() if key != "annotator"}]
    unnamed = rank_numbers(Rank(file=write(tmp_path / "unnamed.jsonl", rows), by="responses", resamples=100))
    assert (unnamed["clusters"], unnamed["resampled"]) == (30, "comparisons")
    with pytest.raises(InputError, match="do not say which models wrote the responses"):
        rank_numbers(Rank(file=file))
    rows.append({**rows[0], "prompt": "Another."})
    with pytest.raises(InputError, match="the file has 2"):
        rank_numbers(Rank(file=write(tmp_path / "two.jsonl", rows), by="responses"))


def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = row("A", "B", 1) | {"models": ["A"]}
    with pytest.raises(InputError, match="1 models for 2 responses"):
        rank_numbers(Rank(file=write(tmp_path / "wrong.jsonl", [wrong])))
    itself = row("A", "A", 4) | {"responses": ["x", "y"]}
    with pytest.raises(InputError, match="no comparison of two different models"):
        rank_numbers(Rank(file=write(tmp_path / "itself.jsonl", [itself])))
    assert main(["rank", "a.jsonl", "b.jsonl"]) == 2
    assert "rank reads one file, got 2" in capsys.readouterr().err
    assert main(["rank", "seed=1"]) == 2
    assert "file" in capsys.readouterr().err


def test_pandalm_models(shared_data: Callable[[str], Path]) -> None:
    file = str(shared_data("pandalm/testset-v1.json.gz"))
    numbers = rank_numbers(Rank(file=file, bad_rows="skip", resamples=100))
    assert [item["name"] for item in numbers["items"]][::4] == ["llama-7b", "cerebras-gpt-6.7B"]
    assert numbers["items"][0]["strength"]["value"] == pytest.approx(0.74, abs=0.005)
