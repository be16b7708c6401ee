"""Read a sheet of an Excel workbook as rows: its values alone, formulas as the numbers that Excel kept of them."""

from __future__ import annotations

import datetime
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError

from penchant.data.sources.csv_rows import check_header, structured_cell
from penchant.data.sources.packed import refuse_bomb
from penchant.data.sources.rows import Row, RowProblem
from penchant.data.sources.values import cut
from penchant.errors import InputError

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.cell import ReadOnlyCell

DEFAULT_SPLIT = "train"  # of the settings: nobody named a sheet
MAX_ROWS = 1_048_576  # that Excel has; a row that says it stands further down would be waited for
DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, ParseError, NotImplementedError, RuntimeError),
    *(KeyError, IndexError, ValueError, TypeError, AttributeError, OverflowError),
)
"""What openpyxl and zipfile raise at a damaged, encrypted or foreign file."""


def read_xlsx(path: Path, sheet: str) -> Iterator[Row | RowProblem]:
    """Yield the rows of a workbook's sheet, by the names in its first row.

    Args:
        sheet: its name (`data.split`), where the workbook has several with content.

    Raises:
        InputError: no workbook, no package that reads it, or no saying which sheet.
    """
    try:
        import openpyxl
    except ImportError:
        raise InputError(
            f"{path}: .xlsx needs the package openpyxl: pip install 'penchant[xlsx]', or save the sheet as CSV (UTF-8)"
        ) from None
    try:
        with zipfile.ZipFile(path) as archive:
            # what an entry says of its size holds: `zipfile` reads no more of it
            refuse_bomb(path, sum(entry.file_size for entry in archive.infolist()))
        # twice, since openpyxl gives either formulas or their values; both are read row by row
        values = openpyxl.load_workbook(path, read_only=True, data_only=True)
        formulas = openpyxl.load_workbook(path, read_only=True)
        name = _sheet_name(path, values, sheet)
        for workbook in (values, formulas):
            workbook[name].reset_dimensions()  # other programs write a size that is too small
        yield from _sheet_rows(path, values[name].iter_rows(), formulas[name].iter_rows())
        values.close()
        formulas.close()
    except InputError:
        raise
    except DAMAGE as error:
        raise InputError(
            f"{path}: damaged or no Excel workbook ({cut(error, 200)}); save it again as .xlsx, or as CSV (UTF-8)"
        ) from error


def _sheet_name(path: Path, workbook: Workbook, split: str) -> str:
    sheets = [sheet.title for sheet in workbook.worksheets]
    if split in sheets:
        return split
    filled_sheets = [name for name in sheets if next(workbook[name].iter_rows(max_row=1), None)]
    names = ", ".join(map(cut, sheets[:8]))
    if split != DEFAULT_SPLIT:
        raise InputError(f"{path}: no sheet {cut(split)!r}; it has {names}")
    if not filled_sheets:
        raise InputError(f"{path}: the workbook is empty; expected the columns' names in the first row of a sheet")
    if len(filled_sheets) > 1:
        raise InputError(f"{path}: the sheets {names} all hold something; choose one: data.split={filled_sheets[0]}")
    return filled_sheets[0]


def _sheet_rows(
    path: Path, rows: Iterator[Sequence[ReadOnlyCell]], formulas: Iterator[Sequence[ReadOnlyCell]]
) -> Iterator[Row | RowProblem]:
    header: list[str] = []
    for number, (cells, written) in enumerate(zip(rows, formulas, strict=True), start=1):
        if number > MAX_ROWS:
            raise InputError(
                f"{path}: a row says that it stands below row {MAX_ROWS:,}, the last one of Excel; save the sheet "
                "again, or as CSV (UTF-8)"
            )
        values = [cell.value for cell in cells]
        if not header:
            if not any(value is not None for value in values):
                continue
            # cells that only have a format count as cells
            while values and values[-1] is None:
                values.pop()
            header = ["" if value is None else str(value) for value in values]
            check_header(path, header)
            continue
        if all(value is None and source.value is None for value, source in zip(values, written, strict=True)):
            continue
        source = f"{path.name} row {number}"  # as Excel counts, with the header
        if problem := _problem(header, cells, written):
            yield RowProblem(source, "damaged", problem)
            continue
        yield Row(source, {name: _plain(name, value) for name, value in zip(header, values, strict=False)})


def _problem(header: Sequence[str], cells: Sequence[ReadOnlyCell], written: Sequence[ReadOnlyCell]) -> str | None:
    """Return why a row cannot be used: a formula without its value, an error of Excel, a cell beyond the header."""
    for index, (cell, source) in enumerate(zip(cells, written, strict=True)):
        name = header[index] if index < len(header) else ""
        column = f"the cell {cell.coordinate}" if hasattr(cell, "coordinate") else f"the column {cut(name)!r}"
        # programs that never computed it write a formula alone; read as an empty cell it would be lost
        if source.value is not None and cell.value is None:
            return f"{column} holds a formula without its value: open the file in Excel and save it, or paste values"
        if cell.value is not None and not name:
            return f"{column} has no name in the header; name the column, or empty it"
        if getattr(cell, "data_type", "") == "e":
            return f"{column} holds the error {cut(cell.value)}; mend it in Excel"
    return None


def _plain(name: str, value: object) -> object:
    """Return a cell as a CSV file would have it: structure in columns that hold some, dates as text."""
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    return structured_cell(name, value) if isinstance(value, str) else value
