"""If a setting exists, changing it changes something. A new setting without an entry here fails.

An entry says which overrides to start from, which one changes the setting, and what is then seen to change.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch

from penchant.config import Config, load_config
from penchant.config.fields import TAG, shape_of, tag_of
from penchant.errors import PenchantError
from penchant.methods import (
    DPO,
    GRPO,
    KTO,
    METHODS,
    PPO,
    PPOGT,
    RLOO,
    SFT,
    PreferredFT,
    RewardModel,
    Unlikelihood,
    train,
)
from penchant.runs import checkpoint

BASE = ("model=MODEL", "model.device=cpu", "data=prefs.jsonl", "data.held_out=2", "batch_size=8",
        "optimizer.learning_rate=1e-3", "evaluate.samples=null", "max_steps=2", "out=run")  # fmt: skip
SAMPLES = ("evaluate.samples={max_new_tokens: 6, max_prompts: 2}", "max_steps=1")
ADAMW = ("optimizer={name: adamw, learning_rate: 1e-3}",)
STOPPING = ("early_stopping={patience: 1}", "evaluate.every_steps=1", "max_steps=null", "epochs=2",
            "optimizer.learning_rate=0.03")  # fmt: skip
SLOW = (*STOPPING, "optimizer.learning_rate=1e-4")
REFERENCE = ("reference=MODEL",)
MIXED = ("data.path=''", "data.sources=[prefs.jsonl, {path: more.jsonl, limit: 3}]")

# setting: (start, change, what changes)
TABLE: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "model.name": ((), ("model.name=OTHER",), "weights"),
    "model.lora": ((), ("model.lora={}",), "files"),
    "model.lora.rank": (("model.lora={}",), ("model.lora.rank=3",), "weights"),
    "model.lora.alpha": (("model.lora={}",), ("model.lora.alpha=99",), "losses"),
    "model.lora.dropout": (("model.lora={}",), ("model.lora.dropout=0.5",), "weights"),
    "model.lora.targets": (("model.lora={}",), ("model.lora.targets=[q_proj]",), "weights"),
    "model.train_top": ((), ("model.train_top=1",), "weights"),
    "model.parts": ((), ("model.parts=language",), "error"),
    "model.dtype": ((), ("model.dtype=bfloat16",), "weights"),
    "model.device": ((), ("model.device=cuda:99",), "error"),
    "model.attention": ((), ("model.attention=eager",), "weights"),
    "model.device_map": ((), ("model.device_map=auto",), "error"),
    "model.sampler": ((), ("model.sampler=vllm",), "error"),
    "model.trust_remote_code": (("model.name=REMOTE",), ("model.trust_remote_code=true",), "error"),
    "data.path": ((), ("data.path=more.jsonl",), "weights"),
    "data.sources": ((), ("data.path=''", "data.sources=[more.jsonl]"), "weights"),
    "data.mixing": (MIXED, ("data.mixing={cap: 2, temperature: 2}",), "weights"),
    "data.mixing.cap": (MIXED, ("data.mixing={cap: 1}",), "weights"),
    "data.mixing.temperature": (MIXED, ("data.mixing={temperature: 1000000}",), "weights"),
    "data.batches": (MIXED, ("data.batches=one_source",), "weights"),
    "data.layout": ((), ("data.layout=hh",), "error"),
    "data.columns": ((), ("data.columns={prompt: problem}",), "error"),
    "data.system": ((), ("data.system='Be brief.'",), "weights"),
    "data.split": (("data.path=splits.json",), ("data.split=test",), "weights"),
    "data.ties": (("data.path=ties.jsonl",), ("data.ties=half",), "error"),
    "data.contradictions": (("data.path=contradicting.jsonl",), ("data.contradictions=error",), "error"),
    "data.score": (("data.path=rated.jsonl",), ("data.score=humour",), "weights"),
    "data.margin": (("data.path=rated.jsonl",), ("data.margin=2",), "error"),
    "data.bad_rows": (("data.path=bad.jsonl",), ("data.bad_rows=skip",), "error"),
    "data.merge": (("data.path=repeated.jsonl",), ("data.merge=false",), "data"),
    "data.limit": ((), ("data.limit=6",), "data"),
    "data.held_out": ((), ("data.held_out=4",), "data"),
    "data.template": (("model.name=CHAT",), ("data.template=plain",), "weights"),
    "data.template_args": (("model.name=CHAT",), ("data.template_args={title: true}",), "weights"),
    "data.thoughts": (("data.path=thoughts.jsonl",), ("data.thoughts=drop",), "weights"),
    "data.media": ((), ("data.media=true",), "error"),
    "data.media_folder": ((), ("data.media_folder=pictures",), "error"),
    "data.max_length": ((), ("data.max_length=20",), "error"),
    "data.overflow": (("data.max_length=30",), ("data.overflow=truncate_prompt",), "error"),
    "out": ((), ("out=elsewhere",), "path"),
    "seed": ((), ("seed=1",), "weights"),
    "epochs": (("max_steps=null",), ("epochs=2",), "steps"),
    "max_steps": ((), ("max_steps=3",), "steps"),
    "batch_size": ((), ("batch_size=5",), "weights"),
    "tokens_per_batch": ((), ("tokens_per_batch=40",), "calls"),
    "optimizer=adamw": ((), ("optimizer=adamw",), "weights"),
    "optimizer=adamw.learning_rate": (ADAMW, ("optimizer.learning_rate=1e-4",), "weights"),
    "optimizer=adamw.betas": (ADAMW, ("optimizer.betas=[0.5, 0.9]",), "weights"),
    "optimizer=adamw.eps": (ADAMW, ("optimizer.eps=0.1",), "weights"),
    "optimizer=adamw.weight_decay": (ADAMW, ("optimizer.weight_decay=0.5",), "weights"),
    "optimizer=rmsprop": (ADAMW, ("optimizer=rmsprop",), "weights"),
    "optimizer=rmsprop.learning_rate": ((), ("optimizer.learning_rate=1e-4",), "weights"),
    "optimizer=rmsprop.decay": ((), ("optimizer.decay=0.5",), "weights"),
    "optimizer=rmsprop.eps": ((), ("optimizer.eps=0.1",), "weights"),
    "optimizer=rmsprop.weight_decay": ((), ("optimizer.weight_decay=0.5",), "weights"),
    "schedule=constant": (("schedule=linear",), ("schedule=constant",), "weights"),
    "schedule=constant.warmup_steps": ((), ("schedule.warmup_steps=2",), "weights"),
    "schedule=constant.restarts": (("schedule.warmup_steps=2",), ("schedule.restarts=[1]",), "weights"),
    "schedule=linear": ((), ("schedule=linear",), "weights"),
    "schedule=linear.warmup_steps": (("schedule=linear",), ("schedule.warmup_steps=2",), "weights"),
    "schedule=linear.restarts": (("schedule=linear",), ("schedule.restarts=[1]",), "weights"),
    "schedule=cosine": ((), ("schedule=cosine",), "weights"),
    "schedule=cosine.warmup_steps": (("schedule=cosine",), ("schedule.warmup_steps=2",), "weights"),
    "schedule=cosine.restarts": (("schedule=cosine",), ("schedule.restarts=[1]",), "weights"),
    "clip": (("optimizer.eps=0.1",), ("clip=1e-3",), "weights"),
    "precision": ((), ("precision=bfloat16",), "weights"),
    "gradient_checkpointing": ((), ("gradient_checkpointing=true",), "calls"),
    "evaluate.every_steps": ((), ("evaluate.every_steps=1",), "evaluations"),
    "evaluate.at_steps": ((), ("evaluate.at_steps=[1]",), "evaluations"),
    "evaluate.samples": ((), ("evaluate.samples={max_new_tokens: 5, max_prompts: 1}",), "files"),
    "evaluate.samples.prompts": (SAMPLES, ("evaluate.samples.prompts=prompts.txt",), "samples"),
    "evaluate.samples.max_prompts": (SAMPLES, ("evaluate.samples.max_prompts=1",), "samples"),
    "evaluate.samples.n": (SAMPLES, ("evaluate.samples.n=3",), "samples"),
    "evaluate.samples.max_new_tokens": (SAMPLES, ("evaluate.samples.max_new_tokens=9",), "samples"),
    "evaluate.samples.temperature": (SAMPLES, ("evaluate.samples.temperature=0",), "samples"),
    "evaluate.samples.top_k": (SAMPLES, ("evaluate.samples.top_k=2",), "samples"),
    "evaluate.samples.top_p": (SAMPLES, ("evaluate.samples.top_p=0.1",), "samples"),
    "evaluate.samples.seed": (SAMPLES, ("evaluate.samples.seed=9",), "samples"),
    "evaluate.samples.reward": (SAMPLES, ("evaluate.samples.reward=vader",), "samples"),
    "early_stopping": (STOPPING[1:], STOPPING[:1], "steps"),
    "early_stopping.patience": (STOPPING, ("early_stopping.patience=3",), "steps"),
    "early_stopping.min_delta": (SLOW, ("early_stopping.min_delta=0.5",), "steps"),
    "checkpoint_every": ((), ("checkpoint_every=1",), "checkpoints"),
    "checkpoint.best": (("evaluate.every_steps=1",), ("checkpoint.best=accuracy",), "files"),
    "checkpoint.keep": ((), ("checkpoint.keep=2",), "files"),
    "checkpoint.optimizer": ((), ("checkpoint.optimizer=false",), "state"),
    "callbacks": ((), ("callbacks=['stop.py:at_once']",), "steps"),
    "trackers": ((), ("trackers=[tensorboard, wandb]",), "error"),
    "loss=sigmoid": (("loss=hinge",), ("loss=sigmoid",), "losses"),
    "loss=sigmoid.beta": ((), ("loss.beta=0.5",), "losses"),
    "loss=sigmoid.label_smoothing": ((), ("loss.label_smoothing=0.2",), "losses"),
    "loss=sigmoid.nll_weight": ((), ("loss.nll_weight=1",), "losses"),
    "reference": ((), ("reference=OTHER",), "losses"),
    "reference.name": (REFERENCE, ("reference.name=OTHER",), "losses"),
    "reference.dtype": (REFERENCE, ("reference.dtype=bfloat16",), "losses"),
    "reference.trust_remote_code": (("reference=REMOTE",), ("reference.trust_remote_code=true",), "error"),
}  # fmt: skip
for name, numbers in {
    "robust": ("beta=0.5", "label_smoothing=0.3"),
    "ipo": ("tau=0.5",),
    "ipo_mean": ("tau=0.5",),
    "hinge": ("beta=0.5",),
    "sigmoid_norm": ("beta=0.5",),
    "exo_pair": ("beta=0.5", "label_smoothing=0.3"),
    "nca_pair": ("beta=0.5",),
    "sppo_hard": ("beta=0.5",),
    "bco_pair": ("beta=0.5",),
    "wpo": ("beta=0.5",),
    "ld_dpo": ("beta=0.5", "alpha=0.1"),
    "aot": ("beta=0.5", "label_smoothing=0.3"),
    "aot_unpaired": ("beta=0.5", "label_smoothing=0.3"),
    "apo_zero": ("beta=0.5",),
    "apo_down": ("beta=0.5",),
    "discopop": ("beta=0.5", "tau=0.5"),
    "forward_kl": ("beta=0.5",),
    "jensen_shannon": ("beta=0.5",),
    "alpha_divergence": ("beta=0.5", "alpha=0.2"),
    "simpo": ("beta=0.5", "gamma=3"),
    "orpo": ("weight=2",),
    "plackett_luce": ("beta=0.5",),
    "sum": ("losses=[ipo, sft]", "weights=[1, 0.2]"),
}.items():
    rankings = ("data.path=rankings.jsonl",) if name == "plackett_luce" else ()
    TABLE[f"loss={name}"] = (rankings, (f"loss={name}",), "losses")
    for number in (*numbers, *(("nll_weight=1",) if name not in ("orpo", "plackett_luce", "sum") else ())):
        TABLE[f"loss={name}.{number.split('=')[0]}"] = ((*rankings, f"loss={name}"), (f"loss.{number}",), "losses")

TRAINED_LOSSES = ("loss=sigmoid.", "loss=robust.", "loss=sum.", "loss=custom.")
CUSTOM = ("loss={name: custom, function: 'mine.py:far'}",)
TABLE |= {
    "loss=custom": ((), ("loss={name: custom, function: 'mine.py:near'}",), "losses"),
    "loss=custom.function": (CUSTOM, ("loss.function='mine.py:near'",), "losses"),
    "loss=custom.settings": (CUSTOM, ("loss.settings={scale: 2}",), "losses"),
    "loss=custom.nll_weight": (CUSTOM, ("loss.nll_weight=1",), "losses"),
}


def settings_of(config: type[Config], prefix: str = "") -> Iterator[str]:
    """Every setting: dotted paths, `union=branch` and `union=branch.setting`, and sub-settings that may be null."""
    for name, field in config.model_fields.items():
        shape = shape_of(field.annotation)
        if name == TAG and tag_of(config) != config.__name__:
            continue  # the branch's name: choosing it is a setting of the field above
        if not shape.configs or (shape.nullable and not shape.is_union):
            yield prefix + name
        for inner in shape.configs:
            if shape.is_union:
                yield f"{prefix}{name}={tag_of(inner)}"
                yield from settings_of(inner, f"{prefix}{name}={tag_of(inner)}.")
            else:
                yield from settings_of(inner, f"{prefix}{name}.")


def test_every_setting_has_an_entry() -> None:
    assert sorted(settings_of(DPO)) == sorted(TABLE)


def test_the_other_methods_have_the_same_settings_except_their_own() -> None:
    """What all methods share is one class, read in one place; so one method's table speaks for them."""
    shared = {name for name in TABLE if not name.startswith(("loss", "reference"))}
    assert set(settings_of(PreferredFT)) == shared | {"count"}
    assert set(settings_of(Unlikelihood)) == shared | {"count", "alpha"}
    comparing = {"data.ties", "data.contradictions", "data.score", "data.margin"}
    assert set(settings_of(SFT)) == shared - comparing | {"turns"}  # (see test_methods.py)
    held_to = {name for name in TABLE if name.startswith("reference")}
    assert set(settings_of(KTO)) == shared | held_to | {
        "beta",
        "desirable_weight",
        "undesirable_weight",
    }  # (test_kto.py)
    for_rewards = {name for name in shared if not name.startswith("evaluate.samples")} | {
        "margin",
        "head_learning_rate",
    }
    assert set(settings_of(RewardModel)) == for_rewards  # (see test_reward_model.py)
    assert set(METHODS.values()) - {PPO, PPOGT, RLOO, GRPO} == {DPO, KTO, SFT, PreferredFT, Unlikelihood, RewardModel}


@pytest.fixture(scope="module")
def models(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The model; another one; one with a chat template; one that brings its own code."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("models")
    for name in ("other", "chat", "remote"):
        shutil.copytree(tiny_model, folder / name)
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder / "other")
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m.role | title if title else m.role }}>{{ m.content }}</s>{% endfor %}"
        "{% if add_generation_prompt %}<{{ 'Assistant' if title else 'assistant' }}>{% endif %}"
    )
    tokenizer.save_pretrained(folder / "chat")
    (folder / "remote" / "own_code.py").write_text(
        "from transformers import LlamaConfig, LlamaForCausalLM\n"
        "class OwnConfig(LlamaConfig):\n    model_type = 'own'\n"
        "class OwnModel(LlamaForCausalLM):\n    config_class = OwnConfig\n"
    )
    settings = json.loads((folder / "remote" / "config.json").read_text())
    settings |= {
        "model_type": "own",
        "auto_map": {"AutoConfig": "own_code.OwnConfig", "AutoModelForCausalLM": "own_code.OwnModel"},
    }
    (folder / "remote" / "config.json").write_text(json.dumps(settings))
    return {"MODEL": tiny_model, **{name.upper(): str(folder / name) for name in ("other", "chat", "remote")}}


@pytest.fixture
def files(preference_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files for the settings that choose what to do with odd ones."""
    monkeypatch.chdir(tmp_path)
    rows = [json.loads(line) for line in preference_file.read_text().splitlines()]

    def write(name: str, some: list[Any]) -> None:
        Path(name).write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in some))

    write("more.jsonl", [row | {"responses": [text + " Yes." for text in row["responses"]]} for row in rows])
    write(
        "ties.jsonl",
        [row | {"comparisons": [c | {"tie": n % 2 == 0} for n, c in enumerate(row["comparisons"])]} for row in rows],
    )
    write(
        "contradicting.jsonl", [row | {"comparisons": [*row["comparisons"], {"winner": 1, "loser": 0}]} for row in rows]
    )
    write(
        "thoughts.jsonl",
        [row | {"responses": [f"<think>Hm.</think>{text}" for text in row["responses"]]} for row in rows],
    )
    write("bad.jsonl", [*rows, {"prompt": 7, "responses": ["a", "b"], "comparisons": []}])
    write("repeated.jsonl", [*rows, *rows])
    order = [{"winner": first, "loser": second} for first, second in combinations(range(4), 2)]
    write("rankings.jsonl", [row | {"comparisons": order} for row in rows])
    pairs = [{"prompt": row["prompt"], "chosen": row["responses"][0], "rejected": row["responses"][1]} for row in rows]
    turned = [{"prompt": pair["prompt"], "chosen": pair["rejected"], "rejected": pair["chosen"]} for pair in pairs]
    ratings = {"score_chosen": 2, "score_rejected": 1, "chosen_humour": 1, "rejected_humour": 5}
    write("rated.jsonl", [pair | ratings for pair in pairs])
    Path("splits.json").write_text(json.dumps({"train": pairs, "test": turned}))
    Path("prompts.txt").write_text("Who went out?\nNobody.\n")
    Path("stop.py").write_text("def at_once(metrics):\n    return True\n")
    Path("mine.py").write_text(
        "def far(chosen, rejected, ref_chosen, ref_rejected, scale=1.0):\n"
        "    return (1 - scale * (chosen - rejected - ref_chosen + ref_rejected)) ** 2\n\n\n"
        "def near(chosen, rejected, ref_chosen, ref_rejected):\n"
        "    return (0.1 - (chosen - rejected - ref_chosen + ref_rejected)) ** 2\n"
    )


class Seen:
    """What a run is seen to do, by name."""

    def __init__(self, overrides: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
        shutil.rmtree("run", ignore_errors=True)
        calls: Counter[str] = Counter()
        hook = torch.nn.modules.module.register_module_forward_hook(lambda *_: calls.update(["forward"]))
        save = checkpoint.save
        monkeypatch.setattr(checkpoint, "save", lambda *given: calls.update(["save"]) or save(*given))
        self.error = self.path = ""
        rows: list[dict[str, Any]] = []
        try:
            run = train(load_config(DPO, None, overrides))
            self.path = str(run.path)
            rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
            self.files = sorted(str(path.relative_to(run.path)) for path in run.path.rglob("*"))
            (weights,) = (run.path / "checkpoint").glob("*model.safetensors")
            self.weights = weights.read_bytes()
            self.state = sum(path.stat().st_size for path in (run.path / "checkpoint" / "resume").rglob("*"))
            self.data = run.metrics["data"]
            sampled = run.path / "samples.jsonl"
            self.samples = sampled.read_text() if sampled.exists() else ""
        except PenchantError as error:
            self.error = str(error)
        finally:
            hook.remove()
            monkeypatch.setattr(checkpoint, "save", save)
        self.losses = [row["loss"] for row in rows if row["kind"] == "train"]
        self.steps = len(self.losses)
        self.evaluations = [row["step"] for row in rows if row["kind"] == "eval"]
        self.calls, self.checkpoints = calls["forward"], calls["save"]


@pytest.fixture(scope="module")
def starts() -> dict[tuple[str, ...], Seen]:
    """The runs that many settings start from, made once."""
    return {}


@pytest.fixture
def see(models: dict[str, str], files: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[tuple[str, ...]], Seen]:
    def look(overrides: tuple[str, ...]) -> Seen:
        for name, folder in models.items():
            overrides = tuple(text.replace(f"={name}", f"={folder}") for text in overrides)
        return Seen((*overrides,), monkeypatch)

    return look


# that each changes its loss is tested in a moment (`tests/losses/test_settings.py`), and that a loss trains by its name
SETTINGS_OF_LOSSES = {
    name for name in TABLE if name.startswith("loss=") and "." in name and not name.startswith(TRAINED_LOSSES)
}


@pytest.mark.parametrize(
    "setting", [pytest.param(name, marks=[pytest.mark.slow] * (name in SETTINGS_OF_LOSSES)) for name in TABLE]
)
def test_a_setting_changes_something(
    see: Callable[[tuple[str, ...]], Seen], starts: dict[tuple[str, ...], Seen], setting: str
) -> None:
    start, change, what = TABLE[setting]
    with_it = see((*BASE, *start, *change))
    if start not in starts:
        shutil.rmtree(os.environ["PENCHANT_CACHE"], ignore_errors=True)  # (`calls`: both compute their reference)
        starts[start] = see((*BASE, *start))
    without = starts[start]
    if what == "error":  # one of the two is refused, with a message that says so
        assert bool(without.error) != bool(with_it.error), (without.error, with_it.error)
        return
    assert not without.error
    assert not with_it.error
    assert getattr(without, what) != getattr(with_it, what)


def test_the_same_settings_change_nothing(see: Callable[[tuple[str, ...]], Seen]) -> None:
    """The table above would see nothing in noise: two runs of one configuration agree in all that it looks at."""
    one, other = see((*BASE, *SAMPLES)), see((*BASE, *SAMPLES))
    assert vars(one) == vars(other) | {"calls": one.calls}  # (the second reads the reference from its table)
    assert one.calls > other.calls


def test_what_bounds_memory_does_not_change_the_result(see: Callable[[tuple[str, ...]], Seen]) -> None:
    plain, small, again = see(BASE), see((*BASE, "tokens_per_batch=40")), see((*BASE, "gradient_checkpointing=true"))
    assert plain.losses == pytest.approx(small.losses, abs=1e-5)
    assert plain.weights == again.weights
