"""Files of what a session handed over, each under a name that ends in a digest of its content."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from penchant.digests import digest_file
from penchant.errors import InputError
from penchant.files import atomic_folder, atomic_write, cache_folder, make_folder

PREFIX = "session:"
LENGTH = 16  # hexadecimal digits of a digest in a name
INPUTS = "inputs"
"""The folder in a run's directory that holds what a session handed over to the run."""

_NAME = re.compile(rf"{PREFIX}([\w.-]+)")
_DIGEST = re.compile(rf"[-_]([0-9a-f]{{{LENGTH}}})(?:\.\w+)*$")
_folders: list[Path] = []
"""Folders of inputs of the runs whose settings were read."""


def is_session_name(name: object) -> bool:
    """Return whether a value is the name of something that a session handed over."""
    return isinstance(name, str) and name.startswith(PREFIX)


def content_digest(content: bytes) -> str:
    """Return the digest that a name ends in."""
    return hashlib.sha256(content).hexdigest()[:LENGTH]


def store_folder() -> Path:
    """Return the folder of the cache that holds what sessions handed over."""
    return cache_folder() / "session"


def store_file(stem: str, content: bytes, suffix: str) -> str:
    """Write content into the cache, unless it is there; return its name.

    Args:
        stem: how the name begins, such as `rows`.
        suffix: how the file's name ends, such as `.jsonl`; part of the name.

    Raises:
        InputError: the cache cannot be written.
    """
    file = f"{stem}-{content_digest(content)}{suffix}"
    write_once(file, content)
    return PREFIX + file


def write_once(file: str, content: bytes) -> None:
    """Write a file of the store, unless it is there whole.

    Raises:
        InputError: the cache cannot be written.
    """
    path = store_folder() / file
    # the digest is asked as well: a crash of the machine may leave a file of the right size with other bytes
    if path.is_file() and path.stat().st_size == len(content) and _is_whole(path):
        return
    try:
        make_folder(path.parent)
        atomic_write(path, content, shared=True)
    except OSError as error:
        raise InputError(
            f"cannot keep {PREFIX}{file} in {path.parent} ({error.strerror or error}): make room there, or name "
            "another folder with PENCHANT_CACHE"
        ) from error


def search_inputs_of(run: Path) -> None:
    """Look for names in a run's inputs, too, from now on: its settings are being read."""
    # resolved: the current folder may be another one when the name is looked for
    folder = run.resolve() / INPUTS
    if folder.is_dir() and folder not in _folders:
        _folders.append(folder)


def session_path(name: str | Path) -> str | Path:
    """Return the file or folder behind the name of rows or a model; any other name as it is.

    Raises:
        InputError: it is nowhere, or the file is not what was handed over.
    """
    if not isinstance(name, str) or not name.startswith(PREFIX):
        return name
    path = find_stored(name.removeprefix(PREFIX))
    if path is None:
        raise InputError(
            f"{name} was handed over by a Python session and is not in {store_folder()} any more: give the same call "
            f"in Python again, or begin from the `config.yaml` of a run that used it, whose folder `{INPUTS}` has it"
        )
    return str(path)


def find_stored(file: str) -> Path | None:
    """Return where a file or folder of the store lies; None where it is nowhere.

    Raises:
        InputError: it is not what was handed over.
    """
    if Path(file).name != file:  # a name that somebody wrote leads nowhere else
        return None
    # the cache first: it is filled by the call that names it, where a run's folder may be any old one
    path = next((folder / file for folder in (store_folder(), *_folders) if (folder / file).exists()), None)
    if path is not None and path.is_file() and not _is_whole(path):
        raise InputError(f"{path} is damaged: its content has another digest than its name says. Delete it")
    return path


def _is_whole(path: Path) -> bool:
    # a folder (of a model) has a list of digests of its own, which is checked where its files are read
    digest = _DIGEST.search(path.name)
    return digest is None or digest_file(path).startswith(digest.group(1))


def names_in(settings: object) -> list[str]:
    """Return the names of what a session handed over in settings, each once, in their order."""
    return list(dict.fromkeys(_names(settings)))


def _names(value: object) -> Iterator[str]:
    if isinstance(value, str):  # anywhere in it: a reward may be `thoughts:session:NAME`
        yield from (PREFIX + match for match in _NAME.findall(value))
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from _names(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _names(entry)


def keep_inputs(run: Path, settings: object) -> None:
    """Put what a session handed over into a run's folder, so that the run can be repeated from there.

    Args:
        settings: those of the run, in which the names stand.

    Raises:
        OSError: it cannot be written.
        InputError: one is not what was handed over.
    """
    stems = [name.removeprefix(PREFIX) for name in names_in(settings)]
    # code has no ending in its name, for that says whether the text can stand alone
    for file in (f"{stem}{suffix}" for stem in stems for suffix in ("", ".py", ".txt")):
        source, target = find_stored(file), run / INPUTS / file
        # what has no source is in no file; a resumed run has its inputs already
        if source is None or target.exists():
            continue
        make_folder(target.parent)
        if source.is_dir():
            with atomic_folder(target) as building:
                for inner in (path for path in source.iterdir() if path.is_file()):
                    _link(inner, building / inner.name)
        else:
            _link(source, target)


def _link(file: Path, name: Path) -> None:
    """Give a file a second name, which takes no room, or copy it where the file system has no such thing."""
    try:
        os.link(file, name)
    except OSError:
        shutil.copyfile(file, name)
