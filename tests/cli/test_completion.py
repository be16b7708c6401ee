"""Completion of words in a shell: in bash as it asks, and the other scripts by what they hold."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from penchant.cli.completion import bash_script, command_words, fish_script, zsh_script
from penchant.cli.main import main


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "penchant.bash"
    path.write_text(bash_script(command_words()))
    return path


def replies(script: Path, folder: Path, *words: str) -> list[str]:
    """What bash offers for the last of the words."""
    line = f"COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}; _penchant; "
    command = f"source {shlex.quote(str(script))}; {line} printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("tra",), ["train"]),
        (("train", "d"), ["dpo"]),
        (("data", ""), ["check", "convert", "show", "--help"]),
        (("train", "dpo", "optimizer.l"), ["optimizer.learning_rate="]),
        (("train", "dpo", "model.lora.r"), ["model.lora.rank="]),
        (("train", "dpo", "--dr"), ["--dry-run"]),
        (("study", "noise", "--j"), ["--jobs"]),
        # bash hands over `key=value` in three words, zsh in one
        (("train", "dpo", "loss", "=", "sim"), ["simpo"]),
        (("train", "dpo", "loss=sim"), ["loss=simpo"]),
        (("train", "dpo", "data.ties", "=", ""), ["error", "drop", "half"]),
        (("sample", "penchant-0.5m", "prompts", "=", "my"), ["my.jsonl"]),
        (("data", "check", "my"), ["my.jsonl"]),
        (("sample", "-o", "my"), ["my.jsonl"]),
        (("train", "dpo", "zzz"), []),
        (("nonsense", "x"), []),
    ],
)
def test_bash_is_offered(words: tuple[str, ...], offered: list[str], script: Path, tmp_path: Path) -> None:
    (tmp_path / "my.jsonl").touch()
    found = replies(script, tmp_path, "penchant", *words)
    assert set(offered) <= set(found)
    assert len(found) == len(offered) or words[:2] == ("data", "")


def test_the_scripts_hold_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    words = command_words()
    assert words["train dpo"].keys["loss"][0] == "sigmoid"
    assert {"--resume", "--help-all"} <= set(words["train dpo"].flags)
    fish = fish_script(words)
    for name in words:
        assert f"'__penchant_at {name}'" in fish
    assert zsh_script(words).startswith("#compdef penchant\n")
    assert main(["completion", "fish"]) == 0
    assert capsys.readouterr().out == fish
    assert main(["completion", "tcsh"]) == 2
    assert "expected one of bash, zsh, fish" in capsys.readouterr().err
