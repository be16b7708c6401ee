"""A configuration from a YAML file and command-line overrides, and back to YAML."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import ValidationError

from penchant.config.base import Config
from penchant.config.overrides import apply_overrides
from penchant.config.problems import Problem, format_value, problems, report, title_of
from penchant.config.yaml_text import MOST_CHARACTERS, Dumper, parse_with_lines
from penchant.errors import InputError, SettingsError, near_names
from penchant.session.store import search_inputs_of

logger = logging.getLogger("penchant.config")

C = TypeVar("C", bound=Config)


def load_config(
    config: type[C],
    path: Path | str | None = None,
    overrides: Sequence[str] = (),
    positional: Mapping[str, str | list[str]] | None = None,
) -> C:
    """Read a configuration from a YAML file, change it by overrides, and check it.

    Args:
        config: the class to build.
        path: a YAML file (a run's `config.yaml` too, whose `method` must be this class's), or None for
            defaults.
        overrides: `loss.beta=0.2`, `loss=ipo`, `lora.rank=8`, `evaluate=null`, `layers=[1, 2]`: a dotted path
            and a YAML value. Their order does not matter, except that the last one wins where two set the
            same key. One that changes the `name` of a union replaces the whole branch, which the log says.
        positional: values of settings, which stand above those of the file and below the overrides.

    Raises:
        InputError: with every problem at once - a missing or malformed file, a duplicate or unknown key, a
            value of the wrong type or out of range - each with its path, and the line or the override it
            comes from.
    """
    values, lines = read_yaml(Path(path)) if path is not None else ({}, {})
    if path is not None:  # what a Python session handed over to a run lies beside its settings
        search_inputs_of(Path(path).parent)
    _check_method(config, values, path)
    values |= positional or {}
    # The order matters: overrides are applied to what file and words say, before anything is checked, so that an
    # override may mend the file, and all problems come in one message.
    problem_list = apply_overrides(config, values, overrides)
    origins = {key: f"{path}:{line}" for key, line in lines.items()}
    # what an override sets is the command line's, also where the file has a line for it
    for name in [*(positional or {}), *(text.partition("=")[0].strip() for text in overrides)]:
        origins[name] = "command line"
        key = name  # `lora.rank=0` makes `lora`, which no line of the file has
        while key := key.rpartition(".")[0]:
            origins.setdefault(key, "command line")
    try:
        built = config.model_validate(values)
    except ValidationError as error:
        problem_list += problems(config, error)
    if problem_list:
        texts = [_with_origin(problem, origins) for problem in problem_list]
        raise SettingsError(report(title_of(config), texts), _corrections(problem_list))
    return built


def to_yaml(config: Config) -> str:
    """Return the configuration as YAML that `load_config` reads back to an equal object; `method` comes first.

    Credentials in addresses are left out: the text is made to be kept and shown.
    """
    values = config.recorded()
    if config.method:
        values = {"method": config.method, **values}
    return yaml.dump(values, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)


def read_yaml(path: Path) -> tuple[dict[str, object], dict[str, int]]:
    """Return the mapping in a YAML file, and the line (from 1) of each of its keys by dotted path.

    Raises:
        InputError: the file is missing (with names like it), unreadable, no valid YAML (with the line), holds
            a key twice, or is no mapping.
    """
    text = _read_text(path)
    try:
        values, lines = parse_with_lines(text)  # the line counts from 0 in PyYAML's marks, from 1 in editors
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"{path}{line}: not valid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {error}") from None
    if values is None:
        # an empty file sets nothing, so all defaults stand
        return {}, {}
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected settings as `key: value` lines, got {format_value(values)}")
    return values, lines


def _read_text(path: Path) -> str:
    try:
        # a pipe that the shell opened (`<(...)`) has a writer; another one, or a device, may never end
        of_the_shell = str(path).startswith(("/dev/fd/", "/proc/", "/dev/stdin"))
        if path.exists() and not (path.is_file() or path.is_dir() or of_the_shell):
            raise InputError(f"{path} is a device or a pipe, expected a YAML file")
        with path.open(encoding="utf-8") as file:
            return file.read(MOST_CHARACTERS + 1)  # one more tells the reader that it is too long
    except FileNotFoundError:
        folder = path.parent
        if not folder.is_dir():
            raise InputError(f"there is no file {path}: the folder {folder} does not exist") from None
        matches = near_names(path.name, (entry.name for entry in folder.iterdir()), count=3)
        suggestion = f"; there is {', '.join(str(folder / name) for name in matches)}" if matches else ""
        raise InputError(f"there is no file {path}{suggestion}") from None
    except IsADirectoryError:
        inner = path / "config.yaml"
        suggestion = f"; did you mean {inner}?" if inner.is_file() else ""
        raise InputError(f"{path} is a folder, expected a YAML file{suggestion}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected text in UTF-8, but byte {error.start} is not") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None


def _check_method(config: type[Config], values: dict[str, object], path: Path | str | None) -> None:
    """Take `method` out of the values; it must be the class's own where it has one.

    Raises:
        InputError: it is another; nothing else is worth saying then, as the settings are another method's.
    """
    if not config.method or "method" not in values:
        return
    method = values.pop("method")  # it is no field, and would be an unknown key
    if method != config.method:
        raise InputError(f"{path}: expected settings of the method {config.method}, got `method: {method}`")


def _corrections(problem_list: Sequence[Problem]) -> dict[str, str]:
    """Return by path what is meant instead; empty unless that mends every problem."""
    # a line that mends one of two mistakes would be copied in vain
    corrections = {problem.path: problem.meant for problem in problem_list if problem.meant}
    # `mdoel=m` is unknown, and so `model` is missing: one correction mends both
    meant_fields = {meant.partition("=")[0].partition(".")[0] for meant in corrections.values()}
    uncorrected = [problem for problem in problem_list if not problem.meant]
    mended = all(
        problem.path in meant_fields and f"`{problem.path}` is missing" in problem.text for problem in uncorrected
    )
    return corrections if mended else {}


def _with_origin(problem: Problem, origins: Mapping[str, str]) -> str:
    """Return the problem with the line or override that it comes from: that of its key or of the nearest above."""
    path = problem.path
    while path:
        if path in origins:
            return f"{problem.text} ({origins[path]})"
        path = path.rpartition(".")[0]
    return problem.text
