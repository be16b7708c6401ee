"""Read files as numbered rows, whatever their layout.

JSONL, JSON, CSV, TSV and plain text are read, packed (gzip, Zstandard) or not; Parquet, Arrow and Excel files, folders
of `save_to_disk` and of shards, and the database of a collection.

A line that is damaged in itself (broken JSON, invalid UTF-8, longer than `MAX_LINE_BYTES`) comes out as a
`RowProblem`, so that all of them can be named at once; a file that is damaged as a whole raises `InputError`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from penchant.data.sources import collection as collected
from penchant.data.sources.arrow_rows import read_arrow, read_parquet
from penchant.data.sources.binary_files import HEAD, binary_kind
from penchant.data.sources.csv_rows import read_csv
from penchant.data.sources.folders import data_files, is_pattern
from penchant.data.sources.json_rows import is_document, rows_of_document
from penchant.data.sources.lines import MAX_LINE_BYTES, decoded, encoding_advice, numbered_lines, parsed_json
from penchant.data.sources.packed import PACKED_SUFFIXES, opened
from penchant.data.sources.rows import Row, RowProblem
from penchant.data.sources.values import RowError, RowValues, describe
from penchant.data.sources.xlsx_rows import read_xlsx
from penchant.errors import InputError, near_names
from penchant.session.store import session_path

TEXT_SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt")
"""Kinds of files that may be packed."""
SUFFIXES = (*TEXT_SUFFIXES, ".parquet", ".arrow", ".xlsx", *collected.SUFFIXES)
LINE_FOR_ADVICE = 4096  # bytes of a line by which its encoding is guessed
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+)?")


def read_rows(source: str | Path, split: str = "train") -> Iterator[Row | RowProblem]:
    """Read the rows of a file or of a hub data set (`org/name` or `org/name:config`), in order.

    Args:
        source: a path, or a hub id where no such file exists.
        split: which split of a hub data set, or of a folder, a workbook (its sheet) or a JSON file that has several.

    Raises:
        InputError: no such file (names similar ones), an unknown ending, a file damaged as a whole.
    """
    source = session_path(source)
    path = Path(source)
    if not path.exists() and _is_hub_id(str(source)):  # a file of that name goes before the hub
        # `datasets` takes seconds to import, and files need none of it
        from penchant.data.sources.hub import read_hub

        yield from read_hub(str(source), split)
        return
    files = source_files(source, split)
    for file in files:
        yield from _read_file(file, split)


def source_files(source: str | Path, split: str = "train") -> list[Path]:
    """Return the files that a path stands for, in the order of their rows: of a folder or a pattern several.

    Raises:
        InputError: as `read_rows`.
    """
    path = Path(session_path(source))
    if not path.is_dir() and not is_pattern(path):
        _require_file(path)
    files = data_files(path, split, _suffix_or_none)
    for file in files:
        _require_file(file)
        _suffix(file)
    return files


def _read_file(path: Path, split: str) -> Iterator[Row | RowProblem]:
    kind = _suffix(path)
    if kind in (".jsonl", ".ndjson") or (kind == ".json" and _is_jsonl_inside(path)):
        yield from _read_lines(path, _parse_object)
    elif kind == ".json":
        yield from _read_json(path, split)
    elif kind in (".csv", ".tsv"):
        yield from (Row(location, values) for location, values in read_csv(path, "\t" if kind == ".tsv" else ","))
    elif kind == ".parquet":
        yield from read_parquet(path)
    elif kind == ".arrow":
        yield from read_arrow(path)
    elif kind == ".xlsx":
        yield from read_xlsx(path, split)
    elif kind in collected.SUFFIXES:
        yield from (Row(location, values) for location, values in collected.read_collected(path))
    else:
        yield from _read_lines(path, lambda text: {"prompt": text.rstrip("\r\n")})


def check_source(source: str | Path) -> None:
    """Refuse what can be neither a data file nor a hub id, without reading anything.

    Raises:
        InputError: no such file (names similar ones), or a folder, a pipe, an unknown ending.
    """
    path = Path(session_path(source)).expanduser()
    # which split of a folder is meant is known only once it is read
    if path.is_dir() or is_pattern(path):
        return
    if path.exists() or not _is_hub_id(str(source)):
        _require_file(path)
        _suffix(path)


def _is_hub_id(source: str) -> bool:
    if not HUB_ID.fullmatch(source) or Path(source).suffix in (*SUFFIXES, *PACKED_SUFFIXES):
        return False
    # `data/prefs` beside a folder `data` is a mistyped path: the hub would only say that there is no such data set
    return not Path(source).parent.is_dir()


def _require_file(path: Path) -> None:
    if path.is_file():
        return
    if path.exists() and not path.is_dir():
        raise InputError(
            f"{path} is a pipe or a device, expected a file: data is read more than once. Save it into a file first"
        )
    advice = "check the path"
    if not path.parent.is_dir():
        advice = f"the folder {path.parent} does not exist either; check the path"
    elif similar := near_names(path.name, (entry.name for entry in path.parent.iterdir()), count=3, cutoff=0.5):
        advice = f"did you mean {' or '.join(str(path.parent / name) for name in similar)}?"
    raise InputError(f"{path}: no such file; {advice}")


def _suffix_or_none(path: Path) -> str | None:
    name = path.name.lower()
    if path.suffix.lower() in PACKED_SUFFIXES:
        name = name.removesuffix(path.suffix.lower())
    suffixes = TEXT_SUFFIXES if name != path.name.lower() else SUFFIXES
    return next((suffix for suffix in suffixes if name.endswith(suffix) and name != suffix), None)


def _suffix(path: Path) -> str:
    suffix = _suffix_or_none(path)
    if suffix is None:
        raise InputError(
            f"{path}: unknown kind of file; its name must end in one of {', '.join(SUFFIXES)} (those of text also with "
            f"{' or '.join(PACKED_SUFFIXES)}){_other_program(path)}"
        )
    return suffix


def _other_program(path: Path) -> str:
    """Return what to do about the file of a program that can save another kind, or what its content is."""
    if path.suffix.lower() in (".xls", ".ods", ".numbers"):
        return "; save it as .xlsx or CSV (UTF-8)"
    try:
        with path.open("rb") as stream:
            kind = binary_kind(stream.read(HEAD))
    except OSError:
        return ""
    return f". Its content is {kind}" if kind else ""


def _read_lines(path: Path, parse: Callable[[str], RowValues]) -> Iterator[Row | RowProblem]:
    for number, line in numbered_lines(path):
        source = f"{path.name}:{number}"
        try:
            text = decoded(line)
            if text.strip():
                yield Row(source, parse(text))
        except RowError as error:
            yield RowProblem(source, error.kind, str(error))


def _parse_object(text: str) -> RowValues:
    values = parsed_json(text)
    if not isinstance(values, dict):
        advice = "; name a file that is one JSON array .json" if text.lstrip().startswith("[") else ""
        raise RowError("damaged", f"expected one JSON object per line, got {describe(values)}{advice}")
    return values


def _read_json(path: Path, split: str) -> Iterator[Row | RowProblem]:
    with opened(path) as stream:
        content = stream.read().removeprefix(b"\xef\xbb\xbf")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        # the decoder counts bytes of the whole file; an editor goes to a line
        line_number = content.count(b"\n", 0, error.start) + 1
        line_start = content.rfind(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}:{line_number}: invalid UTF-8: byte 0x{content[error.start]:02x} "
            f"at byte {error.start - line_start + 1} of the line; "
            f"{encoding_advice(content[line_start : line_start + LINE_FOR_ADVICE])}"
        ) from None
    if not text.strip():
        return
    try:
        document = parsed_json(text)
    except RowError as error:
        raise InputError(f"{path}: {error}; expected one JSON array of rows") from None
    for number, values in enumerate(rows_of_document(path, document, split), start=1):
        source = f"{path.name} row {number}"
        if isinstance(values, dict):
            yield Row(source, values)
        else:
            yield RowProblem(source, "damaged", f"expected a JSON object, got {describe(values)}")


def _is_jsonl_inside(path: Path) -> bool:
    """Return whether a .json file has an object per line, as many exporters write it.

    A document over several lines opens with a bare brace.
    """
    with opened(path) as stream:
        first = stream.readline(MAX_LINE_BYTES + 1).removeprefix(b"\xef\xbb\xbf").strip()
        has_second_line = bool(stream.readline(MAX_LINE_BYTES + 1).strip())
    return first.startswith(b"{") and first.endswith(b"}") and (has_second_line or not is_document(first))
