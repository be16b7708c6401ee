"""`penchant study`: compare methods over their sweeps. Imports no torch, so that help is instant."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from penchant.cli.arguments import Arguments, Command, CommandGroup
from penchant.cli.outputs import check_file
from penchant.config.loading import read_yaml
from penchant.errors import InputError
from penchant.studies.core.definition import (
    StudyDefinition,
    definition_of,
    definitions,
    preset_file,
    settings_class,
)
from penchant.studies.core.kinds import resolve
from penchant.studies.core.settings import Study

DONE, FAILED, INTERRUPTED = 0, 1, 130


def _study(arguments: Arguments) -> int:
    flags, config = arguments.flags, _config(arguments)
    if flags.report:
        check_file(flags.report, flags, page=True, name="--report")
    definition = definition_of(type(config))  # by the class: another study may have taken the command over
    # small models fill two cores better two at a time than with two threads
    return run_to_page(config, flags.jobs or definition.jobs.get(flags.preset, 1), flags.report)


def run_to_page(config: Study, jobs: int, page: str | None = None) -> int:
    """Run a study, then write its page of what is there: also where a stage failed, and after Ctrl-C.

    Args:
        config: the study's settings.
        jobs: stages that run at once.
        page: the file of the page; `report.html` in the study's folder unless given.

    Returns:
        The exit code.
    """
    # here, since it takes a second and a slip in the settings is answered before
    from penchant.studies.core.study import run_study

    definition = definition_of(type(config))
    result = run_study(config, jobs=jobs)
    if result.numbers:  # none before anything was sampled
        from penchant.studies.core.report import study_report
        from penchant.studies.core.summary import read_summary

        if definition.lines:
            file = result.path / "study.json"
            summary = read_summary(definition.summary, result.numbers, file)
            print("\n".join(resolve(definition.lines)(summary)))
        print(f"report: {study_report(result.path, page or result.path / 'report.html')}")
    elif not result.failures:
        print("nothing has been sampled yet: there is nothing to compare")
    from penchant.reports.kit.study_page import group_failures

    # many stages fail for one reason, such as a model that is not there: said once
    for stages, reason in group_failures(result.failures):
        print(f"failed: {stages}: {reason}")
    unfinished = len(result.failures)
    outcome = f"tried, {unfinished} failed or waiting for one that did" if unfinished else "run"
    print(f"study: {result.path} ({result.ran} stages {outcome})")
    if result.interrupted:
        print("continue with the same command")
        return INTERRUPTED
    return FAILED if result.failures else DONE


def _config(arguments: Arguments) -> Study:
    """Return the settings of the study, of a preset or a file, changed by what was typed."""
    settings, flags, path = arguments.command.settings, arguments.flags, arguments.path
    assert issubclass(settings, Study)
    # as a setting, `preset=demo` would be answered with the nearest setting, which is another thing
    if presets := [text for text in arguments.overrides if text.startswith("preset=")]:
        arguments.error(f"a preset is no setting: write --preset {presets[0].partition('=')[2]}")
    if path is not None and flags.preset:
        arguments.error("a preset is a configuration: give one of both, and change it by key=value")
    if flags.jobs is not None and flags.jobs < 1:
        arguments.error("--jobs counts from 1")
    if flags.preset:
        path = str(preset_file(flags.preset, settings.method))
    # the keys alone decide which class the settings are of, so the file is read once before it is checked
    setting_names = set(read_yaml(Path(path))[0]) if path is not None else set()
    setting_names |= {override.partition("=")[0].partition(".")[0] for override in arguments.overrides}
    return arguments.load(settings_class(settings, setting_names), path)


def _command(definition: StudyDefinition, config: type[Study]) -> Command:
    presets = tuple(definition.presets.get(config.method, ()))

    def add_flags(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--jobs", type=int, metavar="N", help="runs at once, which share the cores (default: 1)")
        parser.add_argument("--report", metavar="FILE.html", help="the page to write (default: report.html in OUT)")
        if presets:
            # named in the text, which is broken into lines; as the form of a value a long list would not be
            preset_help = f"settings that are ready to run: {', '.join(presets)}"
            parser.add_argument("--preset", choices=presets, metavar="NAME", help=preset_help)
        parser.set_defaults(preset=None)  # for the studies that have none

    return Command(
        config.method,
        config,
        _study,
        resolve=_config,
        example=definition.example,
        add_flags=add_flags,
        retired={"--seeds": _seeds},
    )


def _seeds(numbers: Sequence[str]) -> str:
    """Return the number of seeds, as the flag `--seeds` had it, as the setting."""
    number = numbers[-1]
    if not number.isdecimal() or int(number) < 1:
        raise InputError(f"--seeds {number}: expected how many, from 1; as a setting, such as seeds=[0,1,2]")
    return f"seeds={list(range(int(number)))}".replace(" ", "")


STUDY = CommandGroup(
    "study",
    metavar="STUDY",
    commands=tuple(_command(definition, config) for definition in definitions() for config in definition.configs),
)
