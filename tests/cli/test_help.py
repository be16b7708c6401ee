"""`--help` of every command, wherever and however it is asked for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from penchant.cli.arguments import Command
from penchant.cli.commands import load_commands
from penchant.cli.main import main

NAMES = [(), *((entry.name,) for entry in load_commands())]
NAMES += [
    (entry.name, command.name)
    for entry in load_commands()
    if not isinstance(entry, Command)
    for command in entry.commands
]


def help_text(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit, match=r"^0$"):
        main(arguments)
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "usage: penchant" in captured.out.lower()
    return captured.out


@pytest.mark.parametrize("name", NAMES, ids=" ".join)
def test_help_comes_in_any_terminal_and_company(
    name: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    plain = help_text(capsys, *name, "--help")
    assert help_text(capsys, *name, "--help", "--help") == plain
    assert help_text(capsys, *name, "--help", "nonsense=1", "--nonsense", "out=a", "-o", "b") == plain
    for terminal in ("dumb", ""):
        monkeypatch.setenv("TERM", terminal)
        assert help_text(capsys, *name, "--help") == plain
    for columns in ("20", "0", "abc", "-1"):
        monkeypatch.setenv("COLUMNS", columns)
        text = help_text(capsys, *name, "--help")
        assert re.sub(r"\s", "", text)[-40:] == re.sub(r"\s", "", plain)[-40:]


def test_defaults_are_shown_as_settings_and_not_as_objects_of_python(capsys: pytest.CaptureFixture[str]) -> None:
    for name in (("train", "dpo"), ("study", "weak-to-strong")):
        text = " ".join(help_text(capsys, *name, "--help").split())
        assert not re.search(r"\(default [^)]*='", text)
    assert "(default [{name: cross_entropy}, {name: confidence}])" in text


def test_a_removed_folder_gives_help_and_no_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    help_text(capsys, "study", "noise", "--help")
    assert main(["report", "runs/x"]) == 2
    assert "the current folder cannot be entered" in capsys.readouterr().err
    os.chdir(tmp_path)


@pytest.mark.parametrize("closed", [">&-", "| true"])
def test_nobody_needs_to_read_what_is_printed(closed: str, tmp_path: Path) -> None:
    (tmp_path / "good.jsonl").write_text('{"prompt": "Who?", "chosen": " Me.", "rejected": " You."}\n')
    command = f"{sys.executable} -m penchant.cli data check good.jsonl {closed}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
