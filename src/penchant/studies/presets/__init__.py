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
WEAK_PRESETS = ("laptop", "small", "medium", "paper")
"""Of the weak-to-strong study; their files are called `weak-NAME.yaml`."""


def preset_file(name: str, study: str = "") -> Path:
    """Where a preset lies.

    Args:
        study: `weak` for those of the weak-to-strong study.

    Raises:
        InputError: no such preset.
    """
    known = WEAK_PRESETS if study == "weak" else (*PRESETS, *TRANSFER_PRESETS)
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"there is no preset {name!r}: expected {', '.join(known)}{hint}")
    return Path(__file__).with_name(f"{study}-{name}.yaml" if study else f"{name}.yaml")


def preset(name: str, overrides: Sequence[str] = ()) -> FrontierConfig:
    """A preset, changed by `key=value` texts.

    Raises:
        InputError: no such preset, a wrong override.
    """
    return load_config(FrontierConfig, preset_file(name), overrides)
