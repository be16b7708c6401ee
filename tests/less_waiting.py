"""What tests need not wait for. None of it changes what they see; `conftest.py` and `zygote.py` begin with it."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from functools import cache


def wait_less() -> None:
    """Keep bytecode and the versions of packages, and let no write wait for the disk."""
    # a program that compiles the package anew each time starts half a second later, and there are a hundred of them
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # every run records twelve versions, and to parse the files that hold them is a sixth of a tiny training
    importlib.metadata.version = cache(importlib.metadata.version)
    # nothing that a test writes has to outlive a crash of the machine
    os.fsync = lambda descriptor: None
