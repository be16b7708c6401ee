"""The commands as functions: the same settings, the same files as the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import penchant as pt
from penchant.calls import _merged, _study_settings
from penchant.cli.main import main
from penchant.studies.win_rates.settings import TldrConfig

GROUPS = [
    pt.PromptGroup(
        f"Film {number}?",
        ["good film", "dull", "fine"],
        [
            pt.Comparison(winner=number % 2, loser=2, annotator="ann"),
            pt.Comparison(winner=2, loser=number % 3 % 2, annotator="bob"),
            pt.Comparison(winner=0, loser=1, annotator="bob"),
            pt.Comparison(winner=number % 2, loser=1 - number % 2, annotator="ann"),
            pt.Comparison(winner=number % 3, loser=(number + 1) % 3, annotator="cleo"),
        ],
    )
    for number in range(8)
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    pt.write_groups(GROUPS, "prefs.jsonl")
    return tmp_path


def numbers(file: Path) -> object:
    """A JSON file without what differs from call to call."""
    content = json.loads(file.read_text())
    return {key: value for key, value in content.items() if key not in ("config", "seconds", "out")}


def rows(file: Path) -> list[dict[str, object]]:
    """The lines of a file of scores without the name of the file that they come from."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "source"} for line in lines]


def test_agree_and_rank_leave_the_files_of_the_command(folder: Path) -> None:
    assert main(["agree", "prefs.jsonl", "resamples=100", "out=cli"]) == 0
    result = pt.agree("prefs.jsonl", resamples=100, out="python")
    assert numbers(folder / "python" / "agree.json") == numbers(folder / "cli" / "agree.json")
    assert pt.agree(GROUPS, resamples=100, out="rows").metrics["alpha"] == result.metrics["alpha"]
    words = ["by=annotators", "prior=0.5", "resamples=100"]
    assert main(["rank", "prefs.jsonl", *words, "out=cli-rank"]) == 0
    pt.rank("prefs.jsonl", by="annotators", prior=0.5, resamples=100, out="python-rank")
    assert numbers(folder / "python-rank" / "rank.json") == numbers(folder / "cli-rank" / "rank.json")


def test_judge_leaves_the_files_of_the_command(folder: Path) -> None:
    pt.write_groups([group.replace(comparisons=(), responses=group.responses[:1]) for group in GROUPS], "a.jsonl")
    pt.write_groups([group.replace(comparisons=(), responses=group.responses[1:2]) for group in GROUPS], "b.jsonl")
    assert main(["judge", "a.jsonl", "against=b.jsonl", "judge=longest", "out=cli"]) == 0
    results = pt.judge("a.jsonl", against="b.jsonl", judge="longest", out="python")
    assert numbers(folder / "python" / "judge.json") == numbers(folder / "cli" / "judge.json")
    by_function = pt.judge(
        "a.jsonl", against="b.jsonl", judge=lambda question: "a" if len(question.a) > len(question.b) else "b", out="f"
    )
    assert by_function.methods["a.jsonl"].summary.win_rate == results.methods["a.jsonl"].summary.win_rate


def test_score_and_export_leave_the_files_of_the_command(folder: Path, tiny_model: str) -> None:
    assert main(["score", tiny_model, "prefs.jsonl", "out=cli.jsonl"]) == 0
    scored = pt.score(tiny_model, "prefs.jsonl", out="python.jsonl")
    assert (folder / "python.jsonl").read_bytes() == (folder / "cli.jsonl").read_bytes()
    assert scored.summary is not None
    policy = pt.load_policy(tiny_model, device="cpu")
    pt.score(policy, GROUPS, out="objects.jsonl")
    assert rows(folder / "objects.jsonl") == rows(folder / "cli.jsonl")
    with pytest.raises(pt.InputError, match=r"out=python.jsonl exists and is not overwritten"):
        pt.score(tiny_model, "prefs.jsonl", out="python.jsonl")
    assert main(["export", tiny_model, "check=false", "out=cli-model"]) == 0
    exported = pt.export(tiny_model, check=False, out="python-model")
    for file in exported.folder.glob("*.safetensors"):
        assert file.read_bytes() == (folder / "cli-model" / file.name).read_bytes()


def test_a_wrong_setting_is_answered_as_on_the_command_line(folder: Path) -> None:
    with pytest.raises(pt.InputError, match="`agianst` is unknown; did you mean `against`"):
        pt.judge("a.jsonl", agianst="chosen", judge="longest")


def test_settings_of_a_study_are_those_of_the_command() -> None:
    preset = _study_settings("frontier", "demo", {"out": "x", "prompts": {"limit": 3}})
    assert preset.method == "frontier"
    assert preset.out == "x"
    # a setting of another study takes the command over, as on the command line
    assert type(_study_settings("tldr", "paper", {})) is TldrConfig
    with pytest.raises(pt.InputError, match=r"there is no study 'frontir': expected .*; did you mean frontier"):
        pt.study("frontir")
    with pytest.raises(pt.InputError, match="there is no preset 'dmeo'"):
        pt.study("frontier", preset="dmeo")
    assert _merged({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}, "d": 4}) == {"a": {"b": 3, "c": 2}, "d": 4}
