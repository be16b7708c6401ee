"""Imports that a command will need, made while the garbage collector is off."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module


@contextmanager
def collector_paused() -> Iterator[None]:
    """Leave the garbage collector off inside, and what was made there out of its rounds.

    Classes of settings stay: looking for garbage among them took 7% of the answer to a slip, and again 15% when the
    process ended. Where the collector is off already, it stays off.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        # in a program that calls `main`, what it made itself is to be looked through as before
        if "torch" not in sys.modules:
            gc.freeze()
        if was_on:
            gc.enable()


def import_early(*modules: str) -> None:
    """Import what will be needed, with the garbage collector off, and leave what that made out of its rounds.

    Modules stay; looking through them again and again while they come took a third of the time until a model is
    loaded. Only a process of our own may do so, hence here and not where they are used.
    """
    if "torch" in sys.modules:  # somebody calls `main` from a program of theirs
        return
    gc.disable()
    try:
        for module in modules:
            import_module(module)
    finally:
        gc.freeze()
        gc.enable()
