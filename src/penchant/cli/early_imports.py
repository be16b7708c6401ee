"""Imports that a command will need, made while the garbage collector is off."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module


@contextmanager
def collector_paused() -> Iterator[None]:
    """Leave the garbage collector off inside: classes of settings stay, and looking for it takes 7% of a slip's answer.

    Where it is off already, it stays off.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
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
