"""Where a study's prompts come from: sets that come with Penchant, files, hub ids. Imports no torch."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from penchant.data.sources.file_sets import describe_missing
from penchant.errors import InputError
from penchant.tasks.load import data_folder

BUILT_IN = ("film_openings", "story_openings")
"""Sets of openings that come with Penchant, one a line."""


DATA = "data:"
"""Starts the name of a file in the folder of data."""


def locate_prompts(path: str) -> str:
    """Return where prompts lie: the file of a built-in set, the absolute path of a file, or a hub id as it is.

    Raises:
        InputError: `data:NAME` names no file in the folder of data.
    """
    if path.startswith(DATA):
        return _in_data(path)
    # before files: a file of that name in the current folder must not stand for the built-in set
    if path in BUILT_IN:
        return str(files("penchant.studies.core").joinpath("openings", f"{path}.txt"))
    file = Path(path).expanduser()
    # what is no file may be a hub id, which is looked for where it is read
    return str(file.resolve()) if file.exists() else path


def _in_data(path: str) -> str:
    file = data_folder() / path.removeprefix(DATA)
    if not file.is_file():
        raise InputError(
            f"{path}: {file} does not exist. Set PENCHANT_DATA to the folder that holds the data, or name a file of "
            f"yours instead.{describe_missing(path.removeprefix(DATA), data_folder())}"
        )
    return str(file.resolve())
