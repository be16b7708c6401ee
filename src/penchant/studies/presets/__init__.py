"""Studies that are ready to run, as YAML files beside this one: `penchant study frontier --preset small`."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from penchant.config import load_config
from penchant.errors import InputError
from penchant.studies.settings import FrontierConfig

PRESETS = ("demo", "small", "medium", "paper")
"""Of the frontier study: from minutes on two cores to the paper's own setting."""
TRANSFER_PRESETS = ("transfer",)
"""Of the study of transfer."""


def preset_file(name: str) -> Path:
    """Where a preset lies.

    Raises:
        InputError: no such preset.
    """
    if name not in (*PRESETS, *TRANSFER_PRESETS):
        near = get_close_matches(name, PRESETS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"there is no preset {name!r}: expected {', '.join(PRESETS)}{hint}")
    return Path(__file__).with_name(f"{name}.yaml")


def preset(name: str, overrides: Sequence[str] = ()) -> FrontierConfig:
    """A preset, changed by `key=value` texts.

    Raises:
        InputError: no such preset, a wrong override.
    """
    return load_config(FrontierConfig, preset_file(name), overrides)
