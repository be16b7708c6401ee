"""`penchant judge`: files and runs against each other, what is refused, and what is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penchant.cli import main
from penchant.data.write import write_groups
from penchant.errors import InputError
from penchant.judges import VerdictStore
from penchant.pipelines.judge_runs import judge
from penchant.pipelines.judge_settings import JudgeConfig
from penchant.types import Comparison, PromptGroup

PROMPTS = [f"How was film {number}?" for number in range(16)]


def _write(path: Path, texts: list[str], prompts: list[str] = PROMPTS) -> str:
    write_groups([PromptGroup(prompt, [text]) for prompt, text in zip(prompts, texts, strict=True)], path)
    return str(path)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Kind answers, unkind ones, and ones with markup that are kind in every other row."""
    return {
        "kind": _write(tmp_path / "kind.jsonl", [f"It was wonderful, {n}." for n in range(16)]),
        "unkind": _write(tmp_path / "unkind.jsonl", [f"It was quite awful and very sad, {n}." for n in range(16)]),
        "mixed": _write(
            tmp_path / "mixed.jsonl",
            [
                f"<script>alert({n})</script> {'Lovely, I love it!' if n % 2 else 'Horrible! I hate it, the worst!'}"
                for n in range(16)
            ],
        ),
    }


def test_two_files_against_a_third(files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "judged"
    arguments = [files["kind"], files["mixed"], "--against", files["unkind"], "judge=reward", f"out={out}"]
    assert main(["judge", *arguments]) == 0
    told = capsys.readouterr().out
    assert "kind.jsonl: wins 100%" in told
    assert "kind.jsonl less mixed.jsonl" in told
    numbers = json.loads((out / "judge.json").read_text())
    assert numbers["methods"]["kind.jsonl"]["win_rate"]["wins"]["value"] == 1
    assert 0.4 < numbers["methods"]["mixed.jsonl"]["win_rate"]["rate"]["value"] < 0.8
    assert numbers["baselines"]["longest"]["kind.jsonl"]["rate"]["value"] == 0
    (test,) = numbers["tests"]
    assert test["p"] == test["p_holm"]
    assert test["p"] < 0.05
    page = (out / "report.html").read_text()
    assert "Who wins against" in page
    assert "<script" not in page
    assert "&lt;script&gt;alert(" in page
    with VerdictStore(out / "judgments.sqlite") as store:
        assert len(store) == 64


def test_a_run_against_its_reference_and_against_what_people_chose(stories: str, tmp_path: Path) -> None:
    groups = [PromptGroup(p, [" It was good.", " It was bad."], [Comparison(0, 1)]) for p in PROMPTS]
    data, run = str(tmp_path / "prefs.jsonl"), str(tmp_path / "run")
    write_groups(groups, data)
    settings = ["optimizer.learning_rate=1e-3", "evaluate.samples.n=2", "evaluate.samples.max_new_tokens=8"]
    assert main(["train", "dpo", f"model={stories}", f"data={data}", "data.held_out=6", *settings, f"out={run}"]) == 0
    found = judge(JudgeConfig(responses=[run], judge="longest", out=str(tmp_path / "a"), n=2))
    (one,) = found["methods"].values()
    assert found["prompts"] == 6
    assert one["win_rate"]["rate"]["n"] == 12
    held = judge(JudgeConfig(responses=[run], against="chosen", data=data, judge="reward", out=str(tmp_path / "b")))
    assert held["methods"]["run"]["win_rate"]["rate"]["n"] == 6


def test_other_prompts_are_refused_with_the_difference(files: dict[str, str], tmp_path: Path) -> None:
    fewer = _write(tmp_path / "fewer.jsonl", ["It was good."] * 15, [*PROMPTS[:14], "And the book?"])
    with pytest.raises(InputError, match=r"2 of its prompts are missing.*film 14.*1 prompts of the other.*the book"):
        judge(JudgeConfig(responses=[files["kind"]], against=fewer, judge="longest", out=str(tmp_path / "out")))
    empty = tmp_path / "empty.jsonl"
    write_groups([PromptGroup("p", ["x"]), PromptGroup("q")], empty)
    with pytest.raises(InputError, match="1 prompts have no response"):
        judge(JudgeConfig(responses=[str(empty)], against=files["kind"], judge="longest", out=str(tmp_path / "out")))
    with pytest.raises(InputError, match="no run directory and has no reference"):
        judge(JudgeConfig(responses=[files["kind"]], judge="longest", out=str(tmp_path / "out")))
    with pytest.raises(InputError, match="needs `data`"):
        judge(JudgeConfig(responses=[files["kind"]], against="chosen", judge="longest", out=str(tmp_path / "out")))
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="is no run directory"):
        judge(JudgeConfig(responses=[str(tmp_path / "folder")], judge="longest", out=str(tmp_path / "out")))


def test_a_limited_run_goes_on(files: dict[str, str], tmp_path: Path) -> None:
    base = {"responses": [files["kind"]], "against": files["unkind"], "judge": "reward", "out": str(tmp_path / "out")}
    first = judge(JudgeConfig(**base, max_calls=10, baselines=False))
    rate = first["methods"]["kind.jsonl"]["win_rate"]
    assert rate["rate"]["value"] == pytest.approx(5 / 16)
    assert rate["high"]["value"] == 1
    assert "Run again" in first["methods"]["kind.jsonl"]["warnings"][0]
    assert first["baselines"] == {}
    rest = judge(JudgeConfig(**base))["methods"]["kind.jsonl"]["win_rate"]
    assert rest["rate"]["value"] == 1


def test_every_setting_counts(files: dict[str, str], tmp_path: Path) -> None:
    base = {"responses": [files["kind"]], "against": files["unkind"], "judge": "longest", "out": str(tmp_path / "out")}
    assert judge(JudgeConfig(**base, limit=3))["prompts"] == 3
    assert judge(JudgeConfig(**base, orders="one"))["methods"]["kind.jsonl"]["flipped"] is None


def test_an_endpoint_is_estimated_before_it_is_asked(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["judge.name=endpoint", "judge.model=m", "judge.base_url=http://127.0.0.1:9/v1", "judge.attempts=1"]
    out = f"out={tmp_path / 'out'}"
    assert main(["judge", files["kind"], "--against", files["unkind"], *words, out]) == 2
    said = capsys.readouterr()
    assert "32 calls, about" in said.out
    assert "cannot be reached" in said.err
