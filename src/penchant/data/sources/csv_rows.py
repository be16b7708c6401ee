"""Read CSV and TSV files: find which character separates the cells, and whether quotes belong to the texts."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Literal

from penchant.data.sources.lines import MAX_LINE_BYTES, decoded, numbered_lines, parsed_json
from penchant.data.sources.values import RowError, RowValues, cut
from penchant.errors import InputError

SEPARATORS = ",;\t|"
SEPARATOR_LINE = re.compile(r'"?sep=([,;\t|])"?', re.IGNORECASE)  # what Excel writes and reads above the header
QUOTED = re.compile(r'"(?:[^"]|"")*"')
NEEDS_QUOTES = re.compile(r'[",;\t\r\n]|\A\s|\s\Z')  # Excel also quotes cells of TSV files that hold a comma
# In a CSV file everything is text. These columns hold lists, objects, numbers or true and false in every layout
# that has them, so their cells are read as JSON; prompts and responses stay text, whatever they look like.
STRUCTURED_COLUMNS = re.compile(
    r"comparisons|responses|ranking|ranks|scores|completions|summaries|info|choice|conversations|messages|"
    r"history|passages|preference|annotator\d+|score_chosen|score_rejected|label"
)


def read_csv(path: Path, default_separator: str) -> Iterator[tuple[str, RowValues]]:
    """Yield the source of each row (`prefs.csv row 12`) and its cells by column.

    Args:
        default_separator: the one that the file's ending promises; another is taken where the header has more of it.

    Raises:
        InputError: the file is damaged, its rows have different widths, or its quotes can be read in two ways.
    """
    # Python refuses cells of more than 131,072 characters, which long conversations have. The limit is global.
    csv.field_size_limit(max(MAX_LINE_BYTES, csv.field_size_limit()))
    lines = _lines(path)
    first = next(lines, "")
    separator_line = SEPARATOR_LINE.fullmatch(first.rstrip("\r\n"))
    before = 1 if separator_line else 0  # lines above the header, which the reader does not count
    head = next(lines, "") if separator_line else first
    separator = separator_line[1] if separator_line else _separator(path, head, default_separator)
    # A quote at the start of an unquoted cell would swallow all rows up to the next one, if it were read as quoting.
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL
    if separator == "\t" and _is_unquoted(path, before):
        quoting = csv.QUOTE_NONE
    # strict: without it Python mends broken quotes by guessing, and rows run into each other
    reader = csv.reader(chain([head], lines), delimiter=separator, strict=True, quoting=quoting)
    try:
        header = next(reader, [])
        check_header(path, header)
        number = 0  # of rows and not of lines, since a quoted cell may hold line breaks
        for cells in reader:
            if not cells:  # a blank line, as at the end of many files
                continue
            number += 1
            if len(cells) != len(header):
                raise InputError(
                    f"{path}:{before + reader.line_num}: row {number} has {len(cells)} cells, expected {len(header)} "
                    "as in the header; quote cells that hold separators, quotes or line breaks"
                )
            named_cells = {name: structured_cell(name, cell) for name, cell in zip(header, cells, strict=True)}
            yield f"{path.name} row {number}", named_cells
    except csv.Error as error:
        raise InputError(f'{path}:{before + reader.line_num}: broken CSV ({error}); quote cells as "..."') from error


def refuse_double(path: Path, names: Sequence[str]) -> None:
    """Refuse a table in which two columns have one name: one of them would be lost."""
    if len(set(names)) < len(names):
        duplicate = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{path}: the column {cut(duplicate)!r} stands twice in the header; rename one of them")


def check_header(path: Path, header: Sequence[str]) -> None:
    """Refuse a header with a name that stands twice or has white space around it."""
    refuse_double(path, header)
    spaced = next((name for name in header if name.strip() and name != name.strip()), None)
    if spaced is not None:
        raise InputError(
            f"{path}: the header has white space around the column {cut(spaced)!r}. Take the white space beside the "
            "separators out, in the rows as well: it would be part of the texts"
        )


def _separator(path: Path, header: str, default_separator: str) -> str:
    """Return the separator that the header has most of, the default one where it has none.

    Raises:
        InputError: it has two of them equally often.
    """
    # only the header: texts hold commas and semicolons, names of columns hardly ever do
    unquoted = QUOTED.sub("", header)
    counts = {separator: unquoted.count(separator) for separator in default_separator + SEPARATORS}
    largest = max(counts.values())
    candidates = [separator for separator, count in counts.items() if count == largest]
    if largest and len(candidates) > 1:
        names = " and ".join(map(repr, candidates))
        raise InputError(
            f"{path}: the header has the separators {names} {largest} times each; rename the columns that hold one, or "
            f"write the line 'sep={candidates[0]}' above the header"
        )
    return candidates[0]


def _lines(path: Path) -> Iterator[str]:
    for number, line in numbered_lines(path):
        try:
            text = decoded(line)
            if number == 1 and "\r" in text.rstrip("\r\n") and '"' not in text:
                raise InputError(
                    f"{path}: its lines end in a carriage return alone, as on old Macs; save it with line feeds "
                    "(in Excel: CSV UTF-8)"
                )
            yield text
        except RowError as error:
            raise InputError(f"{path}:{number}: {error}") from None


def _is_unquoted(path: Path, before: int) -> bool:
    """Return whether quotes in a tab-separated file are part of the texts, as many programs write TSV.

    They are where every line has the header's number of cells, and some quote stands where a program that quotes
    would have doubled it or put quotes around the cell.

    Raises:
        InputError: a whole cell stands in quotes that it does not need, so that they may belong to it or not.
    """
    rows = ((number, line.rstrip("\r\n").split("\t")) for number, line in enumerate(_lines(path), start=1))
    _, header = next(islice(rows, before, None), (0, []))
    has_bare_cells, doubtful = False, None
    for number, cells in rows:
        if len(cells) != len(header):
            if cells == [""]:
                continue
            return False
        for name, cell in zip(header, cells, strict=True):
            if '"' not in cell:
                continue
            if not QUOTED.fullmatch(cell):
                has_bare_cells = True
            elif doubtful is None and cell[1:-1] and not NEEDS_QUOTES.search(cell[1:-1]):
                doubtful = (number, name)
    if doubtful and not has_bare_cells and '"' not in "".join(header):
        raise InputError(
            f"{path}:{doubtful[0]}: the quotes around the whole cell of the column {cut(doubtful[1])!r} may be part of "
            "the text or not. Quote all cells and the header, or write the file as JSON Lines"
        )
    return has_bare_cells


def structured_cell(column: str, cell: str) -> object:
    """Return a cell's text, or in columns that hold lists, numbers or flags what it says as JSON."""
    if not STRUCTURED_COLUMNS.fullmatch(column):
        return cell
    if not cell.strip():
        return None  # as null in JSON: the row does not have the field
    try:
        return parsed_json(cell)
    except RowError:
        return cell  # the layout's reader says what it expected instead
