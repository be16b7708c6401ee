"""Files are written whole or not at all, and links are replaced or refused, never followed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penchant.files import APPEND, LOCK, open_safely, remove, write_atomically


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file that some link leads to."""
    path = tmp_path / "victim"
    path.write_text("precious")
    return path


def test_a_link_in_the_place_of_a_file_is_replaced(tmp_path: Path, victim: Path) -> None:
    for name in ("file", ".file.tmp"):
        (tmp_path / name).symlink_to(victim)
    write_atomically(tmp_path / "file", "new")
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
        write_atomically(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"
    with pytest.raises(OSError):  # noqa: PT011
        write_atomically(tmp_path / "absent" / "file", "new")
