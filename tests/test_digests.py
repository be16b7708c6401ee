"""Digests: any flipped byte is found, in folders and in files that are mapped into memory."""

from __future__ import annotations

import logging
import subprocess
from pathlib import Path

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant import digests
from penchant.digests import SUMS, BlockDigests, DamagedFile, append_block_digests, check_files, write_sums
from penchant.errors import InputError


def flip(path: Path, place: int, mask: int = 1) -> None:
    """Change one byte of a file."""
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= mask
    path.write_bytes(content)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "inner").mkdir()
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "inner" / "b.bin").write_bytes(bytes(range(256)))
    write_sums(tmp_path)
    return tmp_path


def test_sums_are_in_the_form_that_sha256sum_reads(folder: Path) -> None:
    done = subprocess.run(["sha256sum", "--check", SUMS], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout == "a.json: OK\ninner/b.bin: OK\n"
    check_files(folder, ["a.json", "inner/b.bin", "never-written"])


def test_a_large_file_is_listed_by_its_xxh128(tmp_path: Path) -> None:
    """In a comment, so that `sha256sum` still checks the others; the digest of nothing is the published one."""
    (tmp_path / "small").write_bytes(b"abc")
    (tmp_path / "large").write_bytes(bytes(digests.LARGE))
    write_sums(tmp_path)
    digest = xxhash.xxh3_128(bytes(digests.LARGE)).hexdigest()
    assert (tmp_path / SUMS).read_text().splitlines()[1] == f"# XXH128 {digest}  large"
    assert xxhash.xxh3_128(b"").hexdigest() == "99aa06d3014798d86001c324468d497f"
    done = subprocess.run(["sha256sum", "--check", SUMS], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "small: OK\n"
    check_files(tmp_path, ["small", "large"])
    for place in (0, digests.LARGE // 2, digests.LARGE - 1):
        flip(tmp_path / "large", place, 128)
        with pytest.raises(DamagedFile, match="large is damaged"):
            check_files(tmp_path, ["large"])
        flip(tmp_path / "large", place, 128)
    check_files(tmp_path, ["large"])


def test_a_large_file_that_is_listed_by_sha256_is_checked_too(tmp_path: Path) -> None:
    """As the first version with digests listed it."""
    (tmp_path / "large").write_bytes(bytes(digests.LARGE))
    write_sums(tmp_path, {"large": digests.digest_file(tmp_path / "large")})
    check_files(tmp_path, ["large"])
    flip(tmp_path / "large", 7)
    with pytest.raises(DamagedFile, match="large is damaged"):
        check_files(tmp_path, ["large"])


@given(place=st.integers(0, 10_000), mask=st.integers(1, 255), large=st.sampled_from([1, 10, 100]))
@settings(max_examples=20)
def test_a_flipped_byte_of_any_file_is_found(
    tmp_path_factory: pytest.TempPathFactory, place: int, mask: int, large: int
) -> None:
    folder = tmp_path_factory.mktemp("flipped")
    (folder / "a").write_text("first")
    (folder / "b").write_text("second, longer than the first")
    with pytest.MonkeyPatch.context() as patch:  # either kind of digest, or one of each
        patch.setattr(digests, "LARGE", large)
        write_sums(folder)
    for name in ("a", "b", SUMS):
        flip(folder / name, place, mask)
        with pytest.raises(DamagedFile, match=r"Put back|put back"):
            check_files(folder, ["a", "b"])
        flip(folder / name, place, mask)
        check_files(folder, ["a", "b"])


@pytest.mark.parametrize("content", [b"", b"abc", b"\xff\n", b"0" * 64 + b"  a.json", b"0" * 64 + b"  other\n"])
def test_damaged_sums_are_refused(folder: Path, content: bytes) -> None:
    (folder / SUMS).write_bytes(content)
    with pytest.raises(InputError, match=r"Put back a good copy|put back a copy"):
        check_files(folder, ["a.json"])


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "a.json").unlink()
    with pytest.raises(DamagedFile, match=r"a\.json is missing"):
        check_files(folder, ["a.json"])


def test_a_folder_without_sums_is_warned_of_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / SUMS).unlink()
    with caplog.at_level(logging.WARNING):
        check_files(folder, ["a.json"])
        check_files(folder, ["inner/b.bin"])
    assert [record.getMessage() for record in caplog.records] == [
        f"{folder} was written by an earlier version, without digests: it is read unchecked"
    ]


@pytest.fixture
def mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of 250 bytes in blocks of 100."""
    monkeypatch.setattr(digests, "BLOCK", 100)
    path = tmp_path / "mapped.bin"
    with path.open("w+b") as file:
        file.write(bytes(range(250)))
        append_block_digests(file)
    return path


def test_blocks_are_checked_when_they_are_touched(mapped: Path) -> None:
    flip(mapped, 120)
    blocks = BlockDigests(mapped, 250)
    blocks.check(0, 100)
    blocks.check(200, 250)
    with pytest.raises(DamagedFile, match="between bytes 100 and 200: delete it"):
        blocks.check(50, 101)


def test_each_block_is_read_once_per_reader(mapped: Path) -> None:
    blocks = BlockDigests(mapped, 250)
    blocks.check(0, 250)
    assert not any(blocks._unchecked)
    flip(mapped, 3)
    blocks.check(0, 250)  # would raise if it read again
    with pytest.raises(DamagedFile, match="between bytes 0 and 100"):
        BlockDigests(mapped, 250).check(0, 250)


def test_every_flipped_byte_is_found(mapped: Path) -> None:
    size = mapped.stat().st_size
    for place in range(0, size, 5):
        flip(mapped, place)
        with pytest.raises(DamagedFile):
            BlockDigests(mapped, 250).check(0, 250)
        flip(mapped, place)
    BlockDigests(mapped, 250).check(0, 250)


def test_a_file_of_another_length_is_refused(mapped: Path) -> None:
    mapped.write_bytes(mapped.read_bytes()[:-1])
    with pytest.raises(DamagedFile, match="bytes instead of"):
        BlockDigests(mapped, 250)


def test_a_mapped_file_of_an_earlier_version_is_read_unchecked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "old.bin"
    path.write_bytes(bytes(250))
    with caplog.at_level(logging.WARNING):
        BlockDigests(path, 250).check(0, 250)
    assert "without digests" in caplog.text
