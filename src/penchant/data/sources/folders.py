"""Find the files that a path stands for: one file, a pattern, or a folder that a program wrote as a data set.

Such folders are those of `save_to_disk` (`state.json` and its Arrow files, or `dataset_dict.json` and a folder per
split), and folders of numbered shards of one kind (`train-00000-of-00002.parquet`). Files that only lie together are
no data set: which of them are meant nobody knows.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Callable
from pathlib import Path

from penchant.data.sources.values import cut
from penchant.errors import InputError, near_names
from penchant.files import read_json

SHARD = re.compile(r"(?P<stem>.*?)[-_.]?(?P<number>\d{3,})(?P<of>-of-\d+)?(?P<ending>\.[A-Za-z][A-Za-z0-9.]*)")
PATTERN_MARKS = "*?["
STATE, SPLITS = "state.json", "dataset_dict.json"


def is_pattern(path: Path) -> bool:
    """Return whether a path is a pattern of files, such as `data/*.parquet`, and no file of that name."""
    return any(mark in path.name for mark in PATTERN_MARKS) and not path.exists() and path.parent.is_dir()


def data_files(path: Path, split: str, suffix_of: Callable[[Path], str | None]) -> list[Path]:
    """Return the files that a path stands for, in the order in which they are read.

    Args:
        split: which split of a folder that has several.
        suffix_of: a file's kind; None for no data file.

    Raises:
        InputError: a folder that is no data set, names files outside of it, or lacks some; a pattern that fits nothing.
    """
    if is_pattern(path):
        return _same_kind(path, sorted(map(Path, glob.glob(str(path)))), suffix_of)
    if not path.is_dir():
        return [path]
    # before the state: a folder of splits has none of its own
    if (path / SPLITS).is_file():
        return _saved_files(_split_folder(path, split))
    if (path / STATE).is_file():
        return _saved_files(path)
    return _shards(path, split, suffix_of)


def _split_folder(path: Path, split: str) -> Path:
    content = _content(path / SPLITS)
    splits = content.get("splits")
    names = [name for name in splits if isinstance(name, str)] if isinstance(splits, list) else []
    if split not in names:
        similar = near_names(split, names, count=1)
        advice = (
            f"did you mean data.split={similar[0]}?" if similar else f"choose one: data.split={(names or ['...'])[0]}"
        )
        raise InputError(f"{path}: no split {split!r} in this folder; it has {', '.join(map(cut, names))}; {advice}")
    return _path_inside(path, split)


def _saved_files(path: Path) -> list[Path]:
    """Return the Arrow files of a folder that `save_to_disk` wrote.

    Raises:
        InputError: they are not all there.
    """
    state = path / STATE
    if not state.is_file():
        raise InputError(f"{path}: {STATE} is missing; copy the whole folder that `save_to_disk` wrote")
    listed = _content(state).get("_data_files")
    entries = listed if isinstance(listed, list) else []
    names = [entry.get("filename") for entry in entries if isinstance(entry, dict)]
    if not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"{state} names no files of the data set; expected `_data_files`, as `save_to_disk` writes it")
    files = [_path_inside(path, str(name)) for name in names]
    if absent := [file.name for file in files if not file.is_file()]:
        raise InputError(
            f"{path}: {len(absent)} of {len(files)} files are missing, the first: {absent[0]}; copy it too"
        )
    return files


def _content(path: Path) -> dict[str, object]:
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); copy the folder again") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object, as `save_to_disk` writes it")
    return content


def _path_inside(folder: Path, name: str) -> Path:
    """Return a file of the folder; refuse a name or a link that leads out of it."""
    path = folder / name
    # a folder from elsewhere may name any file of this machine, and what is trained on may be published
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(
            f"{folder}: {cut(name)} leads out of the folder (to {path.resolve()}); give the path of the file itself"
        )
    return path


def _shards(path: Path, split: str, suffix_of: Callable[[Path], str | None]) -> list[Path]:
    entries = sorted(entry for entry in path.iterdir() if suffix_of(entry))
    if not entries and (path / "data").is_dir():  # as data sets of the hub are laid out
        return _shards(path / "data", split, suffix_of)
    matches = {entry: SHARD.fullmatch(entry.name) for entry in entries}
    # `train-00000-of-00002.parquet`: what stands before the number tells splits apart
    stems = {match["stem"] for match in matches.values() if match}
    if not entries or not all(matches.values()) or (len(stems) > 1 and split not in stems):
        names = [entry.name for entry in entries]
        content = ", ".join(map(cut, names[:5])) + (" ..." if len(names) > 5 else "") or "no data file"
        advice = "Give the path of one file"
        if entries:
            advice += f", or a pattern of several, such as '{path}/*{suffix_of(entries[0])}'"
        if entries and all(matches.values()):
            advice += f", or choose a split: data.split={sorted(stems)[0]}"
        raise InputError(f"{path} is a folder, expected a file; it holds {content}. {advice}")
    chosen = [entry for entry, match in matches.items() if match and (len(stems) == 1 or match["stem"] == split)]
    for entry in chosen:
        _path_inside(path, entry.name)
        _refuse_gap(path, entry, len(chosen))
    return _same_kind(path, chosen, suffix_of)


def _refuse_gap(path: Path, entry: Path, files: int) -> None:
    """Refuse shards of which some are missing: their names say how many there are."""
    count = re.search(r"-of-(\d+)", entry.name)
    if count and int(count[1]) != files:
        raise InputError(f"{path}: {files} of {int(count[1])} shards are here ({entry.name}); fetch the others too")


def _same_kind(path: Path, files: list[Path], suffix_of: Callable[[Path], str | None]) -> list[Path]:
    kinds = {suffix_of(file) for file in files}
    if not files:
        raise InputError(f"{path}: no file fits this pattern; check the path")
    if len(kinds) > 1:
        first = next(file for file in files if suffix_of(file) != suffix_of(files[0]))
        raise InputError(
            f"{path}: files of different kinds, {files[0].name} and {first.name}; give a pattern of one kind"
        )
    return files
