"""Progress: bars on a terminal (one inside another too), lines in a log."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from penchant.methods import METHODS
from penchant.runs import progress

NESTED = """
from penchant.runs.progress import progress_bar
with progress_bar("outer", 3, "steps") as outer:
    for _ in range(3):
        with progress_bar("inner", 2, "samples") as inner:
            inner(2)
        outer(1, "loss 0.5")
print("finished")
"""


def test_nested_bars_on_a_terminal() -> None:
    main, other = pty.openpty()
    done = subprocess.run([sys.executable, "-c", NESTED], stderr=other, stdout=subprocess.PIPE, text=True, timeout=120)
    os.close(other)
    shown = os.read(main, 100_000).decode()
    os.close(main)
    assert done.returncode == 0
    assert done.stdout == "finished\n"
    assert "outer" in shown
    assert "3/3" in shown
    assert "steps/s" in shown


def test_lines_in_a_log(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    with progress.progress_bar("training", 10, "steps", done=4) as advance:
        advance(2, "loss 0.5")
    line = capsys.readouterr().err
    assert line.startswith("training: 6/10, ")
    assert "steps/s, about" in line
    assert line.endswith("loss 0.5\n")


def test_an_update_of_nothing_is_no_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    with progress.progress_bar("scoring", 10, "tokens") as advance:
        advance(0)
        advance(3)
    assert re.fullmatch(r"scoring: 3/10, .* about \d+ s left\n", capsys.readouterr().err)


# each update is a line: nobody waits 15 s for one in a test
EVERY_UPDATE = """
import sys
from penchant.runs import progress
progress.LINE_EVERY_S = 0.0
from penchant.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
LINE = re.compile(r"[a-z ]+(\([a-z_]+\))?: \d+/\d+, \S+ [a-z]+/s, about \d+ s left(  \S+ \S+)?")
GRADIENT = ("data=prefs.jsonl", "data.held_out=4", "batch_size=4", "max_steps=2")
ROLLOUTS = ("data=prompts.txt", "prompts_per_step=4", "max_new_tokens=4", "steps=2", "minibatches=1", "reward=vader")


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_the_log_of_every_method_has_a_line_per_update_and_nothing_of_libraries(
    method: str, tiny_model: str, tmp_path: Path
) -> None:
    row = {"chosen": " Yes.", "rejected": " No.", "response": " Yes."}
    kept = ("response",) if method == "sft" else ("chosen", "rejected")
    rows = [{"prompt": f"{n}?", **{name: row[name] for name in kept}} for n in range(12)]
    (tmp_path / "prefs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "prompts.txt").write_text("".join(f"{n}?\n" for n in range(12)))
    settings = ROLLOUTS if method in ("ppo", "ppo_gt", "rloo", "grpo") else GRADIENT
    command = ["train", method, f"model={tiny_model}", "model.device=cpu", *settings, "out=run"]
    done = subprocess.run(
        [sys.executable, "-c", EVERY_UPDATE, *command], capture_output=True, text=True, timeout=300, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "\r" not in done.stderr
    assert "\x1b" not in done.stderr
    updates = [line for line in done.stderr.splitlines() if not line.startswith("WARNING: ")]
    assert [line for line in updates if not LINE.fullmatch(line)] == []
    assert [line.split(",")[0] for line in updates if line.startswith("training")] == [
        f"training ({method}): {step}/2" for step in (1, 2)
    ]
    # what Penchant itself warns of stands there once
    warnings = [line for line in done.stderr.splitlines() if line.startswith("WARNING: ")]
    assert len(warnings) == len(set(warnings))


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress_bar("training", 1, "steps", quiet=True) as advance:
        advance()
    assert capsys.readouterr() == ("", "")
