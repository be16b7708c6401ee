"""The kill drill: SIGKILL at random moments, again and again, and the same bits at the end. Counts are printed."""

from __future__ import annotations

import json
import random
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penchant.digests import SUMS

CLOCKS = re.compile(r"seconds|per_s$|memory|^(cost|provenance|config|standing|warnings|path|out|last_call|sha256)$")
FOLDERS = ("provenance.json", "study.yaml", "config.yaml", SUMS)
"""Files that name the folder, or have digests of files that hold clocks."""
REWARDS = """def letters(pairs):
    return [sum(sign.isascii() and sign.isalpha() for sign in text) / max(1, len(text)) for _, text in pairs]
"""
SAMPLES = ("evaluate.samples.max_new_tokens=4", "evaluate.samples.n=1")
COMMANDS: dict[str, tuple[str, ...]] = {
    "dpo": (
        "train", "dpo", "data=prefs.jsonl", "data.held_out=1", "batch_size=2", "epochs=6", "checkpoint_every=2",
        "optimizer.learning_rate=1e-3", "evaluate.every_steps=11", *SAMPLES,
    ),
    "ppo_gt": (
        "train", "ppo_gt", "data=prompts.txt", "data.held_out=1", "reward=rewards.py:letters", "steps=40",
        "prompts_per_step=3", "max_new_tokens=4", "checkpoint_every=2", "optimizer.learning_rate=1e-3", *SAMPLES,
    ),
    "online_rlhf": (
        "train", "online_rlhf", "data=prompts.txt", "data.held_out=1", "labeller=rewards.py:letters", "rounds=2",
        "samples_per_prompt=2", "max_new_tokens=4", "ppo.steps=8", "ppo.prompts_per_step=3", "ppo.checkpoint_every=1",
        "ppo.evaluate.samples.max_new_tokens=4", "reward_model.batch_size=2", "reward_model.checkpoint_every=1",
    ),
    "iterative": (
        "train", "iterative", "data=prompts.txt", "data.held_out=1", "reward=rewards.py:letters", "rounds=3",
        "samples_per_prompt=3", "max_new_tokens=4", "pairs=all", "earlier_rounds=1", "dpo.batch_size=2",
        "dpo.checkpoint_every=1", "dpo.optimizer.learning_rate=1e-3", "dpo.evaluate.samples.n=1",
    ),
    "spin": (
        "train", "spin", "data=answers.jsonl", "data.held_out=2", "rounds=3", "max_new_tokens=4", "learning_rate=1e-3",
        "reward=rewards.py:letters", "stop_likelihood=false", "dpo.batch_size=2", "dpo.checkpoint_every=1",
    ),
    "self_rewarding": (
        "train", "self_rewarding", "data=answers.jsonl", "data.held_out=1", "judge.name=likelihood",
        "judge.template=question.j2", "new_prompts.name=file", "new_prompts.path=prompts.txt", "new_prompts.count=4",
        "rounds=2", "max_new_tokens=4", "sft.batch_size=2", "sft.checkpoint_every=1", "dpo.batch_size=2",
        "dpo.checkpoint_every=1", "dpo.optimizer.learning_rate=1e-3",
    ),
    "study": (
        "study", "frontier", "prompts=prompts.txt", "eval_prompts=others.txt", "reward=rewards.py:letters",
        "max_new_tokens=4", "evaluation.times=1", "evaluation.samples=1", "evaluation.reference_samples=16",
        "batch_size=8", "dpo.beta=[0.1]", "kto=null", "preferred_ft=null", "unlikelihood=null", "ppo=null",
        "ppo_gt=null", "best_of_n.n=[1,2]",
    ),
    "noise": (
        "study", "noise", "prompts=prompts.txt", "eval_prompts=others.txt", "reward=rewards.py:letters",
        "comparisons.groups=2", "max_new_tokens=4", "evaluation.times=1", "evaluation.samples=1",
        "evaluation.reference_samples=16", "batch_size=8", "shares=[0,0.4]", "few.prompts=2", "few.epochs=2",
        "few.times=1",
    ),
    "instructions": (
        "study", "instructions", 'clusters={topic: ["sentences:topic"], form: ["sentences:is_we"]}', "train=40",
        "test=12", "steps=6", "batch_size=4", "longest=24", "shots=[0,1]", "learning_rate=1e-3",
    ),
}  # fmt: skip
KILLS = {
    "dpo": 10,
    "ppo_gt": 10,
    "online_rlhf": 5,
    "iterative": 5,
    "spin": 5,
    "self_rewarding": 5,
    "study": 3,
    "noise": 3,
    "instructions": 3,
}


def again(kind: str) -> tuple[str, ...]:
    """The words that go on with what was killed."""
    return COMMANDS[kind] if COMMANDS[kind][0] == "study" else ("train", kind, "--resume")


def stripped(value: Any) -> Any:
    """A JSON value without what a clock or a folder says."""
    if isinstance(value, dict):
        return {name: stripped(item) for name, item in value.items() if not CLOCKS.search(name)}
    return [stripped(item) for item in value] if isinstance(value, list) else value


def contents(folder: Path) -> dict[str, Any]:
    """All files of a folder: JSON without clocks, weights and others byte by byte."""
    found: dict[str, Any] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in FOLDERS):
        name, data = path.relative_to(folder).as_posix(), path.read_bytes()
        if path.suffix == ".json":
            found[name] = stripped(json.loads(data))
        elif path.suffix == ".jsonl":
            found[name] = [stripped(json.loads(line)) for line in data.splitlines()]
        elif path.suffix not in (
            ".html",
            ".png",
            ".pt",
            ".md",
            ".log",
        ):  # pages; clocks and folders stand in the others
            found[name] = data
    return found


@pytest.fixture
def inputs(tmp_path: Path, preference_file: Path) -> None:
    assert preference_file.parent == tmp_path
    names = ("Ann", "Bob", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hal")
    (tmp_path / "prompts.txt").write_text("".join(f"{name} went.\n" for name in names))
    rows = [{"prompt": f"{name} went", "completion": f" to {name[0]}."} for name in names]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "others.txt").write_text("Ida came.\nJoe won.\nKim left.\nLea ran.\n")
    (tmp_path / "rewards.py").write_text(REWARDS)
    (tmp_path / "question.j2").write_text("{{ prompt }} {{ response }}?")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("inputs")
@pytest.mark.parametrize("kind", COMMANDS)
def test_what_is_killed_at_random_ends_with_the_same_bits(
    kind: str, penchant: Callable[..., Any], tiny_model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = (f"model={tiny_model}", "model.device=cpu")
    began = time.monotonic()
    straight = penchant(*COMMANDS[kind], *model, "out=straight")
    assert straight.wait() == 0, straight.stderr
    whole = time.monotonic() - began
    expected = contents(tmp_path / "straight")
    generator, kills, folders, resumed = random.Random(kind), 0, 0, False
    while kills < KILLS[kind] or not resumed:
        out = f"out=killed-{folders}"
        first = not (tmp_path / f"killed-{folders}").exists()
        words = (*COMMANDS[kind], *model) if first or COMMANDS[kind][0] == "study" else again(kind)
        process = penchant(*words, out)
        if kills < KILLS[kind]:
            time.sleep(generator.uniform(0.1, 0.6) * whole)
            process.kill(signal.SIGKILL)
        code = process.wait()
        if code == -signal.SIGKILL:
            kills += 1
            continue
        if code == 2 and "nothing to resume" in process.stderr:  # killed before it wrote its configuration
            folders += 1
            continue
        assert code == 0, process.stderr
        assert contents(tmp_path / f"killed-{folders}") == expected
        folders, resumed = folders + 1, not first
    with capsys.disabled():
        print(f"\n{kind}: {kills} kills in {folders} folders, all of them with the bits of one that nobody killed")
