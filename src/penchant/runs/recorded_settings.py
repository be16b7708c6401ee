"""The settings that a run was begun with, beside those that it is resumed with: what differs, and what may."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from penchant.config import Config, load_config
from penchant.errors import InputError
from penchant.files import read_json
from penchant.runs.run_lines import Row

log = logging.getLogger("penchant.train")

C = TypeVar("C", bound=Config)

LENGTHS = {"max_steps", "epochs", "steps"}
"""Settings of how long a run is."""
RESTARTS = "schedule.restarts"
WITHOUT_EFFECT = {"out", "checkpoint.optimizer"}
"""Settings that decide no number: a run may be moved, or named in another way, and keeps what it keeps."""


@dataclass(frozen=True)
class FormerDefault:
    """A default that runs of earlier versions have in their `config.yaml`, written out.

    Attributes:
        now: today's default.
        former: those of earlier versions.
        before: the version, as two numbers, that changed it.
    """

    now: object
    former: tuple[object, ...]
    before: tuple[int, int]


FORMER_DEFAULTS = {
    "evaluate.samples.max_new_tokens": FormerDefault("trained", (None, 48), (0, 4)),
    "evaluate.samples.max_prompts": FormerDefault(None, (32,), (0, 4)),
    "optimizer.learning_rate": FormerDefault(1e-5, (1e-6,), (0, 4)),  # of adapters
}


def flat_settings(config: Config) -> Row:
    """Return every setting that decides a number, by dotted path."""
    flat: Row = {}

    # by dotted path, so that a message names the setting and not the block that it is in
    def walk(prefix: str, values: Mapping[str, object]) -> None:
        for name, value in values.items():
            if isinstance(value, Mapping):
                walk(f"{prefix}{name}.", value)
            elif prefix + name not in WITHOUT_EFFECT:
                flat[prefix + name] = value

    walk("", config.recorded())
    return flat


def differing_settings(saved: Config, current: Config) -> list[str]:
    """Return the paths of the settings that differ.

    By settings, not by text: another order or a default that is written out changes nothing.
    """
    # a setting that only one of them has differs too
    before, now = flat_settings(saved), flat_settings(current)
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def with_former_defaults(config: C, path: str | None) -> C:
    """Return the settings to resume a run with: where a default has changed since it began, the one that it began with.

    A command line takes them from the run's folder. A call in Python, or a stage of a pipeline, names what it wants
    and leaves the rest to defaults, which were others when the run began.

    Args:
        path: the run directory.
    """
    folder = Path(path).expanduser() if path else None
    if folder is None or not (folder / "config.yaml").exists():
        return config
    try:
        saved = load_config(type(config), folder / "config.yaml")
    except InputError:
        return config  # damaged: named where the run is resumed
    recorded, current = flat_settings(saved), flat_settings(config)
    version = _begun_by(folder)
    for name, default in FORMER_DEFAULTS.items():
        if name not in recorded or current.get(name, recorded[name]) == recorded[name]:
            continue
        # what a run of this version has beside today's default was asked for
        is_former = recorded[name] in default.former and (version is None or version < default.before)
        if is_former and current[name] == default.now:
            log.warning(
                "%s=%s was the default when the run in %s began, and stays (now it is %s)",
                *(name, recorded[name], folder, default.now),
            )
            config = _with_setting(config, name, recorded[name])
    return config


def _begun_by(folder: Path) -> tuple[int, int] | None:
    """Return the version that began a run, as two numbers; None where its record does not say."""
    try:
        text = str(read_json(folder / "provenance.json")["versions"]["penchant"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # of `0.3.0.dev0` the first two: defaults change with those
    match = re.match(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else None


def _with_setting(config: C, name: str, value: object) -> C:
    first, _, rest = name.partition(".")
    inner = getattr(config, first)
    return config.replace(**{first: _with_setting(inner, rest, value) if rest else value})
