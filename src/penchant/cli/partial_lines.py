"""What commands share that keep what is done beside their file: the flag `--resume`, and how to go on after a stop."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from penchant.cli.outputs import add_overwrite_flag

if TYPE_CHECKING:
    from penchant.runs.partial_file import PartialFile


def add_resume_flag(parser: argparse.ArgumentParser) -> None:
    """Add `--resume` to a command, and `--overwrite`: it goes on with a file, or it begins one."""
    add_overwrite_flag(parser)
    parser.add_argument("--resume", action="store_true", help="go on with what an earlier start did of out")


@contextmanager
def explain_stop(partial: PartialFile, unit: str) -> Iterator[None]:
    """Say where the work so far lies, and how to go on, where Ctrl-C ends it.

    Args:
        unit: what a line is, in the plural.
    """
    try:
        yield
    except KeyboardInterrupt:
        print(
            f"{len(partial.lines)} {unit} are in {partial.path}; continue with the same command and --resume",
            file=sys.stderr,
        )
        raise
