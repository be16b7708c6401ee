"""Pictures that a prompt names in its Markdown: `![what it shows](cats/tom.png)`, a file beside the data.

Everywhere else a prompt is text, and so is the name of its picture; people see the picture. It is read when a
collection begins and kept in the database, so the page loads nothing from elsewhere and a collection may be moved.
Responses show none: a model could name any file. Pictures that are parts of a row are another matter: `web/media.py`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from penchant.clean_text import clean
from penchant.errors import InputError
from penchant.files import exists
from penchant.types import Prompt
from penchant.web.markdown import addresses_of_pictures

# Of one picture; people look at it on a phone, too.
MOST_BYTES = 8 * 2**20
# Of one picture, by its header: 8 MiB of PNG may unpack to hundreds of gigabytes in the browser of whoever judges.
MOST_PIXELS = 100_000_000
# A path below a folder: no root, no scheme, no query.
LOCAL = re.compile(r"(?!/)(?![a-z][a-z0-9+.-]*:)[^\\?#]+\.(png|jpe?g|gif|webp)", re.IGNORECASE)
# Media types by the first bytes of a file, since a name says nothing. SVG is none of them: it may hold a script.
SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
REMOTE = re.compile(r"(https?:)?//", re.IGNORECASE)


@dataclass(frozen=True)
class Picture:
    """A file that a prompt names. `digest` is the SHA-256 of its bytes in hexadecimal digits."""

    path: Path
    digest: str
    media_type: str

    def content(self) -> bytes:
        """Return its bytes, which must still be those that the digest was taken of."""
        content = self.path.read_bytes()
        if hashlib.sha256(content).hexdigest() != self.digest:
            raise InputError(f"{self.path} changed while it was read; start again")
        return content


def pictures_of(prompt: Prompt, folder: Path) -> dict[str, Picture]:
    """Return the local pictures that a prompt names, by their address as its Markdown says it.

    Args:
        folder: what addresses start from, and what none may leave.

    Raises:
        InputError: no such file, one outside the folder, too large a one, or no PNG, JPEG, GIF or WebP.
    """
    return {address: _read(folder, address) for address in _addresses(prompt) if LOCAL.fullmatch(address)}


def names_remote_pictures(prompt: Prompt) -> bool:
    """Return whether a prompt names pictures on other machines, which are never fetched."""
    return any(REMOTE.match(address) for address in _addresses(prompt))


def source_of(pictures: Mapping[str, str], folder: str) -> tuple[tuple[str, str], ...]:
    """Return (address in the Markdown, address on our server), as `as_html` wants them.

    Args:
        pictures: digests by address, as an entry's row holds them. folder: `/w/3` or `/admin`.
    """
    # a tuple, which the cache of `as_html` can hash
    return tuple((address, f"{folder}/picture/{digest}") for address, digest in sorted(pictures.items()))


def _addresses(prompt: Prompt) -> Iterator[str]:
    for text in [prompt] if isinstance(prompt, str) else [message.text for message in prompt]:
        if "![" in text:  # parsing every text takes longer than all the rest of a start
            yield from addresses_of_pictures(clean(text))


def _read(folder: Path, address: str) -> Picture:
    try:
        path = (folder / unquote(address)).resolve()
        # resolved first: neither `..` nor a symbolic link leads out of the folder
        if not path.is_relative_to(folder.resolve()):
            raise InputError(f"the picture {address!r} lies outside {folder}; copy it there")
        if not exists(path) or not path.is_file():
            raise InputError(f"there is no picture {address!r} in {folder}; put it there, or say pictures=FOLDER")
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"the picture {path} is larger than {MOST_BYTES // 2**20} MiB; make it smaller")
        with path.open("rb") as stream:
            head = stream.read(32)  # as much as `size_of` needs: a picture is never unpacked here
            media_type = kind_of(head)
            width, height = size_of(head)
            if width * height > MOST_PIXELS:
                raise InputError(
                    f"the picture {path} has {width} x {height} pixels, which a browser cannot hold; make it smaller"
                )
            stream.seek(0)
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except InputError:
        raise
    except (OSError, ValueError) as error:  # a name that no file can have is a ValueError
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"the picture {address[:200]!r} in {folder} cannot be read ({reason})") from None
    if media_type is None:
        raise InputError(f"{path} is named as a picture, but is no PNG, JPEG, GIF or WebP")
    return Picture(path, digest, media_type)


def size_of(head: bytes) -> tuple[int, int]:
    """Return the width and height that the first 32 bytes of a PNG, GIF or extended WebP say; (0, 0) where none do."""
    match kind_of(head):
        case "image/png":
            return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
        case "image/gif":
            return int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
        case "image/webp" if head[12:16] == b"VP8X":  # it has one less than each
            return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    return 0, 0


def kind_of(head: bytes) -> str | None:
    """Return the media type of a picture by its first 16 bytes, whatever its name says; None for what is none."""
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for signature, kind in SIGNATURES.items() if head.startswith(signature)), None)
