"""Sets of pictures as rows with labels: `digits`, `fashion_mnist`, a data set of the hub, or a folder per class."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from penchant.errors import InputError
from penchant.tasks.pictures import HUB, SETS, has_class_folders, load_part
from penchant.weak.rows import LabelledRows

log = logging.getLogger("penchant.weak")

Part = Literal["train", "test"]


def is_picture_set(source: str) -> bool:
    """Return whether a source of rows is a set of pictures; a file or folder of rows that is called like one is not."""
    name, _ = split_count(source)
    # what lies on the disk goes before a name, as for files of rows
    if Path(source).exists():
        return has_class_folders(Path(source))
    return name in SETS or name.startswith(HUB) or has_class_folders(Path(name))


def split_count(source: str) -> tuple[str, int | None]:
    """Return the name of a set, and how many pictures of it are asked for: `digits:100`; None for all."""
    name, separator, count = source.rpartition(":")
    # `hub:org/name` has a colon too, and no number behind it
    return (name, int(count)) if separator and name and count.isdecimal() else (source, None)


def read_picture_set(
    source: str, part: Part, *, names: Sequence[str] | None = None, labels: bool = True
) -> LabelledRows:
    """Return the pictures of one part of a set; a folder without parts is read whole.

    Args:
        names: of the classes, in order, where they are known. labels: whether labels are looked at.

    Raises:
        InputError: no such set, a broken picture, no row, or a class that `names` lacks.
    """
    name, count = (source, None) if Path(source).exists() else split_count(source)
    if count == 0:
        raise InputError(f"{source}: no pictures are asked for")
    classes, rows, dropped = load_part(name, part, count)
    # said: whoever counts the files of a folder would miss them
    if dropped:
        left_out = ", ".join(f"{number} {reason}" for reason, number in dropped.items())
        log.warning("%s: pictures left out: %s", source, left_out)
    class_names = tuple(names or classes)
    if labels and (unknown := [label for label in classes if label not in class_names]):
        raise InputError(f"{source}: the class {unknown[0]!r} is none of {', '.join(class_names)}")
    # by name: the other file may have its classes in another order
    targets = None
    if labels:
        targets = np.eye(len(class_names))[[class_names.index(classes[label]) for label in rows.labels]]
    return LabelledRows(source, rows.images, class_names if labels else tuple(names or ()), targets, ("",) * len(rows))
