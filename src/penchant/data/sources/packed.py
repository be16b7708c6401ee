"""Open a file's bytes: unpacked where it is packed, as UTF-8 where it is UTF-16, and never without an end."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from penchant.data.sources.binary_files import HEAD, refuse_binary
from penchant.errors import InputError

# Text packs to a tenth, logs of one line to a hundredth. A file beyond this is damaged, or made to fill a memory.
MAX_UNPACKED_RATIO = 100
MIN_UNPACKED_BYTES = 256 * 2**20  # harmless for any machine, so that short and very regular files pass
PACKED_SUFFIXES = (".gz", ".zst")
MAGIC = {".gz": b"\x1f\x8b", ".zst": b"\x28\xb5\x2f\xfd"}
PROGRAMS = {".gz": "gzip", ".zst": "Zstandard"}
BYTE_ORDER_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
PIECE = 2**16  # bytes read in one go


def refuse_bomb(path: Path, unpacked: int) -> None:
    """Refuse a packed file that has become too much.

    Raises:
        InputError: more bytes than a file of its size can honestly hold.
    """
    bound = max(MIN_UNPACKED_BYTES, MAX_UNPACKED_RATIO * path.stat().st_size)
    if unpacked > bound:
        raise InputError(
            f"{path}: unpacks to more than {bound // 2**20:,} MiB, {MAX_UNPACKED_RATIO} times its size, which no "
            "text does. If it is what you want, unpack it yourself and give the unpacked file (JSON Lines)"
        )


class _Pieces(io.RawIOBase):
    """A stream of the bytes that a function gives piece by piece; an empty piece is the end."""

    def __init__(self, next_piece: Callable[[], bytes]) -> None:
        self.next_piece, self.rest = next_piece, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        self.rest = self.rest or self.next_piece()
        size = min(len(buffer), len(self.rest))
        buffer[:size], self.rest = self.rest[:size], self.rest[size:]
        return size


def _bounded(path: Path, unpack: Callable[[int], bytes]) -> IO[bytes]:
    """Return a stream of unpacked bytes that refuses to go on without an end."""
    unpacked = checked = 0

    def next_piece() -> bytes:
        nonlocal unpacked, checked
        piece = unpack(PIECE)
        unpacked += len(piece)
        # each check asks the file system for the file's size, which would cost more than reading a line
        if unpacked >= checked + 2**24:
            checked = unpacked
            refuse_bomb(path, unpacked)
        return piece

    return io.BufferedReader(_Pieces(next_piece), PIECE)


def _recoded(path: Path, stream: IO[bytes], encoding: str) -> IO[bytes]:
    """Return a UTF-16 stream, whose mark has been read, as one of UTF-8."""
    decoder = codecs.getincrementaldecoder(encoding)()

    def next_piece() -> bytes:
        text = ""
        while not text:  # a piece may end inside of a character
            piece = stream.read(PIECE)
            try:
                text = decoder.decode(piece, final=not piece)
            except UnicodeDecodeError as error:
                raise InputError(f"{path}: damaged UTF-16 ({error.reason}); save the file as UTF-8") from None
            if not piece:
                break
        return text.encode("utf-8", errors="surrogatepass")

    return io.BufferedReader(_Pieces(next_piece), PIECE)


def _as_utf8(path: Path, stream: IO[bytes]) -> IO[bytes]:
    # Excel's "Unicode text" is UTF-16. Without a byte order mark nobody knows, and it is refused as no UTF-8.
    buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)  # type: ignore[type-var]
    head = buffered.peek(HEAD)
    encoding = BYTE_ORDER_MARKS.get(head[:2])
    if encoding is None:
        refuse_binary(path, head)
        return buffered
    buffered.read(2)
    return _recoded(path, buffered, encoding)


def _unzstd(raw: IO[bytes]) -> Callable[[int], bytes]:
    import pyarrow  # type: ignore[import-untyped]

    # the codec of pyarrow, which reads Parquet anyway: no package more, and it knows several frames and a cut one
    unpacked = pyarrow.CompressedInputStream(raw, "zstd")
    return lambda size: bytes(unpacked.read(size))


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Yield the file's bytes: unpacked where it is packed (seen by its first bytes, whatever its name), in UTF-8."""
    kind = "gzip"
    try:
        with path.open("rb") as raw:
            begin = raw.read(4)
            raw.seek(0)
            packed = next((ending for ending, magic in MAGIC.items() if begin.startswith(magic)), None)
            suffix = path.suffix.lower()
            # an empty file has no first bytes: its reader says that it is empty
            if suffix in MAGIC and suffix != packed and begin:
                raise InputError(
                    f"{path}: named {suffix}, but its content is not {PROGRAMS[suffix]}; rename it or pack it"
                )
            if packed is None:
                yield _as_utf8(path, raw)
                return
            kind = PROGRAMS[packed]
            unpack = gzip.GzipFile(fileobj=raw).read if packed == ".gz" else _unzstd(raw)
            yield _as_utf8(path, _bounded(path, unpack))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: the gzip file is damaged or cut short ({error}); fetch or pack it again") from error
    except OSError as error:
        if kind == "Zstandard" and error.errno is None:  # pyarrow's errors of the codec have no number of the system
            raise InputError(
                f"{path}: the Zstandard file is damaged or cut short ({error}); fetch or pack it again"
            ) from error
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check the file") from error
