"""Digests of files, so that a flipped byte is found when the file is read back. Imports no torch.

A folder carries `SHA256SUMS`, a line per file, which `sha256sum --check SHA256SUMS` reads too. Its first line is a
comment that tells it from the `SHA256SUMS` that other people put beside models. A file that is mapped
into memory ends with the digests of its blocks instead: a block is checked when a reader first touches it.

A file of a mebibyte or more is listed in a comment line, with its XXH128 digest: checkpoints are read and written
whole, and SHA-256 of them took more than the 2% of a command's time that digests may take. XXH128 has 128 bits and
finds damage as surely; it does not resist an attacker, and neither does a list that anybody can write anew. What a
number is keyed by stays SHA-256, see `digest_file`.
"""

from __future__ import annotations

import hashlib
import logging
import os
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

import xxhash

from penchant.errors import InputError
from penchant.files import atomic_write, open_ordinary, read_file

log = logging.getLogger("penchant")

SUMS = "SHA256SUMS"
MARK = "# Penchant wrote these files"
"""The first line of a `SHA256SUMS` of ours."""
FAST = "# XXH128 "
"""How the line of a large file begins; `sha256sum` passes over comments."""
LARGE = 1 << 20  # bytes from which a file is listed by its XXH128 digest
LENGTHS: dict[int, Callable[[], Any]] = {
    64: hashlib.sha256,
    32: xxhash.xxh3_128,
}  # hexadecimal digits of a digest, and what computes it
BLOCK = 1 << 18  # bytes: small enough that a step checks little more than it reads
BLOCK_DIGEST = 16  # bytes of a block's digest
MAGIC = b"penchant-blocks1"
TRAILER = struct.Struct("<16s32s")  # the magic, and the digest of the block digests
AT_ONCE = 2  # files whose digests are computed at the same time
SETTLED_S = 5.0  # after so long, times of a file that differ do differ

_digests_by_file: dict[tuple[str, int, int, int, int, int, int], str] = {}  # digests of this process


class DamagedFile(InputError):
    """A file that does not hold what was written to it: its content does not fit its digest, or it is gone."""


def digest_file(path: Path, *following: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal digits.

    Args:
        following: files whose content is digested as if it stood at the end of the first.

    Raises:
        OSError: one of them cannot be read.
    """
    digest = hashlib.sha256()
    for part in (path, *following):
        with open_ordinary(part) as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


def _digest(path: Path, length: int) -> str:
    """Return the digest of a file's content that has so many hexadecimal digits, see `LENGTHS`."""
    with open_ordinary(path) as file:
        return hashlib.file_digest(file, LENGTHS[length]).hexdigest()


def listed_digest(path: Path) -> str:
    """Return the digest that a file is listed by: SHA-256, or XXH128 for a large one.

    Raises:
        OSError: it cannot be read.
    """
    return _digest(path, 32 if path.stat().st_size >= LARGE else 64)


def _digest_once(path: Path, length: int) -> str:
    """Return a digest of a file, read once per process for as long as nobody touches the file.

    A file that changed within the last seconds is read again: the clock of a file system is coarse.
    """
    status = path.stat()
    # the change time too: whoever sets the modification time back cannot set that
    key = (str(path), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, length)
    if key in _digests_by_file:
        return _digests_by_file[key]
    digest = _digest(path, length)
    if time.time() - max(status.st_mtime, status.st_ctime) > SETTLED_S:
        _digests_by_file[key] = digest
    return digest


def _digest_or_error(path: Path, length: int) -> str | OSError:
    try:
        return _digest_once(path, length)
    except OSError as error:
        return error


# -- folders ------------------------------------------------------------------------------------------------------


def read_sums(folder: Path) -> dict[str, str] | None:
    """Return the digests of a folder's files by name, or None where it has no `SHA256SUMS`.

    Raises:
        DamagedFile: there is one that is not in the form `DIGEST  NAME` or `# XXH128 DIGEST  NAME` throughout.
    """
    path = folder / SUMS
    try:
        lines = read_file(path).decode("utf-8").split("\n")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DamagedFile(f"{path} cannot be read ({error}). {_remedy(path)}") from error
    sums = {}
    for number, line in enumerate(lines[:-1], start=1):
        if number == 1 and line == MARK:
            continue
        length = 32 if line.startswith(FAST) else 64
        digest, gap, name = line.removeprefix(FAST).partition("  ")
        if len(digest) != length or not gap or not name or set(digest) - set("0123456789abcdef"):
            raise DamagedFile(f"{path}:{number} is no line of digest and name. {_remedy(path)}")
        sums[name] = digest
    if lines[-1] or not sums:  # a whole list ends with a line break
        raise DamagedFile(f"{path} is cut short. {_remedy(path)}")
    return sums


def write_sums(folder: Path, sums: dict[str, str] | None = None) -> None:
    """Write a folder's `SHA256SUMS`: of all files in and below it unless given.

    Raises:
        OSError: a file cannot be read, or the digests cannot be written.
    """
    if sums is None:
        # all files: one that is not listed could be replaced unnoticed
        files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / SUMS)
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(AT_ONCE) as threads:
            digests = list(threads.map(listed_digest, files))
        sums = {path.relative_to(folder).as_posix(): digest for path, digest in zip(files, digests, strict=True)}
    lines = (MARK, *(f"{FAST if len(digest) == 32 else ''}{digest}  {name}" for name, digest in sums.items()))
    atomic_write(folder / SUMS, "\n".join(lines) + "\n")


def has_own_sums(folder: Path) -> bool:
    """Return whether a folder has a `SHA256SUMS` that Penchant wrote.

    One that came with a downloaded model may have any format, list other files, or be older than they are.
    """
    try:
        with (folder / SUMS).open("rb") as file:
            return file.readline(len(MARK) + 1) == f"{MARK}\n".encode()
    except OSError:
        return False


def check_files(folder: Path, names: Iterable[str]) -> None:
    """Refuse files of a folder whose content is not what was written; one warning where it has no digests.

    Args:
        names: relative to the folder; those that are about to be read. One that neither is there nor is listed is
            left to its reader.

    Raises:
        DamagedFile: a file is damaged, missing, or not listed.
    """
    sums = read_sums(folder)
    if sums is None:
        warn_without_digests(folder)
        return
    names = list(names)
    present = [name for name in names if name in sums and (folder / name).is_file()]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(AT_ONCE) as threads:  # a digest is computed without the interpreter's lock
        computed = threads.map(lambda name: _digest_or_error(folder / name, len(sums[name])), present)
        digests = dict(zip(present, computed, strict=True))
    for name in names:
        path = folder / name
        if name not in sums:
            if path.exists():
                raise DamagedFile(f"{path} is not listed in {folder / SUMS}. {_remedy(folder / SUMS)}")
            continue
        try:
            # it is missing or no file: reading it raises the error that the messages below explain
            digest = digests[name] if name in digests else _digest_once(path, len(sums[name]))
            if isinstance(digest, OSError):
                raise digest
        except FileNotFoundError:
            raise DamagedFile(f"{path} is missing, but listed in {folder / SUMS}: put back a copy of it") from None
        except OSError as error:
            raise DamagedFile(f"{path} cannot be read ({error.strerror}): put back a copy of it") from error
        if digest != sums[name]:
            raise DamagedFile(
                f"{path} is damaged: its digest begins with {digest[:12]}, but {sums[name][:12]} was written. "
                f"{_remedy(folder / SUMS)}"
            )


@cache
def warn_without_digests(path: Path) -> None:
    """Say once per process that a file or folder of an earlier version is read as it is."""
    log.warning("%s was written by an earlier version, without digests: it is read unchecked", path)


def _remedy(sums: Path) -> str:
    return f"Put back a good copy; if you changed it on purpose, delete {sums}"


# -- files that are mapped into memory ----------------------------------------------------------------------------


def append_block_digests(file: IO[bytes]) -> None:
    """End a file with the digests of its blocks. It must be open for reading and writing, and hold its data alone."""
    file.seek(0)
    digests = b""  # 16 bytes for each 256 KiB: a table of a gigabyte has 64 KiB of them
    while block := file.read(BLOCK):
        digests += hashlib.sha256(block).digest()[:BLOCK_DIGEST]
    file.write(digests + TRAILER.pack(MAGIC, hashlib.sha256(digests).digest()))


def trailer_size(size: int) -> int:
    """Return how many bytes follow the data of a file with block digests."""
    return -(-size // BLOCK) * BLOCK_DIGEST + TRAILER.size


class BlockDigests:
    """The digests of a file's blocks; each block is checked once, when a reader first touches it.

    Args:
        path: a file that ends with block digests.
        size: bytes of its data.

    Raises:
        DamagedFile: the file is longer or shorter than data and digests, or the digests themselves are damaged. A
            file that ends with its data, as earlier versions wrote it, is read unchecked after one warning.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path, self.size = path, size
        self._digests = b""
        self._unchecked = bytearray()
        actual = path.stat().st_size
        if actual == size:  # by an earlier version, which wrote the data alone
            warn_without_digests(path)
            return
        if actual != size + trailer_size(size):
            raise DamagedFile(f"{path} is damaged: {actual} bytes instead of {size + trailer_size(size)}")
        with path.open("rb") as file:
            file.seek(size)
            content = file.read()
        self._digests, end = content[: -TRAILER.size], content[-TRAILER.size :]
        if TRAILER.unpack(end) != (MAGIC, hashlib.sha256(self._digests).digest()):
            raise DamagedFile(f"{path} is damaged: the digests at its end do not fit each other")
        self._unchecked = bytearray(b"\1") * (len(self._digests) // BLOCK_DIGEST)

    def check(self, start: int, stop: int) -> None:
        """Check the blocks that hold bytes `start` to `stop` of the data.

        Raises:
            DamagedFile: a block is not what was written.
        """
        self.check_blocks(range(start // BLOCK, -(-stop // BLOCK)))

    def check_rows(self, rows: Sequence[int], width: int) -> None:
        """Check the blocks that hold rows of so many bytes each, see `check`."""
        if any(self._unchecked):
            # a row may lie across two blocks, and a block holds many rows
            spans = (range(row * width // BLOCK, (row * width + width - 1) // BLOCK + 1) for row in rows)
            self.check_blocks(sorted({block for span in spans for block in span}))

    def check_blocks(self, blocks: Sequence[int]) -> None:
        """Check blocks by number, see `check`."""
        if not self._digests or not (left := [block for block in blocks if self._unchecked[block]]):
            return
        with self.path.open("rb") as file:
            for block in left:
                content = os.pread(file.fileno(), min(BLOCK, self.size - block * BLOCK), block * BLOCK)
                offset = block * BLOCK_DIGEST
                if hashlib.sha256(content).digest()[:BLOCK_DIGEST] != self._digests[offset : offset + BLOCK_DIGEST]:
                    first = block * BLOCK
                    raise DamagedFile(
                        f"{self.path} is damaged between bytes {first} and {first + len(content)}: delete it, and it "
                        "is computed again (a run continues with --resume)"
                    )
                self._unchecked[block] = 0
