"""The presets of the frontier study as settings."""

from __future__ import annotations

from collections.abc import Sequence

from penchant.config import load_config
from penchant.studies.core.definition import preset_file
from penchant.studies.frontier.settings import FrontierConfig
from penchant.studies.frontier.study import STUDY

PRESETS = tuple(STUDY.presets["frontier"])


def preset(name: str, overrides: Sequence[str] = ()) -> FrontierConfig:
    """Return a preset, changed by `key=value` texts."""
    return load_config(FrontierConfig, preset_file(name), overrides)
