"""Write pictures, sounds and videos into rows of our own layout: by a path beside the file, or by their bytes."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from penchant.data.sources.values import RowValues
from penchant.files import atomic_write

if TYPE_CHECKING:
    from penchant.media import Audio, Image, Media, Part

# By the first bytes of a file: a name says nothing, and a reader of the folder wants to open it.
SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"BM": ".bmp", b"RIFF": ".wav"}

FileFields: TypeAlias = "Callable[[Image | Audio], RowValues]"
"""Says where a row finds the bytes of a picture or sound: by `path`, or as `bytes`."""


def file_or_bytes(media: Image | Audio) -> RowValues:
    """Return where a picture or sound is on this machine, or its bytes where it is in no file."""
    # a path as it is: such rows stay on this machine, in the cache of a session
    if media.path:
        return {"path": media.path}
    return {"bytes": base64.b64encode(media.content).decode("ascii")}


def fields_beside(file: Path) -> FileFields:
    """Return what names pictures and sounds by paths that start from the folder of a file.

    Those that lie elsewhere are copied into a folder next to it, under names made of their content.
    """
    data_folder = file.parent.resolve()
    folder = data_folder / f"{file.name.partition('.')[0]}_media"

    def file_fields(media: Image | Audio) -> RowValues:
        if media.path and Path(media.path).is_relative_to(data_folder):
            return {"path": Path(media.path).relative_to(data_folder).as_posix()}
        # by its digest: many rows show one picture, and two pictures of one name must not overwrite each other
        content = media.read()
        copy = folder / f"{media.sha256[:32]}{_suffix(content)}"
        if not copy.exists():
            folder.mkdir(exist_ok=True)
            atomic_write(copy, content, shared=True)
        return {"path": f"{folder.name}/{copy.name}"}

    return file_fields


def part_row(part: Part, file_fields: FileFields) -> RowValues:
    """Return a part of a turn or a response as a row has it.

    Raises:
        InputError: its file is gone, or another one than it was.
        OSError: it cannot be copied beside the rows.
    """
    if isinstance(part, str):
        return {"type": "text", "text": part}
    return _media_row(part, file_fields)


def _media_row(media: Media, file_fields: FileFields) -> RowValues:
    from penchant.media import Audio, Video

    if isinstance(media, Video):
        frames = [file_fields(frame) for frame in media.frames]
        return {
            "type": "video",
            # a path alone where there is no more to say of a frame
            "frames": [frame["path"] if frame.keys() == {"path"} else frame for frame in frames],
            "rate": media.rate,
            "sha256": media.sha256,
        }
    kind = "audio" if isinstance(media, Audio) else "image"
    return {"type": kind, **file_fields(media), "sha256": media.sha256}


def _suffix(content: bytes) -> str:
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for start, suffix in SUFFIXES.items() if content.startswith(start)), "")
