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
OF_STUDIES = {
    "frontier": PRESETS,
    "transfer": ("transfer", "small", "paper"),
    "weak-to-strong": ("laptop", "small", "medium", "paper"),
    "tldr": ("small", "paper"),
    "dialogue": ("small", "paper"),
}
"""Those of each study; `weak-NAME.yaml` and so on, where another study has one of the same name."""
PREFIXES = {"weak-to-strong": "weak"}


def preset_file(name: str, study: str = "frontier") -> Path:
    """Where a preset lies.

    Raises:
        InputError: the study has no such preset.
    """
    known = OF_STUDIES[study]
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"there is no preset {name!r}: expected {', '.join(known)}{hint}")
    own = Path(__file__).with_name(f"{PREFIXES.get(study, study)}-{name}.yaml")
    return own if own.exists() else Path(__file__).with_name(f"{name}.yaml")


def preset(name: str, overrides: Sequence[str] = ()) -> FrontierConfig:
    """A preset, changed by `key=value` texts.

    Raises:
        InputError: no such preset, a wrong override.
    """
    return load_config(FrontierConfig, preset_file(name), overrides)
