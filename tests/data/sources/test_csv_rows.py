"""CSV and TSV: separators, the line that Excel puts above the header, and quotes that belong to the text or not."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penchant.data.load import load_preferences
from penchant.data.sources.csv_rows import read_csv
from penchant.errors import InputError


def rows(folder: Path, name: str, text: str) -> list[list[str]]:
    path = folder / name
    path.write_bytes(text.encode("utf-8"))
    return [list(values.values()) for _, values in read_csv(path, "\t" if name.endswith(".tsv") else ",")]


def refusal(folder: Path, name: str, text: str) -> str:
    with pytest.raises(InputError) as caught:
        rows(folder, name, text)
    assert name in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("first", ["sep={}\r\n", '"sep={}"\r\n', "SEP={}\n"])
def test_the_separator_line_of_excel_is_no_header(tmp_path: Path, separator: str, first: str) -> None:
    text = "\ufeff" + first.format(separator) + separator.join(["prompt", "chosen", "rejected"]) + "\r\n"
    text += separator.join(["Hi", "a", "b"]) + "\r\n"
    assert rows(tmp_path, "a.csv", text) == [["Hi", "a", "b"]]
    (group,) = load_preferences(tmp_path / "a.csv")
    assert (group.prompt, group.source) == ("Hi", "a.csv row 1")


def test_places_count_the_separator_line(tmp_path: Path) -> None:
    assert "a.csv:3: row 1 has 2 cells" in refusal(tmp_path, "a.csv", "sep=,\nprompt,chosen,rejected\na,b\n")


@pytest.mark.parametrize(
    ("header", "separator"),
    [
        ("prompt;chosen;rejected;a, b", ";"),
        ("prompt\tchosen\trejected\ta,b", "\t"),
        ('"a;b;c";prompt;chosen', ";"),
        ("prompt,chosen", ","),
    ],
)
def test_the_separator_is_what_the_header_has_most_of(tmp_path: Path, header: str, separator: str) -> None:
    width = {";": header.count(";") + 1, "\t": 4, ",": 2}[separator]
    width = 3 if header.startswith('"') else width
    cells = [f"x{n}" for n in range(width)]
    assert rows(tmp_path, "a.csv", header + "\n" + separator.join(cells) + "\n") == [cells]


def test_a_header_with_two_separators_equally_often_is_refused(tmp_path: Path) -> None:
    text = "prompt;chosen,rejected\np;a,b\n"
    assert "the header has the separators ',' and ';' 1 times each" in refusal(tmp_path, "a.csv", text)
    assert rows(tmp_path, "a.csv", "sep=;\nprompt;chosen,rejected\np;a\n") == [["p", "a"]]


def test_lines_of_old_macs_are_named(tmp_path: Path) -> None:
    text = "prompt,chosen,rejected\rp,a,b\r"
    assert "its lines end in a carriage return alone" in refusal(tmp_path, "a.csv", text)


HEADER = "prompt\tchosen\trejected\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('Say "hi\tHi "you"\t"No.', ['Say "hi', 'Hi "you"', '"No.']),
        ('Say hi\t"Yes," he said\tNo', ["Say hi", '"Yes," he said', "No"]),
        ('5" nails\tb\t"whole"', ['5" nails', "b", '"whole"']),  # one quote in a text tells of all
        ('"a, b"\t"say ""hi"""\tc', ["a, b", 'say "hi"', "c"]),  # as Excel quotes
        ('"a"\t"b"\t"c', ['"a"', '"b"', '"c']),
    ],
)
def test_quotes_of_tab_separated_cells(tmp_path: Path, line: str, expected: list[str]) -> None:
    assert rows(tmp_path, "a.tsv", HEADER + line + "\n") == [expected]


def test_a_quote_never_swallows_rows(tmp_path: Path) -> None:
    text = HEADER + 'p1\t"open\tc\np2\tclose"\td\n'  # by the rules of CSV one row, with a line break in its 2nd cell
    assert rows(tmp_path, "a.tsv", text) == [["p1", '"open', "c"], ["p2", 'close"', "d"]]


def test_a_quoted_line_break_is_read_where_lines_alone_are_no_rows(tmp_path: Path) -> None:
    assert rows(tmp_path, "a.tsv", HEADER + 'p\t"one\ntwo"\tc\n') == [["p", "one\ntwo", "c"]]


def test_quotes_that_may_be_part_of_the_text_are_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, "a.tsv", HEADER + 'p\t"Hello"\tc\n')
    assert "a.tsv:2: the quotes around the whole cell of the column 'chosen'" in message
    quoted = HEADER.replace("prompt", '"prompt"').replace("chosen", '"chosen"').replace("rejected", '"rejected"')
    assert rows(tmp_path, "b.tsv", quoted + '"p"\t"Hello"\t"c"\n') == [["p", "Hello", "c"]]


def test_white_space_beside_separators_would_be_part_of_the_texts(tmp_path: Path) -> None:
    message = refusal(tmp_path, "a.csv", 'prompt, chosen, rejected\n"a", "b, x", "c"\n')
    assert "white space around the column ' chosen'" in message


CELLS = st.text(st.sampled_from("ab \"',;\t|\n\u00e9"), min_size=1, max_size=8).filter(str.strip)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=4), st.sampled_from(["a.csv", "a.tsv"]))
def test_what_a_program_quotes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, table: list[tuple[str, str, str]], name: str
) -> None:
    path = tmp_path_factory.mktemp("csv") / name
    separator = "\t" if name == "a.tsv" else ","
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=separator, quoting=csv.QUOTE_ALL)
        writer.writerows([("prompt", "chosen", "rejected"), *table])
    assert [tuple(values.values()) for _, values in read_csv(path, separator)] == table


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(st.lists(st.tuples(*[CELLS.map(lambda text: " ".join(text.split()))] * 3), min_size=1, max_size=4))
def test_what_a_program_does_not_quote_is_read_as_it_stands_or_refused(
    tmp_path_factory: pytest.TempPathFactory, table: list[tuple[str, str, str]]
) -> None:
    path = tmp_path_factory.mktemp("tsv") / "a.tsv"
    path.write_bytes((HEADER + "".join("\t".join(cells) + "\n" for cells in table)).encode("utf-8"))
    quotes = any(cell.startswith('"') for cells in table for cell in cells)  # which may begin a quoted cell
    found, message = attempt(path)
    assert found == table or quotes
    assert found or "a.tsv:" in message


def attempt(path: Path) -> tuple[list[tuple[str, ...]], str]:
    """Return the rows of a file, or what its refusal says."""
    try:
        return [tuple(values.values()) for _, values in read_csv(path, "\t")], ""
    except InputError as error:
        return [], str(error)
