"""Files are written whole or not at all, and links are replaced or refused, never followed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from penchant.data.write import write_lines
from penchant.files import (
    APPEND,
    LOCK,
    atomic_folder,
    atomic_write,
    locked_folder,
    make_folder,
    open_ordinary,
    open_private,
    open_safely,
    read_json,
    recover_folder,
    remove,
    write_text,
)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file that some link leads to."""
    path = tmp_path / "victim"
    path.write_text("precious")
    return path


def test_a_link_in_the_place_of_a_file_is_replaced(tmp_path: Path, victim: Path) -> None:
    for name in ("file", ".file.tmp"):
        (tmp_path / name).symlink_to(victim)
    atomic_write(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "new"
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("flags", [APPEND, LOCK])
def test_a_link_is_not_opened(tmp_path: Path, victim: Path, flags: int) -> None:
    (tmp_path / "link").symlink_to(victim)
    with pytest.raises(OSError, match="link"):
        open_safely(tmp_path / "link", flags)
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("flags", [APPEND, LOCK])
def test_a_pipe_is_refused_at_once(tmp_path: Path, flags: int) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError):  # noqa: PT011
        open_safely(tmp_path / "pipe", flags)


def test_what_is_appended_reaches_no_hard_link(tmp_path: Path, victim: Path) -> None:
    """An archive may hold one to any file that its reader owns."""
    os.link(victim, tmp_path / "metrics.jsonl")
    with open_safely(tmp_path / "metrics.jsonl", APPEND) as file:
        file.write(b" more")
    assert victim.read_text() == "precious"
    assert (tmp_path / "metrics.jsonl").read_text() == "precious more"


def test_a_hard_link_that_cannot_be_copied_is_said_to_be_so(tmp_path: Path, victim: Path) -> None:
    link = tmp_path / ("a" * 255)  # a copy is made under a longer name first
    os.link(victim, link)
    with pytest.raises(OSError, match="too long"):
        open_safely(link, APPEND)


def test_only_ordinary_files_are_read(tmp_path: Path) -> None:
    """A pipe would wait for a writer, and a device would fill the memory."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        with pytest.raises(OSError, match="no ordinary file"):
            open_ordinary(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        open_ordinary(tmp_path / "none")


@pytest.mark.parametrize("content", ["[" * 200_000, '{"a":' * 200_000, "", "{", "\x00"])
def test_damaged_json_is_a_value_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "file").write_text(content)
    with pytest.raises(ValueError, match=r".+"):
        read_json(tmp_path / "file")


@pytest.mark.parametrize("name", ["db", "db-wal", "db-shm", "db-journal"])
@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "device"])
def test_no_database_is_opened_through_what_was_planted(tmp_path: Path, victim: Path, name: str, kind: str) -> None:
    """Its mode would be changed as well: that of `/dev/null`, for who is root."""
    place = tmp_path / name
    if kind == "hard link":
        os.link(victim, place)
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to(victim if kind == "link" else "/dev/null")
    before = victim.stat().st_mode, os.stat("/dev/null").st_mode
    with pytest.raises(OSError, match=r"link|ordinary"):
        open_private(tmp_path / "db")
    assert (victim.stat().st_mode, os.stat("/dev/null").st_mode) == before
    assert victim.read_text() == "precious"


def test_removing_a_link_leaves_what_it_leads_to(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "kept").touch()
    (tmp_path / "link").symlink_to(target, target_is_directory=True)
    remove(tmp_path / "link")
    assert (target / "kept").exists()
    assert not (tmp_path / "link").is_symlink()
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(target, target_is_directory=True)
    remove(folder)
    assert (target / "kept").exists()
    assert not folder.exists()
    remove(folder)


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / ".file.tmp").mkdir()
    with pytest.raises(OSError):  # noqa: PT011
        atomic_write(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"
    with pytest.raises(OSError):  # noqa: PT011
        atomic_write(tmp_path / "absent" / "file", "new")


def test_processes_that_write_one_file_take_names_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda old, new: names.append(Path(old).name) or replace(old, new))
    for _ in range(2):
        atomic_write(tmp_path / "file", "new", shared=True)
    assert len(set(names)) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_link_in_the_place_of_a_folder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "figures").symlink_to(tmp_path / "target")
    make_folder(tmp_path / "figures")
    (tmp_path / "figures" / "a").touch()
    make_folder(tmp_path / "figures")
    assert not list((tmp_path / "target").iterdir())
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["a"]


@pytest.mark.parametrize("writer", ["data check", "text", "labels", "page", "classifier"])
def test_no_writer_follows_a_planted_link(
    tmp_path: Path, victim: Path, writer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the name itself, and under the temporary one beside it."""
    from penchant.cli.main import main
    from penchant.reports.kit import page as plain_page
    from penchant.weak.contract import write_kind
    from penchant.weak.rows import LabelledRows, write_labels

    monkeypatch.setattr(plain_page, "render_page", lambda *_: "new")
    folder = tmp_path / "out"
    folder.mkdir()
    for name in ("file", "report.html", "classifier.json", "learned.json", "SHA256SUMS", "part"):
        for planted in (name, f".{name}.tmp", f".{name}.{os.getpid()}.tmp"):
            (folder / planted).symlink_to(victim)
    (tmp_path / "good.jsonl").write_text('{"prompt": "Who?", "chosen": " Me.", "rejected": " You."}\n')
    rows = LabelledRows("rows.jsonl", ("text",), ("no", "yes"), None, ("",))
    write = {
        "data check": lambda: main(["data", "check", str(tmp_path / "good.jsonl"), f"out={folder / 'file'}"]),
        "text": lambda: write_text(folder / "file", "new"),
        "labels": lambda: write_labels(rows, np.array([[1.0, 0.0]]), folder / "file"),
        "page": lambda: plain_page.write_page({}, {}, folder),
        "classifier": lambda: write_kind(folder, "probe", {}, (), {"part": b"new"}),
    }[writer]
    write()
    assert victim.read_text() == "precious"


def test_an_export_of_what_people_judged_is_its_owners_alone(tmp_path: Path) -> None:
    for private, mode in ((True, 0o600), (False, 0o644)):
        umask = os.umask(0o022)
        try:
            write_lines([b"{}\n"], tmp_path / "out.jsonl", private=private)
        finally:
            os.umask(umask)
        assert (tmp_path / "out.jsonl").stat().st_mode & 0o777 == mode


HOLD = """
import sys, time
from pathlib import Path
from penchant.files import locked_folder
with locked_folder(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_goes_with_the_process_that_held_it(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError), locked_folder(tmp_path):
            pass
        holder.kill()
    with locked_folder(tmp_path), pytest.raises(BlockingIOError), locked_folder(tmp_path):
        pass
    with locked_folder(tmp_path, remove_after=True):
        assert (tmp_path / ".lock").exists()
    assert not (tmp_path / ".lock").exists()


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe"])
def test_no_lock_reaches_what_was_planted(tmp_path: Path, victim: Path, kind: str) -> None:
    """Some versions of filelock follow a link, and empty what they open."""
    lock = tmp_path / ".lock"
    if kind == "hard link":
        os.link(victim, lock)
        with locked_folder(tmp_path):
            pass
    else:
        os.mkfifo(lock) if kind == "pipe" else lock.symlink_to(victim)
        with pytest.raises(OSError), locked_folder(tmp_path):  # noqa: PT011
            pass
    assert victim.read_text() == "precious"


def test_a_folder_takes_its_place_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for content in ("first", "second"):
        with atomic_folder(folder) as building:
            (building / "file").write_text(content)
    with pytest.raises(FileNotFoundError), atomic_folder(folder) as building:
        os.rename(tmp_path / "none", building / "file")
    assert (folder / "file").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    os.rename(folder, tmp_path / ".folder.old")  # a kill between the two renames
    recover_folder(folder)
    assert (folder / "file").read_text() == "second"


def test_an_old_folder_beside_a_whole_new_one_goes(tmp_path: Path) -> None:
    """A kill right behind the second rename leaves both."""
    folder, old = tmp_path / "folder", tmp_path / ".folder.old"
    for path, text in ((folder, "new"), (old, "old")):
        path.mkdir()
        (path / "file").write_text(text)
    recover_folder(folder)
    assert (folder / "file").read_text() == "new"
    assert not old.exists()


def test_of_two_processes_that_build_one_folder_the_first_one_s_stays(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with pytest.raises(OSError), contextlib.ExitStack() as slow:  # noqa: PT011, PT012
        (slow.enter_context(atomic_folder(folder, shared=True)) / "file").write_text("slow")
        with atomic_folder(folder, shared=True) as fast:
            (fast / "file").write_text("fast")
    assert (folder / "file").read_text() == "fast"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
