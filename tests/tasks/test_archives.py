"""Rows of a zip archive of text files, and the task that reads one."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from penchant.errors import InputError
from penchant.tasks import load_task
from penchant.tasks.archives import read_zip


def _write(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_lines_are_rows_with_the_name_of_their_file(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "a.zip", {"x/": b"", "x/one.txt": "first \nsec\u2028ond\n\n".encode(), "x/two.txt": b"third"}
    )
    rows = [(row.source, row.values["text"], row.values["file"]) for row in read_zip(path)]
    assert rows == [
        ("a.zip/one.txt:1", "first", "one.txt"),
        ("a.zip/one.txt:2", "sec\u2028ond", "one.txt"),
        ("a.zip/two.txt:1", "third", "two.txt"),
    ]


def test_what_is_no_archive_of_texts_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"broken\.zip: the zip archive is damaged"):
        list(read_zip(broken))
    with pytest.raises(InputError, match="no UTF-8 text"):
        list(read_zip(_write(tmp_path / "latin.zip", {"a": b"caf\xe9"})))


def test_subjectivity_reads_its_archive_and_leaves_out_what_describes_it(tmp_path: Path) -> None:
    files = {
        "subjectivity/plot.tok.gt9.5000": "\n".join(f"he opens door {n} . " for n in range(60)).encode(),
        "subjectivity/quote.tok.gt9.5000": "\n".join(f"a gem of film {n} . " for n in range(60)).encode(),
        "subjectivity/README.txt": b"Subjectivity Dataset v1.0",
    }
    _write(tmp_path / "nltk" / "subjectivity.zip", files)
    data = load_task("subjectivity", folder=tmp_path)
    examples = [*data.train, *data.test]
    assert len(examples) + data.dropped["to balance classes"] == 120
    assert {("gem" in example.text, example.label) for example in examples} == {(False, 0), (True, 1)}
