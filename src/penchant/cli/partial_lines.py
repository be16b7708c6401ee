"""The flag `--resume` of commands that keep what is done beside their file."""

from __future__ import annotations

import argparse

from penchant.cli.outputs import add_overwrite_flag


def add_resume_flag(parser: argparse.ArgumentParser) -> None:
    """Add `--resume` to a command, and `--overwrite`: it goes on with a file, or it begins one."""
    add_overwrite_flag(parser)
    parser.add_argument("--resume", action="store_true", help="go on with what an earlier start did of out")
