"""Read tables of Arrow and Parquet as rows, some thousand at a time."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from penchant.data.sources.csv_rows import refuse_double
from penchant.data.sources.packed import refuse_bomb
from penchant.data.sources.rows import Row
from penchant.data.sources.values import RowValues, cut
from penchant.errors import InputError

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-untyped]
    import pyarrow.parquet  # type: ignore[import-untyped]

ROWS_AT_ONCE = 1000
FILE_MAGIC = b"ARROW1"
# With these bytes a stream ends. A reader takes a stream that was cut between two batches for a whole one.
STREAM_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"


def read_parquet(path: Path) -> Iterator[Row]:
    """Yield the rows of a Parquet file.

    Raises:
        InputError: it is damaged, or holds values that Python has no type for.
    """
    import pyarrow
    import pyarrow.parquet

    number, unpacked = 0, 0
    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            refuse_double(path, table.schema_arrow.names)
            for batch in table.iter_batches(batch_size=_batch_size(table.metadata)):
                unpacked += batch.nbytes
                refuse_bomb(path, unpacked)
                for values in _batch_rows(path, batch, number):
                    number += 1
                    yield Row(f"{path.name} row {number}", values)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: damaged or no Parquet file, after row {number} ({error}); fetch it again") from error


def read_arrow(path: Path) -> Iterator[Row]:
    """Yield the rows of an Arrow file, memory-mapped: of the file format, or of the stream that `datasets` writes.

    Raises:
        InputError: it is damaged or cut short, or holds values that Python has no type for.
    """
    import pyarrow

    number, unpacked = 0, 0
    try:
        with pyarrow.memory_map(str(path)) as content:
            for batch in _record_batches(path, content):
                # a reader of Arrow trusts the file: an offset beyond the texts would end the process without a word
                batch.validate(full=True)
                # buffers may be compressed inside of the file
                unpacked += batch.nbytes
                refuse_bomb(path, unpacked)
                for start in range(0, len(batch), ROWS_AT_ONCE):
                    for values in _batch_rows(path, batch.slice(start, ROWS_AT_ONCE), number):
                        number += 1
                        yield Row(f"{path.name} row {number}", values)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: damaged or no Arrow file, after row {number} ({error}); fetch it again") from error


def _record_batches(path: Path, content: pyarrow.MemoryMappedFile) -> Iterator[pyarrow.RecordBatch]:
    import pyarrow

    is_file = content.read(len(FILE_MAGIC)) == FILE_MAGIC
    if not is_file:
        content.seek(max(0, content.size() - 8))
        if content.read() != STREAM_END:
            raise InputError(
                f"{path}: the Arrow stream has no end mark, so it was cut short or its writer was stopped; write or "
                "fetch it again"
            )
    content.seek(0)
    if is_file:
        with pyarrow.ipc.open_file(content) as table:
            refuse_double(path, table.schema.names)
            yield from map(table.get_batch, range(table.num_record_batches))
        return
    with pyarrow.ipc.open_stream(content) as stream:
        refuse_double(path, stream.schema.names)
        yield from stream


def _batch_size(metadata: pyarrow.parquet.FileMetaData) -> int:
    """Return how many rows stay within the memory, though a dictionary may stand for a long text in each."""
    # of whole groups: pyarrow ends the process where it is asked for a damaged column's description
    sizes = (metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
    largest = max(sizes, default=1)
    # A batch as Python objects is at most 2 GiB, if each of its rows were as long as the largest group in one go.
    return max(1, min(ROWS_AT_ONCE, 2**31 // max(1, largest)))


def _batch_rows(path: Path, batch: pyarrow.RecordBatch, before: int) -> list[RowValues]:
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
