"""What is looked at before a study's first stage."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from old_folders import unpack
from penchant.cli.main import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: str) -> Path:
    """The current folder, with prompts, comparisons and a reward in it."""
    monkeypatch.chdir(tmp_path)
    Path("prompts.txt").write_text("Ann went out.\nBob sang.\n")
    Path("others.txt").write_text("Gus came.\nHal saw it.\n")
    votes = [{"winner": 0, "loser": 1, "annotator": name} for name in ("Ann", "Bob")]
    Path("pairs.jsonl").write_text(json.dumps({"prompt": "a", "responses": ["b", "c"], "comparisons": votes}) + "\n")
    Path("mine.py").write_text("def score(pairs): return [0.0] * len(pairs)\n")
    return tmp_path


MODEL = "model=penchant-0.5m"
FRONTIER = ["frontier", "prompts=prompts.txt", "eval_prompts=others.txt", "reward=mine:score", MODEL]
TLDR = ["tldr", "preferences=pairs.jsonl", "measured=pairs.jsonl", MODEL]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*FRONTIER, "reward=nope"], "the reward `nope` is unknown; expected vader"),
        ([*FRONTIER, "reward=nope:f"], "there is no module `nope`"),
        ([*FRONTIER, "reward=mine:scor"], "mine has no `scor`; did you mean `score`"),
        ([*FRONTIER, "reward=./nope.py:f"], "there is no file ./nope.py"),
        ([*FRONTIER, "reward=http://"], "address cannot be used"),
        ([*FRONTIER, "reward=classifier:./nope"], "no model './nope'"),
        ([*FRONTIER, "reward=."], "holds no model"),
        ([*FRONTIER, "model=./nope"], "no model './nope'"),
        ([*FRONTIER, "model=smollm"], "no model 'smollm'"),
        ([*FRONTIER, "prompts=nope.txt"], "nope.txt: no such file"),
        ([*FRONTIER, "eval_prompts=nope.jsonl"], "nope.jsonl: no such file"),
        ([*FRONTIER, "sft.data=nope.jsonl"], "nope.jsonl: no such file"),
        (["noise", *FRONTIER[1:], "reward=nope"], "the reward `nope` is unknown"),
        (["annotators", "data=nope.jsonl", MODEL], "nope.jsonl: no such file"),
        (["annotators", "data=pairs.jsonl", "model=./nope"], "no model './nope'"),
        ([*TLDR, "judge={name: reward, reward: nope}"], "the reward `nope` is unknown"),
        ([*TLDR, "judge={name: policy, model: ./nope}"], "no model './nope'"),
        (["weak-to-strong", "tasks=[nope]", "strong=[tfidf]"], "nope"),
        (["weak-to-strong", "tasks=[sst2]", "strong=[{name: probe, model: ./nope}]"], "no model './nope'"),
    ],
)
def test_a_name_that_stands_for_nothing_is_refused_before_anything_runs(
    folder: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a stage was begun")

    monkeypatch.setattr("penchant.studies.core.study.run_missing", never)
    assert main(["study", *words, "out=study"]) == 2
    assert message in capsys.readouterr().err
    assert not Path("study").exists()


def test_stages_of_an_earlier_version_are_said_to_be_computed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from penchant.studies.core.checks import warn_of_earlier_stages
    from penchant.studies.frontier.grid import grid
    from penchant.studies.frontier.settings import FrontierConfig

    unpack(tmp_path, "study")
    monkeypatch.chdir(tmp_path)
    config = FrontierConfig(
        model="model", prompts="prompts.txt", eval_prompts="others.txt", reward="rewards.py:letters"
    )
    stages = grid(config).stages()
    with caplog.at_level(logging.WARNING):
        warn_of_earlier_stages(tmp_path / "study", stages)
    assert "study holds 4 stages of other settings, data or code (such as an earlier version's)" in caplog.text
    caplog.clear()
    (tmp_path / "study" / stages[0].path).mkdir()
    warn_of_earlier_stages(tmp_path / "study", stages)
    warn_of_earlier_stages(tmp_path / "new", stages)
    assert not caplog.text


@pytest.mark.slow
def test_no_file_of_the_current_folder_runs_in_a_studys_workers(folder: Path, tiny_model: str) -> None:
    trap = "import pathlib\npathlib.Path(__file__).with_suffix('.ran').touch()\n"
    for name in ("select", "yaml", "torchvision", "triton", "vaderSentiment", "sitecustomize2"):
        Path(f"{name}.py").write_text(trap)
    Path("mine.py").write_text(
        "import select, helpers\ndef score(pairs): return [helpers.score(t) for _, t in pairs]\n"
    )
    Path("helpers.py").write_text("def score(text): return float(len(text))\n")
    words = ["study", *FRONTIER, f"model={tiny_model}", "model.device=cpu", "max_new_tokens=4", "evaluation.times=1"]
    words += ["evaluation.samples=1", "evaluation.reference_samples=16", "kto=null", "preferred_ft=null"]
    words += ["unlikelihood=null", "ppo=null", "ppo_gt=null", "dpo=null", "best_of_n.n=[1,2]", "-o", "study"]
    done = subprocess.run(
        [sys.executable, "-m", "penchant.cli", *words], env={**os.environ}, capture_output=True, text=True, check=False
    )
    assert not list(folder.glob("*.ran")), done.stderr
    assert list((folder / "study" / "stages").glob("reference-*/rewards.npy")), done.stderr
