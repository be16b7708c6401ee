"""Pictures and sounds in questions: found by their marks, sent to endpoints, refused where a judge reads text alone."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from penchant.errors import InputError
from penchant.text_alone import media_of
from penchant.types import PromptGroup

if TYPE_CHECKING:
    from penchant.judges.contract import Judge, Question
    from penchant.media import Media

MARK = re.compile(r"\[(?:image|audio|video) [0-9a-f]{16}\]")
"""The mark of a picture, sound or video in a readable text, as their `mark` writes it."""
THUMBNAIL = 200  # pixels of the longer side: enough to know a picture again, and some kilobytes


class ResponseTexts(dict[str, Sequence[str]]):
    """The texts of each prompt, in order, with what the marks in them stand for.

    Attributes:
        media: pictures, sounds and videos by their mark.
    """

    def __init__(self, texts: Mapping[str, Sequence[str]], media: Mapping[str, Media] | None = None) -> None:
        super().__init__(texts)
        self.media: dict[str, Media] = dict(media or {})


def media_by_mark(groups: Iterable[PromptGroup]) -> dict[str, Media]:
    """Return the pictures, sounds and videos of groups by the marks that their texts have."""
    return {media.mark: media for group in groups for media in media_of(group)}


def media_in(texts: Iterable[str], media: Mapping[str, Media]) -> tuple[Media, ...]:
    """Return what the marks in some texts stand for, each once; a mark that somebody wrote stands for nothing."""
    marks = dict.fromkeys(mark for text in texts for mark in MARK.findall(text)) if media else {}
    return tuple(media[mark] for mark in marks if mark in media)


def reads_media(judge: Judge) -> bool:
    """Return whether a judge looks at pictures and listens to sounds, or needs none of them."""
    # no part of the protocol: a judge of a user's mostly reads text
    return bool(getattr(judge, "reads_media", False))


def refuse_media(judge: Judge, questions: Sequence[Question]) -> None:
    """Refuse questions that show or play something to a judge that reads text alone.

    Raises:
        InputError: says how many, and which judge looks.
    """
    count = sum(bool(question.media) for question in questions)
    if count and not reads_media(judge):
        raise InputError(
            f"{count} of {len(questions)} questions show pictures or play sounds, and this judge reads text alone: "
            "take `judge.name=endpoint` with a model that sees or hears them (a judge of your own says so by "
            "`reads_media = True`)"
        )


def message_content(text: str, media: Sequence[Media]) -> str | list[dict[str, object]]:
    """Return a text as the content of a message: with pictures and sounds in the place of their marks.

    The form is that of OpenAI's content parts, which vLLM, SGLang, llama.cpp and Ollama take too.
    """
    # a response may show the prompt's picture once more, which is then sent once more
    by_mark = {part.mark: part for part in media}
    if not by_mark:
        return text
    content: list[dict[str, object]] = []
    position = 0
    for match in MARK.finditer(text):
        if match[0] not in by_mark:
            continue
        if before := text[position : match.start()]:
            content.append({"type": "text", "text": before})
        content += _content_parts(by_mark[match[0]])
        position = match.end()
    if position < len(text):
        content.append({"type": "text", "text": text[position:]})
    return content


def thumbnails(questions: Iterable[Question]) -> dict[str, str]:
    """Return small pictures of what some questions show, as `data:` addresses by their marks; of a video its first.

    A page holds them itself, so that it is one file and asks for nothing.
    """
    from penchant.media import Audio, Image

    addresses: dict[str, str] = {}
    for media in (media for question in questions for media in question.media):
        if media.mark in addresses or isinstance(media, Audio):
            continue
        picture = media if isinstance(media, Image) else media.frames[0]
        addresses[media.mark] = f"data:image/png;base64,{_base64(picture.thumbnail(THUMBNAIL))}"
    return addresses


def _content_parts(media: Media) -> list[dict[str, object]]:
    # inside: judges of text alone are loaded without what opens pictures
    from penchant.media import Audio, Image

    if isinstance(media, Audio):
        return [{"type": "input_audio", "input_audio": {"data": _base64(media.read()), "format": "wav"}}]
    # no interface agrees on videos; all take several pictures
    pictures = [media] if isinstance(media, Image) else media.frames
    addresses = []
    for picture in pictures:
        media_type, content = picture.web_file()
        addresses.append(f"data:{media_type};base64,{_base64(content)}")
    return [{"type": "image_url", "image_url": {"url": address}} for address in addresses]


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
