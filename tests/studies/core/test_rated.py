"""Rated texts: read, told from other text files, and refused where damaged."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from penchant.errors import InputError
from penchant.studies.core.rated import rated_texts


def test_texts_without_numbers_ends_and_blank_lines(tmp_path: Path) -> None:
    file = tmp_path / "rated.txt.gz"
    file.write_bytes(gzip.compress(b"1_1\t-0.9\tno picture.\r\n\n1_2\t2\ttab\tinside\r\n"))
    assert rated_texts(file) == ["no picture.", "tab\tinside"]


def test_other_files_are_none_of_it(tmp_path: Path) -> None:
    for name, text in (("plain.txt", "One day.\n"), ("empty.txt", ""), ("rows.tsv", "1\t0.5\ttext\n")):
        (tmp_path / name).write_text(text)
        assert rated_texts(tmp_path / name) is None
    assert rated_texts(tmp_path / "nowhere.txt") is None


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("1\t0.5\tgood\nno tabs\n")
    with pytest.raises(InputError, match=r"bad.txt:2: expected `id<TAB>mean rating<TAB>text`"):
        rated_texts(tmp_path / "bad.txt")
    (tmp_path / "latin.txt").write_bytes(b"1\t0.5\tgood\n2\t0.5\tcaf\xe9\n")
    with pytest.raises(InputError, match=r"latin.txt:2: invalid UTF-8"):
        rated_texts(tmp_path / "latin.txt")


def test_the_files_of_vader(shared_data: Callable[..., Path]) -> None:
    texts = rated_texts(shared_data("vader/tweets_GroundTruth.txt.gz"))
    assert texts is not None
    assert len(texts) == 4200
    assert texts[1] == "Yay. Another good phone interview."
