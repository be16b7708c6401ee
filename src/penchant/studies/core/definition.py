"""What a study is to the rest of the package: its settings, grid, stages, numbers and page. Imports no torch.

This package names no study. It loads those that `penchant.studies.STUDIES` lists, so that a study is a folder and one
line. Functions that need heavy imports are named as `module:function` and imported when they are first called.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from penchant.errors import InputError, did_you_mean
from penchant.studies import STUDIES
from penchant.studies.core.settings import Study
from penchant.typed_json import JsonObject

if TYPE_CHECKING:
    from penchant.reports.kit.canvas import Picture
    from penchant.studies.core.stage import Stage

Summary = TypeVar("Summary")


class Grid(Protocol):
    """The stages of a study."""

    @property
    def required(self) -> Sequence[Stage]:
        """Stages without any of which there is nothing to say."""

    def stages(self) -> list[Stage]:
        """Return all stages, each after what it needs."""


@dataclass(frozen=True)
class StudyDefinition:
    """A study as the rest of the package knows it.

    Attributes:
        configs: its settings, a class for each command; the class's `method` is the command's name.
        names: how `study.json` names it, where that is not the command.
        example: what the help shows behind the command's name, such as "--preset demo ppo=null".
        grid: `module:function`, settings -> stages.
        grow: `module:function`, (settings, what is measured so far) -> stages, where results may add some; it is asked
            again until it adds none.
        summarize: `module:function`, (settings, stages, folder, why stages failed by address) -> `study.json`.
        page: `module:PAGE`, a `StudyPage`.
        summary: `module:class`, what `study.json` is read as: the page and `lines` take objects of it.
        stages: `module:function` of each kind of stage that this study alone has; it fills a folder and returns what
            `stage.json` holds.
        presets: where the settings lie that are ready to run, by command and name.
        takes_over: commands of other studies that run this one where a setting is given: {command: (setting, class)}.
        jobs: stages at once, by preset, where it is not 1.
        prepare: `module:function`, called with the settings and the stages before anything runs.
        lines: `module:function`, what the command prints of the summary.
    """

    # functions are named as text: a command starts without their imports, of which a page brings matplotlib
    configs: tuple[type[Study], ...]
    example: str
    grid: str
    summarize: str
    page: str
    summary: str
    stages: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    grow: str | None = None
    presets: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)
    takes_over: Mapping[str, tuple[str, type[Study]]] = field(default_factory=dict)
    jobs: Mapping[str, int] = field(default_factory=dict)
    prepare: str | None = None
    lines: str | None = None


@dataclass(frozen=True)
class StudyPage(Generic[Summary]):
    """The functions that make the page of a study from its numbers.

    Attributes:
        pictures: summary -> figures by name.
        context: (summary, figures) -> what the template is filled with.
        template: the template in `penchant.reports.kit`.
        files: summary -> text files beside the figures, by name.
        refuse: raises an `InputError` for the content of a `study.json` whose meaning was another.
    """

    pictures: Callable[[Summary], Mapping[str, Picture]]
    context: Callable[[Summary, Mapping[str, Picture]], Mapping[str, object]]
    template: str = "study_page.html.j2"
    files: Callable[[Summary], Mapping[str, str]] | None = None
    refuse: Callable[[Path, JsonObject], None] | None = None


# when it is first asked for, not at import: each study's module imports this one
@cache
def definitions() -> tuple[StudyDefinition, ...]:
    """Return every study that is listed."""
    return tuple(import_module(f"penchant.studies.{name}.study").STUDY for name in STUDIES)


def definition_of(config: type[Study]) -> StudyDefinition:
    """Return the study that a class of settings belongs to."""
    # `penchant study transfer` with a judge is another study, whose settings are another class
    takeovers = {kind: definition for definition in definitions() for _, kind in definition.takes_over.values()}
    return takeovers.get(config) or next(definition for definition in definitions() if config in definition.configs)


def settings_class(config: type[Study], names: Collection[str]) -> type[Study]:
    """Return the class that settings of these names are of: another study's where it takes the command over.

    Args:
        config: the class that the command has.
        names: keys of the settings, such as `judge`, which makes `transfer` a study of win rates.
    """
    for definition in definitions():
        setting, other = definition.takes_over.get(config.method, (None, config))
        if setting in names:
            return other
    return config


def definition_named(name: str) -> StudyDefinition | None:
    """Return the study that a command or `study.json` names; None where there is none."""
    for definition in definitions():
        if name in (*definition.names, *(config.method for config in definition.configs)):
            return definition
    return None


def presets_in(folder: Path, *names: str, prefix: str = "") -> dict[str, Path]:
    """Return the preset files of a study by name; `folder` is the study's."""
    return {name: folder / "presets" / f"{prefix}{name}.yaml" for name in names}


def preset_file(name: str, study: str = "frontier") -> Path:
    """Return where a preset of a study lies.

    Raises:
        InputError: the study has no such preset.
    """
    definition = definition_named(study)
    presets = definition.presets.get(study, {}) if definition else {}
    if name not in presets:
        suggestion = did_you_mean(name, presets)
        raise InputError(f"there is no preset {name!r}: expected {', '.join(presets)}{suggestion}")
    return presets[name]
