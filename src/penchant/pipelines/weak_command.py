"""The command line's `weak`: parse, call, print. Imports no torch, so that help is instant."""

from __future__ import annotations

import argparse
from typing import Any

from penchant.config import Config, file_and_overrides, load_config
from penchant.pipelines.weak_settings import WeakLabel, WeakTrain


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
    from penchant.pipelines.weak_runs import weak_label

    config = _config(options)
    assert isinstance(config, WeakLabel)
    told = weak_label(config)
    shares = ", ".join(f"{name} {100 * share:.0f}%" for name, share in told["shares"].items())
    print(f"{told['rows']} rows labelled: {shares}; mean confidence {told['mean_confidence']:.2f}")
    print(f"weak labels: {told['path']}")
    return 0


def _train(options: argparse.Namespace) -> int:
    from penchant.pipelines.weak_runs import weak_train

    config = _config(options)
    assert isinstance(config, WeakTrain)
    result = weak_train(config)
    print("\n".join(said(result.metrics)))
    print(f"run directory: {result.path}")
    return 0


def said(numbers: dict[str, Any]) -> list[str]:
    """The diagnostics of a student as lines."""
    rows, agreement, misfit = numbers["rows"], numbers["agreement"], numbers["misfit"]
    lines = [
        f"weak: learned from {rows['learned_from']} weak labels, {rows['held_out']} held out, "
        f"{numbers['seconds']:.0f} s",
        f"  agrees with its supervisor: {_share(agreement['held_out'])} of held-out rows, "
        f"{_share(agreement['learned_from'])} of those it learned from",
    ]
    if agreement["where_unsure"] and agreement["where_sure"]:
        lines.append(
            f"  where the supervisor was less sure: {_share(agreement['where_unsure'])}, "
            f"more sure: {_share(agreement['where_sure'])}"
        )
    lines += [
        f"  misfit to the weak labels: {_nats(misfit['held_out'])} nats held out, "
        f"{_nats(misfit['learned_from'])} where it learned",
        f"  its confidence that it agrees is off by {100 * numbers['calibration_error']:.0f} points on average",
        f"  classes ({', '.join(numbers['classes'])}): {_list(numbers['shares']['student'])} by the student, "
        f"{_list(numbers['shares']['weak_labels'])} by the weak labels",
    ]
    if "consistency" in numbers:
        lines.append(
            f"  says the same of a row in other words: {_share(numbers['consistency'])} of the pairs of wordings"
        )
    if "test" in numbers:
        lines.append(f"  accuracy on {numbers['test']['rows']} rows with the truth: "
                     f"{_share(numbers['test']['accuracy'])}")  # fmt: skip
    else:
        lines.append("  there is no truth here: agreement is not accuracy, and none of this measures it")
    return lines


def _config(options: argparse.Namespace) -> Config:
    path, overrides = file_and_overrides(options.config, options.overrides)
    configuration: type[Config] = options.configuration
    return load_config(configuration, path, overrides)


def _share(estimate: dict[str, Any]) -> str:
    return f"{100 * estimate['value']:.0f}%{_interval(estimate, 100, '.0f', '%')}"


def _nats(estimate: dict[str, Any]) -> str:
    return f"{estimate['value']:.3f}{_interval(estimate, 1, '.3f', '')}"


def _interval(estimate: dict[str, Any], factor: float, form: str, unit: str) -> str:
    if estimate["low"] is None:
        return ""
    return f" [{factor * estimate['low']:{form}}{unit}, {factor * estimate['high']:{form}}{unit}]"


def _list(shares: list[float]) -> str:
    return " / ".join(f"{100 * share:.0f}%" for share in shares)
