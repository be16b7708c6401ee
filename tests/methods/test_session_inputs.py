"""Runs on what a Python session holds: kept in the run's folder, repeated and resumed from there."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

import penchant as pt
from penchant.cli.main import main
from penchant.files import remove
from penchant.session import store

GROUPS = [
    pt.PromptGroup(f"Film {number}?", [" good", " dull"], [pt.Comparison(winner=0, loser=1)]) for number in range(8)
]


@pytest.fixture
def config(tiny_model: str, tmp_path: Path) -> pt.DPO:
    return pt.DPO(
        model=tiny_model,
        data={"path": GROUPS, "held_out": 2},
        batch_size=2,
        max_steps=2,
        evaluate={"samples": None},
        out=str(tmp_path / "run"),
    )


def weights(run: Path) -> bytes:
    return (run / "checkpoint" / "model.safetensors").read_bytes()


def test_a_run_on_groups_equals_the_run_on_their_file_and_is_repeated_from_its_folder(
    config: pt.DPO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = pt.train(config)
    assert [file.name for file in (run.path / "inputs").iterdir()] == [config.data.path.removeprefix("session:")]
    pt.write_groups(GROUPS, tmp_path / "groups.jsonl")
    data = config.data.replace(path=str(tmp_path / "groups.jsonl"))
    assert weights(pt.train(config.replace(data=data, out=str(tmp_path / "file"))).path) == weights(run.path)
    # another process, without what this session kept in the cache
    remove(store.store_folder())
    monkeypatch.setattr(store, "_folders", [])
    assert main(["train", "dpo", str(run.path / "config.yaml"), f"out={tmp_path / 'again'}"]) == 0
    assert weights(tmp_path / "again") == weights(run.path)
    assert (tmp_path / "again" / "inputs" / config.data.path.removeprefix("session:")).exists()


def test_the_same_call_resumes_and_other_rows_are_refused(
    config: pt.DPO, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = pt.train(config)
    whole = weights(run.path)
    # as a kernel that is closed in the middle leaves it: one step done, no result
    interrupted = config.replace(out=str(run.path) + "-killed")
    monkeypatch.setattr(import_module("penchant.train.loop"), "interruptible", _stop_after_one_step)
    assert pt.train(interrupted).metrics["steps"] == 1
    monkeypatch.undo()
    others = [GROUPS[0].replace(prompt="Another?"), *GROUPS[1:]]
    with pytest.raises(pt.InputError, match=r"differs from that of the run in .*-killed in data.path"):
        pt.train(interrupted.replace(data={"path": others, "held_out": 2}), resume=True)
    same = interrupted.replace(data={"path": list(GROUPS), "held_out": 2})
    assert pt.train(same, resume=True).metrics["status"] == "done"
    assert weights(Path(str(run.path) + "-killed")) == whole
    # the command line resumes it as well
    assert main(["train", "dpo", "--resume", f"out={run.path}-killed"]) == 0


def test_bad_rows_leave_no_folder(config: pt.DPO) -> None:
    with pytest.raises(pt.InputError, match="unknown layout"):
        pt.train(config.replace(data=[{"a": 1}]))
    assert config.out is not None
    assert not Path(config.out).exists()


def _stop_after_one_step(*, saves: bool = True):  # type: ignore[no-untyped-def]
    from contextlib import nullcontext

    from penchant.train.interrupt import Interrupt

    return nullcontext(Interrupt(requested=True))
