"""The command line's `study`: parse, call, print. Imports no torch, so that help is instant."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from penchant.config import file_and_overrides, load_config
from penchant.config.loading import read_yaml
from penchant.studies.core.definition import StudyDefinition, definition_of, definitions, preset_file
from penchant.studies.core.kinds import resolve
from penchant.studies.core.settings import Study

DONE, FAILED, INTERRUPTED = 0, 1, 130


def add_study(commands: Any, parser_class: type[argparse.ArgumentParser]) -> None:
    """Add `study` to the commands; `parser_class` shows a configuration's settings in its help."""
    parser = commands.add_parser("study", help="compare methods over their sweeps, on one page")
    studies = parser.add_subparsers(required=True, metavar="STUDY", dest="study", parser_class=parser_class)
    for definition in definitions():
        for config in definition.configs:
            _add(studies, definition, config)


def _add(studies: Any, definition: StudyDefinition, config: type[Study]) -> None:
    summary = (config.__doc__ or "").strip()
    parser: Any = studies.add_parser(config.method, help=summary, description=summary)
    parser.settings = config
    parser.add_argument("config", nargs="?", metavar="CONFIG.yaml", help="settings; key=value changes them")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=definition.example)
    parser.add_argument("--seeds", type=int, metavar="N", help="seeds 0 to N - 1")
    parser.add_argument("--jobs", type=int, metavar="N", help="runs at once, which share the cores (default: 1)")
    parser.add_argument("-o", "--out", metavar="FOLDER", help="the study's folder; what it holds is not run again")
    parser.add_argument("--report", metavar="FILE.html", help="the page to write (default: report.html in FOLDER)")
    parser.set_defaults(run=_study, error=parser.error, configuration=config, preset=None)
    if presets := definition.presets.get(config.method):
        parser.add_argument("--preset", choices=tuple(presets), help="settings that are ready to run")


def _study(options: argparse.Namespace) -> int:
    from penchant.studies.core.study import run_study

    config = _config(options)
    definition = definition_of(type(config))
    # small models fill two cores better two at a time than with two threads
    result = run_study(config, jobs=options.jobs or definition.jobs.get(options.preset, 1))
    if result.numbers:
        from penchant.studies.core.report import study_report
        from penchant.studies.core.summary import read_summary

        if definition.lines:
            file = result.path / "study.json"
            summary = read_summary(definition.summary, result.numbers, file) if definition.summary else result.numbers
            print("\n".join(resolve(definition.lines)(summary)))
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
    """Return the settings' class: another study takes a command over where a setting of its own is given."""
    given = set(read_yaml(Path(path))[0]) if path is not None else set()
    given |= {override.partition("=")[0].partition(".")[0] for override in overrides}
    for definition in definitions():
        setting, other = definition.takes_over.get(config.method, (None, config))
        if setting in given:
            return other
    return config
