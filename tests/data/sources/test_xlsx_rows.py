"""Excel workbooks: what a sheet's cells become, and workbooks that are damaged, ambiguous or hostile."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penchant.data.load import load_preferences
from penchant.data.sources import packed, xlsx_rows
from penchant.data.sources.files import read_rows
from penchant.data.sources.rows import Row
from penchant.errors import InputError

openpyxl = pytest.importorskip("openpyxl", reason="needs the package openpyxl: pip install 'penchant[xlsx]'")
HEADER = ["prompt", "chosen", "rejected"]


def workbook(path: Path, **sheets: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def refusal(path: Path, **arguments: Any) -> str:
    with pytest.raises(InputError) as caught:
        load_preferences(path, **arguments)
    return str(caught.value)


def test_a_sheet_is_read_like_the_csv_file_of_it(tmp_path: Path) -> None:
    rows = [HEADER, ["Say hi, now", "Hi!\nYou.", "No."], [None, None, None], ["Say bye", "Bye!", "Hm."]]
    path = workbook(tmp_path / "a.xlsx", Sheet1=rows, Empty=[])
    groups = load_preferences(path)
    assert [group.prompt for group in groups] == ["Say hi, now", "Say bye"]
    assert groups[0].responses[0].text == "Hi!\nYou."
    assert [group.source for group in groups] == ["a.xlsx row 2", "a.xlsx row 4"]  # as Excel numbers them


def test_cells_keep_their_types_and_structure(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "you"}]
    path = workbook(tmp_path / "a.xlsx", S=[["messages", "label", "score"], [json.dumps(turns), True, 4.5]])
    (row,) = read_rows(path)
    assert isinstance(row, Row)
    assert row.values == {"messages": turns, "label": True, "score": 4.5}


def test_several_sheets_need_a_choice(tmp_path: Path) -> None:
    sheets = {name: [HEADER, [f"of {name}", "a", "b"]] for name in ("first", "second")}
    path = workbook(tmp_path / "a.xlsx", **sheets)
    assert "the sheets first, second all hold something; choose one: data.split=first" in refusal(path)
    assert load_preferences(path, split="second")[0].prompt == "of second"
    assert "no sheet 'third'; it has first, second" in refusal(path, split="third")


def with_value(path: Path, value: str) -> Path:
    """Put a value beside the formula of cell B2, as Excel keeps it."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    sheet = files["xl/worksheets/sheet1.xml"].decode()
    assert "<v></v>" in sheet or "<v />" in sheet or "<v/>" in sheet
    for empty in ("<v></v>", "<v />", "<v/>"):
        sheet = sheet.replace(empty, f"<v>{value}</v>")
    files["xl/worksheets/sheet1.xml"] = sheet.replace('<c r="B2">', '<c r="B2" t="str">').encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_a_formula_is_its_kept_value_or_a_named_row(tmp_path: Path) -> None:
    # openpyxl writes formulas without values, as programs do that never computed them
    path = workbook(tmp_path / "a.xlsx", S=[HEADER, ["p", '="a"&"b"', "c"]])
    assert "a.xlsx row 2: the cell B2 holds a formula without its value" in refusal(path)
    assert load_preferences(with_value(path, "ab"))[0].responses[0].text == "ab"


def test_errors_and_cells_without_a_column_are_named(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", S=[HEADER, ["p", "#N/A", "c"], ["p", "a", "b", "more"]])
    said = refusal(path)
    assert "a.xlsx row 2: the cell B2 holds the error #N/A" in said
    assert "a.xlsx row 3: the cell D3 has no name in the header" in said
    doubled = workbook(tmp_path / "b.xlsx", S=[["prompt", "chosen", "chosen"], ["p", "a", "b"]])
    assert "the column 'chosen' stands twice" in refusal(doubled)


def test_damaged_and_hostile_workbooks_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = workbook(tmp_path / "a.xlsx", S=[HEADER, ["p", "a", "b"]])
    content = path.read_bytes()
    for size in (0, 10, len(content) // 2, len(content) - 30):
        path.write_bytes(content[:size])
        assert "damaged or no Excel workbook" in refusal(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no workbook")
    assert "damaged or no Excel workbook" in refusal(path)
    monkeypatch.setattr(packed, "MIN_UNPACKED_BYTES", 2**20)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * 8 * 2**20)
    assert "unpacks to more than 1 MiB" in refusal(path)


def rewritten(path: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    """Change one entry of a workbook."""
    with zipfile.ZipFile(path) as archive:
        entries = {entry: archive.read(entry) for entry in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in entries.items():
            archive.writestr(entry, change(content) if entry == name else content)
    return path


def test_flipped_bits_are_a_message_wherever_they_lie(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", S=[HEADER, ["p", "a", "b"]])
    content = path.read_bytes()
    start = content.index(b"xl/worksheets/sheet1.xml") + len("xl/worksheets/sheet1.xml")
    # inside of what is packed, and the number that says how it is packed
    directory = content.rindex(b"xl/workbook.xml") - 46
    for place in (start + 9, start + 20, directory + 10):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        assert "damaged or no Excel workbook" in refusal(path)


def test_a_row_below_the_last_one_of_excel_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = workbook(tmp_path / "a.xlsx", S=[HEADER, ["p", "a", "b"]])
    far = b'<row r="999999999"><c r="A999999999"><v>1</v></c></row></sheetData>'
    rewritten(path, "xl/worksheets/sheet1.xml", lambda sheet: sheet.replace(b"</sheetData>", far))
    monkeypatch.setattr(xlsx_rows, "MAX_ROWS", 500)
    assert "a row says that it stands below row 500, the last one of Excel" in refusal(path)


def test_without_the_package_the_message_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = workbook(tmp_path / "a.xlsx", S=[HEADER, ["p", "a", "b"]])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    assert "pip install 'penchant[xlsx]'" in refusal(path)
