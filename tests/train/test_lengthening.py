"""Runs that are made longer after they have ended are those that were so long from the start."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from penchant.errors import InputError, RunMismatchError
from penchant.methods import DPO, PPOGT, SFT, train
from penchant.runs.run_folder import RunFolder
from penchant.runs.run_lock import run_lock
from penchant.train.optimizer import schedule
from penchant.train.settings import Constant, Cosine, Linear, RunConfig
from train.test_resume import lines, weights

Make = Callable[..., RunConfig]
SAMPLES = {"max_prompts": 2, "n": 1, "max_new_tokens": 3}
COMMON: dict[str, Any] = {
    "batch_size": 3,
    "epochs": 2,
    "optimizer": {"name": "adamw", "learning_rate": 1e-3},
    "evaluate": {"every_steps": 2, "samples": SAMPLES},
}
LORA = {"rank": 2, "dropout": 0.2}


def variety(pairs: list[tuple[str, str]]) -> list[float]:
    """A reward that varies from sample to sample."""
    return [float(len(set(response))) for _, response in pairs]


@pytest.fixture
def make(tiny_model: str, preference_file: Path, tmp_path: Path) -> Callable[..., RunConfig]:
    """`make(method, out, **changes)` is a configuration of 12 prompts; DPO has 15 steps in an epoch."""

    def build(method: Callable[..., RunConfig], out: str, *, lora: Any = None, **changes: Any) -> RunConfig:
        values: dict[str, Any] = {
            "model": {"name": tiny_model, "device": "cpu", "lora": lora},
            "data": {"path": str(preference_file), "held_out": 1},
            **({} if method is PPOGT else COMMON),
        }
        if method is SFT:
            rows = [json.loads(line) for line in preference_file.read_text().splitlines()]
            texts = [{"prompt": row["prompt"], "response": row["responses"][0]} for row in rows]
            values["data"]["path"] = str(tmp_path / "texts.jsonl")
            (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts))
        if method is PPOGT:
            rollouts = {"prompts_per_step": 3, "max_new_tokens": 4, "evaluate": {"samples": SAMPLES}}
            values = {**values, **rollouts, "reward": variety, "value_learning_rate": 1e-2}
        return method(**{**values, "out": str(tmp_path / out), **changes})

    return build


def training_lines(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's steps: a lengthened one has an evaluation more, at its old end."""
    rows = [row for row in lines(folder) if row["kind"] == "train"]
    return [{name: value for name, value in row.items() if name != "sampling_seconds"} for row in rows]


def assert_same_end(lengthened: Path, straight: Path) -> None:
    assert training_lines(lengthened) == training_lines(straight)
    assert weights(lengthened) == weights(straight)
    one, other = (json.loads((folder / "result.json").read_text()) for folder in (lengthened, straight))
    # the last call alone took less than the training of both together
    for result in (one, other):
        assert result["seconds"] >= result["training_seconds"] + result["evaluation_seconds"]
    for name in ("status", "steps", "first", "final", "samples_drawn"):
        assert one[name] == other[name]


@pytest.mark.parametrize(
    ("method", "short", "long", "changes"),
    [
        pytest.param(
            *(DPO, {"max_steps": 3}, {"max_steps": 5}, {"schedule": {"warmup_steps": 2}}),
            id="dpo",
            marks=pytest.mark.slow,
        ),
        pytest.param(DPO, {"max_steps": 3}, {"max_steps": 5}, {"lora": LORA}, id="lora", marks=pytest.mark.slow),
        pytest.param(SFT, {"epochs": 1}, {"epochs": 2}, {"checkpoint_every": 1}, id="sft", marks=pytest.mark.slow),
        pytest.param(PPOGT, {"steps": 1}, {"steps": 3}, {}, id="ppo", marks=pytest.mark.slow),
    ],
)
def test_a_lengthened_run_is_the_longer_run_to_the_bit(
    make: Make, tmp_path: Path, method: Any, short: dict[str, int], long: dict[str, int], changes: dict[str, Any]
) -> None:
    straight = train(make(method, "straight", **changes, **long))
    train(make(method, "run", **changes, **short))
    assert "lengthened" not in json.loads((tmp_path / "run" / "result.json").read_text())
    lengthened = train(make(method, "run", **changes, **long), resume=True)
    assert_same_end(lengthened.path, straight.path)
    (record,) = lengthened.metrics["lengthened"]
    added = len(training_lines(straight.path)) - record["step"]
    assert added == {DPO: 2, SFT: 4, PPOGT: 2}[method]
    assert (record["before"], record["after"]) == (short, long)
    # and now it has come to its end
    again = train(make(method, "run", **changes, **long), resume=True)
    assert again.metrics == json.loads((tmp_path / "run" / "result.json").read_text())


def test_a_warm_restart_lengthens_again_and_again(make: Make, tmp_path: Path) -> None:
    cosine = {"name": "cosine", "warmup_steps": 1}
    straight = train(make(DPO, "straight", max_steps=7, schedule={**cosine, "restarts": [3, 5]}))
    run = str(tmp_path / "run")
    train(make(DPO, "run", max_steps=3, schedule=cosine))
    before = (tmp_path / "run" / "result.json").read_bytes()
    with pytest.raises(RunMismatchError) as refused:
        train(make(DPO, "run", max_steps=5, schedule=cosine), resume=True)
    command = f"penchant train dpo --resume out={run} epochs=2 max_steps=5 schedule.restarts=[3]"
    assert str(refused.value).endswith(command)
    assert (tmp_path / "run" / "result.json").read_bytes() == before
    train(make(DPO, "run", max_steps=5, schedule={**cosine, "restarts": [3]}), resume=True)
    result = train(make(DPO, "run", max_steps=7, schedule={**cosine, "restarts": [3, 5]}), resume=True)
    assert_same_end(result.path, straight.path)
    assert [(entry["step"], entry["after"]["schedule.restarts"]) for entry in result.metrics["lengthened"]] == [
        (3, [3]),
        (5, [3, 5]),
    ]


@pytest.mark.parametrize("moment", ["before the settings", "before its first step"])
def test_a_kill_while_it_is_lengthened_can_be_resumed(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    train(make(DPO, "run", max_steps=2))
    longer = make(DPO, "run", max_steps=3)
    module, function = "penchant.train.gradient_run", "keep_marked_rows"
    if moment == "before the settings":
        module, function = "penchant.runs.run_folder", "to_yaml"

    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(import_module(module), function, kill)
        with pytest.raises(KeyboardInterrupt):
            train(longer, resume=True)
    result = train(longer, resume=True)
    assert result.metrics["steps"] == 3
    assert [entry["step"] for entry in result.metrics["lengthened"]] == [2]
    assert [row["step"] for row in training_lines(tmp_path / "run")] == [1, 2, 3]


def test_what_cannot_be_lengthened_says_why_and_stays_as_it_is(make: Make, tmp_path: Path) -> None:
    train(make(DPO, "run", max_steps=2, checkpoint={"optimizer": False}))
    run = tmp_path / "run"
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}

    def refuse(match: str, **changes: Any) -> None:
        with pytest.raises(RunMismatchError, match=match):
            train(make(DPO, "run", **changes), resume=True)
        assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before

    refuse("kept no optimizer", max_steps=3)
    refuse("cannot be shortened to 1", max_steps=1)
    refuse("has 2 steps already", max_steps=2, epochs=3)
    refuse("differs from that of the run in .* max_steps, seed", max_steps=3, seed=1)
    folder = RunFolder(str(run), make(DPO, "run", max_steps=3), resume=True, extendable=True)
    with run_lock(run), pytest.raises(InputError, match="another process is working in"):
        folder.open()
    assert (run / "result.json").read_bytes() == before["result.json"]


def test_a_run_that_stops_by_the_held_out_loss_is_not_lengthened(make: Make, tmp_path: Path) -> None:
    stopping = {"early_stopping": {"patience": 9}}
    train(make(DPO, "run", max_steps=2, **stopping))
    with pytest.raises(RunMismatchError, match=r"early_stopping.*penchant train dpo model=.* reference=.* out=ANOTHER"):
        train(make(DPO, "run", max_steps=3, **stopping), resume=True)


def test_a_changed_file_is_refused_before_the_old_end_is_forgotten(
    make: Make, tmp_path: Path, preference_file: Path
) -> None:
    train(make(DPO, "run", max_steps=2))
    before = shutil.copytree(tmp_path / "run", tmp_path / "before")
    preference_file.write_text(preference_file.read_text().replace("It was sad", "It was bad"))
    with pytest.raises(RunMismatchError, match="changed since the run"):
        train(make(DPO, "run", max_steps=3), resume=True)
    for name in ("result.json", "config.yaml", "metrics.jsonl"):
        assert (tmp_path / "run" / name).read_bytes() == (before / name).read_bytes()


def test_evaluation_goes_on_with_the_prompts_that_the_run_began_with(make: Make, tmp_path: Path) -> None:
    # the share of training that evaluations may take grows with its length, and with it the number of prompts
    open_sizes = {"evaluate": {"samples": {"n": 1, "max_new_tokens": 3}}, "data": {"path": "", "held_out": 1}}
    file = tmp_path / "many.jsonl"
    row = {"chosen": " yes.", "rejected": " no."}
    file.write_text("".join(json.dumps({"prompt": f"Number {number}?", **row}) + "\n" for number in range(60)))
    open_sizes["data"] = {"path": str(file), "held_out": 25}
    train(make(DPO, "run", **{**open_sizes, "max_steps": 1}))
    result = train(make(DPO, "run", **{**open_sizes, "max_steps": 12}), resume=True)
    drawn = [row["prompt"] for row in lines(result.path, "samples.jsonl") if row["step"] == 12]
    assert drawn == [row["prompt"] for row in lines(result.path, "samples.jsonl") if row["step"] == 0]


@pytest.mark.parametrize("settings", [Constant(warmup_steps=2), Linear(), Cosine(warmup_steps=0.25)])
def test_each_restart_begins_the_schedule_anew(settings: Constant | Linear | Cosine) -> None:
    restarted = schedule(settings.replace(restarts=(8, 12)), 20)
    first, second, third = (schedule(settings, total) for total in (8, 4, 8))
    expected = [*map(first, range(8)), *map(second, range(4)), *map(third, range(8))]
    assert [restarted(step) for step in range(20)] == expected


def test_restarts_ascend_and_lie_within_the_run(make: Make, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must ascend"):
        Cosine(restarts=(4, 4))
    with pytest.raises(InputError, match="after step 5 of a run of 5 steps"):
        train(make(DPO, "run", max_steps=5, schedule={"restarts": [5]}))
    assert not (tmp_path / "run").exists()
