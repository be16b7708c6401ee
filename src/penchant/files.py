"""Write whole files or none, and never through a symbolic link. Imports no torch.

A folder that somebody else packed may hold a link under any name that Penchant writes to. Opening it would empty or
extend the file that it leads to, wherever that lies. So files are opened without following links, and what is removed
is the link, never its target.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from pathlib import Path
from typing import IO, Any

APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
LOCK = os.O_RDWR | os.O_CREAT


def open_safely(path: Path, flags: int) -> IO[Any]:
    """Open a file of its own: no link, and no pipe or device.

    Args:
        flags: `APPEND`, `CREATE` (there must be none) or `LOCK` (what it holds stays).

    Returns:
        A binary file.

    Raises:
        OSError: it is a symbolic link or no ordinary file, or the system says no.
    """
    number = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError(errno.EINVAL, "it is no ordinary file", str(path))
        return os.fdopen(number, "ab" if flags == APPEND else "r+b" if flags == LOCK else "wb")
    except BaseException:
        os.close(number)
        raise


def write_atomically(path: Path, content: str | bytes, *, shared: bool = False) -> None:
    """Put a whole file in its place, or leave what was there; a link in its place is replaced, not followed.

    Args:
        shared: other processes may write the file at the same time, so each takes a temporary name of its own. A kill
            leaves that behind, where one of a folder under a lock is replaced.

    Raises:
        OSError: it cannot be written (full disk, no permission); nothing half-written is left.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp" if shared else f".{path.name}.tmp")
    data = content.encode("utf-8", errors="replace") if isinstance(content, str) else content
    try:
        temporary.unlink(missing_ok=True)  # a kill left it, or it is a link
        with open_safely(temporary, CREATE) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def remove(path: Path) -> None:
    """Remove a file or a whole folder, if it is there. Of a link the link itself goes; its target stays.

    Raises:
        OSError: the system says no.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path)  # links inside are removed, not followed


def make_folder(path: Path) -> None:
    """Make a folder to write into, if it is not there; a link in its place is replaced, not followed.

    Raises:
        OSError: the system says no.
    """
    if path.is_symlink():
        path.unlink()
    path.mkdir(parents=True, exist_ok=True)
