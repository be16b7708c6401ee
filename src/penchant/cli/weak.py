"""`penchant weak`: label rows, join many sources, train on weak labels. Imports no torch, so that help is instant."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from penchant.clean_text import clean
from penchant.cli.arguments import Arguments, Command, CommandGroup
from penchant.cli.outputs import add_overwrite_flag, check_file
from penchant.cli.train import saved_config
from penchant.text_table import text_table
from penchant.weak.command_settings import WeakLabel, WeakTrain
from penchant.weak.label_models.settings import WeakSources

if TYPE_CHECKING:
    from penchant.weak.label_models.results import SourcesResult


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


def _sources(arguments: Arguments) -> int:
    config = arguments.load(WeakSources)

    from penchant.typed_json import from_json
    from penchant.weak.label_models.results import SourcesResult
    from penchant.weak.label_models.run import weak_sources

    result = weak_sources(config)
    numbers = from_json(SourcesResult, result.metrics)
    print("\n".join(sources_lines(numbers)))
    if numbers.labels:
        print(f"labels: {numbers.labels} (next: penchant weak train data={numbers.labels} student=...)")
    print(f"report: {result.path / 'report.html'}")
    return 0


def sources_lines(result: SourcesResult) -> list[str]:
    """Return what `weak sources` prints: notes, a table of sources, one of models, then warnings."""
    from penchant.weak.label_models.words import headline, model_rows, notes, source_rows, verdict

    return [
        f"weak: {headline(result)}",
        *(f"  {note}" for note in notes(result)),
        *text_table(*source_rows(result)),
        *text_table(*model_rows(result)),
        f"  {verdict(result)}",
        *(f"  warning ({warning.kind}): {clean(warning.text)}" for warning in result.warnings),
    ]


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
            "sources",
            WeakSources,
            _sources,
            positionals={"votes": "FILE"},
            example="votes.csv truth=label out=joined",
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
