"""`penchant push`: a run or an exported folder onto a hub. Imports no torch, so that help is instant."""

from __future__ import annotations

import sys

from penchant.cli.arguments import Arguments, Command
from penchant.cli.early_imports import import_early
from penchant.export.settings import Push


def _push(arguments: Arguments) -> int:
    config = arguments.load(Push)
    import_early("transformers.modeling_utils")
    from penchant.export.push import describe_push, exported_folder, push_folder

    with exported_folder(config) as exported:
        if config.dry_run:
            print(describe_push(config, exported))
            return 0
        pushed = push_folder(config, exported, _ask)
    print(
        f"{config.model} pushed to {pushed.url} ({'private' if pushed.private else 'public'}, commit {pushed.commit})"
    )
    return 0


def _ask(question: str) -> bool:
    """Ask at the terminal; a script, which nobody answers for, gets no."""
    if sys.stdin is None or not sys.stdin.isatty():
        return False
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


PUSH = Command(
    "push",
    Push,
    _push,
    positionals={"model": "RUN", "repository": "OWNER/NAME"},
    example="runs/first me/first dry_run=true",
)
