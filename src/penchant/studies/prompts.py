"""Where a study's prompts come from: sets that come with Penchant, files, hub ids. Imports no torch."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

BUILT_IN = ("film_openings",)
"""Sets of openings that come with Penchant, one a line."""


def locate_prompts(path: str) -> str:
    """The file behind a built-in set's name; a file as an absolute path; a hub id as it is."""
    if path in BUILT_IN:
        return str(files("penchant.studies").joinpath("data", f"{path}.txt"))
    file = Path(path).expanduser()
    return str(file.resolve()) if file.exists() else path
