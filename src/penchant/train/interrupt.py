"""Ctrl-C and SIGTERM while a run trains: the first one ends the run after its step, the second one at once."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Interrupt:
    """A flag that is set once the user asked to stop, by the first Ctrl-C or SIGTERM."""

    requested: bool = False


@contextmanager
def interruptible(*, saves: bool = True) -> Iterator[Interrupt]:
    """Let the first Ctrl-C (or SIGTERM) finish the step and write a checkpoint; the second one stops hard.

    Args:
        saves: whether there will be a checkpoint, which is said to the user.
    """
    interrupt = Interrupt()

    def handle(number: int, frame: object) -> None:
        if interrupt.requested:
            raise KeyboardInterrupt
        interrupt.requested = True
        message = "stopping after this step, with a checkpoint" if saves else "stopping after this step"
        print(f"{message} (again to stop at once)", file=sys.stderr, flush=True)

    previous = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, handle)
    except ValueError:  # not the main thread: whoever runs us handles signals
        previous.clear()
    try:
        yield interrupt
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
