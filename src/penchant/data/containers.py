"""Files to numbered rows: JSONL, JSON, CSV, TSV, Parquet and plain text, gzipped or not, and the database of a
collection. Knows no layout.

A line that is damaged in itself (broken JSON, invalid UTF-8, longer than `MAX_LINE_BYTES`) comes out as a
`RowProblem`, so that all of them can be named at once; a file that is damaged as a whole raises `InputError`.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from penchant.data import collected
from penchant.data.fields import Kind, RowError, cut, shown
from penchant.data.lines import MAX_LINE_BYTES, decoded, numbered_lines, opened, parsed_json, refuse_bomb
from penchant.errors import InputError

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".txt", *collected.SUFFIXES)
ROW_KEYS = ("data", "rows", "examples", "instances", "items", "records")  # fields of a document that hold its rows
SEPARATORS = ";\t|"  # of files that are called CSV all the same
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+)?")
# In a CSV file everything is text. These columns hold lists, objects, numbers or true and false in every layout
# that has them, so their cells are read as JSON; prompts and responses stay text, whatever they look like.
STRUCTURED_COLUMNS = re.compile(
    r"comparisons|responses|ranking|ranks|scores|completions|summaries|info|choice|conversations|messages|"
    r"history|passages|preference|annotator\d+|score_chosen|score_rejected|label"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `source` is where it stands: `prefs.jsonl:12` (line) or `prefs.csv row 12` (both from 1)."""

    source: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A row that cannot be used, and why."""

    source: str
    kind: Kind
    message: str

    def __str__(self) -> str:
        return f"{self.source}: {self.message}"


def read_rows(source: str | Path, split: str = "train") -> Iterator[Row | RowProblem]:
    """The rows of a file or of a hub data set (`org/name` or `org/name:config`), in order.

    Args:
        source: a path, or a hub id where no such file exists.
        split: which split of a hub data set, or of a JSON file that holds several.

    Raises:
        InputError: no such file (names similar ones), an unknown ending, a file damaged as a whole.
    """
    path = Path(source)
    if not path.exists() and _is_hub_id(str(source)):
        from penchant.data.hub import read_hub

        yield from read_hub(str(source), split)
        return
    _require_file(path)
    kind = _suffix(path)
    if kind in (".jsonl", ".ndjson"):
        yield from _read_jsonl(path)
    elif kind == ".json":
        yield from _read_json(path, split)
    elif kind in (".csv", ".tsv"):
        yield from _read_csv(path, "\t" if kind == ".tsv" else ",")
    elif kind == ".parquet":
        yield from _read_parquet(path)
    elif kind in collected.SUFFIXES:
        yield from (Row(place, values) for place, values in collected.read_collected(path))
    else:
        yield from _read_text(path)


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
        inside = (
            f"it holds {', '.join(files[:5])}{' ...' if len(files) > 5 else ''}" if files else "it holds no data file"
        )
        raise InputError(f"{path} is a folder, expected a file; {inside}. Give the path of one file")
    advice = "check the path"
    if not path.parent.is_dir():
        advice = f"the folder {path.parent} does not exist either; check the path"
    else:
        near = difflib.get_close_matches(path.name, [entry.name for entry in path.parent.iterdir()], n=3, cutoff=0.5)
        if near:
            advice = f"did you mean {' or '.join(str(path.parent / name) for name in near)}?"
    raise InputError(f"{path}: no such file; {advice}")


def _suffix_or_none(path: Path) -> str | None:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return suffixes[-1] if suffixes and suffixes[-1] in SUFFIXES else None


def _suffix(path: Path) -> str:
    suffix = _suffix_or_none(path)
    if suffix is None:
        raise InputError(
            f"{path}: unknown kind of file; its name must end in one of {', '.join(SUFFIXES)} (with or without .gz)"
        )
    return suffix


def _read_jsonl(path: Path) -> Iterator[Row | RowProblem]:
    for number, line in numbered_lines(path):
        source = f"{path.name}:{number}"
        try:
            text = decoded(line)
            if not text.strip():
                continue
            values = parsed_json(text)
            if not isinstance(values, dict):
                hint = "; name a file that is one JSON array .json" if text.lstrip().startswith("[") else ""
                raise RowError("damaged", f"expected one JSON object a line, got {shown(values)}{hint}")
            yield Row(source, values)
        except RowError as error:
            yield RowProblem(source, error.kind, str(error))


def _read_json(path: Path, split: str) -> Iterator[Row | RowProblem]:
    if _is_jsonl_inside(path):
        yield from _read_jsonl(path)
        return
    with opened(path) as stream:
        content = stream.read().removeprefix(b"\xef\xbb\xbf")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
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
    for number, values in enumerate(_array_of_rows(path, document, split), start=1):
        source = f"{path.name} row {number}"
        if isinstance(values, dict):
            yield Row(source, values)
        else:
            yield RowProblem(source, "damaged", f"expected a JSON object, got {shown(values)}")


def _is_jsonl_inside(path: Path) -> bool:
    """Many files named .json hold an object a line; a document over several lines opens with a bare brace."""
    with opened(path) as stream:
        first = stream.readline(MAX_LINE_BYTES + 1).removeprefix(b"\xef\xbb\xbf").strip()
        more = bool(stream.readline(MAX_LINE_BYTES + 1).strip())
    return first.startswith(b"{") and first.endswith(b"}") and (more or not _is_table_of_splits(first))


def _is_table_of_splits(line: bytes) -> bool:
    """Whether a document of one line is like `{"train": [{...}, ...]}` or `{"version": 1, "data": [{...}, ...]}`."""
    try:
        values = parsed_json(line.decode("utf-8"))
    except (RowError, UnicodeDecodeError):
        return False
    tables = [value for value in values.values() if isinstance(value, list) and value and isinstance(value[0], dict)]
    return len(tables) == len(values) or (len(tables) == 1 and any(values.get(name) is tables[0] for name in ROW_KEYS))


def _array_of_rows(path: Path, document: Any, split: str) -> list[Any]:
    if isinstance(document, list):
        return document
    if isinstance(document, dict):
        tables = {name: value for name, value in document.items() if isinstance(value, list)}
        if split in tables:
            return tables[split]
        rows = [name for name in ROW_KEYS if name in tables and tables[name] and isinstance(tables[name][0], dict)]
        if len(tables) == 1 or len(rows) == 1:
            return tables[rows[0]] if rows else next(iter(tables.values()))
        names = ", ".join(map(cut, list(document)[:8]))
        raise InputError(
            f"{path}: expected a JSON array of rows, got an object with the fields {names}; "
            f"make the array the whole document, or name it {split!r}"
        )
    raise InputError(f"{path}: expected a JSON array of rows, got {shown(document)}")


def _read_csv(path: Path, delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(max(MAX_LINE_BYTES, csv.field_size_limit()))
    lines = _csv_lines(path)
    first = next(lines, "")
    reader = csv.reader(chain([first], lines), delimiter=_separator(first, delimiter), strict=True)
    try:
        header = next(reader, [])
        _refuse_double(path, header)
        number = 0
        for cells in reader:
            if not cells:
                continue
            number += 1
            source = f"{path.name} row {number}"
            if len(cells) != len(header):
                raise InputError(
                    f"{path}:{reader.line_num}: row {number} has {len(cells)} cells, expected "
                    f"{len(header)} as in the "
                    "header; quote cells that hold commas, quotes or line breaks"
                )
            yield Row(source, {name: _cell(name, cell) for name, cell in zip(header, cells, strict=True)})
    except csv.Error as error:
        raise InputError(f'{path}:{reader.line_num}: broken CSV ({error}); quote cells as "..."') from error


def _separator(header: str, usual: str) -> str:
    """What separates the cells: the usual one, unless the header has only another."""
    if usual in header:
        return usual
    return max(SEPARATORS, key=header.count) if any(mark in header for mark in SEPARATORS) else usual


def _csv_lines(path: Path) -> Iterator[str]:
    for number, line in numbered_lines(path):
        try:
            yield decoded(line)
        except RowError as error:
            raise InputError(f"{path}:{number}: {error}") from None


def _cell(column: str, cell: str) -> Any:
    if not STRUCTURED_COLUMNS.fullmatch(column):
        return cell
    if not cell.strip():
        return None
    try:
        return parsed_json(cell)
    except RowError:
        return cell  # the layout's reader says what it expected instead


def _read_parquet(path: Path) -> Iterator[Row]:
    import pyarrow  # type: ignore[import-untyped]
    import pyarrow.parquet  # type: ignore[import-untyped]

    number, unpacked = 0, 0
    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            _refuse_double(path, table.schema_arrow.names)
            for batch in table.iter_batches(batch_size=_batch_size(table.metadata)):
                unpacked += batch.nbytes
                refuse_bomb(path, unpacked)
                for values in _parquet_rows(path, batch, number):
                    number += 1
                    yield Row(f"{path.name} row {number}", values)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: damaged or no Parquet file, after row {number} ({error}); fetch it again") from error


def _batch_size(metadata: Any) -> int:
    """So many rows that a batch stays within the memory, though a dictionary may stand for a long text in each."""
    groups = (metadata.row_group(place) for place in range(metadata.num_row_groups))
    largest = max(
        (group.column(c).total_uncompressed_size for group in groups for c in range(group.num_columns)), default=1
    )
    return max(1, min(1000, 2**31 // max(1, largest)))


def _parquet_rows(path: Path, batch: Any, before: int) -> list[dict[str, Any]]:
    """The rows of a batch as Python values; names the column that has none, such as times beyond Python's."""
    import pyarrow

    failures = (ValueError, OverflowError, TypeError, ImportError, pyarrow.ArrowException)
    try:
        return list(batch.to_pylist())
    except failures:
        for name in batch.schema.names:
            try:
                batch.column(name).to_pylist()
            except failures as error:
                raise InputError(
                    f"{path}: the column {cut(name)!r} ({batch.schema.field(name).type}) after row {before} holds a "
                    f"value that cannot be read ({cut(error, 200)}); leave the column out, or write it as text"
                ) from error
        raise


def _refuse_double(path: Path, names: Sequence[str]) -> None:
    """Refuse a table in which two columns have one name: one of them would be lost."""
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{path}: the column {cut(twice)!r} stands twice in the header; rename one of them")


def _read_text(path: Path) -> Iterator[Row | RowProblem]:
    for number, line in numbered_lines(path):
        source = f"{path.name}:{number}"
        try:
            text = decoded(line).rstrip("\r\n")
        except RowError as error:
            yield RowProblem(source, error.kind, str(error))
            continue
        if text.strip():
            yield Row(source, {"prompt": text})
