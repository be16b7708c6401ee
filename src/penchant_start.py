"""The command `penchant` from its first moment: Ctrl-C ends it with one word while it still imports.

A module of its own, because importing anything of the package `penchant` already takes a while.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

INTERRUPTED = 130


def main() -> int:
    """Run the command line; return its exit code."""
    signal.signal(signal.SIGINT, _end)
    signal.signal(signal.SIGTERM, _end)
    from penchant.cli.main import main as run

    return run()  # from here on the command line handles both signals


def _end(number: int, frame: FrameType | None) -> None:
    """Leave at once: half-imported libraries must not turn the interruption into an error of their own."""
    sys.stderr.write("interrupted\n")
    sys.stderr.flush()
    os._exit(INTERRUPTED)
