"""Refuse what is no text under the name of one: an image, an archive, a table of another program, random bytes."""

from __future__ import annotations

import codecs
from pathlib import Path

from penchant.errors import InputError

HEAD = 4096  # bytes that are looked at
MOST_CONTROLS = 0.05  # random bytes have 11% of them, a text in any encoding hardly one
CONTROLS = frozenset([*range(1, 9), *range(14, 27), *range(28, 32), 127])
KINDS = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF-": "a PDF document",
    b"PK\x03\x04": "a zip archive or an Excel workbook: unpack it, or name a workbook .xlsx",
    b"PAR1": "a Parquet file: name it .parquet",
    b"ARROW1": "an Arrow file: name it .arrow",
    b"SQLite format 3": "an SQLite database: name it .sqlite",
    b"\xd0\xcf\x11\xe0": "an old Office document: save it as .xlsx or CSV (UTF-8)",
    b"GGUF": "a GGUF model, no data",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it",
    b"BZh": "a bzip2 file: unpack it, or pack it as .gz or .zst",
    b"\xfd7zXZ": "an xz file: unpack it, or pack it as .gz or .zst",
}
"""What a file is by its first bytes, and what to do about it."""


def binary_kind(head: bytes) -> str | None:
    """Return what a file's first bytes show it to be, and None where they may be text."""
    is_text = b"\0" not in head and _is_utf8(head)
    for magic, kind in KINDS.items():
        # a line of text may begin with these letters too: "GGUF is a format"
        if head.startswith(magic) and not is_text:
            return kind
    if head and not head.strip(b"\0"):
        return "nothing but zero bytes, as after a crash while it was written"
    # UTF-16 without its mark has zeros, but few other controls: the reader of lines says what it is
    controls = sum(byte in CONTROLS for byte in head)
    if controls > MOST_CONTROLS * len(head) and not is_text:
        return "neither text nor any kind of file that is read"
    return None


def refuse_binary(path: Path, head: bytes) -> None:
    """Refuse a file that is named as text.

    Args:
        head: its first bytes, unpacked.

    Raises:
        InputError: it is no text; what it is instead.
    """
    if kind := binary_kind(head[:HEAD]):
        raise InputError(f"{path}: its content is {kind}; give a file of text, such as JSON Lines or CSV, in UTF-8")


def _is_utf8(head: bytes) -> bool:
    try:
        # the last character may be cut
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True
