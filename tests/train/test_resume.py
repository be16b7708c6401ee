"""Runs that are killed, interrupted or resumed end as if nothing had happened."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penchant.runs.run_folder import RunFolder

FULL = ("optimizer=adamw", "optimizer.learning_rate=1e-3", "schedule=cosine", "schedule.warmup_steps=5")
LORA = ("model.lora={}", "model.lora.dropout=0.2", "optimizer.learning_rate=1e-3")
TIMES = {"seconds", "tokens_per_s"}


@pytest.fixture
def settings(tiny_model: str, preference_file: Path) -> tuple[str, ...]:
    """44 comparisons to train on in steps of 3, 2 epochs: 30 steps, which end inside groups."""
    return (
        f"model={tiny_model}",
        "model.device=cpu",
        f"data={preference_file}",
        "data.held_out=1",
        "batch_size=3",
        "epochs=2",
        "checkpoint_every=2",
        "evaluate.every_steps=9",
        "evaluate.samples.max_new_tokens=5",
    )


@pytest.fixture(scope="module")
def finished_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("straight")


@pytest.fixture
def straight(penchant: Callable[..., Any], settings: tuple[str, ...], finished_runs: Path) -> Callable[..., Path]:
    """`straight(*changes)` is the folder of a run that nothing disturbed; made once for all tests."""

    def run(*changes: str) -> Path:
        folder = finished_runs / str(abs(hash(changes)))
        if not folder.exists():
            process = penchant("train", "dpo", *settings, *changes, f"out={folder}")
            assert process.wait() == 0, process.stderr
        return folder

    return run


def lines(folder: Path, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
    """The lines of a run without what a clock says."""
    rows = [json.loads(line) for line in (folder / name).read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


def weights(folder: Path, checkpoint: str = "checkpoint") -> bytes:
    (file,) = (folder / checkpoint).glob("*model.safetensors")
    return file.read_bytes()


def wait_for_step(folder: Path, step: int) -> None:
    """Until the running process has written its line of a step."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if (folder / "metrics.jsonl").exists():
            done = [line for line in (folder / "metrics.jsonl").read_text().splitlines() if '"train"' in line]
            if len(done) >= step:
                return
        time.sleep(0.001)
    raise AssertionError(f"{folder} never came to step {step}")


def assert_same_run(one: Path, other: Path) -> None:
    assert lines(one) == lines(other)
    assert lines(one, "samples.jsonl") == lines(other, "samples.jsonl")
    assert weights(one) == weights(other)
    results = [json.loads((folder / "result.json").read_text()) for folder in (one, other)]
    for name in ("status", "steps", "first", "final", "best_step"):
        assert results[0][name] == results[1][name]


@pytest.mark.parametrize("kind", [pytest.param(FULL, id="full"), pytest.param(LORA, id="lora", marks=pytest.mark.slow)])
def test_a_run_killed_again_and_again_ends_with_the_same_bits(
    penchant: Callable[..., Any],
    straight: Callable[..., Path],
    settings: tuple[str, ...],
    kind: tuple[str, ...],
    tmp_path: Path,
) -> None:
    process = penchant("train", "dpo", *settings, *kind, "out=killed")
    for step in (4, 13, 21):
        wait_for_step(tmp_path / "killed", step)
        process.kill(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        process = penchant("train", "dpo", "--resume", "out=killed")
    assert process.wait() == 0, process.stderr
    assert "resuming after step" in process.stderr
    assert len([row for row in lines(tmp_path / "killed") if row["kind"] == "train"]) == 30
    assert_same_run(straight(*kind), tmp_path / "killed")


def test_kills_at_the_worst_moments_are_survived(
    penchant: Callable[..., Any],
    straight: Callable[..., Path],
    settings: tuple[str, ...],
    tmp_path: Path,
    own_cache: Path,
) -> None:
    """Killed between the two renames of a checkpoint and in the middle of a line, and the cache is gone."""
    process = penchant("train", "dpo", *settings, *FULL, "out=killed")
    wait_for_step(tmp_path / "killed", 10)
    process.kill(signal.SIGKILL)
    process.wait()
    killed = tmp_path / "killed"
    for left in (".checkpoint.new", ".checkpoint.old"):
        shutil.rmtree(killed / left, ignore_errors=True)
    os.rename(killed / "checkpoint", killed / ".checkpoint.old")
    (killed / ".checkpoint.new").mkdir()
    (killed / ".checkpoint.new" / "model.safetensors").write_bytes(b"half")
    with (killed / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train", "step": 11, "lo')
    (killed / ".metrics.jsonl.tmp").write_text("half")
    shutil.rmtree(own_cache)
    resumed = penchant("train", "dpo", "--resume", f"out={killed}/")  # the same folder by another name
    assert resumed.wait() == 0, resumed.stderr
    assert "resuming after step" in resumed.stderr  # and not from the beginning
    assert_same_run(straight(*FULL), killed)
    assert not [entry.name for entry in killed.iterdir() if entry.name.startswith(".")]


def test_a_run_killed_before_its_first_checkpoint_starts_from_the_beginning(
    penchant: Callable[..., Any], straight: Callable[..., Path], tmp_path: Path
) -> None:
    shutil.copytree(straight(), tmp_path / "killed")
    shutil.rmtree(tmp_path / "killed" / "checkpoint")
    for name in ("result.json", "provenance.json"):
        (tmp_path / "killed" / name).unlink()
    resumed = penchant("train", "dpo", "--resume", "out=killed")
    assert resumed.wait() == 0, resumed.stderr
    assert "from the beginning" in resumed.stderr
    assert_same_run(straight(), tmp_path / "killed")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_a_checkpoint_and_the_command_that_goes_on(
    penchant: Callable[..., Any], straight: Callable[..., Path], settings: tuple[str, ...], tmp_path: Path, number: int
) -> None:
    process = penchant("train", "dpo", *settings, "checkpoint_every=null")  # in runs/dpo-DATE-TIME
    while not (found := list(tmp_path.glob("runs/dpo-*"))):
        time.sleep(0.01)
    wait_for_step(found[0], 7)
    process.kill(number)
    assert process.wait() == 130, process.stderr
    assert "stopping after this step" in process.stderr
    assert "not evaluated since" in process.stdout  # the last evaluation is of another policy than the one that is left
    assert "held-out accuracy" not in process.stdout
    assert json.loads((found[0] / "result.json").read_text())["status"] == "interrupted"
    done = len([row for row in lines(found[0]) if row["kind"] == "train"])
    assert 7 <= done < 30
    advice = process.stdout.rsplit("continue with: penchant ", 1)[1]
    resumed = penchant(*shlex.split(advice))
    assert resumed.wait() == 0, resumed.stderr
    assert f"resuming after step {done}" in resumed.stderr
    assert_same_run(straight(), found[0])


def test_another_configuration_is_refused_and_the_setting_named(
    penchant: Callable[..., Any], settings: tuple[str, ...], tmp_path: Path
) -> None:
    process = penchant("train", "dpo", *settings, "out=run")
    wait_for_step(tmp_path / "run", 3)
    process.kill(signal.SIGKILL)
    process.wait()
    before = weights(tmp_path / "run")
    refused = penchant("train", "dpo", "--resume", "out=run", "loss.beta=0.2", "seed=1")
    assert refused.wait() == 2
    assert "in loss.beta, seed:" in refused.stderr
    assert "--resume out=run" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert weights(tmp_path / "run") == before
    other = penchant("train", "sft", "--resume", "out=run")
    assert other.wait() == 2
    assert "run is a run of dpo, not of sft:\n  penchant train dpo --resume out=run" in other.stderr


def test_resuming_a_finished_run_changes_nothing(
    penchant: Callable[..., Any], settings: tuple[str, ...], tmp_path: Path
) -> None:
    run = penchant("train", "dpo", *settings, "max_steps=3", "out=run")
    assert run.wait() == 0, run.stderr
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "run").rglob("*.*")}
    again = penchant("train", "dpo", str(tmp_path / "run" / "config.yaml"), "--resume", "out=run")
    assert again.wait() == 0, again.stderr
    assert "nothing to resume" in again.stderr
    assert again.stdout == run.stdout
    assert before == {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "run").rglob("*.*")}


@pytest.mark.parametrize("out", ["out=nowhere", "out=empty", ""])
def test_where_there_is_nothing_to_resume_it_says_so(penchant: Callable[..., Any], tmp_path: Path, out: str) -> None:
    (tmp_path / "empty").mkdir()
    process = penchant("train", "dpo", "--resume", *filter(None, [out]))
    assert process.wait() == 2
    assert ("nothing to resume" if out else "out=DIRECTORY") in process.stderr
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.slow
def test_early_stopping_ends_with_the_best_weights_and_is_resumed_to_them(
    penchant: Callable[..., Any], settings: tuple[str, ...], tmp_path: Path
) -> None:
    """A rate so high that the held-out loss soon rises: the checkpoint is that of the lowest."""
    stopping = ("early_stopping.patience=2", "evaluate.every_steps=2", "optimizer.learning_rate=0.02", "epochs=20")
    run = penchant("train", "dpo", *settings, *stopping, "evaluate.samples=null", "out=run")
    assert run.wait() == 0, run.stderr
    folder = tmp_path / "run"
    result = json.loads((folder / "result.json").read_text())
    losses = {row["step"]: row["held_out"]["loss"]["value"] for row in lines(folder) if row["kind"] == "eval"}
    assert result["status"] == "stopped_early"
    assert result["best_step"] == min(losses, key=lambda step: (losses[step], step))
    assert result["steps"] == max(losses) == result["best_step"] + 2 * 2  # two evaluations without a new best
    assert weights(folder) == weights(folder, "best")
    # killed between the last checkpoint and the result
    shutil.copytree(folder, tmp_path / "killed")
    (tmp_path / "killed" / "result.json").unlink()
    resumed = penchant("train", "dpo", "--resume", "out=killed")
    assert resumed.wait() == 0, resumed.stderr
    assert weights(tmp_path / "killed") == weights(folder)
    assert lines(tmp_path / "killed") == lines(folder)
    assert json.loads((tmp_path / "killed" / "result.json").read_text())["status"] == "stopped_early"


def test_a_line_that_holds_odd_line_breaks_is_one_line(tmp_path: Path) -> None:
    """JSON leaves U+2028 and U+0085 as they are, and `str.splitlines` cuts there."""
    from penchant.methods import DPO

    folder = RunFolder(str(tmp_path / "run"), DPO(model="m", data="d"))
    folder.open()
    rows = [{"step": step, "text": "a\u2028b\u0085c\u2029d\x0be"} for step in range(3)]
    for row in rows:
        folder.append("samples.jsonl", row)
    assert folder.rows("samples.jsonl") == rows
    folder.rewind(1)
    assert folder.rows("samples.jsonl") == rows[:2]
    folder.close()


def test_resuming_from_the_checkpoint_of_step_0_evaluates_it_once(
    penchant: Callable[..., Any], settings: tuple[str, ...], tmp_path: Path
) -> None:
    """Without checkpoint_every a kill early on lands there; a second evaluation would also count for early stopping."""
    seldom = (*(s for s in settings if not s.startswith("checkpoint_every")), "early_stopping.patience=2")
    whole = penchant("train", "dpo", *seldom, "out=whole")
    assert whole.wait() == 0, whole.stderr
    killed = penchant("train", "dpo", *seldom, "out=killed")
    wait_for_step(tmp_path / "killed", 4)
    killed.kill(signal.SIGKILL)
    killed.wait()
    again = penchant("train", "dpo", "--resume", "out=killed")
    assert again.wait() == 0, again.stderr
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def test_changed_data_is_not_resumed(
    penchant: Callable[..., Any], settings: tuple[str, ...], preference_file: Path, tmp_path: Path
) -> None:
    killed = penchant("train", "dpo", *settings, "out=run")
    wait_for_step(tmp_path / "run", 4)
    killed.kill(signal.SIGKILL)
    killed.wait()
    began = (tmp_path / "run" / "provenance.json").read_text()
    preference_file.write_text("".join(preference_file.read_text().splitlines(keepends=True)[1:]))
    again = penchant("train", "dpo", "--resume", "out=run")
    assert again.wait() == 2
    assert "changed since the run in run began" in again.stderr
    assert (tmp_path / "run" / "provenance.json").read_text() == began


def test_a_reward_that_fails_in_an_evaluation_loses_no_step(
    tiny_model: str, preference_file: Path, tmp_path: Path
) -> None:
    """It fails at the end, before any checkpoint was due; resuming begins with that evaluation."""
    import penchant as pt
    from penchant.errors import RunError

    code = "from pathlib import Path\ncalls = 0\ndef reward(pairs):\n    global calls\n    calls += 1\n"
    code += "    assert calls < 3 or Path('{repaired}').exists(), 'out of credit'\n"
    code += "    return [float(len(r)) for _, r in pairs]\n"
    (tmp_path / "rewards.py").write_text(code.format(repaired=tmp_path / "repaired"))

    def config(name: str) -> pt.DPO:
        samples = {"max_new_tokens": 4, "reward": f"{tmp_path / 'rewards.py'}:reward"}
        return pt.DPO(model={"name": tiny_model, "device": "cpu"}, data={"path": str(preference_file), "held_out": 2},
                      batch_size=8, max_steps=4, evaluate={"samples": samples}, out=str(tmp_path / name))  # fmt: skip

    with pytest.raises(RunError, match=r"out of credit.*after step 4; the steps done are kept"):
        pt.train(config("broken"))
    (tmp_path / "repaired").touch()
    resumed = pt.train(config("broken"), resume=True)
    straight = pt.train(config("straight"))
    assert resumed.metrics["final"] == straight.metrics["final"]
    assert lines(resumed.path) == lines(straight.path)
    assert weights(resumed.path) == weights(straight.path)
