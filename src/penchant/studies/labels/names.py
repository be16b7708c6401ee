"""What the name of a task means in the study of labels: texts, pictures, or a folder of USB. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from penchant.extension.door import is_extension
from penchant.extension.user_code import suggest
from penchant.tasks.load import NAMES
from penchant.tasks.own_file import is_data_file
from penchant.tasks.picture_names import HUB, SETS

USB = "usb:"
"""Before the folder of a data set of the benchmark USB."""


def is_pictures(name: str) -> bool:
    """Return whether a task is of pictures: a set by name, of the hub, or a folder with a folder per class."""
    # a built-in task of texts keeps its name, also where a folder here is called so
    return name in SETS or name.startswith(HUB) or (name not in NAMES and Path(name).expanduser().is_dir())


def unknown_task(name: str) -> str:
    """Return why a name is no task; empty where it is one."""
    if is_pictures(name) or name in NAMES or name.startswith(USB) or is_data_file(name) or is_extension(name):
        return ""
    # what is meant is near one of these, more often than not
    names = (*SETS, *NAMES)
    return (
        f"`tasks` has {name!r}, which is none: there are {', '.join(names)}{suggest(name, names)}; a file of your own "
        f"is named with its ending, such as reviews.csv; pictures lie in a folder with a folder per class"
    )
