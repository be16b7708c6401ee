"""`penchant weak`: label rows, train on weak labels. Imports no torch, so that help is instant."""

from __future__ import annotations

import argparse

from penchant.cli.arguments import Arguments, Command, CommandGroup
from penchant.cli.outputs import add_overwrite_flag, check_file
from penchant.cli.train import saved_config
from penchant.weak.command_settings import WeakLabel, WeakTrain


def _label(arguments: Arguments) -> int:
    # before the imports: a slip in a setting is answered at once
    config = arguments.load(WeakLabel)
    check_file(config.out, arguments.flags)

    from penchant.weak.label import weak_label

    labelled = weak_label(config)
    shares = ", ".join(f"{name} {100 * share:.0f}%" for name, share in labelled.shares.items())
    # a pair's two responses stand in an order that their texts decide (decision 11): shares of places say nothing
    if labelled.longer_share:
        shares = f"the longer response is preferred in {100 * labelled.longer_share.value:.0f}%"
    print(f"{labelled.rows} rows labelled: {shares}; mean confidence {labelled.mean_confidence:.2f}")
    print(f"weak labels: {labelled.path}")
    return 0


def _add_resume(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--resume", action="store_true", help="continue the interrupted run in out")


def _resolve(arguments: Arguments) -> WeakTrain:
    """Return the configuration; of a run to resume its own, changed by what was typed."""
    path = arguments.path
    if arguments.flags.resume and path is None:
        path = saved_config(WeakTrain, arguments.overrides)
    return arguments.load(WeakTrain, path)


def _train(arguments: Arguments) -> int:
    config, resume = _resolve(arguments), arguments.flags.resume

    from penchant.typed_json import from_json
    from penchant.weak.page import console_lines
    from penchant.weak.results import StudentResult
    from penchant.weak.train import weak_train

    result = weak_train(config, resume=resume)
    print("\n".join(console_lines(from_json(StudentResult, result.metrics))))
    print(f"run directory: {result.path}")
    print(f"report: {result.path / 'report.html'}")
    return 0


WEAK = CommandGroup(
    "weak",
    metavar="ACTION",
    commands=(
        Command(
            "label",
            WeakLabel,
            _label,
            example="data=rows.jsonl train=labelled.csv out=weak.jsonl",
            add_flags=add_overwrite_flag,
        ),
        Command(
            "train",
            WeakTrain,
            _train,
            resolve=_resolve,
            example="data=weak.jsonl student.model=penchant-5m out=runs/student",
            add_flags=_add_resume,
        ),
    ),
)
