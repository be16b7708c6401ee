"""Progress: bars on a terminal (one inside another too), lines in a log."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

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


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress_bar("training", 1, "steps", quiet=True) as advance:
        advance()
    assert capsys.readouterr() == ("", "")
