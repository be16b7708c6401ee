"""`penchant data get`: data sets by name, from the hub or from a copy at hand. Imports no torch."""

from __future__ import annotations

import gzip
import json
import shutil
import zlib
from collections.abc import Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, create_model

from penchant.cli.arguments import Arguments, Command
from penchant.config import Config
from penchant.config.limits import Rows, Text
from penchant.config.schema import summary_of
from penchant.errors import InputError, RunError
from penchant.files import file_above
from penchant.text_table import text_table

if TYPE_CHECKING:
    from penchant.data.sources.file_sets import FileSet
    from penchant.data.sources.hub_table import HubDataset


class _DataGet(Config):
    """Get a data set that presets and tasks read: from the hub, or from a copy at hand. Without a name, list them.

    Licence, size and the place where all this was read are printed first. Nothing is overwritten.
    """

    method: ClassVar[str] = "data get"

    name: Text | None = None
    """The data set: a name of the list, or a hub id in it."""
    out: Text = "data"
    """The folder to write below. Presets and tasks look in `data`, or in what PENCHANT_DATA names."""
    limit: Rows | None = None
    """Take only the first so many rows of each split of a hub data set. Such a part is read where its file is named."""
    dry_run: bool = False
    """Only say what it is, and where it lies."""

    @property
    def copy_folder(self) -> Path | None:
        """The folder of a copy, which the setting `from` names."""
        folder = getattr(self, "from", None)
        return None if folder is None else Path(folder)


_FROM = Field(default=None, description="A folder with a copy of it, which is taken instead of the hub.")
# `from` is a word of Python, which no class body can declare
_FIELDS: dict[str, Any] = {"from": (Text | None, _FROM)}
DataGet = create_model("DataGet", __base__=_DataGet, __module__=__name__, __doc__=summary_of(_DataGet), **_FIELDS)  # type: ignore[type-var]  # checkers do not see pydantic's model


def _get(arguments: Arguments) -> int:
    config = arguments.load(DataGet)
    from penchant.data.sources.file_sets import FileSet, find_set

    if config.name is None:
        print("\n".join(_list_lines()))
        return 0
    entry = find_set(config.name)
    print("\n".join(_about_lines(entry)))
    if config.dry_run:
        return 0
    # before the network is asked
    if (file := file_above(Path(config.out) / "data")) is not None:
        raise InputError(f"out={config.out}: {file} is a file, expected a folder")
    written = _get_files(entry, config) if isinstance(entry, FileSet) else _get_splits(entry, config)
    print("\n".join(f"written: {path}" for path in written))
    print(_used_how(entry, config, written))
    return 0


def _used_how(entry: FileSet | HubDataset, config: _DataGet, written: list[Path]) -> str:
    """Return what reads the files now."""
    from penchant.data.sources.file_sets import FileSet
    from penchant.tasks.load import NAMES, data_folder

    tasks = [] if isinstance(entry, FileSet) or config.limit is not None else [n for n in entry.used if n in NAMES]
    if not isinstance(entry, FileSet) and not tasks:
        return f"name a file where a command takes data: data={written[0]}"
    reader = f"task{'s' if len(tasks) > 1 else ''} {', '.join(tasks)}" if tasks else "presets"
    found_here = Path(config.out).resolve() == data_folder()
    where = "" if found_here else f", with PENCHANT_DATA={Path(config.out).absolute()}"
    return f"{reader} {'finds' if len(tasks) == 1 else 'find'} it{where}"


def _list_lines() -> list[str]:
    from penchant.data.sources.file_sets import file_sets
    from penchant.data.sources.hub_table import read_table
    from penchant.reports.kit.text import file_size

    # those that fit on a disk beside the code come first
    rows = [
        (entry.name, f"{entry.rows:,}", file_size(entry.bytes), entry.licence, ", ".join(entry.used))
        for entry in file_sets()
    ]
    lines = ["Files that presets read:", *text_table(("name", "rows", "size", "licence", "read by"), rows), ""]
    hub_rows = [(entry.name, _rows(entry), ", ".join(entry.used)) for entry in read_table().datasets]
    lines += ["Data sets of the hub:", *text_table(("hub id", "rows", "read by"), hub_rows)]
    return [*lines, "", "penchant data get NAME dry_run=true says more of one"]


def _rows(entry: HubDataset) -> str:
    return ", ".join(f"{split} {'?' if rows is None else f'{rows:,}'}" for split, rows in entry.splits.items())


def _about_lines(entry: FileSet | HubDataset) -> list[str]:
    from penchant.data.sources.file_sets import FileSet
    from penchant.reports.kit.text import file_size

    if isinstance(entry, FileSet):
        return [
            f"{entry.name}: {entry.content}",
            f"  {entry.rows:,} rows, {file_size(entry.bytes)} packed; licence: {entry.licence}",
            f"  published: {entry.published or 'not found'}",
            f"  read by: {', '.join(entry.used)}; seen in: {entry.read}",
        ]
    # never invented: an empty revision is one that nobody read
    revision = entry.revision or "none was read yet, so the newest is taken"
    return [
        f"{entry.name}: rows per split: {_rows(entry)}",
        f"  columns that are read: {', '.join(entry.columns)}",
        f"  published: https://huggingface.co/datasets/{entry.id}; its card has licence and size, not read here",
        f"  revision: {revision}",
        f"  read by: {', '.join(entry.used)}; seen in: {entry.read}",
    ]


def _get_files(entry: FileSet, config: _DataGet) -> list[Path]:
    """Write the files of a set that are not there yet.

    Raises:
        InputError: all are there already, the copy lacks one, or the hub cannot be reached; with what to do by hand.
    """
    from penchant.data.sources.file_sets import where_by_hand

    out = Path(config.out)
    missing = _missing({out / name: source for name, source in entry.files.items()})
    # all are found before the first is written
    contents = {}
    for target, source in missing.items():
        if config.copy_folder is not None:
            contents[target] = _copy_at_hand(config.copy_folder, target.relative_to(out), source)
        elif entry.hub:
            contents[target] = _from_hub(entry, source, where_by_hand(entry, out))
        else:
            raise InputError(f"{entry.name} is not on the hub. {_capital(where_by_hand(entry, out))}")
    for target, file in contents.items():
        _write_packed(target, file)
    return list(contents)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _missing(targets: Mapping[Path, str]) -> dict[Path, str]:
    """Return the files that are not there: what came before the network went away is not fetched again.

    Raises:
        InputError: all are there.
    """
    missing = {target: source for target, source in targets.items() if not target.exists() and not target.is_symlink()}
    if not missing:
        raise InputError(f"nothing is overwritten, and there is {' and '.join(map(str, targets))} already")
    return missing


def _copy_at_hand(folder: Path, name: Path, source: str) -> Path:
    """Return a file of a copy, under its own name or the one it is published under, packed or not."""
    if not folder.is_dir():
        raise InputError(f"from={folder}: there is no such folder")
    # people keep files under the name here, or under the one they are published by
    found_file = _file_of_copy(folder, [str(name), name.name, source, Path(source).name])
    if found_file is None:
        raise InputError(f"from={folder}: it holds neither {name} nor {source}")
    return found_file


def _file_of_copy(folder: Path, names: Sequence[str]) -> Path | None:
    """Return the first file of a copy that has one of the names, packed or not."""
    candidates = [folder / text for base in names for text in (base, base.removesuffix(".gz"), f"{base}.gz")]
    return next((file for file in candidates if file.is_file()), None)


def _task_files(entry: HubDataset, folder: Path) -> dict[str, Path]:
    """Return a copy's files by the names that a task reads them by; none where it lacks one."""
    from penchant.tasks.load import NAMES, task_spec

    for name in entry.used:
        local = task_spec(name).local if name in NAMES else ()
        files = {file: _file_of_copy(folder, [file, Path(file).name]) for file in local}
        at_hand = {file: path for file, path in files.items() if path is not None}
        if at_hand and len(at_hand) == len(files):
            return at_hand
    return {}


def _from_hub(entry: FileSet, file: str, by_hand: str) -> Path:
    from huggingface_hub import hf_hub_download

    from penchant.data.sources.hub import first_line
    from penchant.data.sources.hub_table import pinned_dataset

    try:
        return Path(hf_hub_download(entry.hub, file, repo_type="dataset", revision=pinned_dataset(entry.hub) or None))
    except Exception as error:  # the client's own: no network, no such file, no access
        raise InputError(
            f"{entry.hub} cannot be fetched ({type(error).__name__}: {first_line(error)}). {_capital(by_hand)}, or "
            "give a folder that has them: from=FOLDER"
        ) from error


def _write_packed(target: Path, file: Path) -> None:
    """Write a file under its name, packed where that says so; whole or not at all.

    Raises:
        InputError: the file is damaged.
        RunError: it cannot be written.
    """
    from penchant.files import atomic_stream

    unpacked = gzip.open if file.suffix == ".gz" else open
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_stream(target) as stream, unpacked(file, "rb") as content:
            if target.suffix == ".gz":
                # without a time and a name, so that equal content gives equal bytes
                with gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0) as packed:
                    shutil.copyfileobj(content, packed)
            else:
                shutil.copyfileobj(content, stream)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{file} is damaged ({error}): take another copy. Nothing was written") from error
    except OSError as error:
        raise RunError(f"cannot write {target} from {file}: {error.strerror or error}") from error


def _get_splits(entry: HubDataset, config: _DataGet) -> list[Path]:
    """Write the splits of a hub data set as JSON Lines.

    Raises:
        InputError: it cannot be read; with what to do by hand.
    """
    from penchant.data.sources.hub_table import split_file

    if config.copy_folder is not None and config.limit is None and (files := _task_files(entry, config.copy_folder)):
        # a copy of the files that a task reads, which are not rows as the hub has them
        missing_files = _missing({Path(config.out) / name: name for name in files})
        for target, name in missing_files.items():
            _write_packed(target, files[name])
        return list(missing_files)
    # a part has a name of its own, so that no task takes it for the whole
    part = "" if config.limit is None else f".first-{config.limit}"
    missing = _missing({split_file(Path(config.out), entry.name, f"{split}{part}"): split for split in entry.splits})
    for target, split in missing.items():
        _write_rows(entry, split, target, config)
    return list(missing)


def _write_rows(entry: HubDataset, split: str, target: Path, config: _DataGet) -> None:
    from penchant.data.sources.files import read_rows
    from penchant.data.sources.rows import RowProblem
    from penchant.files import atomic_stream

    # a copy may be a folder of shards or of `save_to_disk`, with or without a folder per split
    source = entry.name if config.copy_folder is None else _copied_split(config.copy_folder, split)
    try:
        rows = islice(read_rows(source, split), config.limit)
        # read before the folder is made: without a network there is nothing to put in it
        first = list(islice(rows, 1))
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_stream(target) as stream:
            for row in chain(first, rows):
                if isinstance(row, RowProblem):
                    raise InputError(str(row))
                if missing := [column for column in entry.columns if column not in row.values]:
                    absent = ", ".join(missing)
                    raise InputError(
                        f"{row.source}: no column {absent}: this is no copy of {entry.name} as the hub has it"
                    )
                stream.write(json.dumps(row.values, ensure_ascii=False, default=str).encode() + b"\n")
    except InputError as error:
        raise InputError(
            f"{error}. By hand: download https://huggingface.co/datasets/{entry.id} on a machine that reaches it, and "
            f"give that folder: from=FOLDER (or put the rows of {split} at {target})"
        ) from error
    except OSError as error:
        raise RunError(f"cannot write {target}: {error.strerror or error}") from error


def _copied_split(folder: Path, split: str) -> str:
    """Return the file of a split in a copy, or the folder itself where its shards or tables tell the splits apart."""
    file = (
        next((file for file in sorted(folder.glob(f"{split}.*")) if file.is_file()), None) if folder.is_dir() else None
    )
    return str(file or folder)


GET = Command(
    "get",
    DataGet,
    _get,
    help="get a data set that presets and tasks read, or list them",
    positionals={"name": "NAME"},
    example="hh-harmless-test out=data",
)
