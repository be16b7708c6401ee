"""A stopped run whose inputs are others when it is resumed is refused, with the name of what changed."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

import penchant as pt
from penchant.errors import RunMismatchError
from penchant.train import loop
from penchant.train.interrupt import Interrupt

NAMES = ("Ann", "Bob", "Cleo", "Dan", "Eve", "Finn")
DATED = (
    "{{ strftime_now('%d %B') }}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
SAMPLES = {"max_new_tokens": 4, "n": 1, "reward": "sample_reward.py:score", "prompts": "sampled.txt"}
COMMON: dict[str, Any] = {
    "reference": {"name": "reference"},
    "optimizer": {"learning_rate": 1e-3},
    "evaluate": {"samples": SAMPLES},
}
PPO: dict[str, Any] = {
    "data": {"path": "prompts.txt", "held_out": 1},
    "reward": "reward.py:score",
    "true_reward": "true_reward.py:score",
    "steps": 2,
    "prompts_per_step": 3,
    "samples_per_prompt": 2,
    "max_new_tokens": 5,
}
DPO: dict[str, Any] = {"data": {"path": "prefs.jsonl", "held_out": 1}, "batch_size": 4, "max_steps": 2}


def ppo(out: str, model: str = "model") -> pt.PPO:
    return pt.PPO(**PPO, **COMMON, **{"model": {"name": model, "device": "cpu"}, "out": out})


def dpo(out: str, model: str = "model") -> pt.DPO:
    return pt.DPO(**DPO, **COMMON, **{"model": {"name": model, "device": "cpu"}, "out": out})


CONFIGS: dict[str, Callable[..., Any]] = {"ppo": ppo, "dpo": dpo}


def move_weights(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file({name: tensor * 1.1 for name, tensor in weights.items()}, folder / "model.safetensors", {"format": "pt"})


def set_key(file: Path, key: str, value: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), key: value}))


@dataclass(frozen=True)
class Stopped:
    """A folder with models, data and rewards, and a run of each method that was stopped after its first step."""

    folder: Path

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            patch.setenv("PENCHANT_CACHE", str(self.folder / "cache"))
            yield

    def start(self, config: Any) -> None:
        """Begin a run and stop it after its first step."""
        stop = Interrupt()
        stop.requested = True
        with self.inside(), pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "interruptible", lambda **_: contextlib.nullcontext(stop))
            assert pt.train(config).metrics["status"] == "interrupted"

    def resume_after(self, method: str, place: str, change: Callable[[Path], object]) -> pt.RunResult:
        """Resume a copy of a run while one of its inputs is changed; the input is put back afterwards."""
        source, kept = self.folder / place, self.folder / "kept"
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, kept)
        shutil.copytree(self.folder / method, self.folder / "again")
        try:
            # a run knows the folder that its configuration names
            (self.folder / method).rename(self.folder / "aside")
            (self.folder / "again").rename(self.folder / method)
            change(source)
            with self.inside():
                return pt.train(CONFIGS[method](method), resume=True)
        finally:
            shutil.rmtree(self.folder / method)
            (self.folder / "aside").rename(self.folder / method)
            if source.is_dir():
                shutil.rmtree(source)
            shutil.move(kept, source)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory, tiny_model: str) -> Stopped:
    folder = tmp_path_factory.mktemp("stopped")
    for name in ("model", "reference"):
        shutil.copytree(tiny_model, folder / name)
    move_weights(folder / "reference")
    (folder / "prompts.txt").write_text("".join(f"{name} went\n" for name in NAMES))
    (folder / "sampled.txt").write_text("Gus came\nHal saw\n")
    for name in ("reward", "true_reward", "sample_reward"):
        (folder / f"{name}.py").write_text("def score(pairs): return [float(len(text)) for _, text in pairs]\n")
    wins = [{"winner": 0, "loser": 1}, {"winner": 2, "loser": 1}]
    rows = [{"prompt": name, "responses": [" sang.", " fell.", " won."], "comparisons": wins} for name in NAMES]
    (folder / "prefs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = Stopped(folder)
    for method, config in CONFIGS.items():
        made.start(config(method))
    return made


def edit(old: str, new: str) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return change


NEGATED = edit("float(len", "-float(len")
ROTARY = edit('"rope_theta": 10000.0', '"rope_theta": 500.0')
CHANGES: dict[str, tuple[str, str, Callable[[Path], object], str]] = {
    "ppo: weights of the model": ("ppo", "model", move_weights, "the model"),
    "ppo: configuration of the model": ("ppo", "model/config.json", ROTARY, "the model"),
    "ppo: weights of the reference": ("ppo", "reference", move_weights, r"the reference \(reference\)"),
    "ppo: configuration of the reference": ("ppo", "reference/config.json", ROTARY, "the reference"),
    "ppo: prompts": ("ppo", "prompts.txt", edit("Bob", "Rob"), r"the data \(prompts\.txt\)"),
    "ppo: order of prompts": ("ppo", "prompts.txt", edit("Ann went\nBob went", "Bob went\nAnn went"), "the data"),
    "ppo: prompts to sample for": ("ppo", "sampled.txt", edit("Hal", "Sal"), "the prompts to sample for"),
    "ppo: reward": ("ppo", "reward.py", NEGATED, "the reward"),
    "ppo: true reward": ("ppo", "true_reward.py", NEGATED, "the true reward"),
    "ppo: reward of samples": ("ppo", "sample_reward.py", NEGATED, "the reward of samples"),
    "ppo: end tokens": (
        "ppo",
        "model/generation_config.json",
        lambda path: set_key(path, "eos_token_id", [256, 10]),
        "the end tokens",
    ),
    "ppo: decoder": ("ppo", "model/tokenizer.json", lambda path: set_key(path, "decoder", None), "the tokenizer"),
    "ppo: template": (
        "ppo",
        "model/tokenizer_config.json",
        lambda path: set_key(path, "chat_template", DATED.replace("%d %B", "today")),
        "the prompts to train on",
    ),
    "dpo: weights of the reference": ("dpo", "reference", move_weights, r"the reference \(reference\)"),
    "dpo: configuration of the reference": ("dpo", "reference/config.json", ROTARY, "the reference"),
    "dpo: rows": ("dpo", "prefs.jsonl", edit("fell", "sank"), r"the data \(prefs\.jsonl\)"),
    "dpo: prompts to sample for": ("dpo", "sampled.txt", edit("Hal", "Sal"), "the prompts to sample for"),
    "dpo: reward of samples": ("dpo", "sample_reward.py", NEGATED, "the reward of samples"),
    "dpo: end tokens": (
        "dpo",
        "model/generation_config.json",
        lambda path: set_key(path, "eos_token_id", [256, 10]),
        "the end tokens",
    ),
    "dpo: decoder": ("dpo", "model/tokenizer.json", lambda path: set_key(path, "decoder", None), "the tokenizer"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_input_is_refused_by_its_name(change: str, stopped: Stopped) -> None:
    method, place, edited, words = CHANGES[change]
    with pytest.raises(RunMismatchError, match=rf"{words}.* changed since the run in .* put back what it began with"):
        stopped.resume_after(method, place, edited)


@pytest.mark.parametrize("method", CONFIGS)
def test_what_decides_nothing_may_change(method: str, stopped: Stopped) -> None:
    """The reference's own end tokens, a comment in a tokenizer's folder: the run goes on to its end."""

    def change(folder: Path) -> None:
        set_key(folder / "generation_config.json", "eos_token_id", [256, 10])
        (folder / "README.md").write_text("Another text.")

    assert stopped.resume_after(method, "reference", change).metrics["status"] == "done"


@pytest.mark.parametrize("method", CONFIGS)
def test_a_template_that_writes_the_date_is_refused_on_another_day(
    method: str, stopped: Stopped, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, config = f"dated-{method}", CONFIGS[method](f"run-dated-{method}", f"dated-{method}")
    shutil.copytree(stopped.folder / "model", stopped.folder / model)
    set_key(stopped.folder / model / "tokenizer_config.json", "chat_template", DATED)
    try:
        monkeypatch.setenv("TZ", "UTC-14")
        time.tzset()
        stopped.start(config)
        monkeypatch.setenv("TZ", "UTC+12")  # 26 hours behind: another date at any hour
        time.tzset()
        words = "the rendered tokens" if method == "dpo" else "the prompts to train on"
        with stopped.inside(), pytest.raises(RunMismatchError, match=rf"{words}.* changed since the run in"):
            pt.train(config, resume=True)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_digests_that_an_earlier_version_did_not_keep_are_named(
    stopped: Stopped, caplog: pytest.LogCaptureFixture
) -> None:
    def change(file: Path) -> None:
        record = json.loads(file.read_text())
        del record["inputs"]["the end tokens"]
        file.write_text(json.dumps(record))
        (file.parent / "SHA256SUMS").unlink()  # as an earlier version left it

    with caplog.at_level(logging.WARNING):
        assert stopped.resume_after("ppo", "ppo/provenance.json", change).metrics["status"] == "done"
    assert "kept no digests of the end tokens: they are taken as unchanged" in caplog.text
