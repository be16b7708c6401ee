"""Keep the cache from `penchant cache prune` while a run, a command or a loaded model uses it. Imports no torch.

Each holds a lock of its own in `in-use/`, and the lock goes with the process, however that ends. A single lock
that all share would need readers' locks, which not every file system has.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from penchant.files import atomic_write, cache_folder, locked_file, parse_object, read_file

log = logging.getLogger("penchant.cache")

USERS = "in-use"
GATE = ".prune.lock"
LOADED = "a loaded model"


@dataclass(frozen=True)
class CacheUser:
    """A run, a command or a loaded model that uses the cache.

    Attributes:
        process: its number.
        folder: what it works in.
        command: as it is typed, such as `penchant sample`; empty for a run, whose folder says more. `LOADED` for a
            model that a Python session holds.
    """

    process: int
    folder: str
    command: str = ""

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"{self.command} in {self.folder}" if self.command else self.folder


@contextmanager
def using_cache(folder: Path, command: str = "") -> Iterator[None]:
    """Keep the cache from being pruned while the block lasts.

    Args:
        folder: what the run writes, or where the command was typed, by which a refusal names it.
        command: the command, where no run directory is written.
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
                atomic_write(
                    note, json.dumps({"process": os.getpid(), "folder": str(folder.resolve()), "command": command})
                )
                stack.callback(_remove, note)
        except OSError as error:
            # a cache that cannot be written is not pruned either, and costs no run
            log.debug("the use of the cache is not noted: %s", error)
        yield


def use_cache_while_alive(model: object, folder: Path) -> None:
    """Keep the cache from being pruned as long as an object lives that was loaded from a folder of it.

    Without it the cache would be free between two commands of a notebook, while their model is still opened by its
    name: for a copy, or where a run begins.
    """
    if not folder.resolve().is_relative_to(cache_folder().resolve()):
        return
    stack = ExitStack()
    stack.enter_context(using_cache(Path.cwd(), LOADED))
    # at the end of the process too, unless it is killed: then the lock goes by itself
    weakref.finalize(model, stack.close)


@contextmanager
def unused_cache() -> Iterator[list[CacheUser]]:
    """Yield the users of the cache; none begins while the block lasts.

    Raises:
        BlockingIOError: another process prunes it.
        OSError: the folder cannot be written, or its file system knows no locks.
    """
    cache_folder().mkdir(parents=True, exist_ok=True)
    with locked_file(cache_folder() / GATE, remove_after=True):
        yield cache_users()


def cache_users() -> list[CacheUser]:
    """Return the runs and commands that use the cache now; notes of processes that are gone are removed.

    A command that trains is named by its run alone, and a model that is loaded by a command by that command.
    """
    users = []
    for lock in sorted(_users_folder().glob("*.lock")):
        note = lock.with_suffix(".json")
        try:
            # what can be locked belonged to a process that was killed
            with locked_file(lock, remove_after=True):
                _remove(note)
        except BlockingIOError:
            users.append(_read_note(note, lock))
    by_process: dict[int, list[CacheUser]] = {}
    for user in users:
        by_process.setdefault(user.process, []).append(user)
    return [user for same_process in by_process.values() for user in _most_telling(same_process)]


def _most_telling(users: list[CacheUser]) -> list[CacheUser]:
    """Return the runs of a process; where it has none its commands, and its loaded model where it has neither."""
    runs = [user for user in users if not user.command]
    commands = [user for user in users if user.command != LOADED]
    # several models of one process are one line
    return runs or commands or users[:1]


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
    process = int(digits) if digits.isdecimal() else 0
    return CacheUser(process, str(content.get("folder") or "a run"), str(content.get("command") or ""))
