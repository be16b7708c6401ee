"""Files that are no text are refused as what they are; no encoding is guessed for them."""

from __future__ import annotations

import gzip
import random
import zipfile
from pathlib import Path

import pytest

from penchant.cli.main import main
from penchant.data.sources.binary_files import binary_kind
from penchant.data.sources.files import read_rows
from penchant.errors import InputError

RANDOM = random.Random(1).randbytes(3000)
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


def refusal(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        list(read_rows(path))
    return str(caught.value)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.tsv", "a.txt", "a.bin", "a"])
def test_random_bytes_are_no_text(tmp_path: Path, name: str) -> None:
    text = refusal(tmp_path / name, RANDOM)
    assert "ts content is neither text nor any kind of file that is read" in text
    assert "Windows" not in text


def test_packed_random_bytes_are_no_text(tmp_path: Path) -> None:
    assert "neither text" in refusal(tmp_path / "a.jsonl.gz", gzip.compress(RANDOM))


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.png"])
def test_an_image_is_named(tmp_path: Path, name: str) -> None:
    assert "ts content is a PNG image" in refusal(tmp_path / name, PNG)


def test_an_archive_is_answered_with_what_to_do(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
        archive.writestr("prefs.jsonl", "{}")
    content = (tmp_path / "made.zip").read_bytes()
    assert "a zip archive or an Excel workbook: unpack it" in refusal(tmp_path / "a.jsonl", content)
    assert "a zip archive" in refusal(tmp_path / "a.zip", content)


def test_zeros_of_a_crash_are_named(tmp_path: Path) -> None:
    assert "nothing but zero bytes" in refusal(tmp_path / "a.jsonl", bytes(100))


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GGUF is a format of files",
        "naïve ".encode() * 700,  # cut inside of a character
        "привет мир".encode("cp1251"),
        "café noir".encode("latin-1"),
        '{"prompt": "é"}'.encode("utf-16-le"),
        b"a\x1b[31mred\x1b[0m\x07",
    ],
)
def test_text_in_any_encoding_is_left_to_its_reader(head: bytes) -> None:
    assert binary_kind(head[:4096]) is None


@pytest.mark.parametrize("content", [RANDOM, PNG, bytes(100)])
def test_init_on_such_a_file_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("prefs.jsonl").write_bytes(content)
    assert main(["init", "prefs.jsonl"]) == 2
    assert "prefs.jsonl: its content is" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["prefs.jsonl"]
