"""Lock a run directory for one process, and the cache against being pruned meanwhile. Imports no torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from penchant.cache_use import using_cache
from penchant.errors import InputError
from penchant.files import locked_folder


def check_lock_file(folder: Path) -> None:
    """Refuse a link where the lock file goes: a folder that somebody packed may lead anywhere by it.

    Raises:
        InputError: there is one.
    """
    lock = folder / ".lock"
    if lock.is_symlink():
        raise InputError(
            f"{lock} is a symbolic link (to {os.readlink(lock)}), and the lock of a run is never opened through "
            "one: remove the link, or choose another out="
        )


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Keep a run directory for this process while the block lasts: the lock goes with the process, however that ends.

    Raises:
        InputError: another process works there.
        OSError: the lock cannot be written.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(locked_folder(folder, remove_after=True))
        except BlockingIOError:
            raise InputError(f"another process is working in {folder}: wait for it, or choose another out=") from None
        # only a run that works uses the cache: one that is refused must not keep it from being pruned
        stack.enter_context(using_cache(folder))
        yield
