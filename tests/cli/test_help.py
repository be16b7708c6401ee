"""`--help` of every command, wherever and however it is asked for; `--print-config`, `-q` and `-v`."""

from __future__ import annotations

import logging
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from penchant.cli.arguments import Command, make_parser, read_arguments
from penchant.cli.commands import load_commands
from penchant.cli.help_text import SCREEN
from penchant.cli.main import main
from penchant.config import load_config

ENTRIES = load_commands()
COMMANDS = {
    (*group, command.name): command
    for entry in ENTRIES
    for group, commands in ([((), [entry])] if isinstance(entry, Command) else [((entry.name,), entry.commands)])
    for command in commands
}
GROUPS = [(entry.name,) for entry in ENTRIES if not isinstance(entry, Command)]
NAMES = [(), *GROUPS, *COMMANDS]


def help_text(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit, match=r"^0$"):
        main(arguments)
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "\nUsage: penchant" in captured.out
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
        assert plain.splitlines()[0].split()[:2] == help_text(capsys, *name, "--help").split()[:2]


@pytest.mark.parametrize("name", NAMES, ids=" ".join)
def test_help_is_one_screen_with_an_example_first(
    name: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = help_text(capsys, *name, "--help").splitlines()
    assert len(lines) <= SCREEN
    assert max(map(len, lines)) <= 100
    if not name or name in GROUPS or COMMANDS[name].example:
        usage = next(number for number, line in enumerate(lines) if line.startswith("Usage: "))
        assert lines.index("Example:") < usage
    monkeypatch.setenv("COLUMNS", "40")
    # what is there to be copied is not broken
    narrow = help_text(capsys, *name, "--help").splitlines()
    assert not [line for line in narrow if len(line) > 40 and not line.startswith("  penchant ")]


@pytest.mark.parametrize("name", COMMANDS, ids=" ".join)
def test_an_example_is_a_command_that_is_read(name: tuple[str, ...]) -> None:
    command = COMMANDS[name]
    required = [key for key, field in command.settings.model_fields.items() if field.is_required()]
    assert command.example or not required
    arguments = read_arguments(make_parser("", ENTRIES), [*name, *shlex.split(command.example)])
    # as the command itself reads it, presets too; none reads more than its settings
    command.resolve(arguments)


@pytest.mark.parametrize("name", [name for name in COMMANDS if COMMANDS[name].takes_config], ids=" ".join)
def test_a_printed_configuration_runs_again(
    name: tuple[str, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [*name, *shlex.split(COMMANDS[name].example)]
    assert main([*words, "--print-config"]) == 0
    printed = capsys.readouterr().out
    assert not list(tmp_path.iterdir())
    (tmp_path / "printed.yaml").write_text(printed)
    meant = COMMANDS[name].resolve(read_arguments(make_parser("", ENTRIES), words))
    assert load_config(type(meant), tmp_path / "printed.yaml") == meant
    assert main([*name, "printed.yaml", "--print-config"]) == 0
    assert capsys.readouterr().out == printed


def test_a_wrong_setting_ends_print_config_as_it_ends_the_command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["train", "dpo", "model=m", "data=d", "los.beta=1"]
    assert main(words) == main([*words, "--print-config"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == second


def test_help_all_has_every_setting_and_flag(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_text(capsys, "train", "dpo", "--help-all")
    for word in ("--resume", "--report FILE.html", "--print-config", "loss.beta: a number", "model.lora.rank: a whole"):
        assert word in text
    assert len(text) > 10 * len(help_text(capsys, "train", "dpo", "--help"))


def test_quiet_and_verbose_are_levels_of_the_log_and_of_progress(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "good.jsonl").write_text('{"prompt": "Who?", "chosen": " Me.", "rejected": " You."}\n')
    file = str(tmp_path / "good.jsonl")
    logger, libraries = logging.getLogger("penchant"), logging.getLogger().level
    monkeypatch.delenv("PENCHANT_QUIET", raising=False)
    inside: list[str | None] = []
    monkeypatch.setattr(
        "penchant.cli.main._check_current_folder", lambda: inside.append(os.environ.get("PENCHANT_QUIET"))
    )
    for words, level in (([], logging.INFO), (["-q"], logging.WARNING), (["-v"], logging.DEBUG)):
        assert main(["data", "check", file, *words]) == 0
        assert logger.level == level
        assert logging.getLogger().level == libraries  # `-v` holds for its command alone
    assert main(["-q", "data", "check", file]) == 0
    assert logger.level == logging.WARNING
    assert inside == [None, "1", None, "1"]
    assert "PENCHANT_QUIET" not in os.environ  # a notebook that called `-q` has bars again


def test_defaults_are_shown_as_settings_and_not_as_objects_of_python(capsys: pytest.CaptureFixture[str]) -> None:
    for name in (("train", "dpo"), ("study", "weak-to-strong")):
        text = " ".join(help_text(capsys, *name, "--help-all").split())
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
@pytest.mark.parametrize("command", ["data check good.jsonl", "train dpo --help-all", "--help"])
def test_nobody_needs_to_read_what_is_printed(command: str, closed: str, tmp_path: Path) -> None:
    (tmp_path / "good.jsonl").write_text('{"prompt": "Who?", "chosen": " Me.", "rejected": " You."}\n')
    line = f"{sys.executable} -m penchant.cli {command} {closed}; exit ${{PIPESTATUS[0]}}"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=buffered, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
