"""Say that a run uses the cache, so that `penchant cache prune` leaves it alone meanwhile. Imports no torch.

Each run holds a lock of its own in `in-use/`, and the lock goes with the process, however that ends. A single lock
that all runs share would need readers' locks, which not every file system has.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from penchant.files import atomic_write, cache_folder, locked_file, parse_object, read_file

log = logging.getLogger("penchant.runs")

USERS = "in-use"
GATE = ".prune.lock"


@dataclass(frozen=True)
class CacheUser:
    """A run that uses the cache: its process, and what it works in."""

    process: int
    folder: str


@contextmanager
def using_cache(folder: Path) -> Iterator[None]:
    """Keep the cache from being pruned while the block lasts.

    Args:
        folder: what the run writes, by which a refusal names it.
    """
    with ExitStack() as stack:
        try:
            # a name of its own: a process may have several runs, one after another
            lock = _users_folder() / f"{os.getpid()}-{secrets.token_hex(4)}.lock"
            lock.parent.mkdir(parents=True, exist_ok=True)
            # a run that begins while something is pruned waits for its end: a moment
            with locked_file(cache_folder() / GATE, wait=True):
                stack.enter_context(locked_file(lock, remove_after=True))
                # beside the lock, not in it: some versions of filelock empty a file that they open
                note = lock.with_suffix(".json")
                atomic_write(note, json.dumps({"process": os.getpid(), "folder": str(folder.resolve())}))
                stack.callback(_remove, note)
        except OSError as error:
            # a cache that cannot be written is not pruned either, and costs no run
            log.debug("the use of the cache is not noted: %s", error)
        yield


@contextmanager
def unused_cache() -> Iterator[list[CacheUser]]:
    """Yield the runs that use the cache; none begins while the block lasts.

    Raises:
        BlockingIOError: another process prunes it.
        OSError: the folder cannot be written, or its file system knows no locks.
    """
    cache_folder().mkdir(parents=True, exist_ok=True)
    with locked_file(cache_folder() / GATE, remove_after=True):
        yield cache_users()


def cache_users() -> list[CacheUser]:
    """Return the runs that use the cache now; notes of processes that are gone are removed."""
    users = []
    for lock in sorted(_users_folder().glob("*.lock")):
        note = lock.with_suffix(".json")
        try:
            # what can be locked belonged to a process that was killed
            with locked_file(lock, remove_after=True):
                _remove(note)
        except BlockingIOError:
            users.append(_read_note(note, lock))
    return users


def _users_folder() -> Path:
    return cache_folder() / USERS


def _remove(note: Path) -> None:
    with suppress(OSError):
        note.unlink(missing_ok=True)


def _read_note(note: Path, lock: Path) -> CacheUser:
    try:
        content = parse_object(read_file(note)) or {}
    except OSError:
        # a note that cannot be read tells no name, but the lock is held all the same
        content = {}
    digits = lock.name.partition("-")[0]
    return CacheUser(int(digits) if digits.isdecimal() else 0, str(content.get("folder") or "a run"))
