"""Files to numbered rows: every container, and every way in which a file can be damaged."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from penchant.data.load import load_preferences, read_preferences
from penchant.data.sources import files as containers
from penchant.data.sources import lines, packed
from penchant.data.sources.files import read_rows
from penchant.data.sources.rows import Row, RowProblem
from penchant.errors import InputError
from repository import FIXTURES

ROW = {"prompt": "Say hi", "chosen": "Hi!", "rejected": "No."}
OTHER = {"prompt": "Say bye", "chosen": "Bye!", "rejected": "Hm."}


def jsonl(*rows: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def message(path: Path | str, **arguments: Any) -> str:
    with pytest.raises(InputError) as caught:
        load_preferences(path, **arguments)
    return str(caught.value)


def as_container(folder: Path, kind: str, rows: list[dict[str, Any]]) -> Path:
    path = folder / f"prefs.{kind}"
    if kind == "parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        return path
    text = {
        "jsonl": jsonl(*rows).decode(),
        "json": json.dumps(rows, indent=1),
        "csv": "prompt,chosen,rejected\n" + "".join(",".join(row.values()) + "\n" for row in rows),
        "tsv": "prompt\tchosen\trejected\n" + "".join("\t".join(row.values()) + "\n" for row in rows),
    }[kind.removesuffix(".gz").removesuffix(".zst")]
    if kind.endswith(".zst"):
        import pyarrow

        path.write_bytes(pyarrow.compress(text.encode(), codec="zstd", asbytes=True))
        return path
    path.write_bytes(gzip.compress(text.encode()) if kind.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize(
    "kind",
    ["jsonl", "jsonl.gz", "json", "json.gz", "csv", "csv.gz", "jsonl.zst", "json.zst", "csv.zst", "tsv", "parquet"],
)
def test_every_container_gives_the_same_groups(tmp_path: Path, kind: str) -> None:
    path = as_container(tmp_path, kind, [ROW, OTHER])
    groups = load_preferences(path)
    assert [group.prompt for group in groups] == ["Say hi", "Say bye"]
    assert groups[1].responses[0].text == "Bye!"
    separator = ":" if kind.startswith("jsonl") else " row "
    assert [group.source for group in groups] == [f"{path.name}{separator}1", f"{path.name}{separator}2"]


def test_blank_lines_do_not_shift_line_numbers_and_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", b"\xef\xbb\xbf" + jsonl(ROW) + b"\n  \n" + jsonl(OTHER))
    assert [group.source for group in load_preferences(path)] == ["a.jsonl:1", "a.jsonl:4"]
    csv = write(tmp_path, "a.csv", b"\xef\xbb\xbfprompt,chosen,rejected\r\np,a,b\r\n")
    assert load_preferences(csv)[0].prompt == "p"


def test_json_with_a_row_a_line_or_with_splits_is_read_too(tmp_path: Path) -> None:
    assert len(load_preferences(write(tmp_path, "a.json", jsonl(ROW, OTHER)))) == 2
    assert len(load_preferences(write(tmp_path, "one.json", jsonl(ROW)))) == 1
    splits = write(tmp_path, "b.json", json.dumps({"train": [ROW], "test": [OTHER, ROW]}).encode())
    assert len(load_preferences(splits, split="test")) == 2
    assert len(load_preferences(write(tmp_path, "c.json", json.dumps({"data": [ROW]}, indent=2).encode()))) == 1
    said = message(splits, split="dev")
    assert "expected a JSON array" in said
    assert "'dev'" in said


def test_csv_cells_hold_line_breaks_and_structure_only_where_a_layout_has_it(tmp_path: Path) -> None:
    content = b'instruction,input,response1,response2,annotator1\n"a\nb",,"[1, 2]",42,2\n'
    group = load_preferences(write(tmp_path, "a.csv", content))[0]
    assert [response.text for response in group.responses] == ["[1, 2]", "42"]
    assert group.comparisons[0].winner == 1


def test_a_missing_file_names_similar_ones(tmp_path: Path) -> None:
    write(tmp_path, "prefs.jsonl", jsonl(ROW))
    said = message(tmp_path / "pref.jsonl")
    assert "no such file" in said
    assert f"did you mean {tmp_path / 'prefs.jsonl'}" in said


def test_a_missing_file_among_many_alike_names_a_few_of_them(tmp_path: Path) -> None:
    for number in range(10, 60):
        write(tmp_path, f"shard-{number}.jsonl", jsonl(ROW))
    assert 2 <= message(tmp_path / "shard-77.jsonl").count("shard-") - 1 <= 5
    assert "does not exist either" in message(tmp_path / "nowhere" / "prefs.jsonl")


def test_a_folder_is_refused_and_says_what_it_holds(tmp_path: Path) -> None:
    write(tmp_path, "prefs.jsonl", jsonl(ROW))
    said = message(tmp_path)
    assert "is a folder" in said
    assert "prefs.jsonl" in said


def test_an_unknown_ending_names_the_known_ones(tmp_path: Path) -> None:
    said = message(write(tmp_path, "prefs.docx", b"x"))
    assert "unknown kind of file" in said
    assert ".parquet" in said


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", b""),
        ("a.jsonl", b"\n\n"),
        ("a.json", b""),
        ("a.json", b"[]"),
        ("a.csv", b""),
        ("a.csv", b"prompt\n"),
    ],
)
def test_an_empty_file_says_so(tmp_path: Path, name: str, content: bytes) -> None:
    said = message(write(tmp_path, name, content))
    assert f"{tmp_path / name}: the file is empty; expected one row per line" in said


def test_all_broken_lines_are_named_and_never_skipped(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", jsonl(ROW) + b'{"prompt": "x", \n' + jsonl(OTHER) + b"nonsense\n[1]\n")
    for bad_rows in ("error", "skip"):
        said = message(path, bad_rows=bad_rows)
        assert "3 of 5 rows cannot be used" in said
        assert "a.jsonl:2: broken JSON at character 16 (" in said
        assert "a.jsonl:4: broken JSON" in said
        assert "a.jsonl:5: expected one JSON object per line, got list" in said
        assert "damaged lines are never skipped" in said


def test_a_file_with_only_broken_lines_names_them(tmp_path: Path) -> None:
    said = message(write(tmp_path, "a.jsonl", b"{\n}\n"))
    assert "2 of 2 rows cannot be used" in said
    assert "a.jsonl:1: broken JSON" in said


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"prompt": "a", "prompt": "b", "chosen": "c", "rejected": "d"}', "field 'prompt' stands twice"),
        (b"[" * 100_000, "broken JSON"),
        (b'{"prompt": ' + b"9" * 5000 + b"}", "broken JSON"),
        (b'{"prompt": "a\x00b"}', "broken JSON"),
    ],
)
def test_hostile_json_is_a_named_line(tmp_path: Path, line: bytes, expected: str) -> None:
    said = message(write(tmp_path, "a.jsonl", jsonl(ROW) + line + b"\n"))
    assert f"a.jsonl:2: {expected}" in said


def test_a_broken_json_document_names_line_and_character(tmp_path: Path) -> None:
    said = message(write(tmp_path, "a.json", b'[{"prompt": "x"},\n {"prompt" "y"}]'))
    assert "broken JSON at line 2, character 12" in said
    assert "expected one JSON array of rows" in said
    assert "expected a JSON array of rows, got str" in message(write(tmp_path, "b.json", b'"text"'))
    problem = list(read_rows(write(tmp_path, "c.json", b'[{"prompt": "x"}, 5]')))[1]
    assert str(problem) == "c.json row 2: expected a JSON object, got int (5)"


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.json"])
def test_invalid_utf8_names_line_and_byte(tmp_path: Path, name: str) -> None:
    content = {
        "a.jsonl": jsonl(ROW) + b'{"prompt": "\xff"}\n',
        "a.csv": b"prompt,chosen,rejected\np,\xffa,b\n",
        "a.json": b'[{"prompt": "x"},\n{"prompt": "\xff"}]',
    }[name]
    said = message(write(tmp_path, name, content))
    assert f"{name}:2: invalid UTF-8: byte 0xff at byte " in said
    assert "save the file as UTF-8" in said


def test_utf16_is_read_with_its_byte_order_mark_and_named_without(tmp_path: Path) -> None:
    text = json.dumps(ROW) + "\n" + json.dumps({**OTHER, "prompt": "\U0001f600 é"}, ensure_ascii=False) + "\n"
    for encoding in ("utf-16", "utf-16-be"):
        content = text.encode(encoding)
        content = content if encoding == "utf-16" else b"\xfe\xff" + content
        groups = load_preferences(write(tmp_path, "a.jsonl", content))
        assert [group.prompt for group in groups] == ["Say hi", "\U0001f600 é"]
        assert [group.source for group in groups] == ["a.jsonl:1", "a.jsonl:2"]
    table = "prompt\tchosen\trejected\nSay hi\tHi!\tNo.\n".encode("utf-16")
    assert load_preferences(write(tmp_path, "a.tsv", table))[0].responses[0].text == "Hi!"
    assert "damaged UTF-16" in message(write(tmp_path, "a.jsonl", text.encode("utf-16")[:-1]))
    # without the mark the bytes are no UTF-8 as soon as one character is no ASCII
    said = message(write(tmp_path, "a.jsonl", text.encode("utf-16-le")))
    assert "a.jsonl:2" in said


@pytest.mark.parametrize(
    ("encoding", "word", "guess"),
    [("cp1251", "\u043f\u0440\u0438\u0432\u0435\u0442", "Windows-1251"), ("cp1252", "caf\u00e9 noir", "Windows-1252")],
)
def test_other_encodings_are_named_and_never_guessed_in_silence(
    tmp_path: Path, encoding: str, word: str, guess: str
) -> None:
    row = f"prompt,chosen,rejected\n{word},{word}!,{word}?\n"
    said = message(write(tmp_path, "a.csv", row.encode(encoding)))
    assert "a.csv:2: invalid UTF-8" in said
    assert guess in said


def test_a_huge_line_is_named_and_the_rest_is_still_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 100)
    path = write(tmp_path, "a.jsonl", jsonl(ROW) + b'{"prompt": "' + b"x" * 5000 + b'"}\n' + jsonl(OTHER))
    rows = list(read_rows(path))
    assert isinstance(rows[1], RowProblem)
    assert "a.jsonl:2: the line is longer than" in str(rows[1])
    assert isinstance(rows[2], Row)
    assert rows[2].source == "a.jsonl:3"


def test_damaged_gzip_is_one_message(tmp_path: Path) -> None:
    whole = gzip.compress(jsonl(*[ROW] * 500))
    assert "damaged or cut short" in message(write(tmp_path, "cut.jsonl.gz", whole[: len(whole) // 2]))
    flipped = bytearray(whole)
    flipped[-6] ^= 0xFF
    assert "damaged or cut short" in message(write(tmp_path, "crc.jsonl.gz", bytes(flipped)))
    assert "named .gz, but its content is not gzip" in message(write(tmp_path, "no.jsonl.gz", jsonl(ROW)))
    assert len(load_preferences(write(tmp_path, "packed.jsonl", whole))) == 1  # gzip under a plain name


def test_damaged_parquet_is_one_message(tmp_path: Path) -> None:
    said = message(write(tmp_path, "a.parquet", b"PAR1 this is not it"))
    assert "a.parquet: damaged or no Parquet file" in said


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"prompt,chosen,rejected\np,a\n", "a.csv:2: row 1 has 2 cells, expected 3"),
        (b"prompt,chosen,rejected\np,a,b,c\n", "a.csv:2: row 1 has 4 cells, expected 3"),
        (b'prompt,chosen,rejected\np,a,"b\n', "broken CSV"),
        (b"prompt,prompt,rejected\np,a,b\n", "the column 'prompt' stands twice"),
    ],
)
def test_broken_csv_names_the_line(tmp_path: Path, content: bytes, expected: str) -> None:
    assert expected in message(write(tmp_path, "a.csv", content))


def test_an_unreadable_file_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "a.jsonl", jsonl(ROW))

    def fail(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", fail)
    assert "a.jsonl: cannot be read (Permission denied)" in message(path)


def test_a_path_with_a_known_ending_is_never_taken_for_a_hub_id() -> None:
    assert not containers._is_hub_id("folder/prefs.jsonl")
    assert not containers._is_hub_id("/absolute/prefs")
    assert containers._is_hub_id("Anthropic/hh-rlhf")
    assert containers._is_hub_id("openai/summarize_from_feedback:comparisons")


def test_unusual_text_survives(tmp_path: Path) -> None:
    text = "a\u2028b\u0085c\u202e \U0001f9d1\u200d\U0001f33e e\u0301 \x7f <|endoftext|> \ufffd"
    path = write(tmp_path, "a.jsonl", json.dumps({**ROW, "chosen": text}, ensure_ascii=False).encode() + b"\n")
    loaded = read_preferences(path)
    assert loaded.rows == 1
    assert loaded.groups[0].responses[0].text == text


@pytest.mark.parametrize("separator", [";", "|", "\t"])
def test_a_csv_with_another_separator_is_read(tmp_path: Path, separator: str) -> None:
    lines = (separator.join(cells) for cells in (ROW, ("Say hi.", "Hi, you!", "No.")))
    (group,) = load_preferences(write(tmp_path, "a.csv", "\n".join(lines).encode()))
    assert (group.prompt, [response.text for response in group.responses]) == ("Say hi.", ["Hi, you!", "No."])


def test_rows_inside_a_document_are_found(tmp_path: Path) -> None:
    for name in ("data", "rows", "examples"):
        for indent in (None, 2):
            document = {"version": "1.0", "tags": ["a"], name: [ROW, OTHER]}
            path = write(tmp_path, "a.json", json.dumps(document, indent=indent).encode())
            assert [group.source for group in load_preferences(path)] == ["a.json row 1", "a.json row 2"]
    for indent in (None, 2):  # the only list of it, and what it holds are rows
        document = {"version": "1.0", "preferences": [ROW, OTHER]}
        path = write(tmp_path, "a.json", json.dumps(document, indent=indent).encode())
        assert [group.source for group in load_preferences(path)] == ["a.json row 1", "a.json row 2"]
    said = message(write(tmp_path, "b.json", json.dumps({"ours": [ROW], "theirs": [OTHER]}).encode()))
    assert "the fields ours, theirs" in said


def test_a_gzip_that_unpacks_without_an_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "MIN_UNPACKED_BYTES", 2**20)
    content = gzip.compress(b'{"prompt": "' + b"a" * 17 * 2**20)
    for name in ("bomb.jsonl.gz", "bomb.json.gz"):
        said = message(write(tmp_path, name, content))
        assert "unpacks to more than 1 MiB, 100 times its size" in said
        assert "unpack it yourself" in said


def test_damaged_and_endless_zstandard_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow

    whole = pyarrow.compress(jsonl(*[ROW] * 500), codec="zstd", asbytes=True)
    assert "the Zstandard file is damaged or cut short" in message(write(tmp_path, "a.jsonl.zst", whole[:-9]))
    assert "the Zstandard file is damaged" in message(write(tmp_path, "b.jsonl.zst", whole[:4] + b"?" * 40))
    assert "named .zst, but its content is not Zstandard" in message(write(tmp_path, "c.jsonl.zst", jsonl(ROW)))
    assert len(load_preferences(write(tmp_path, "packed.jsonl", whole + whole))) == 1  # two frames, under a plain name
    monkeypatch.setattr(packed, "MIN_UNPACKED_BYTES", 2**20)
    bomb = pyarrow.compress(b'{"prompt": "' + b"a" * 17 * 2**20, codec="zstd", asbytes=True)
    assert "unpacks to more than 1 MiB, 100 times its size" in message(write(tmp_path, "d.jsonl.zst", bomb))


def test_a_parquet_file_that_unpacks_without_an_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow
    import pyarrow.parquet

    monkeypatch.setattr(packed, "MIN_UNPACKED_BYTES", 2**20)
    columns = {name: ["a" * 10_000 + str(name)] * 3_000 for name in ROW}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "bomb.parquet")
    assert "unpacks to more than" in message(tmp_path / "bomb.parquet")


def test_pipes_and_devices_are_refused(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.jsonl")
    for path in (tmp_path / "pipe.jsonl", Path("/dev/zero"), Path("/dev/null")):
        assert "is a pipe or a device, expected a file" in message(path)


def test_a_column_of_parquet_that_python_cannot_hold_is_named(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "a.parquet"
    columns = {name: [value] for name, value in ROW.items()}
    for kind, value in ((pyarrow.duration("s"), 2**62), (pyarrow.date32(), 2**30)):
        table = pyarrow.table({**columns, "when": pyarrow.array([value], kind)})
        pyarrow.parquet.write_table(table, path)
        assert f"the column 'when' ({kind}) after row 0 holds a value that cannot be read" in message(path)
    short = pyarrow.table({**columns, "when": pyarrow.array([5], pyarrow.duration("us"))})
    pyarrow.parquet.write_table(short, path)
    assert load_preferences(path)[0].prompt == ROW["prompt"]
    twice = pyarrow.table([*map(pyarrow.array, columns.values()), pyarrow.array(["x"])], [*ROW, "prompt"])
    pyarrow.parquet.write_table(twice, path)
    assert "the column 'prompt' stands twice" in message(path)


def test_a_damaged_database_is_refused(tmp_path: Path) -> None:
    import shutil
    import sqlite3
    import tarfile

    archive = FIXTURES / "c111d53/collect.tar.gz"
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    (found,) = tmp_path.rglob("*.sqlite")
    assert load_preferences(found)
    for damage in (
        "UPDATE entry SET row = '{broken'",
        "UPDATE entry SET row = '[1]'",
        "UPDATE assignment SET shown = '[0]'",
        "UPDATE judgment SET places = 'null' WHERE places IS NOT NULL",
        "UPDATE judgment SET places = '[\"a\", 1]' WHERE places IS NOT NULL",
    ):
        copy = tmp_path / "copy.sqlite"
        shutil.copy(found, copy)
        with sqlite3.connect(copy) as connection:
            connection.execute(damage)
        connection.close()
        assert "copy.sqlite: the database is damaged" in message(copy), damage
