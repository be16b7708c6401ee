"""What the cache keeps, what is removed of it, and what is left."""

from __future__ import annotations

import gc
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import penchant as pt
from penchant import files
from penchant.cache_use import USERS, cache_users, using_cache
from penchant.cli.commands import ENTRIES
from penchant.cli.main import main
from penchant.data.in_memory import data_source
from penchant.errors import InputError
from penchant.models.builtin import EMBEDDED
from penchant.session.store import store_folder
from penchant.upkeep.cache_entries import KINDS, prune_cache, read_cache

DAY = 86_400.0
NAME = "0123456789abcdef" * 2


def put(path: Path, size: int, *, days: float) -> Path:
    """Write a file that was used so long ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    moment = time.time() - days * DAY
    os.utime(path, (moment, moment))
    return path


def test_what_was_not_used_for_long_goes_and_the_rest_stays(own_cache: Path) -> None:
    old = put(own_cache / "reference" / f"{NAME}.sqlite", 100, days=40)
    log = put(own_cache / "reference" / f"{NAME}.sqlite-wal", 10, days=40)
    fresh = put(own_cache / "groups" / f"{NAME}.groups", 100, days=20)
    model = put(own_cache / "models" / f"tiny-{NAME[:16]}" / "config.json", 5, days=31).parent
    entries = {entry.path: entry for entry in read_cache().entries}
    assert entries[old].size == 110
    assert prune_cache(30 * DAY, dry_run=True).remaining == 1
    assert old.exists()
    pruned = prune_cache(30 * DAY)
    assert [entry.path for entry in pruned.removed] == [old, model]
    assert not old.exists()
    assert not log.exists()
    assert not model.exists()
    assert fresh.exists()


def test_a_read_counts_as_a_use(own_cache: Path) -> None:
    path = put(own_cache / "frozen" / f"{NAME}.bin", 10, days=40)
    os.utime(path, (time.time(), path.stat().st_mtime))
    assert prune_cache(30 * DAY).removed == ()


def test_foreign_and_half_written_files_are_left_and_named(own_cache: Path, tmp_path: Path) -> None:
    target = put(tmp_path / "precious.txt", 10, days=99)
    strays = [
        put(own_cache / "mine.txt", 10, days=99),
        put(own_cache / "verdicts" / f".{NAME}.json.abcd0123.tmp", 10, days=99),
        put(own_cache / "tokens" / "notes.md", 10, days=99),
        put(own_cache / "reference" / "f00.sqlite-wal", 10, days=99),
    ]
    link = own_cache / "groups" / f"{NAME}.groups"
    link.parent.mkdir()
    link.symlink_to(target)
    pruned = prune_cache(0)
    assert pruned.removed == ()
    assert {stray.path for stray in pruned.strays} == {*strays, link}
    assert all(path.exists() for path in (*strays, link, target))
    reasons = {stray.path: stray.reason for stray in pruned.strays}
    assert reasons[link] == "a symbolic link"
    assert "half-written" in reasons[strays[1]]


def test_a_link_to_a_folder_is_not_followed(own_cache: Path, tmp_path: Path) -> None:
    elsewhere = put(tmp_path / "elsewhere" / f"{NAME}.bin", 10, days=99)
    (own_cache / "frozen").symlink_to(elsewhere.parent)
    assert prune_cache(0).removed == ()
    assert elsewhere.exists()


def test_templates_stay_since_runs_name_them(own_cache: Path) -> None:
    template = put(own_cache / "templates" / f"{NAME}.jinja", 10, days=99)
    assert prune_cache(0).remaining == 1
    assert template.exists()


def test_every_folder_that_is_written_in_the_cache_is_known_here() -> None:
    sources = [path.read_text(encoding="utf-8") for path in Path(files.__file__).parent.rglob("*.py")]
    written = {name for text in sources for name in re.findall(r'cache_folder\(\) / "([^"]+)"', text)}
    assert written == {kind.folder for kind in KINDS} | {"source.json"}


def test_what_sessions_handed_over_is_kept_and_pruned_as_all_else(
    own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_source([{"prompt": "a", "chosen": "good", "rejected": "bad"}])
    put(store_folder() / f"reward_{NAME[:16]}.py", 5, days=0)
    put(store_folder() / f"model-{NAME[:16]}" / "config.json", 5, days=0)
    contents = read_cache()
    assert contents.strays == ()
    assert len(contents.entries) == 3
    assert main(["cache", "prune", "older=0d"]) == 0
    assert "3 entries removed" in capsys.readouterr().out
    assert list(store_folder().iterdir()) == []


def test_a_cache_of_foreign_files_alone_lists_them_without_empty_tables(
    own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(own_cache / "mine.txt", 10, days=99)
    assert main(["cache"]) == 0
    out = capsys.readouterr().out
    assert "mine.txt (nothing that Penchant writes here)" in out
    assert "last used" not in out
    assert "largest" not in out


def test_pruning_is_refused_while_a_run_uses_the_cache(
    own_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = put(own_cache / "frozen" / f"{NAME}.bin", 10, days=99)
    with using_cache(tmp_path / "runs" / "first"):
        with pytest.raises(
            InputError, match=rf"nothing was removed: the cache is in use \(.*first, process {os.getpid()}"
        ):
            prune_cache(0)
        assert main(["cache", "prune", "older=0d"]) == 2
        assert "runs/first" in capsys.readouterr().err
        assert main(["cache"]) == 0
        assert "in use by" in capsys.readouterr().out
    assert path.exists()
    assert [entry.path for entry in prune_cache(0).removed] == [path]


@pytest.mark.parametrize(
    ("module", "constant", "words"),
    [
        ("sample", "SAMPLE", ["sample", "model=m", "prompts=p.txt", "out=x.jsonl"]),
        ("score", "SCORE", ["score", "m", "p.jsonl", "out=x.jsonl"]),
        ("weak", "WEAK", ["weak", "train", "data=d.jsonl", "student=tfidf", "out=x"]),
    ],
)
def test_pruning_is_refused_while_another_process_runs_a_command(
    own_cache: Path, module: str, constant: str, words: list[str]
) -> None:
    """The command line as it is, with a wait in place of the work of each command."""
    path = put(own_cache / "models" / f"m-{NAME[:16]}" / "config.json", 10, days=99).parent
    code = (
        f"import sys\nfrom dataclasses import replace\nfrom penchant.cli import {module} as m\n"
        "from penchant.cli.main import main\n"
        "def wait(arguments):\n"
        "    arguments.command.resolve(arguments)\n"
        "    print('in', flush=True)\n"
        "    sys.stdin.readline()\n"
        "    return 0\n"
        f"command = m.{constant}\n"
        "inner = {'commands': tuple(replace(each, run=wait) for each in getattr(command, 'commands', ()))}\n"
        f"m.{constant} = replace(command, **(inner if inner['commands'] else {{'run': wait}}))\n"
        f"sys.exit(main({words!r}))\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"in\n"
        typed = " ".join(words[: 2 if words[0] == "weak" else 1])
        with pytest.raises(InputError, match=rf"in use \(penchant {typed} in .*, process {process.pid}\)"):
            prune_cache(0)
        assert path.exists()
        process.stdin.write(b"\n")
    assert process.returncode == 0
    assert [entry.path for entry in prune_cache(0).removed] == [path]


def test_a_mistyped_setting_and_print_config_use_no_cache(own_cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "model=m", "prompts=p", "out=x.jsonl", "temprature=1"]) == 2
    assert main(["sample", "model=m", "prompts=p", "out=x.jsonl", "--print-config"]) == 0
    assert "prompts: p" in capsys.readouterr().out
    assert list(own_cache.iterdir()) == []


def test_a_call_in_python_keeps_the_cache_as_its_command_does(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from penchant.evaluation import score

    titles: list[str] = []
    monkeypatch.setattr(score, "score_file", lambda *_, **__: titles.extend(user.title for user in cache_users()))
    pt.score("m", "p.jsonl", out="x.jsonl")
    assert titles == [f"pt.score in {Path.cwd()}"]
    assert cache_users() == []


def test_every_command_that_may_open_the_cache_keeps_it() -> None:
    looking = {"agree", "cache", "collect", "compare", "completion", "convert-config", "doctor", "models"}
    assert {entry.name for entry in ENTRIES if not entry.uses_cache} == looking | {"rank", "report"}


def test_a_command_that_trains_is_named_by_its_run_alone(own_cache: Path, tmp_path: Path) -> None:
    with using_cache(tmp_path, "penchant train dpo"):
        assert [user.title for user in cache_users()] == [f"penchant train dpo in {tmp_path}"]
        with using_cache(tmp_path / "run"):
            assert [user.title for user in cache_users()] == [str(tmp_path / "run")]


def test_a_loaded_model_of_the_cache_keeps_it_while_it_lives(own_cache: Path, tmp_path: Path) -> None:
    folder = own_cache / "models" / f"m-{NAME[:16]}"
    shutil.copytree(EMBEDDED["penchant-0.5m"], folder)
    policy = pt.load_policy(folder)
    with pytest.raises(InputError, match=rf"in use \(a loaded model in .*, process {os.getpid()}\)"):
        prune_cache(0)
    with using_cache(tmp_path, "penchant sample"):
        assert [user.title for user in cache_users()] == [f"penchant sample in {tmp_path}"]
    del policy
    gc.collect()  # a network refers to itself
    assert cache_users() == []
    assert [entry.path for entry in prune_cache(0).removed] == [folder]


def test_a_model_that_lies_elsewhere_keeps_nothing(own_cache: Path) -> None:
    policy = pt.load_policy("penchant-0.5m")
    assert policy.name == "penchant-0.5m"
    assert cache_users() == []


def test_the_note_of_a_process_that_was_killed_hinders_nobody(own_cache: Path) -> None:
    code = (
        "import os, pathlib\nfrom penchant.cache_use import using_cache\n"
        "with using_cache(pathlib.Path('runs/killed')):\n    print('in', flush=True)\n    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-9, "in\n")
    assert len(list((own_cache / USERS).iterdir())) == 2
    assert cache_users() == []
    assert list((own_cache / USERS).iterdir()) == []


def test_a_run_that_trains_uses_the_cache(own_cache: Path, tmp_path: Path) -> None:
    from penchant.config import load_config
    from penchant.methods import METHODS
    from penchant.runs.run_folder import RunFolder

    settings = ["model=penchant-0.5m", "data=x.jsonl", f"out={tmp_path / 'run'}"]
    folder = RunFolder(str(tmp_path / "run"), load_config(METHODS["dpo"], None, settings))
    folder.open()
    assert [user.folder for user in cache_users()] == [str(tmp_path / "run")]
    folder.close()
    assert cache_users() == []


def test_a_cache_that_cannot_be_written_costs_no_run(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (own_cache / "file").write_text("")
    monkeypatch.setenv("PENCHANT_CACHE", str(own_cache / "file" / "below"))
    began = False
    with using_cache(own_cache):
        began = True
        assert not (own_cache / "file" / "below").exists()
    assert began
    assert sorted(path.name for path in own_cache.iterdir()) == ["file"]


def test_nothing_is_made_by_a_look_at_a_cache_that_is_not_there(
    own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own_cache.rmdir()
    assert main(["cache"]) == 0
    assert "is empty" in capsys.readouterr().out
    assert main(["cache", "prune"]) == 0
    assert not own_cache.exists()


def test_an_age_that_cannot_be_read_is_answered_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "prune", "older=soon"]) == 2
    assert "such as 90m, 12h, 30d or 8w; got 'soon'" in capsys.readouterr().err
