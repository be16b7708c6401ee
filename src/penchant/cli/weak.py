"""The command line's `weak`: parse, call, print. Imports no torch, so that help is instant."""

from __future__ import annotations

import argparse
from typing import Any

from penchant.config import Config, file_and_overrides, load_config
from penchant.weak.command_settings import WeakLabel, WeakTrain


def add_weak(commands: Any, parser_class: type[argparse.ArgumentParser]) -> None:
    """Add `weak` to the commands; `parser_class` shows a configuration's settings in its help."""
    parser = commands.add_parser("weak", help="label rows by a weak supervisor, train a student on weak labels")
    actions = parser.add_subparsers(required=True, metavar="ACTION", parser_class=parser_class)
    for name, config, run, example in (
        ("label", WeakLabel, _label, "such as data=rows.jsonl train=labelled.csv out=weak.jsonl"),
        ("train", WeakTrain, _train, "such as data=weak.jsonl student.model=smollm2-135m out=runs/student"),
    ):
        summary = (config.__doc__ or "").strip()
        action = actions.add_parser(name, help=summary, description=summary)
        action.settings = config
        action.add_argument("config", nargs="?", metavar="CONFIG.yaml", help="settings; key=value changes them")
        action.add_argument("overrides", nargs="*", metavar="key=value", help=example)
        action.set_defaults(run=run, configuration=config)


def _label(options: argparse.Namespace) -> int:
    from penchant.weak.label import weak_label

    config = _config(options)
    assert isinstance(config, WeakLabel)
    told = weak_label(config)
    shares = ", ".join(f"{name} {100 * share:.0f}%" for name, share in told["shares"].items())
    if told.get("longer"):
        shares = f"the longer response is preferred in {100 * told['longer']['value']:.0f}%"
    print(f"{told['rows']} rows labelled: {shares}; mean confidence {told['mean_confidence']:.2f}")
    print(f"weak labels: {told['path']}")
    return 0


def _train(options: argparse.Namespace) -> int:
    from penchant.weak.page import said
    from penchant.weak.train import weak_train

    config = _config(options)
    assert isinstance(config, WeakTrain)
    result = weak_train(config)
    print("\n".join(said(result.metrics)))
    print(f"run directory: {result.path}")
    print(f"report: {result.path / 'report.html'}")
    return 0


def _config(options: argparse.Namespace) -> Config:
    path, overrides = file_and_overrides(options.config, options.overrides)
    configuration: type[Config] = options.configuration
    return load_config(configuration, path, overrides)
