"""What is answered before any command is imported: the overview, the version, first steps, mistyped commands."""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from penchant.cli.arguments import Command, CommandGroup, make_parser, read_arguments
from penchant.cli.commands import ENTRIES, GROUPS
from penchant.cli.front import FIRST_STEPS, chosen_entry
from penchant.cli.main import main
from penchant.cli.other_words import COMMAND_FORMS, LOSSES, METHOD_FORMS
from penchant.cli.train import TRAINABLE
from penchant.config.fields import shape_of, tag_of
from penchant.methods import METHODS

SETTLED = {
    "penchant",
    "penchant.module_path",
    "penchant.face",
    "penchant.errors",
    "penchant.row_names",  # what errors name rows by; it needs `re` alone
    "penchant.redact",
    "penchant.clean_text",
}
"""What an answer without a command may import, besides `penchant.cli`."""


def answer(capsys: pytest.CaptureFixture[str], line: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(shlex.split(line))
    return (int(end.value.code or 0), *capsys.readouterr())


def test_alone_it_says_what_to_do_next_with_commands_that_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = answer(capsys, "")
    assert (code, err) == (0, "")
    commands = [line.strip() for line in out.splitlines() if line.startswith("  penchant")]
    assert commands == [command for _, command in FIRST_STEPS]
    for command in commands:
        words = command.split()[1:]
        entry = next(entry for entry in ENTRIES if entry.name == words[0])
        arguments = read_arguments(make_parser("", [entry.load()]), words)
        arguments.load(arguments.command.settings)


@pytest.mark.parametrize("line", ["-q train dpo a=1", "train -q dpo a=1", "train dpo -q a=1", "train dpo a=1 --quiet"])
def test_quiet_may_stand_before_behind_and_between_the_words(line: str) -> None:
    entry, words = chosen_entry(shlex.split(line))
    assert read_arguments(make_parser("", [entry.load()]), words).flags.quiet


def test_a_mistyped_method_behind_quiet_is_answered(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = answer(capsys, "train -v simpo model=m")
    assert code == 2
    assert "did you mean this?\n  penchant train dpo loss=simpo model=m" in err


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(capsys, "--version") == (0, f"penchant {version('penchant')}\n", "")


@pytest.mark.parametrize("columns", [80, 40])
def test_the_overview_names_every_command_on_one_screen(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, _ = answer(capsys, "--help")
    assert code == 0
    # an example is there to be copied, and is not broken
    assert all(len(line) <= columns for line in out.splitlines() if not line.startswith("  penchant"))
    assert columns < 80 or len(out.splitlines()) <= 24
    assert {entry.name for entry in ENTRIES} <= set(out.split())
    assert answer(capsys, "--help-all")[1].count("\n") > len(ENTRIES)
    assert {entry.group for entry in ENTRIES} == set(GROUPS)


def test_help_and_version_import_no_settings() -> None:
    """A count, and no time: `--help` took five times as long as the import of NumPy."""
    check = (
        "import sys, penchant_start\n"
        "for words in (['--help'], ['--help-all'], ['--version'], [], ['trian', 'dpo'], ['train', 'dppo']):\n"
        "    sys.argv = ['penchant', *words]\n"
        "    try: penchant_start.main()\n"
        "    except SystemExit as end: assert end.code == (2 if words[:1] in (['trian'], ['train']) else 0)\n"
        "ours = {name for name in sys.modules if name.startswith('penchant')} - {'penchant_start'}\n"
        f"ours -= {SETTLED!r}\n"
        "allowed = {f'penchant.cli.{name}' for name in ('main', 'front', 'commands', 'other_words', 'early_imports')}\n"
        "allowed.add('penchant.cli')\n"
        "assert ours <= allowed, ours\n"
        "assert not {'pydantic', 'yaml', 'argparse', 'numpy'} & set(sys.modules)\n"
        "assert len(sys.modules) < 220, len(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [["lerning_rate=1", "model=m", "data=d"], ["--help"]])
def test_a_mistyped_setting_and_the_help_of_a_method_import_settings_alone(words: list[str]) -> None:
    """A count, and no time: both took over five times as long as the import of NumPy."""
    check = (
        "import sys, penchant_start\n"
        f"sys.argv = ['penchant', 'train', 'dpo', *{words!r}]\n"
        "try: penchant_start.main()\n"
        "except SystemExit as end: assert end.code in (0, 2)\n"
        "rooms = ('penchant.data.sources.files', 'penchant.data.check', 'penchant.data.load', 'penchant.runs')\n"
        "slow = {'numpy', 'sqlite3', 'concurrent.futures'} & set(sys.modules)\n"
        "slow |= {name for name in sys.modules if name.startswith(rooms)}\n"
        "assert not slow, slow\n"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("trian dpo model=m data=d", "penchant train dpo model=m data=d"),
        ("dpo model=m 'data=a b.jsonl'", "penchant train dpo model=m 'data=a b.jsonl'"),
        ("eval runs/first", "penchant evaluate runs/first"),
        ("Reward_Model data=d", "penchant train reward_model data=d"),
        ("exprot runs/a", "penchant export runs/a"),
        ("check f.jsonl", "penchant data check f.jsonl"),
    ],
)
def test_a_mistyped_command_is_answered_with_the_line_that_is_meant(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = answer(capsys, typed)
    assert (code, out) == (2, "")
    assert err.endswith(f"; did you mean this?\n  {meant}\n")
    assert err.startswith("usage: penchant COMMAND ...\npenchant: error: there is no command ")


def test_what_is_like_no_command_names_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no command 'xyzzy'; penchant --help lists them" in answer(capsys, "xyzzy")[2]
    assert "--model stands before the command: penchant COMMAND ... --model m" in answer(capsys, "--model m")[2]


@pytest.mark.parametrize(
    "line", ["xyzzy '\x1b[31m'", "dpo '\x1b[31m'", "train simpo '\x1b[31m'", "doctor --zz '\x1b[31m'"]
)
def test_words_that_a_terminal_obeys_come_back_harmless(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "\x1b" not in answer(capsys, line)[2]


def test_help_may_be_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(capsys, "help train dpo") == answer(capsys, "train dpo --help")
    assert answer(capsys, "help") == answer(capsys, "--help")


def test_other_words_lead_to_commands_that_there_are() -> None:
    commands = {entry.name: entry.load() for entry in ENTRIES}
    for form in COMMAND_FORMS.values():
        word, *inner = form.split()
        if word == "--version":
            continue
        command = commands[word]
        if isinstance(command, CommandGroup):
            assert set(inner) <= {each.name for each in command.commands}
        else:
            assert not inner
    assert {name.replace("_", "-") for name in TRAINABLE} <= set(COMMAND_FORMS)
    assert {form.split()[0] for form in METHOD_FORMS.values()} <= set(TRAINABLE)
    assert not set(COMMAND_FORMS) & set(commands)
    losses = shape_of(METHODS["dpo"].model_fields["loss"].annotation).configs
    # `sft` is a method too, and `sum` and the user's own code are no losses that somebody would name
    assert {tag_of(loss) for loss in losses} - {"sft", "sum", "custom"} == set(LOSSES)
    assert not set(METHOD_FORMS) & set(TRAINABLE)


def test_the_table_says_what_each_command_is_for() -> None:
    for entry in ENTRIES:
        command = entry.load()
        assert command.name == entry.name
        assert command.help == entry.help
        if isinstance(command, CommandGroup):
            assert entry.inner == (command.metavar, tuple(each.name for each in command.commands))
        else:
            assert isinstance(command, Command)
            assert entry.inner is None
    assert replace(ENTRIES[0], help="other").load().help == "other"


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("train --resume out=RUN", "train kto --resume out=RUN"),
        ("train --resume RUN", "train kto --resume out=RUN"),
        ("train RUN --resume", "train kto out=RUN --resume"),
        ("train --resume=RUN", "train kto --resume out=RUN"),
        ("train -q --resume -o RUN", "train kto --resume -o RUN -q"),
        ("train epochs=3 --resume out=RUN", "train kto epochs=3 --resume out=RUN"),
        ("train kto --resume RUN", "train kto --resume out=RUN"),
        ("train dpo --resume out=RUN", "train dpo --resume out=RUN"),
        ("train RUN", None),
        ("train --resume out=other", None),
        ("train --resume", None),
    ],
)
def test_a_run_to_resume_says_its_method(
    line: str,
    meant: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "RUN").mkdir()
    (tmp_path / "RUN" / "config.yaml").write_text("# a run\nmethod: kto\nmodel: m\nout: RUN\n")
    if meant is not None:
        _, words = chosen_entry(shlex.split(line))
        assert words == meant.split()
        return
    code, _, err = answer(capsys, line)
    assert code == 2
    what = {
        "train RUN": "there is no method 'RUN'",
        "train --resume out=other": "other holds no config.yaml that names its method",
        "train --resume": "penchant train --resume out=DIRECTORY\npenchant train: error: name the folder of the run",
    }
    assert what[line] in err


def test_resuming_by_another_method_is_answered_with_the_line_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my run").mkdir()
    (tmp_path / "my run" / "config.yaml").write_text("method: dpo\nmodel: m\ndata: {path: d.jsonl}\nout: my run\n")
    assert main(["train", "kto", "--resume", "out=my run", "epochs=3"]) == 2
    assert capsys.readouterr().err == (
        "error: my run is a run of dpo, not of kto:\n  penchant train dpo --resume 'out=my run' epochs=3\n"
    )
