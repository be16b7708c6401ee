"""The command line's `study`: parse, call, print. Imports no torch, so that help is instant."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from penchant.config import load_config
from penchant.studies.presets import PRESETS, preset_file
from penchant.studies.settings import FrontierConfig

DONE, FAILED, INTERRUPTED = 0, 1, 130


def add_study(commands: Any, parser_class: type[argparse.ArgumentParser]) -> None:
    """Add `study` to the commands; `parser_class` shows a configuration's settings in its help."""
    parser = commands.add_parser("study", help="compare methods over their sweeps, on one page")
    studies = parser.add_subparsers(required=True, metavar="STUDY", dest="study", parser_class=parser_class)
    summary = (FrontierConfig.__doc__ or "").strip()
    frontier: Any = studies.add_parser("frontier", help=summary, description=summary)
    frontier.settings = FrontierConfig
    frontier.add_argument("config", nargs="?", metavar="CONFIG.yaml", help="settings; key=value changes them")
    frontier.add_argument("overrides", nargs="*", metavar="key=value", help="such as dpo.beta=[0.1,1] ppo=null")
    frontier.add_argument("--preset", choices=PRESETS, help="settings that are ready to run")
    frontier.add_argument("--seeds", type=int, metavar="N", help="seeds 0 to N - 1")
    frontier.add_argument("--jobs", type=int, default=1, metavar="N", help="runs at once, which share the cores")
    frontier.add_argument("-o", "--out", metavar="FOLDER", help="the study's folder; what it holds is not run again")
    frontier.add_argument("--report", metavar="FILE.html", help="the page to write (default: report.html in FOLDER)")
    frontier.set_defaults(run=_frontier, error=frontier.error)


def _frontier(options: argparse.Namespace) -> int:
    config = _config(options)
    from penchant.studies.frontier import run_frontier

    result = run_frontier(config, jobs=options.jobs)
    if result.numbers:
        from penchant.reports.study import study_report

        print(_table(result.numbers))
        print(f"report: {study_report(result.path, options.report or result.path / 'report.html')}")
    elif not result.failures:
        print("the reference has not been sampled yet: there is nothing to compare")
    for stage, reason in result.failures:
        print(f"failed: {stage}: {reason}")
    print(f"study: {result.path} ({result.ran} stages run)")
    if result.interrupted:
        print("continue with the same command")
        return INTERRUPTED
    return FAILED if result.failures else DONE


def _config(options: argparse.Namespace) -> FrontierConfig:
    path, overrides = options.config, list(options.overrides)
    if path is not None and "=" in path and not Path(path).exists():  # no file was given, only settings
        path, overrides = None, [path, *overrides]
    if path is not None and options.preset:
        options.error("a preset is a configuration: give one of both, and change it by key=value")
    if options.jobs < 1 or (options.seeds is not None and options.seeds < 1):
        options.error("--jobs and --seeds count from 1")
    if options.seeds is not None:
        overrides.append(f"seeds={list(range(options.seeds))}")
    if options.out is not None:
        overrides.append(f"out={options.out}")
    return load_config(FrontierConfig, preset_file(options.preset) if options.preset else path, overrides)


def _table(numbers: dict[str, Any]) -> str:
    """The methods with their efficiency, best first."""
    limit = numbers["limit"]
    lines = [f"share of the possible gain in reward, KL {limit['from_kl']:g} to {limit['to_kl']:.3g} nats:"]
    for method in sorted(numbers["methods"], key=lambda one: -one["efficiency"]["value"]):
        share = method["efficiency"]
        interval = "" if share["low"] is None else f" [{share['low']:.2f}, {share['high']:.2f}]"
        lines.append(f"  {method['label']:<14} {share['value']:.2f}{interval}{_seconds(method)}")
    return "\n".join(lines)


def _seconds(method: dict[str, Any]) -> str:
    cost = method["cost"]
    return f"  {cost['training_seconds']:.0f} s of training a run" if cost else "  no training"
