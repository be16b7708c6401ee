"""Read pictures, sounds and videos of a row: parts of turns, marks in texts, and columns of files.

Three spellings are in use. Parts of a turn name their file (`{"type": "image", "path": "a.png"}`), or are a
place alone (`{"type": "image"}`) whose file stands in a column `images`, as TRL has it. LLaMA-Factory writes marks
into the text (`<image>`) beside `images`. And many data sets have a column `image` alone, whose picture stands before
the question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from penchant.data.sources.values import RowError, RowValues, as_number, as_object, as_records, as_text, cut, holds
from penchant.text_alone import has_media, media_of
from penchant.types import Message, PromptGroup, Response, prompt_turns

if TYPE_CHECKING:
    from penchant.data.media_files import MediaKind, MediaReader
    from penchant.media import Media, Part

COLUMNS: Mapping[str, MediaKind] = {
    "images": "image",
    "image": "image",
    "videos": "video",
    "video": "video",
    "audios": "audio",
    "audio": "audio",
}
"""The columns whose files a row shows; the plural has a list of them."""
PATH_COLUMN = "image_path"  # of RLHF-V's files, which have the bytes as well
NAMES = frozenset({*COLUMNS, PATH_COLUMN})
MARKS: Mapping[MediaKind, str] = {"image": "<image>", "video": "<video>", "audio": "<audio>"}
MARK = re.compile("|".join(MARKS.values()))
KINDS: Mapping[str, MediaKind] = {
    **dict.fromkeys(("image", "image_url", "input_image"), "image"),
    **dict.fromkeys(("audio", "audio_url", "input_audio"), "audio"),
    **dict.fromkeys(("video", "video_url"), "video"),
}
"""By the type of a part, what it is."""
KIND_NAMES: Mapping[MediaKind, str] = {"image": "a picture", "audio": "a sound", "video": "a video"}
SOURCE_FIELDS = ("path", "url", "frames", "data")
# OpenAI's `detail` asks for a size, and says nothing of what is shown
OTHER_FIELDS = ("type", "text", "sha256", "bytes", "fps", "rate", "detail", "format")


@dataclass(frozen=True)
class MediaReference:
    """A place in a turn for a picture, sound or video that is not opened yet.

    Attributes:
        kind: what stands there. source: where it is; None for the next file of the row's column.
        rate: frames per second of a video. sha256: the digest that the row states; empty without one.
        name: of the field, for messages.
    """

    kind: MediaKind
    source: object = None
    rate: float = 1.0
    sha256: str = ""
    # one picture stands in the prompt and again in both answers of some layouts
    name: str = field(default="", compare=False)

    @property
    def kind_name(self) -> str:
        """Return what messages call it."""
        return KIND_NAMES[self.kind]

    @property
    def mark(self) -> str:
        """Return what stands for it in readable texts."""
        return f"[{self.kind}]"


def as_parts(value: object, name: str) -> str | tuple[Part, ...]:
    """Return the parts of a turn: text where all of them are, and places for pictures and sounds."""
    parts: list[Part] = []
    for index, record in enumerate(as_records(value, name)):
        kind = record.get("type", "text")
        if kind == "text":
            parts.append(as_text(record.get("text"), f"{name}[{index}].text", empty_ok=True))
        elif isinstance(kind, str) and kind in KINDS:
            # settled before anybody sees it: see `settle_media`
            parts.append(cast("Part", _reference(record, KINDS[kind], f"{name}[{index}]")))
        else:
            raise RowError(
                "value",
                f"field '{name}[{index}]': expected a part of the type text, image, video or audio, got {cut(kind)!r}",
            )
    return _joined(parts)


def _joined(parts: list[Part]) -> str | tuple[Part, ...]:
    if all(isinstance(part, str) for part in parts):
        return "".join(part for part in parts if isinstance(part, str))
    from penchant.media import join_texts

    return join_texts(parts)


def _reference(record: RowValues, kind: MediaKind, name: str) -> MediaReference:
    """Return the place that a part is."""
    sources = {key: record[key] for key in (*KINDS, *SOURCE_FIELDS) if holds(record.get(key))}
    # a size or a crop that a row asks for would change what a model sees
    unread = [key for key in record if key not in (*KINDS, *SOURCE_FIELDS, *OTHER_FIELDS) and holds(record[key])]
    if unread:
        raise RowError("unread", f"field '{name}.{cut(unread[0])}' is not read; a part has a type and a path")
    if record.get("bytes") is not None:
        sources["bytes"] = {"bytes": record["bytes"], "path": sources.pop("path", None)}
    if len(sources) > 1:
        raise RowError("value", f"field {name!r}: {' and '.join(sources)} both say where it is; keep one of them")
    rate = next((as_number(record[key], f"{name}.{key}") for key in ("rate", "fps") if holds(record.get(key))), 1.0)
    digest = as_text(record["sha256"], f"{name}.sha256").lower() if holds(record.get("sha256")) else ""
    source = next(iter(sources.values()), None)
    # OpenAI's parts have an object of their own: {"image_url": {"url": ...}}, {"input_audio": {"data": ...}}
    if isinstance(source, dict) and ("url" in source or "data" in source):
        inner = as_object(source, name)
        source = inner["url"] if "url" in inner else {"bytes": inner["data"]}
    elif "data" in sources:
        source = {"bytes": source}
    return MediaReference(kind, source, rate, digest, name)


def settle_media(group: PromptGroup, row: RowValues, reader: MediaReader | None) -> PromptGroup:
    """Return a group with what its row shows in the place of marks, places and columns.

    Args:
        reader: opens the files; None where text alone can be used.

    Raises:
        RowError: a file that is absent, broken or elsewhere; another number of files than of places; responses of
            different kinds; any of them where text alone can be used.
    """
    # text alone, as nearly all rows are, takes a microsecond here
    has_columns = not NAMES.isdisjoint(row)
    if not has_columns and not has_media(group):
        return group
    columns = _columns(row) if has_columns else {}
    if has_columns:
        _refuse_unfilled(group, row, columns)
    if not columns and not has_media(group):
        return group
    if reader is None:
        raise _text_alone(group, columns)
    turns, responses = list(prompt_turns(group.prompt)), list(group.responses)
    for kind, files in columns.items():
        turns, responses = _placed(turns, responses, kind, files)
    _refuse_mixed(responses)
    turns = [
        turn if isinstance(turn.content, str) else replace(turn, content=_opened(turn.content, reader))
        for turn in turns
    ]
    answers = tuple(
        replace(response, parts=_opened(response.parts, reader)) if response.parts else response
        for response in responses
    )
    # a prompt of text stays one where the responses alone are pictures
    # (a conversation of one turn and its text are two prompts to everything else)
    is_text = isinstance(group.prompt, str) and all(isinstance(turn.content, str) for turn in turns)
    # two files may hold the same bytes
    if any(answers[one.winner].parts and answers[one.winner] == answers[one.loser] for one in group.comparisons):
        raise RowError("identical", "responses that are compared are the same file, so the row prefers nothing")
    return group.replace(prompt=group.prompt if is_text else tuple(turns), responses=answers)


def _columns(row: RowValues) -> dict[MediaKind, list[MediaReference]]:
    """Return the files of a row's columns, by their kind."""
    names = [name for name in COLUMNS if name in row]
    files: dict[MediaKind, list[MediaReference]] = {}
    # `dict.get` first: a number describes (`image: 3`), and is named with the other columns that are not read
    for name in names:
        cell, kind = dict.get(row, name), COLUMNS[name]
        # a list of null is a picture that is missing, where an empty one is none
        if not (holds(cell) or (isinstance(cell, list) and cell)) or isinstance(cell, int | float):
            continue
        row[name]  # read from here on
        if kind in files:
            raise RowError(
                "value",
                f"field {name!r} and field {_column_of(files[kind])!r} both say what is shown; leave one of them out "
                f"(data.columns={{{name}: null}})",
            )
        sources = cell if isinstance(cell, list) and (name.endswith("s") or kind != "video") else [cell]
        files.setdefault(kind, []).extend(
            MediaReference(kind, source, name=f"{name}[{index}]" if isinstance(cell, list) else name)
            for index, source in enumerate(sources)
        )
    if holds(dict.get(row, PATH_COLUMN)) and "image" not in files:
        files["image"] = [MediaReference("image", row[PATH_COLUMN], name=PATH_COLUMN)]
    elif PATH_COLUMN in row:
        row.get(PATH_COLUMN)  # where the picture of the column `image` came from
    return files


def _column_of(references: list[MediaReference]) -> str:
    return references[0].name.partition("[")[0]


def _refuse_unfilled(group: PromptGroup, row: RowValues, columns: Mapping[MediaKind, list[MediaReference]]) -> None:
    """Refuse a prompt with marks whose column is there, and holds nothing: the mark would be read as text."""
    for name, kind in COLUMNS.items():
        if name not in row or kind in columns or holds(dict.get(row, name)):
            continue
        if marks := sum(turn.text.count(MARKS[kind]) for turn in prompt_turns(group.prompt)):
            raise RowError(
                "value",
                f"field {name!r} is empty, and the prompt has {marks} places for files (marks {MARKS[kind]}); where "
                f"the mark is meant as text, data.columns={{{name}: null}} says so",
            )


def _text_alone(group: PromptGroup, columns: Mapping[MediaKind, list[MediaReference]]) -> RowError:
    """Return the error for pictures and sounds where text alone can be used."""
    if columns:
        column = _column_of(next(iter(columns.values())))
        return RowError(
            "unread",
            f"field {column!r}: pictures, videos and sounds cannot be used here, text alone can; "
            f"data.columns={{{column}: null}} leaves it out",
        )
    reference = cast("MediaReference", media_of(group)[0])
    return RowError(
        "unread",
        f"field {reference.name!r}: {reference.kind_name} cannot be used here, text alone can: leave the row out "
        "(bad_rows=skip), or write what it shows into the text",
    )


def _placed(
    turns: list[Message], responses: list[Response], kind: MediaKind, files: list[MediaReference]
) -> tuple[list[Message], list[Response]]:
    """Return turns and responses with the files of a column in their places.

    Raises:
        RowError: another number of places than of files.
    """
    name = _column_of(files)
    # a row may have both spellings, as where a template's marks were left in the text
    contents = [turn.content for turn in turns] + [response.parts for response in responses]
    gaps = sum(_is_place(part, kind) for content in contents if isinstance(content, tuple) for part in content)
    marks = sum(turn.text.count(MARKS[kind]) for turn in turns)
    if any(MARKS[kind] in response.text for response in responses):
        raise RowError(
            "value", f"field {name!r}: a response holds the mark {MARKS[kind]}, and only the prompt's marks are read"
        )
    # a prompt with neither shows its pictures before the question, as TRL and LLaVA have it
    if (gaps or marks) and gaps + marks != len(files):
        raise RowError(
            "value",
            f"field {name!r} has {len(files)} files, and the prompt has {gaps + marks} places for them (parts of the "
            f"type {kind} without a path, and marks {MARKS[kind]})",
        )
    # one order for all turns: the first file stands in the first place, wherever that is
    waiting = iter(files)
    if not (gaps or marks):
        # such files are mostly the same ones, which would be shown twice
        if any(getattr(part, "kind", "") == kind for turn in turns for part in turn.content):
            raise RowError(
                "value",
                f"field {name!r} has {len(files)} files, and parts of the prompt name files of their own; leave one of "
                f"them out (data.columns={{{name}: null}})",
            )
        return _before_question(turns, files), responses
    turns = [replace(turn, content=_filled(turn.content, kind, waiting)) for turn in turns]
    responses = [
        replace(response, parts=_parts(_filled(response.parts, kind, waiting))) if response.parts else response
        for response in responses
    ]
    return turns, responses


def _is_place(part: Part | MediaReference, kind: MediaKind) -> bool:
    return isinstance(part, MediaReference) and part.kind == kind and part.source is None


def _filled(
    content: str | tuple[Part, ...], kind: MediaKind, files: Iterator[MediaReference]
) -> str | tuple[Part, ...]:
    """Return a content with the next files in its places and at its marks."""
    if isinstance(content, str) and MARKS[kind] not in content:
        return content
    parts: list[Part] = []
    for part in (content,) if isinstance(content, str) else content:
        if isinstance(part, str):
            first, *following = part.split(MARKS[kind])
            parts.append(first)
            for text in following:
                parts += [cast("Part", next(files)), text]
        else:
            parts.append(cast("Part", next(files)) if _is_place(part, kind) else part)
    return _joined(parts)


def _before_question(turns: list[Message], files: list[MediaReference]) -> list[Message]:
    """Return turns with files before what the first user says."""
    first = next((index for index, turn in enumerate(turns) if turn.role == "user"), None)
    if first is None:
        raise RowError("value", f"field {files[0].name!r}: the prompt has no turn of a user that could show it")
    content = turns[first].content
    parts = (*(cast("Part", file) for file in files), *((content,) if isinstance(content, str) else content))
    return [*turns[:first], replace(turns[first], content=_joined(list(parts))), *turns[first + 1 :]]


def _parts(content: str | tuple[Part, ...]) -> tuple[Part, ...]:
    return (content,) if isinstance(content, str) else content


def _refuse_mixed(responses: list[Response]) -> None:
    """Refuse responses of which some show or play what others do not: no preference tells what it is for."""
    # before anything is opened: a row of two kinds has nothing worth decoding
    kinds = [sorted({getattr(part, "kind", "") for part in response.parts} - {""}) for response in responses]
    differing = next((index for index, kind in enumerate(kinds) if kind != kinds[0]), None)
    if differing is not None:
        first, other = (" and ".join(kind) or "text" for kind in (kinds[0], kinds[differing]))
        raise RowError(
            "value",  # `mixed` are two layouts, for which a whole file is refused
            f"response 0 is {first} and response {differing} is {other}: responses are compared within one kind",
        )


def _opened(content: tuple[Part, ...], reader: MediaReader) -> tuple[Part, ...]:
    """Return parts with their files opened.

    Raises:
        RowError: a place without a file, or what `MediaReader.open` raises.
    """
    return tuple(_open(part, reader) if isinstance(part, MediaReference) else part for part in content)


def _open(reference: MediaReference, reader: MediaReader) -> Media:
    if reference.source is None:
        raise RowError(
            "missing",
            f"field {reference.name!r}: a place for {reference.kind_name} without a file; give its `path`, or the file "
            f"in a column {reference.kind + 's'!r}",
        )
    media = reader.open(reference.kind, reference.source, reference.name, rate=reference.rate)
    # a list and a folder that do not belong together would teach the wrong thing
    if reference.sha256 and media.sha256 != reference.sha256:
        raise RowError("broken", f"field {reference.name!r}: {media.name} is another file than its sha256 says")
    return media
