"""Arrow and Parquet: files whose parts point beyond their content end with a message, not with the process."""

from __future__ import annotations

import struct
from pathlib import Path
from types import SimpleNamespace

import pyarrow  # type: ignore[import-untyped]
import pytest

from penchant.data.sources.arrow_rows import _batch_size, read_arrow
from penchant.errors import InputError


@pytest.mark.parametrize("kind", ["file", "stream"])
def test_texts_that_end_before_they_begin_are_refused(tmp_path: Path, kind: str) -> None:
    table = pyarrow.table({"prompt": ["a" * 11, "b" * 12]})
    path = tmp_path / "a.arrow"
    opened = pyarrow.ipc.new_file if kind == "file" else pyarrow.ipc.new_stream
    with opened(path, table.schema) as writer:
        writer.write_table(table)
    assert len(list(read_arrow(path))) == 2
    ends, broken_ends = struct.pack("<3i", 0, 11, 23), struct.pack("<3i", 0, 11, 5)
    content = path.read_bytes()
    assert content.count(ends) == 1
    path.write_bytes(content.replace(ends, broken_ends))
    with pytest.raises(InputError, match="damaged or no Arrow file, after row 0"):
        list(read_arrow(path))


def test_a_batch_is_as_large_as_the_largest_group_allows() -> None:
    # the columns of a group are not asked for: pyarrow ends the process over a damaged one
    def metadata(*sizes: int) -> SimpleNamespace:
        groups = [SimpleNamespace(total_byte_size=size) for size in sizes]
        return SimpleNamespace(num_row_groups=len(groups), row_group=groups.__getitem__)

    assert _batch_size(metadata()) == 1000
    assert _batch_size(metadata(5, 2**30)) == 2
    assert _batch_size(metadata(2**40)) == 1
