"""Read files as numbered rows, whatever their layout.

JSONL, JSON, CSV, TSV, Parquet and plain text are read, gzipped or not, and the database of a collection.

A line that is damaged in itself (broken JSON, invalid UTF-8, longer than `MAX_LINE_BYTES`) comes out as a
`RowProblem`, so that all of them can be named at once; a file that is damaged as a whole raises `InputError`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from penchant.data.sources import collection as collected
from penchant.data.sources.csv_rows import read_csv, refuse_double
from penchant.data.sources.json_rows import is_document, rows_of_document
from penchant.data.sources.lines import MAX_LINE_BYTES, decoded, numbered_lines, opened, parsed_json, refuse_bomb
from penchant.data.sources.rows import Row, RowProblem
from penchant.data.sources.values import RowError, RowValues, cut, describe
from penchant.errors import InputError, near_names

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-untyped]
    import pyarrow.parquet  # type: ignore[import-untyped]

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".txt", *collected.SUFFIXES)
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+)?")


def read_rows(source: str | Path, split: str = "train") -> Iterator[Row | RowProblem]:
    """Read the rows of a file or of a hub data set (`org/name` or `org/name:config`), in order.

    Args:
        source: a path, or a hub id where no such file exists.
        split: which split of a hub data set, or of a JSON file that holds several.

    Raises:
        InputError: no such file (names similar ones), an unknown ending, a file damaged as a whole.
    """
    path = Path(source)
    if not path.exists() and _is_hub_id(str(source)):  # a file of that name goes before the hub
        # `datasets` takes seconds to import, and files need none of it
        from penchant.data.sources.hub import read_hub

        yield from read_hub(str(source), split)
        return
    _require_file(path)
    kind = _suffix(path)
    if kind in (".jsonl", ".ndjson") or (kind == ".json" and _is_jsonl_inside(path)):
        yield from _read_lines(path, _parse_object)
    elif kind == ".json":
        yield from _read_json(path, split)
    elif kind in (".csv", ".tsv"):
        yield from (Row(location, values) for location, values in read_csv(path, "\t" if kind == ".tsv" else ","))
    elif kind == ".parquet":
        yield from _read_parquet(path)
    elif kind in collected.SUFFIXES:
        yield from (Row(location, values) for location, values in collected.read_collected(path))
    else:
        yield from _read_lines(path, lambda text: {"prompt": text.rstrip("\r\n")})


def check_source(source: str | Path) -> None:
    """Refuse what can be neither a data file nor a hub id, without reading anything.

    Raises:
        InputError: no such file (names similar ones), or a folder, a pipe, an unknown ending.
    """
    path = Path(source).expanduser()
    if path.exists() or not _is_hub_id(str(source)):
        _require_file(path)
        _suffix(path)


def _is_hub_id(source: str) -> bool:
    if not HUB_ID.fullmatch(source) or Path(source).suffix in (*SUFFIXES, ".gz"):
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
    if path.is_dir():
        files = sorted(entry.name for entry in path.iterdir() if _suffix_or_none(entry))
        content = ", ".join(files[:5]) + (" ..." if len(files) > 5 else "") or "no data file"
        raise InputError(f"{path} is a folder, expected a file; it holds {content}. Give the path of one file")
    advice = "check the path"
    if not path.parent.is_dir():
        advice = f"the folder {path.parent} does not exist either; check the path"
    elif similar := near_names(path.name, (entry.name for entry in path.parent.iterdir()), count=3, cutoff=0.5):
        advice = f"did you mean {' or '.join(str(path.parent / name) for name in similar)}?"
    raise InputError(f"{path}: no such file; {advice}")


def _suffix_or_none(path: Path) -> str | None:
    name = path.name.lower().removesuffix(".gz")
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix) and name != suffix), None)


def _suffix(path: Path) -> str:
    suffix = _suffix_or_none(path)
    if suffix is None:
        raise InputError(
            f"{path}: unknown kind of file; its name must end in one of {', '.join(SUFFIXES)} (with or without .gz)"
        )
    return suffix


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
            f"at byte {error.start - line_start + 1} of the line; save the file as UTF-8"
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


def _read_parquet(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    number, unpacked = 0, 0
    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            refuse_double(path, table.schema_arrow.names)
            for batch in table.iter_batches(batch_size=_batch_size(table.metadata)):
                unpacked += batch.nbytes
                refuse_bomb(path, unpacked)
                for values in _parquet_rows(path, batch, number):
                    number += 1
                    yield Row(f"{path.name} row {number}", values)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: damaged or no Parquet file, after row {number} ({error}); fetch it again") from error


def _batch_size(metadata: pyarrow.parquet.FileMetaData) -> int:
    """Return how many rows stay within the memory, though a dictionary may stand for a long text in each."""
    groups = (metadata.row_group(index) for index in range(metadata.num_row_groups))
    largest = max(
        (group.column(c).total_uncompressed_size for group in groups for c in range(group.num_columns)), default=1
    )
    # A batch as Python objects is at most 2 GiB, if each of its rows were as long as the largest column in one go.
    return max(1, min(1000, 2**31 // max(1, largest)))


def _parquet_rows(path: Path, batch: pyarrow.RecordBatch, before: int) -> list[RowValues]:
    """Return the rows of a batch as Python values; name the column that has none, such as times beyond Python's."""
    import pyarrow

    failures = (ValueError, OverflowError, TypeError, ImportError, pyarrow.ArrowException)
    try:
        rows: list[RowValues] = batch.to_pylist()
        # the schema says whether there is any: walking through every value takes longer than reading the file
        return list(map(_without_decimals, rows)) if "decimal" in str(batch.schema) else rows
    except failures:
        # pyarrow's message does not say which column it was about
        for name in batch.schema.names:
            try:
                batch.column(name).to_pylist()
            except failures as error:
                raise InputError(
                    f"{path}: the column {cut(name)!r} ({batch.schema.field(name).type}) after row {before} holds a "
                    f"value that cannot be read ({cut(error, 200)}); leave the column out, or write it as text"
                ) from error
        raise


def _without_decimals(row: RowValues) -> RowValues:
    """Return a row with its decimals, which no layout knows, as plain numbers: ratings and labels are such."""
    return {name: _without_decimal(value) for name, value in row.items()}


def _without_decimal(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return _without_decimals(value)
    return list(map(_without_decimal, value)) if isinstance(value, list) else value
