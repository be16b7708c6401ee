"""List what the cache keeps, and remove what nobody has used for long. Imports no torch.

Only what Penchant writes there under a name of its own is ever removed. Whatever else lies in the folder may be
somebody's, or half of what another process is writing, so it is named and left.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from penchant.cache_use import GATE, USERS, CacheUser, cache_users, unused_cache
from penchant.errors import InputError, RunError
from penchant.files import cache_folder, remove

DIGEST = "[0-9a-f]{32}"


@dataclass(frozen=True)
class Kind:
    """The kind of entries that one folder of the cache keeps.

    Attributes:
        folder: its name.
        description: what it holds, for people.
        names: the names that entries have, as a regular expression.
        belongs: endings of further files that go with an entry of the same stem.
        pruned: whether an old entry may go.
    """

    folder: str
    description: str
    names: str
    belongs: tuple[str, ...] = ()
    pruned: bool = True


KINDS = (
    Kind("models", "models converted from GGUF", r".+-[0-9a-f]{16}(-\d+)?"),
    # SQLite's own files, which a reader that is still open leaves
    Kind("reference", "log-probabilities of reference models", rf"{DIGEST}\.sqlite", ("-wal", "-shm", "-journal")),
    Kind("groups", "large files as they were read", rf"{DIGEST}\.(groups|json)"),
    Kind("tokens", "token ids of large files", rf"{DIGEST}\.safetensors"),
    Kind("frozen", "states of frozen blocks", rf"{DIGEST}\.bin"),
    Kind("verdicts", "what probes of models found", rf"{DIGEST}\.json"),
    # a run keeps copies of its own in `inputs/`
    Kind("session", "rows, models and code that Python sessions handed over", r".+[-_][0-9a-f]{16}(\.(jsonl|py|txt))?"),
    # runs and studies name them by their digest, and cannot be read without
    Kind("templates", "chat templates that runs name", rf"{DIGEST}\.jinja", pruned=False),
)
OWN_FILES = ("source.json", GATE, USERS)
"""What else of ours lies there: what studies know of the package's source, and locks."""
# as `atomic_path` and `atomic_folder` name what they are still writing
PARTIAL = re.compile(r"\..+\.(tmp|new|old|part)")


@dataclass(frozen=True)
class Entry:
    """Something that the cache keeps.

    Attributes:
        files: all that goes with it; the first one has its name.
        size: in bytes.
        used: when it was read or written last, in seconds since 1970, as far as the file system records that.
    """

    kind: Kind
    files: tuple[Path, ...]
    size: int
    used: float

    @property
    def path(self) -> Path:
        """The file or folder that the entry is named after."""
        return self.files[0]


@dataclass(frozen=True)
class Stray:
    """Something in the cache that is not removed, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Contents:
    """All that lies in the cache.

    Attributes:
        users: the runs and commands that use it now.
    """

    folder: Path
    entries: tuple[Entry, ...]
    strays: tuple[Stray, ...]
    users: tuple[CacheUser, ...] = ()


@dataclass(frozen=True)
class Pruned:
    """The outcome of pruning: what was removed, or would be, and what could not be.

    Attributes:
        removed: in the order of their last use.
        remaining: how many entries stay.
        failed: what could not be removed, and why.
    """

    removed: tuple[Entry, ...]
    remaining: int
    strays: tuple[Stray, ...]
    failed: tuple[Stray, ...] = ()


def read_cache() -> Contents:
    """Return what the cache keeps; nothing is changed.

    Raises:
        InputError: the cache is no folder, or cannot be read.
    """
    folder = cache_folder()
    # a look makes no folder: whoever never trained has no cache
    if not folder.exists():
        return Contents(folder, (), ())
    try:
        contents = _read_folder(folder)
        # a look at the locks takes them for a moment, for which the folder has to be writable
        users = tuple(cache_users()) if os.access(folder, os.W_OK) else ()
    except OSError as error:
        raise InputError(f"the cache {folder} cannot be read: {error.strerror}; see PENCHANT_CACHE") from error
    return Contents(folder, contents.entries, contents.strays, users)


def prune_cache(older_s: float, *, dry_run: bool = False) -> Pruned:
    """Remove the entries that nobody has used for so long.

    Args:
        older_s: in seconds.
        dry_run: only say what would be removed.

    Raises:
        InputError: a run or a command uses the cache, or another process prunes it.
        RunError: the cache's folder cannot be written.
    """
    folder = cache_folder()
    if not folder.exists():
        return Pruned((), 0, ())
    try:
        with unused_cache() as users:
            # what a process has mapped stays readable without its name, but what it has yet to open would be gone
            if users:
                titles = "; ".join(f"{user.title}, process {user.process}" for user in users)
                raise InputError(
                    f"nothing was removed: the cache is in use ({titles}): wait for the end, or interrupt it"
                )
            return _prune(_read_folder(folder), time.time() - older_s, dry_run=dry_run)
    except BlockingIOError:
        raise InputError(f"another process prunes {folder}, or a command is just beginning: try again") from None
    except OSError as error:
        raise RunError(f"the cache {folder} cannot be pruned: {error.strerror}") from error


def _prune(contents: Contents, before: float, *, dry_run: bool) -> Pruned:
    old = [entry for entry in contents.entries if entry.kind.pruned and entry.used < before]
    removed, failed = [], []
    for entry in sorted(old, key=lambda entry: entry.used):
        try:
            # the file before its log: a database without its log would be read as an older one
            for file in () if dry_run else entry.files:
                remove(file)
            removed.append(entry)
        except OSError as error:  # one that belongs to another user must not keep the others
            failed.append(Stray(entry.path, error.strerror or str(error)))
    return Pruned(tuple(removed), len(contents.entries) - len(removed), contents.strays, tuple(failed))


def _read_folder(folder: Path) -> Contents:
    kinds = {kind.folder: kind for kind in KINDS}
    entries: list[Entry] = []
    strays: list[Stray] = []
    for path in sorted(folder.iterdir()):
        kind = kinds.get(path.name)
        # a link may lead anywhere: what lies behind it is not ours to remove
        if kind is not None and path.is_dir() and not path.is_symlink():
            inner_entries, inner_strays = _read_kind(kind, sorted(path.iterdir()))
            entries += inner_entries
            strays += inner_strays
        elif path.name not in OWN_FILES:
            strays.append(_stray(path))
    return Contents(folder, tuple(entries), tuple(strays))


def _read_kind(kind: Kind, paths: Sequence[Path]) -> tuple[list[Entry], list[Stray]]:
    entries, strays = [], []
    # `a.sqlite-wal` goes with `a.sqlite`; without it, it is a stray
    companions = {path.name: path for path in paths if path.name.endswith(kind.belongs or ("\0",))}
    for path in paths:
        if path.is_symlink() or not re.fullmatch(kind.names, path.name):
            owner = next((path.name.removesuffix(end) for end in kind.belongs if path.name.endswith(end)), "")
            if not owner or not any(other.name == owner for other in paths):
                strays.append(_stray(path))
            continue
        names = [path.name + end for end in kind.belongs]
        files = (path, *(companions[name] for name in names if name in companions))
        size, used = _measure(files)
        entries.append(Entry(kind, files, size, used))
    return entries, strays


def _stray(path: Path) -> Stray:
    if path.is_symlink():
        return Stray(path, "a symbolic link")
    if PARTIAL.fullmatch(path.name):
        return Stray(path, "half-written: another process writes it, or one was killed")
    return Stray(path, "nothing that Penchant writes here")


def _measure(files: Sequence[Path]) -> tuple[int, float]:
    """Return the size of some files and folders, and when one of them was read or written last."""
    size, used = 0, 0.0
    for file in _walk(files):
        try:
            status = file.lstat()
        except FileNotFoundError:  # removed meanwhile
            continue
        size += status.st_size
        # a disk that notes no reads (noatime) leaves the time of writing: entries go earlier then, and are made again
        used = max(used, status.st_mtime, status.st_atime)
    return size, used


def _walk(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            # the folder's own time of reading is that of the last listing, such as this one
            yield from (inner for inner in path.rglob("*") if not inner.is_dir())
        else:
            yield path


def folder_size(folder: Path) -> int:
    """Return the bytes of all files below a folder, links not followed; 0 where there is none."""
    return _measure([folder])[0] if folder.is_dir() else 0
