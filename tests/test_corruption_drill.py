"""The corruption drill: flip a byte in every file of every kind of folder, and read it. Counts are printed.

A reader refuses, warns, computes again, or says the same as before: never other numbers in silence.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import random
import runpy
import shutil
import sqlite3
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from old_folders import unpack
from penchant.cli.main import main
from penchant.data.rendering import render_groups as render_all
from penchant.data.sources.collection import read_collected
from penchant.digests import warn_without_digests
from penchant.errors import PenchantError
from penchant.judges import Question, VerdictStore
from penchant.models.load import load_policy
from penchant.models.reward import load_reward_model
from penchant.runs.read import read_runs
from penchant.types import PromptGroup
from penchant.weak.classifiers.activations import Activations
from penchant.weak.classifiers.registry import load_classifier
from repository import FIXTURES

TRAIN = ("data=prefs.jsonl", "batch_size=4", "optimizer.learning_rate=1e-3", "model=model", "model.device=cpu")
SAMPLES = ("evaluate.samples.max_new_tokens=4", "evaluate.samples.n=1")
STUDY = (
    "study", "frontier", "model=model", "model.device=cpu", "prompts=prompts.txt", "eval_prompts=others.txt",
    "reward=rewards.py:letters", "max_new_tokens=4", "evaluation.times=1", "evaluation.samples=1",
    "evaluation.reference_samples=16", "batch_size=8", "dpo.beta=[0.1]", "kto=null", "preferred_ft=null",
    "unlikelihood=null", "ppo=null", "ppo_gt=null", "best_of_n.n=[1,2]", "out=study",
)  # fmt: skip
GROUPS = [PromptGroup("Ann went.", [" Ann sang.", " Sad."])]
COMMANDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "run": (("train", "dpo", *TRAIN, *SAMPLES, "data.held_out=1", "out=run"),),
    "checkpoint": (("train", "dpo", *TRAIN, *SAMPLES, "data.held_out=1", "out=run"),),
    "adapter": (("train", "dpo", *TRAIN, *SAMPLES, "data.held_out=1", "model.lora.rank=2", "out=lora"),),
    "reward model": (("train", "reward_model", *TRAIN, "data.held_out=1", "out=reward"),),
    "weak classifier": (("weak", "train", "data=texts.jsonl", "student.name=tfidf", "out=weak"),),
    "judge store": (
        ("train", "dpo", *TRAIN, *SAMPLES, "data.held_out=2", "out=run"),
        ("judge", "run", "judge=longest", "out=judged"),
    ),
    "prepared data": (("train", "dpo", *TRAIN, "data.held_out=1", "evaluate.samples=null", "out=first"),),
    "study": (STUDY,),
}


def read_run(_: Path) -> Any:
    (run,) = read_runs(["run"])
    if run.notes:
        logging.getLogger("penchant").warning("notes: %s", run.notes)
    return [(run.result or {}).get("final"), run.evals, run.config, [repr(sample) for sample in run.samples]]


def read_store(_: Path) -> Any:
    """What each question of an undamaged store is answered with; one that is missing is asked again."""
    with closing(sqlite3.connect("whole.sqlite")) as connection:
        asked = connection.execute("SELECT judge, prompt, a, b FROM verdicts ORDER BY key").fetchall()
        expected = connection.execute("SELECT winner FROM verdicts ORDER BY key").fetchall()
    with VerdictStore(Path("judged") / "judgments.sqlite") as store:
        found = [store.find(judge, [Question(*question)]) for judge, *question in asked]
    again = sum(not known for known in found)
    if again:
        logging.getLogger("penchant").warning("%d are computed again", again)
    return [known[0].winner if known else winner for known, (winner,) in zip(found, expected, strict=True)]


def train_again(_: Path) -> Any:
    shutil.rmtree("again", ignore_errors=True)
    command(*COMMANDS["prepared data"][0][:-1], "out=again")
    return hashlib.sha256(Path("again/checkpoint/model.safetensors").read_bytes()).hexdigest()


def run_study(_: Path) -> Any:
    command(*STUDY)
    numbers = json.loads(Path("study/study.json").read_text())
    return [numbers["methods"][0]["points"], numbers["limit"], numbers["samples"]]


def read_collection(_: Path) -> Any:
    return list(read_collected(Path("collected.sqlite")))


READERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "run": ("run", read_run),
    "checkpoint": ("run/checkpoint", lambda folder: load_policy(folder, device="cpu").score(GROUPS)[0].tolist()),
    "adapter": ("lora/checkpoint", lambda folder: load_policy(folder, device="cpu").score(GROUPS)[0].tolist()),
    "reward model": ("reward", lambda folder: load_reward_model(folder, device="cpu").score(GROUPS)[0].tolist()),
    "weak classifier": (
        "weak/classifier",
        lambda folder: load_classifier(folder).predict_proba(["a warm film", "a cold film"]).tolist(),
    ),
    "judge store": ("judged", read_store),
    "collect database": ("collected.sqlite", read_collection),
    "prepared data": ("cache", train_again),
    "activations": (
        "activations",
        lambda folder: Activations(next(folder.glob("*.npy"))).read().astype(float).tolist(),
    ),
    "study": ("study", run_study),
}
MOST_FILES = {"study": 12}
"""Of folders whose reading takes seconds."""
FLIPS = {"judge store": 30, "collect database": 60, "prepared data": 6, "study": 1}
"""Per file, where it is not 2."""
UNREAD = (".html", ".png", ".md")


def command(*words: str) -> None:
    if main(list(words)) != 0:
        raise PenchantError("the command refused")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A folder of some kind, in the current directory."""
    kind: str = request.param
    unpack(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENCHANT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(render_all, "WORTH_KEEPING", 1)  # so that token ids are kept
    writer = runpy.run_path(str(FIXTURES / "write_folders.py"))
    for words in COMMANDS.get(kind, ()):
        assert main(list(words)) == 0
    if kind == "collect database":
        writer["write_collection"]()
    if kind == "activations":
        writer["write_activations"]()
    if kind == "judge store":
        shutil.copy("judged/judgments.sqlite", "whole.sqlite")
    return kind


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("made", READERS, indirect=True)
def test_a_flipped_byte_changes_no_number_in_silence(
    made: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    name, read = READERS[made]
    target, good = tmp_path / name, tmp_path / f"good-{uuid.uuid4().hex}"
    expected = read(target)
    files = [target] if target.is_file() else sorted(path for path in target.rglob("*") if path.is_file())
    files = [path for path in files if path.suffix not in UNREAD and path.stat().st_size]
    generator, counts, silent = random.Random(made), Counter[str](), []
    if made in MOST_FILES:
        files = sorted(generator.sample(files, min(MOST_FILES[made], len(files))))
    times = int(os.environ.get("PENCHANT_FLIPS", FLIPS.get(made, 2)))
    shutil.copytree(tmp_path, good, ignore=shutil.ignore_patterns(good.name))
    for path in files * times:
        _restore(good / name, target)
        content = bytearray(path.read_bytes())
        place, mask = generator.randrange(len(content)), 1 << generator.randrange(8)
        content[place] ^= mask
        path.write_bytes(content)
        caplog.clear()
        warn_without_digests.cache_clear()
        try:
            with caplog.at_level(logging.WARNING):
                numbers = read(target)
        except (PenchantError, StopIteration):
            counts["refused"] += 1
            continue
        said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        counts["warned" if said else "the same"] += 1
        if numbers != expected and not said:
            silent.append(f"{path.relative_to(tmp_path)} byte {place} ^ {mask}")
    flips = f"{sum(counts.values())} flipped bytes in {len(files)} files"
    with capsys.disabled():
        print(f"\n{made}: {flips}: {dict(counts)}, {len(silent)} silent")
    assert not silent


def _restore(good: Path, target: Path) -> None:
    if good.is_dir():
        shutil.rmtree(target)
        shutil.copytree(good, target)
        return
    for suffix in ("-wal", "-shm"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)
    shutil.copy(good, target)
