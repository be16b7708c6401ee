"""Pictures, sounds and videos of prompts and responses on the page: kept in the database, asked for by their digest.

The page never reads a path: a row has the digests, and the address of a file on this server is made of one.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from markupsafe import Markup

from penchant.data.sources.values import RowValues
from penchant.errors import InputError
from penchant.text_alone import media_of
from penchant.types import PromptGroup
from penchant.web.pictures import MOST_BYTES
from penchant.web.rendering import Show, as_html

if TYPE_CHECKING:
    from penchant.media import Audio, Image

DIGEST = re.compile(r"[0-9a-f]{64}")
KINDS: Mapping[object, Literal["image", "audio", "video"]] = {"image": "image", "audio": "audio", "video": "video"}


@dataclass(frozen=True)
class ShownMedia:
    """What stands on the page for a mark: a picture, a sound, or the frames of a video, by their digests."""

    kind: Literal["image", "audio", "video"]
    digests: tuple[str, ...]

    def html(self, folder: str) -> Markup:
        """Return what shows or plays it.

        Args:
            folder: the person's part of this server, such as `/w/3`.
        """
        addresses = [f"{folder}/picture/{digest}" for digest in self.digests]
        if self.kind == "audio":
            return Markup('<p><audio controls preload="none" src="{}"></audio></p>').format(addresses[0])
        # of a video the frames in their order, which a moving picture would not let anybody compare
        label = "picture" if self.kind == "image" else "frame"
        return Markup("").join(
            Markup('<img src="{}" alt="{} {} of {}">').format(address, label, number, len(addresses))
            for number, address in enumerate(addresses, start=1)
        )


def stored_fields(media: Image | Audio) -> RowValues:
    """Return what the row of an entry says of a picture or sound: its path as the data have it, and its digest."""
    # the path as the data have it: an export that lies beside them is read with the same pictures
    if media.path:
        return {"path": media.name, "sha256": media.sha256}
    return {"bytes": base64.b64encode(media.content).decode("ascii"), "sha256": media.sha256}


def stored_files(groups: Iterable[PromptGroup]) -> Iterator[tuple[str, str, bytes]]:
    """Yield the digest, the media type and the bytes of each picture and sound of some groups, each once.

    Raises:
        InputError: one is too large for a page, is gone, or changed since it was read.
    """
    from penchant.media import Audio, Video

    # one by one, as a collection may hold more pictures than memory does
    known_digests: set[str] = set()
    for media in (media for group in groups for media in media_of(group)):
        for file in media.frames if isinstance(media, Video) else (media,):
            if file.sha256 in known_digests:
                continue
            known_digests.add(file.sha256)
            media_type, content = ("audio/wav", file.read()) if isinstance(file, Audio) else file.web_file()
            if len(content) > MOST_BYTES:
                raise InputError(
                    f"{file.name} is larger than {MOST_BYTES // 2**20} MiB as a page has it; make it smaller"
                )
            yield file.sha256, media_type, content


def media_of_row(parts: object) -> dict[str, ShownMedia]:
    """Return what the parts of a turn or response show, by the marks that their text has."""
    media: dict[str, ShownMedia] = {}
    for part in parts if isinstance(parts, list) else ():
        kind, digest = KINDS.get(part.get("type")), str(part.get("sha256"))
        if kind is None or not DIGEST.fullmatch(digest):
            continue
        files = part["frames"] if kind == "video" else [part]
        digests = tuple(str(file["sha256"]) for file in files)
        # checked once more where an address is made of it
        if all(map(DIGEST.fullmatch, digests)):
            media[mark_of(kind, digest)] = ShownMedia(kind, digests)
    return media


def mark_of(kind: str, digest: str) -> str:
    """Return the mark of a picture, sound or video in a readable text, as its `mark` has it."""
    return f"[{kind} {digest[:16]}]"


def content_text(content: object) -> str:
    """Return the content of a row's turn or response as one text, with marks for what it shows."""
    if not isinstance(content, list):
        return str(content)
    # the marks are those of the data, so that what people compared is found again in an export
    return "".join(
        str(part["text"]) if part.get("type") == "text" else mark_of(str(part["type"]), str(part.get("sha256")))
        for part in content
    )


def html_with_media(
    text: str, show: Show, pictures: tuple[tuple[str, str], ...], media: Mapping[str, ShownMedia], folder: str
) -> Markup:
    """Return a text as safe HTML, with pictures and sounds in the place of their marks.

    Args:
        pictures: as for `as_html`. media: by their marks. folder: the person's part of this server.
    """
    if not media:
        return as_html(text, show, pictures)
    # split before Markdown sees the text, which would take a mark with brackets behind it for a link
    pieces = re.split(f"({'|'.join(map(re.escape, media))})", text)
    return Markup("").join(
        media[piece].html(folder) if piece in media else as_html(piece, show, pictures)
        for piece in pieces
        if piece in media or piece.strip()
    )
