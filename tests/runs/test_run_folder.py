"""Full disks, folders that are taken, and runs that go wrong: what stays is whole, and nothing else stays."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penchant.digests import SUMS
from penchant.errors import InputError, RunError
from penchant.methods import DPO, train
from penchant.runs.run_folder import RunFolder


@pytest.fixture
def settings(tiny_model: str, preference_file: Path) -> tuple[str, ...]:
    return (
        f"model={tiny_model}",
        "model.device=cpu",
        f"data={preference_file}",
        "data.held_out=1",
        "batch_size=3",
        "checkpoint_every=2",
        "evaluate.samples=null",
        "optimizer.name=adamw",
    )


def config(out: Path | None = None, **changes: Any) -> DPO:
    return DPO(model="m", data="d", out=str(out) if out else None, **changes)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


# -- a full disk --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_full_disk_keeps_the_last_checkpoint_which_resumes_to_the_same_bits(
    penchant: Callable[..., Any], settings: tuple[str, ...], tmp_path: Path, tiny_model: str
) -> None:
    """Files may hold 1.5 times the model: that is enough for the weights, not for AdamW's two states a weight."""
    size = (Path(tiny_model) / "model.safetensors").stat().st_size
    straight = penchant("train", "dpo", *settings, "out=straight")
    assert straight.wait() == 0, straight.stderr
    first = penchant("train", "dpo", *settings, "out=full")
    end = time.monotonic() + 60
    while not (tmp_path / "full" / "checkpoint").exists() and time.monotonic() < end:
        time.sleep(0.001)
    first.kill(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    full = penchant("train", "dpo", "--resume", "out=full", file_limit=size * 3 // 2)
    assert full.wait() == 2
    assert "error: cannot write full/checkpoint" in full.stderr
    assert "What was written before is intact" in full.stderr
    assert "Traceback" not in full.stderr
    left = files(tmp_path / "full")
    assert {"checkpoint/model.safetensors", "checkpoint/resume/state.pt", "config.yaml", "metrics.jsonl"} <= left
    assert "result.json" not in left
    assert not any(part.startswith(".") or part.endswith(".tmp") for name in left for part in name.split("/"))
    resumed = penchant("train", "dpo", "--resume", "out=full")
    assert resumed.wait() == 0, resumed.stderr
    bits = [(tmp_path / out / "checkpoint" / "model.safetensors").read_bytes() for out in ("straight", "full")]
    assert bits[0] == bits[1]


@pytest.mark.parametrize("limit", [600, 1500, 12_000, 30_000])
def test_a_disk_that_is_full_from_the_start_leaves_no_half_file(
    penchant: Callable[..., Any], settings: tuple[str, ...], tmp_path: Path, limit: int
) -> None:
    """From less than config.yaml to half of the model: whatever is there under its name is whole."""
    full = penchant("train", "dpo", *settings, "out=full", file_limit=limit)
    assert full.wait() == 2
    assert "cannot write" in full.stderr
    assert "Traceback" not in full.stderr
    folder = tmp_path / "full"
    if limit == 600:
        assert not folder.exists()
    else:
        assert files(folder) <= {
            "config.yaml",
            "provenance.json",
            "rendered.json",
            "held_out.json",
            "metrics.jsonl",
            SUMS,
        }
        if (folder / "provenance.json").exists():
            json.loads((folder / "provenance.json").read_text())
        resumed = penchant("train", "dpo", "--resume", "out=full")
        assert resumed.wait() == 0, resumed.stderr


def test_an_old_file_survives_a_write_that_fails(tmp_path: Path) -> None:
    folder = RunFolder(str(tmp_path / "run"), config())
    folder.open()
    folder.write("result.json", "old")
    os.mkdir(tmp_path / "run" / ".result.json.tmp")  # in the way of the temporary file
    with pytest.raises(RunError, match=r"cannot write .*result\.json"):
        folder.write("result.json", "new")
    assert (tmp_path / "run" / "result.json").read_text() == "old"


def test_what_json_does_not_know_is_written_as_null_and_what_is_no_text_as_a_question_mark(tmp_path: Path) -> None:
    folder = RunFolder(str(tmp_path / "run"), config())
    folder.open()
    folder.append("metrics.jsonl", {"loss": float("nan"), "deep": [{"x": float("inf")}], "text": "half \ud800 pair"})
    assert folder.rows("metrics.jsonl") == [{"loss": None, "deep": [{"x": None}], "text": "half ? pair"}]
    folder.close()


# -- whose folder -------------------------------------------------------------------------------------------------


def test_a_second_run_in_the_same_folder_is_refused_and_the_first_unharmed(
    penchant: Callable[..., Any], settings: tuple[str, ...], tmp_path: Path
) -> None:
    first = penchant("train", "dpo", *settings, "epochs=3", "checkpoint_every=20", "out=run")
    while not (tmp_path / "run" / "checkpoint").exists():
        time.sleep(0.005)
    first.kill(signal.SIGSTOP)  # so that it surely still runs
    again = penchant("train", "dpo", *settings, "epochs=3", "checkpoint_every=20", "out=run")
    resumed = penchant("train", "dpo", "--resume", "out=run")
    assert (again.wait(), resumed.wait()) == (2, 2)
    assert "already holds another run" in again.stderr
    assert "another process is working in run" in resumed.stderr
    first.kill(signal.SIGCONT)
    assert first.wait() == 0, first.stderr
    assert json.loads((tmp_path / "run" / "result.json").read_text())["steps"] == 45  # 44 / 3, rounded up, x 3


def test_a_longer_run_is_another_unless_the_command_can_lengthen(tmp_path: Path) -> None:
    folder = RunFolder(str(tmp_path / "run"), config(max_steps=2))
    folder.open()
    folder.close()
    with pytest.raises(InputError, match=r"differs from that of the run in .* in max_steps"):
        RunFolder(str(tmp_path / "run"), config(max_steps=4), resume=True)
    longer = RunFolder(str(tmp_path / "run"), config(max_steps=4), resume=True, extendable=True)
    assert longer.shorter_config == config(max_steps=2)
    # another setting is another matter
    with pytest.raises(InputError, match="differs from that of the run"):
        RunFolder(str(tmp_path / "run"), config(max_steps=4, seed=5), resume=True, extendable=True)


def test_two_that_start_in_one_empty_folder_at_once_are_told_apart(tmp_path: Path) -> None:
    one, other = RunFolder(str(tmp_path / "run"), config()), RunFolder(str(tmp_path / "run"), config(seed=1))
    one.open()  # both had seen an empty folder
    with pytest.raises(InputError, match="another process is working"):
        other.open()
    one.close()
    with pytest.raises(InputError, match="already holds another run"):
        other.open()
    assert "seed: 0" in (tmp_path / "run" / "config.yaml").read_text()
    assert files(tmp_path / "run") == {"config.yaml", SUMS}


def test_a_lock_left_by_a_kill_keeps_nobody_out(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").touch()
    folder = RunFolder(str(tmp_path / "run"), config())
    folder.open()
    folder.close()
    assert files(tmp_path / "run") == {"config.yaml", SUMS}


@pytest.mark.parametrize("resume", [False, True])
def test_a_lock_that_is_a_link_is_refused_at_once_with_what_to_do(tmp_path: Path, resume: bool) -> None:
    if resume:
        folder = RunFolder(str(tmp_path / "run"), config())
        folder.open()
        folder.close()
    (tmp_path / "run").mkdir(exist_ok=True)
    (tmp_path / "elsewhere").touch()
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"run/\.lock is a symbolic link \(to .*elsewhere\).*: remove the link"):
        RunFolder(str(tmp_path / "run"), config(), resume=resume)


@pytest.mark.parametrize("resume", [False, True])
def test_a_name_that_is_too_long_for_a_folder_is_no_traceback(tmp_path: Path, resume: bool) -> None:
    with pytest.raises(
        InputError, match=r"cannot use the run directory .*File name too long.*choose another with out="
    ):
        RunFolder(str(tmp_path / ("x" * 300)), config(), resume=resume)


def test_a_folder_that_cannot_be_taken_is_refused_before_the_model_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").touch()
    (tmp_path / "pairs.jsonl").write_text('{"prompt": "p", "chosen": "a", "rejected": "b"}\n')
    settings = DPO(model="no/such-model", data=str(tmp_path / "pairs.jsonl"), out=str(tmp_path / "run"))
    with pytest.raises(InputError, match="already holds other files"):
        train(settings)
    with pytest.raises(InputError, match="the reward `vadr` is unknown"):
        train(settings.replace(out=str(tmp_path / "new"), evaluate={"samples": {"reward": "vadr"}}))


@pytest.mark.parametrize(
    ("prepare", "out", "words"),
    [
        (lambda here: (here / "run").mkdir() or (here / "run" / "config.yaml").touch(), "run", "another run"),
        (lambda here: (here / "run").mkdir() or (here / "run" / "thesis.tex").touch(), "run", "other files"),
        (lambda here: (here / "run").write_text("kept"), "run", "is a file"),
        (
            lambda here: (here / "file").write_text("kept"),
            "file/run",
            "file is a file, and a run's directory cannot lie in it",
        ),
        (lambda here: None, "/proc/run", "cannot write to the run directory"),
    ],
    ids=["another run", "other files", "a file", "below a file", "unwritable"],
)
def test_a_folder_that_cannot_be_taken_is_refused_and_left_alone(
    penchant: Callable[..., Any],
    settings: tuple[str, ...],
    tmp_path: Path,
    prepare: Callable[[Path], Any],
    out: str,
    words: str,
) -> None:
    prepare(tmp_path)
    before = files(tmp_path)
    process = penchant("train", "dpo", *settings, f"out={out}")
    assert process.wait() == 2, process.stderr
    assert words in process.stderr
    assert "out=" in process.stderr
    assert "Traceback" not in process.stderr
    assert files(tmp_path) == before


def test_an_empty_folder_and_one_in_the_home_folder_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "run").mkdir()
    folder = RunFolder("~/run", config())
    folder.open()
    folder.close()
    assert (tmp_path / "run" / "config.yaml").exists()


# -- numbers that are none ----------------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_names_its_rows_and_keeps_the_last_checkpoint(
    penchant: Callable[..., Any], settings: tuple[str, ...], tmp_path: Path
) -> None:
    """The first step throws the weights to 1e30; the second one meets infinities."""
    process = penchant("train", "dpo", *settings, "optimizer.learning_rate=1e30", "checkpoint_every=1", "out=run")
    assert process.wait() == 2
    assert "of step 2 is not finite" in process.stderr
    assert "The last checkpoint stays" in process.stderr
    assert "Rows: prefs.jsonl:" in process.stderr
    assert "(response " in process.stderr
    assert "optimizer.learning_rate" in process.stderr
    assert "Traceback" not in process.stderr
    assert (tmp_path / "run" / "checkpoint" / "model.safetensors").exists()
    assert not (tmp_path / "run" / "result.json").exists()
    steps = [json.loads(line)["step"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert steps == [0, 1]


def test_weights_that_are_not_finite_never_become_a_checkpoint(
    penchant: Callable[..., Any], settings: tuple[str, ...], tmp_path: Path
) -> None:
    """Weights of float16 underflow in RMSprop's mean square: 0 / 0 after one finite step."""
    process = penchant(
        "train", "dpo", *settings, "optimizer.name=rmsprop", "model.dtype=float16", "checkpoint_every=1", "out=run"
    )
    assert process.wait() == 2
    assert "is not finite after step 1" in process.stderr
    assert "model.dtype" in process.stderr
    assert "There was no checkpoint yet" in process.stderr
    assert not (tmp_path / "run" / "checkpoint").exists()


def test_a_model_that_holds_nan_is_refused_before_anything_is_written(
    penchant: Callable[..., Any], settings: tuple[str, ...], tmp_path: Path, tiny_model: str
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight[0, 0] = torch.nan
    model.save_pretrained(tmp_path / "broken")
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path / "broken")
    process = penchant("train", "dpo", *settings, f"model.name={tmp_path / 'broken'}", "out=run")
    assert process.wait() == 2
    assert "not finite" in process.stderr
    assert "Traceback" not in process.stderr
    assert not (tmp_path / "run").exists()


def test_code_that_the_record_cannot_hold_is_warned_of_when_the_run_begins(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sentence = "the source of `index` cannot be read"
    settings = config(tmp_path / "run", evaluate={"samples": {"reward": [1.0].index}})
    assert sentence in RunFolder(settings.out, settings).warnings[0]
    assert sentence in caplog.text
    caplog.clear()
    # another process of the same run says nothing
    RunFolder(settings.out, settings, writes=False)
    assert not caplog.text
