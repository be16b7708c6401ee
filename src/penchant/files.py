"""Write whole files or none, and never through a symbolic link. Imports no torch.

A folder that somebody else packed may hold a link under any name that Penchant writes to. Opening it would empty or
extend the file that it leads to, wherever that lies. So files are opened without following links, and what is removed
is the link, never its target.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, Literal

from penchant.errors import RunError

APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND
CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL
LOCK = os.O_RDWR | os.O_CREAT


def open_safely(path: Path, flags: int, mode: int = 0o666) -> IO[bytes]:
    """Open a file of its own: no link, and no pipe or device.

    Args:
        flags: `APPEND`, `CREATE` (there must be none) or `LOCK` (what it holds stays).
        mode: permissions of a file that is made, less what the process's umask takes away.

    Returns:
        A binary file.

    Raises:
        OSError: it is a symbolic link or no ordinary file, or the system says no.
    """
    # O_NONBLOCK: opening a pipe without a reader would wait for ever. O_CLOEXEC: no child process keeps it open.
    try:
        number = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    except OSError as error:
        if error.errno == errno.ELOOP and path.is_symlink():
            # the system speaks of "too many levels of symbolic links", though a single one is refused
            raise OSError(errno.ELOOP, "it is a symbolic link: remove it", str(path)) from None
        raise
    try:
        # asked of what was opened, not of the path, which may lead elsewhere by then
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no ordinary file", str(path))
        if flags == APPEND and status.st_nlink > 1:  # appending would write to the other name's file too
            shared, number = number, _own_copy(path)
            os.close(shared)
        return os.fdopen(number, "ab" if flags == APPEND else "r+b")
    except BaseException:  # a KeyboardInterrupt, too, must not leave it open
        os.close(number)
        raise


def _own_copy(path: Path) -> int:
    """Open a copy in place of a file that has another name elsewhere: an archive may hold a hard link to any file."""
    atomic_write(path, read_file(path))
    return os.open(path, APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)


def open_to_readers(folder: Path) -> None:
    """Give the weights in a folder the permissions of every other new file there.

    `safetensors` writes a file that its owner alone may read, so a server under another user could not open the model.
    """
    mask = os.umask(0o077)  # the only way to read it is to set it
    os.umask(mask)
    for file in folder.glob("*.safetensors"):
        if not file.is_symlink():
            file.chmod(0o666 & ~mask)


def open_ordinary(path: Path) -> BufferedReader:
    """Open a file to read it: no pipe, which may never have a writer, and no device, which may never end.

    Raises:
        OSError: it is no ordinary file, there is none, or the system says no.
    """
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError(errno.EINVAL, "it is no ordinary file", str(path))
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def read_file(path: Path) -> bytes:
    """Return the content of an ordinary file. Errors as of `open_ordinary`."""
    with open_ordinary(path) as file:
        return file.read()


def read_json(path: Path, *, errors: Literal["surrogatepass", "replace"] = "surrogatepass") -> Any:
    """Return what a JSON file of a run holds.

    Args:
        errors: what becomes of bytes that are no UTF-8, as `bytes.decode` takes it.

    Raises:
        OSError: as of `open_ordinary`. ValueError: it is no JSON, or nested without end.
    """
    try:
        # texts that hold half a character are written with `surrogatepass`, and read back so
        return json.loads(read_file(path).decode("utf-8", errors=errors))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def parse_object(text: str | bytes) -> dict[str, object] | None:
    """Return the JSON object that a text holds, such as a line of a JSONL file; None for damage and other values."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def file_above(path: Path) -> Path | None:
    """Return the file or device that stands where a path needs a folder; None where nothing is in its way."""
    return next((parent for parent in path.parents if parent.exists() and not parent.is_dir()), None)


def exists(path: Path) -> bool:
    """Return whether there is such a file or folder; `OSError` where the system refuses to say."""
    # not `Path.exists`, which from Python 3.14 on is False there
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def open_private(path: Path) -> list[Path]:
    """Make a database's file, readable by its owner alone, or take a wider mode from the one that is there.

    Its log (`-wal`, `-shm`) may be left from a process that was killed, or be a link; both are held to the same.

    Returns:
        Those that were open to other users.

    Raises:
        OSError: one of them is a link or no ordinary file, or the system says no.
    """
    closed: list[Path] = []
    for file in (path, *(path.with_name(f"{path.name}{part}") for part in ("-wal", "-shm", "-journal"))):
        create = os.O_CREAT if file == path else 0  # SQLite makes its log itself, with the mode of the database
        try:
            number = os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | create, 0o600)
        except FileNotFoundError:
            continue
        try:
            status = os.fstat(number)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "it is no ordinary file", str(file))
            if status.st_nlink > 1:
                raise OSError(errno.EMLINK, "it has another name elsewhere (a hard link): put a copy there", str(file))
            if status.st_mode & 0o077:
                with contextlib.suppress(OSError):  # another owner's, which we may write all the same
                    os.fchmod(number, 0o600)
                    closed.append(file)
        finally:
            os.close(number)
    return closed


def is_storage_failure(error: object) -> bool:
    """Return whether a database's error is one of the disk, which says nothing of what the file holds."""
    # callers call other errors damage: nobody should move a good database away because the disk is full
    name = getattr(error, "sqlite_errorname", "") or ""
    return name.startswith("SQLITE_IOERR") or name == "SQLITE_FULL"


def atomic_write(path: Path, content: str | bytes, *, private: bool = False, shared: bool = False) -> None:
    """Put a whole file in its place, or leave what was there; a link in its place is replaced, not followed.

    Args:
        private, shared: as of `atomic_stream`.

    Raises:
        OSError: it cannot be written (full disk, no permission); nothing half-written is left.
    """
    with atomic_stream(path, private=private, shared=shared) as file:
        # half a character becomes `?`: it must not cost a report after hours of work
        file.write(content.encode("utf-8", errors="replace") if isinstance(content, str) else content)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file that a user asked for, or none; make its folder.

    Raises:
        RunError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, text)
    except OSError as error:
        raise RunError(
            f"cannot write {path}: {error.strerror}. What is done stays: make room and give the same command again"
        ) from error


@contextlib.contextmanager
def atomic_stream(path: Path, *, private: bool = False, shared: bool = False) -> Iterator[IO[bytes]]:
    """Yield a binary file to write and read, which becomes `path` if the block ends well.

    Args:
        private: nobody but its owner may read the file.
        shared: as of `atomic_path`.

    Raises:
        OSError: as of `atomic_path`.
    """
    mode = 0o600 if private else 0o666
    with atomic_path(path, shared=shared) as temporary, open_safely(temporary, CREATE, mode) as file:
        yield file
        # before the rename: after a crash of the machine, the new name must not lead to an empty file
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def atomic_path(path: Path, *, shared: bool = False) -> Iterator[Path]:
    """Yield a temporary name beside `path` for a file, which becomes `path` if the block ends well.

    Every file that Penchant writes whole goes through here: a reader sees the old content or the new one, and what
    was there stays where the disk is full.

    Args:
        shared: other processes may write the file at the same time, so each takes a temporary name of its own. A kill
            leaves that behind, where one of a folder under a lock is replaced by the next write.

    Raises:
        OSError: it cannot be written (full disk, no permission); nothing half-written is left.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp" if shared else f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)  # a kill left it, or it is a link
    try:
        yield temporary
        os.replace(temporary, path)  # one step for every reader, as both names lie in one folder
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path, *, shared: bool = False) -> Iterator[Path]:
    """Yield an empty folder beside `path` to fill, which takes its place if the block ends well.

    A folder cannot be replaced in one step where one is there: the old one is moved aside first, and `recover_folder`
    puts it back after a kill between the two renames.

    Args:
        shared: other processes may build the folder at the same time, so each takes a temporary name of its own. The
            first one's folder stays.

    Raises:
        OSError: it cannot be written, or (`shared`) another process was faster; the folder that was there still is,
            and nothing half-written is left.
    """
    building = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new" if shared else f".{path.name}.new")
    old = _set_aside(path)
    try:
        remove(building)
        building.mkdir(parents=True)
        yield building
        # a kill between the two renames leaves the old folder under its other name, see `recover_folder`
        if not shared and (path.exists() or path.is_symlink()):
            remove(old)
            os.replace(path, old)
        os.replace(building, path)
    except BaseException:
        if not shared:
            recover_folder(path)
        raise
    finally:
        with contextlib.suppress(OSError):
            remove(building)
    if not shared:
        with contextlib.suppress(OSError):
            remove(old)


def recover_folder(path: Path) -> None:
    """Put the old folder back where a kill between the two renames of `atomic_folder` left it under its other name.

    With both there the new one was complete, and the old one goes: of a run that was killed right behind its last
    checkpoint, nothing else would remove the second copy of the weights.
    """
    old = _set_aside(path)
    if not old.exists():
        return
    if not path.exists():
        os.replace(old, path)
        return
    with contextlib.suppress(OSError):
        remove(old)


def _set_aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


@contextlib.contextmanager
def locked_folder(folder: Path, *, remove_after: bool = False) -> Iterator[None]:
    """Keep a folder for this process while the block lasts, by its file `.lock`. See `locked_file`."""
    with locked_file(folder / ".lock", remove_after=remove_after):
        yield


@contextlib.contextmanager
def locked_file(path: Path, *, remove_after: bool = False, wait: bool = False) -> Iterator[None]:
    """Hold a lock while the block lasts; it goes with the process, however that ends.

    Args:
        remove_after: the file goes as well, where the block ends.
        wait: until another process lets it go.

    Raises:
        BlockingIOError: another process holds the lock.
        OSError: it is a link or no ordinary file, the file system knows no locks, or the system says no.
    """
    from filelock import FileLock, Timeout

    # filelock before 3.20 follows links and empties the file that it opens, so that what somebody planted goes first
    with open_safely(path, LOCK) as file:
        hard_linked = os.fstat(file.fileno()).st_nlink > 1
    if hard_linked:
        path.unlink()
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout:
        raise BlockingIOError(errno.EWOULDBLOCK, "another process holds it", str(path)) from None
    except NotImplementedError as error:
        raise OSError(errno.ENOLCK, str(error), str(path)) from error
    try:
        yield
    finally:
        if remove_after:  # before it is let go: afterwards it may be another's
            with contextlib.suppress(OSError):
                path.unlink()
        lock.release()


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


def cache_folder() -> Path:
    """Return where converted models and reference tables are kept: `PENCHANT_CACHE`, or the user's cache folder."""
    override = os.environ.get("PENCHANT_CACHE")
    return Path(override) if override else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "penchant"
