"""The command line's `study`: parse, call, print. Imports no torch, so that help is instant."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penchant.config import file_and_overrides, load_config
from penchant.config.loading import read_yaml
from penchant.studies.annotators_settings import AnnotatorsConfig
from penchant.studies.presets import OF_STUDIES, preset_file
from penchant.studies.settings import FrontierConfig, NoiseConfig, Study
from penchant.studies.transfer_settings import TransferConfig
from penchant.studies.weak_settings import WeakToStrongConfig
from penchant.studies.win_rate_settings import DialogueConfig, JudgedTransferConfig, TldrConfig, WinRatesConfig

if TYPE_CHECKING:
    from penchant.studies.study import StudyResult

DONE, FAILED, INTERRUPTED = 0, 1, 130
JOBS = {"demo": 2, "small": 2, "transfer": 2}
"""Small models fill two cores better two at a time than with two threads."""


def add_study(commands: Any, parser_class: type[argparse.ArgumentParser]) -> None:
    """Add `study` to the commands; `parser_class` shows a configuration's settings in its help."""
    parser = commands.add_parser("study", help="compare methods over their sweeps, on one page")
    studies = parser.add_subparsers(required=True, metavar="STUDY", dest="study", parser_class=parser_class)
    _add(studies, FrontierConfig, "such as dpo.beta=[0.1,1] ppo=null")
    _add(studies, TransferConfig, "such as domains.news=news.txt ppo=null; with judge=... also those of `tldr`")
    _add(studies, NoiseConfig, "such as shares=[0,0.2] few=null")
    _add(studies, AnnotatorsConfig, "such as data=comparisons.jsonl beta=null")
    _add(studies, WeakToStrongConfig, "such as tasks=[sciq] strong=[{model: penchant-5m}]")
    for config in (TldrConfig, DialogueConfig):
        _add(studies, config, "such as judge=longest temperatures=[0,1] ppo=null")


def _add(studies: Any, config: type[Study], example: str) -> None:
    summary = (config.__doc__ or "").strip()
    parser: Any = studies.add_parser(config.method, help=summary, description=summary)
    parser.settings = config
    parser.add_argument("config", nargs="?", metavar="CONFIG.yaml", help="settings; key=value changes them")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=example)
    parser.add_argument("--seeds", type=int, metavar="N", help="seeds 0 to N - 1")
    parser.add_argument("--jobs", type=int, metavar="N", help="runs at once, which share the cores (default: 1)")
    parser.add_argument("-o", "--out", metavar="FOLDER", help="the study's folder; what it holds is not run again")
    parser.add_argument("--report", metavar="FILE.html", help="the page to write (default: report.html in FOLDER)")
    parser.set_defaults(run=_study, error=parser.error, configuration=config, preset=None)
    if config.method in OF_STUDIES:
        parser.add_argument("--preset", choices=OF_STUDIES[config.method], help="settings that are ready to run")


def _study(options: argparse.Namespace) -> int:
    config = _config(options)
    jobs = options.jobs or JOBS.get(options.preset, 1)
    result = _run(config, jobs)
    if result.numbers:
        from penchant.reports.study import study_report

        if isinstance(config, FrontierConfig):
            print(_table(result.numbers))
        if isinstance(config, WinRatesConfig):
            from penchant.reports.win_rate_words import said

            print("\n".join(said(result.numbers)))
        print(f"report: {study_report(result.path, options.report or result.path / 'report.html')}")
    elif not result.failures:
        print("nothing has been sampled yet: there is nothing to compare")
    from penchant.reports.kit.study_page import told_once

    for stages, reason in told_once(result.failures):
        print(f"failed: {stages}: {reason}")
    unfinished = len(result.failures)
    tried = f"tried, {unfinished} failed or waiting for one that did" if unfinished else "run"
    print(f"study: {result.path} ({result.ran} stages {tried})")
    if result.interrupted:
        print("continue with the same command")
        return INTERRUPTED
    return FAILED if result.failures else DONE


def _run(config: Study, jobs: int) -> StudyResult:
    if isinstance(config, FrontierConfig):
        from penchant.studies.frontier import run_frontier

        return run_frontier(config, jobs=jobs)
    if isinstance(config, TransferConfig):
        from penchant.studies.transfer import run_transfer

        return run_transfer(config, jobs=jobs)
    if isinstance(config, AnnotatorsConfig):
        from penchant.studies.annotators import run_annotators

        return run_annotators(config, jobs=jobs)
    if isinstance(config, WinRatesConfig):
        from penchant.studies.win_rates import run_win_rates

        return run_win_rates(config, jobs=jobs)
    if isinstance(config, WeakToStrongConfig):
        from penchant.studies.weak_to_strong import run_weak_to_strong

        return run_weak_to_strong(config, jobs=jobs)
    from penchant.studies.noise import run_noise

    assert isinstance(config, NoiseConfig)
    return run_noise(config, jobs=jobs)


def _config(options: argparse.Namespace) -> Study:
    path, overrides = file_and_overrides(options.config, options.overrides)
    if wrong := [text for text in overrides if text.startswith("preset=")]:
        options.error(f"a preset is no setting: write --preset {wrong[0].partition('=')[2]}")
    if path is not None and options.preset:
        options.error("a preset is a configuration: give one of both, and change it by key=value")
    if any(value is not None and value < 1 for value in (options.jobs, options.seeds)):
        options.error("--jobs and --seeds count from 1")
    if options.seeds is not None:
        overrides.append(f"seeds={list(range(options.seeds))}")
    if options.out is not None:
        overrides.append(f"out={options.out}")
    if options.preset:
        path = str(preset_file(options.preset, options.configuration.method))
    return load_config(_configuration(options.configuration, path, overrides), path, overrides)


def _configuration(config: type[Study], path: str | None, overrides: Sequence[str]) -> type[Study]:
    """Transfer is measured by a true reward, or by a judge where the settings name one."""
    named = set(read_yaml(Path(path))[0]) if path is not None else set()
    named |= {override.partition("=")[0].partition(".")[0] for override in overrides}
    return JudgedTransferConfig if config is TransferConfig and "judge" in named else config


def _table(numbers: dict[str, Any]) -> str:
    """The methods with their efficiency, best first, and who wins if anybody does."""
    from penchant.reports.kit.text import recorded
    from penchant.reports.study_words import common_nats, headline

    if not numbers["matched"]["common"]:
        return "\n".join(headline(numbers))
    lines = [f"share of the possible gain in reward at {common_nats(numbers)} of KL:"]
    shown = [method for method in numbers["methods"] if method["efficiency"]]
    for method in sorted(shown, key=lambda one: -one["efficiency"]["value"]):
        lines.append(f"  {method['label']:<14} {recorded(method['efficiency'], decimals=2)}{_seconds(method)}")
    return "\n".join([*lines, *headline(numbers)[1:]])


def _seconds(method: dict[str, Any]) -> str:
    cost = method["cost"]
    return f"  {cost['training_seconds']:.0f} s of training per run" if cost else "  no training"
