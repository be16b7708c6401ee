"""`penchant weak`: label rows, train on weak labels. Imports no torch, so that help is instant."""

from __future__ import annotations

from penchant.cli.arguments import Arguments, Command, CommandGroup
from penchant.weak.command_settings import WeakLabel, WeakTrain


def _label(arguments: Arguments) -> int:
    from penchant.weak.label import weak_label

    labelled = weak_label(arguments.load(WeakLabel))
    shares = ", ".join(f"{name} {100 * share:.0f}%" for name, share in labelled["shares"].items())
    if labelled.get("longer"):
        shares = f"the longer response is preferred in {100 * labelled['longer']['value']:.0f}%"
    print(f"{labelled['rows']} rows labelled: {shares}; mean confidence {labelled['mean_confidence']:.2f}")
    print(f"weak labels: {labelled['path']}")
    return 0


def _train(arguments: Arguments) -> int:
    from penchant.weak.page import console_lines
    from penchant.weak.train import weak_train

    result = weak_train(arguments.load(WeakTrain))
    print("\n".join(console_lines(result.metrics)))
    print(f"run directory: {result.path}")
    print(f"report: {result.path / 'report.html'}")
    return 0


WEAK = CommandGroup(
    "weak",
    help="label rows by a weak supervisor, train a student on weak labels",
    metavar="ACTION",
    commands=(
        Command("label", WeakLabel, _label, example="data=rows.jsonl train=labelled.csv out=weak.jsonl"),
        Command("train", WeakTrain, _train, example="data=weak.jsonl student.model=smollm2-135m out=runs/student"),
    ),
)
