"""Data sets by name: files of the folder of data, and those of the hub, with licence, size and where they lie.

Imports no torch. A revision is stated only where one was read, see `hub_table.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from penchant.data.sources.hub_table import HubDataset, read_table
from penchant.errors import InputError, did_you_mean
from penchant.typed_json import from_json

TABLE = Path(__file__).with_name("file_sets.yaml")


@dataclass(frozen=True)
class FileSet:
    """Files that presets read from the folder of data.

    Attributes:
        content: what they hold.
        files: by their names below that folder, those under which they are published.
        hub: the data set of the hub that has these very files; empty where they lie elsewhere.
        published: the address of a page; empty where nobody found one.
        rows, bytes: of all files together, packed.
        used: the presets that read them.
        read: where all this was seen.
    """

    name: str
    content: str
    files: Mapping[str, str]
    hub: str
    published: str
    rows: int
    bytes: int
    licence: str
    used: tuple[str, ...]
    read: str


@cache
def file_sets() -> tuple[FileSet, ...]:
    """Return all sets of files."""
    entries = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return tuple(from_json(FileSet, entry, TABLE.name) for entry in entries)


def find_set(name: str) -> FileSet | HubDataset:
    """Return a data set by its name: that of a set of files, a hub id of `hub_table.yaml`, or the task that reads it.

    Raises:
        InputError: there is none, with near names; a preset or task reads several, which are named.
    """
    by_name: dict[str, FileSet | HubDataset] = {entry.name: entry for entry in read_table().datasets}
    by_name |= {entry.name: entry for entry in file_sets()}
    # a hub id alone stands for its only config
    by_name |= {entry.id: entry for entry in read_table().datasets if _configs(entry.id) == 1}
    if name in by_name:
        return by_name[name]
    readers = {entry.name: entry for entry in by_name.values() if name in (use.split(" ")[0] for use in entry.used)}
    if len(readers) > 1:
        raise InputError(f"{name} reads several: penchant data get NAME, with one of {', '.join(readers)}")
    if not readers:
        raise InputError(
            f"there is no data set {name!r} here{did_you_mean(name, by_name)}; penchant data get lists them. Any other "
            "hub id can be given to a command as it is"
        )
    return next(iter(readers.values()))


def _configs(repository: str) -> int:
    return sum(entry.id == repository for entry in read_table().datasets)


def set_of_file(path: str) -> FileSet | None:
    """Return the set that a file of the folder of data belongs to."""
    return next((entry for entry in file_sets() if path in entry.files), None)


def where_by_hand(entry: FileSet, folder: Path) -> str:
    """Return how to get the files of a set without a network here, and where to put them."""
    if not entry.published:
        return (
            f"{entry.name}: {entry.read}. Put your copy at {' and '.join(str(folder / name) for name in entry.files)}"
        )
    steps = "; ".join(f"{source} as {folder / name}" for name, source in entry.files.items())
    return f"by hand: take from {entry.published} {steps} (packed with gzip where the name ends in .gz)"


def describe_missing(path: str, folder: Path) -> str:
    """Return what is known of a file that is missing in the folder of data; empty for a file that nobody listed."""
    # a user's own file in that folder is theirs to find
    entry = set_of_file(path)
    if entry is None:
        return ""
    return (
        f" It belongs to {entry.name} ({entry.content}; {entry.rows:,} rows, {entry.bytes / 1e6:.1f} MB, licence: "
        f"{entry.licence}): penchant data get {entry.name} out={folder}. Or {where_by_hand(entry, folder)}"
    )
