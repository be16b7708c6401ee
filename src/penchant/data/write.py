"""Write our own JSONL, so that a file under its final name is always whole."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

from penchant.arguments import each_group, excerpt
from penchant.data.media_rows import FileFields, fields_beside, file_or_bytes, part_row
from penchant.data.sources.files import source_files
from penchant.data.sources.values import RowValues
from penchant.errors import InputError, RunError
from penchant.files import atomic_stream, file_above
from penchant.types import Comparison, Message, PromptGroup, Response, ToolCall


def write_groups(groups: Iterable[PromptGroup], path: str | Path) -> None:
    """Write groups as our own JSONL, one per line; gzipped if the name ends in `.gz`. Sources are not kept.

    Pictures and sounds stay where they are if that is in or below the folder of the file, and their rows have paths
    from there; others are copied into a folder `NAME_media` next to it.

    The file appears under its name only when it is whole: it is written under a temporary name in the same
    folder, flushed to disk and renamed. The same groups give the same bytes.

    Raises:
        InputError: another ending, no such folder, text that cannot be encoded, a score that is not finite.
        RunError: the disk is full or fails. Nothing is left behind, and an older file keeps its content.
    """
    if not isinstance(path, str | Path):
        raise InputError(f"expected the name of a file, got {excerpt(path)}: write_groups(groups, path)")
    path = Path(path)
    check_name(path)
    numbered = enumerate(each_group(groups), start=1)
    file_fields = fields_beside(path)
    write_lines((group_line(group, f"{path}: group {number}", file_fields) for number, group in numbered), path)


def write_lines(lines: Iterable[bytes], path: Path, *, private: bool = False) -> None:
    """Write lines, each with its end, into a file that is whole or not there; gzipped if the name ends in `.gz`.

    Args:
        private: nobody but its owner may read the file.

    Raises:
        RunError: the disk is full or fails. Nothing is left behind, and an older file keeps its content.
    """
    try:
        with atomic_stream(path, private=private, shared=True) as raw:
            if path.name.endswith(".gz"):
                # no name and no time inside, so that equal content gives equal bytes
                with gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed:
                    packed.writelines(lines)
            else:
                raw.writelines(lines)
    except OSError as error:
        raise RunError(
            f"{path}: cannot be written ({error.strerror or error}); nothing was left behind. "
            "Check the free space and the folder's permissions"
        ) from error


def check_name(path: Path) -> None:
    """Refuse a name where our own JSONL could not be written; worth asking before long work.

    Raises:
        InputError: another ending, no such folder, a folder.
    """
    if not path.name.endswith((".jsonl", ".jsonl.gz")):
        raise InputError(f"{path}: our own layout is written as .jsonl or .jsonl.gz; change the name's ending")
    if (file := file_above(path)) is not None:
        raise InputError(f"{path}: {file} is a file, expected a folder")
    if not path.parent.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist; make it first")
    if path.is_dir():
        raise InputError(f"{path} is a folder, expected the name of a file")


def refuse_overwriting(out: str | Path, source: str | Path, split: str = "train") -> None:
    """Refuse to write over what is read, also under another name, such as a link.

    Args:
        source: a file, folder or pattern; a hub id is no file.

    Raises:
        InputError: `out` is a file that is read.
    """
    out = Path(out)
    if not out.exists():
        return
    try:
        files = source_files(source, split)
    except InputError:  # a hub id, or what reading will refuse with more words
        return
    if any(out.samefile(file) for file in files if file.exists()):
        raise InputError(f"{out} is the file that is read, which would be lost; write to another name")


def group_line(group: PromptGroup, name: str, file_fields: FileFields = file_or_bytes) -> bytes:
    """Return a group as a line of our own JSONL.

    Args:
        name: what the group is called in errors. file_fields: says where the row finds a picture or sound.

    Raises:
        InputError: text that cannot be encoded, a score that is not finite.
    """
    name += f" ({group.source})" if group.source else ""
    try:
        # NaN and Infinity are no JSON, though Python writes them: other readers would fail at the file
        return json.dumps(group_to_row(group, file_fields), ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n"
    except UnicodeEncodeError as error:  # it is a `ValueError`, so this clause has to stand first
        raise InputError(
            f"{name} holds half of a surrogate pair, which is no text ({error.reason}); repair its text"
        ) from None
    except ValueError:
        raise InputError(f"{name} has a score that is not finite; leave that response out, or score it") from None


def group_to_row(group: PromptGroup, file_fields: FileFields = file_or_bytes) -> RowValues:
    """Return a group as a row of our own JSONL; what has its default value is left out.

    Args:
        file_fields: says where the row finds a picture or sound.
    """
    row: RowValues = {
        "prompt": group.prompt
        if isinstance(group.prompt, str)
        else [_turn_row(turn, file_fields) for turn in group.prompt],
        # a response that is nothing but its text is written as the text
        "responses": [r.text if r == Response(r.text) else _response_row(r, file_fields) for r in group.responses],
    }
    if group.comparisons:
        row["comparisons"] = [_without_defaults(comparison) for comparison in group.comparisons]
    if group.scores is not None:
        row["scores"] = list(group.scores)
    if group.columns:
        row["columns"] = dict(group.columns)
    return row


def _turn_row(turn: Message, file_fields: FileFields) -> RowValues:
    row = _without_defaults(turn)
    if isinstance(turn.content, tuple):
        row["content"] = [part_row(part, file_fields) for part in turn.content]
    return row


def _response_row(response: Response, file_fields: FileFields) -> RowValues:
    row = _without_defaults(response)
    if not response.parts:
        return row
    # its text is made of the parts, and would only be said twice
    content = [part_row(part, file_fields) for part in response.parts]
    return {"content": content} | {name: cell for name, cell in row.items() if name not in ("text", "parts")}


def _without_defaults(item: Message | Response | Comparison | ToolCall) -> RowValues:
    """Return the fields of a turn, response or comparison in their order, but for those with their default value."""
    values = ((field, getattr(item, field.name)) for field in fields(item))
    # `default` of a required field is MISSING, which no value equals
    return {field.name: _row_value(value) for field, value in values if value != field.default}


def _row_value(value: object) -> object:
    if not isinstance(value, tuple):
        return value
    return [_without_defaults(item) if isinstance(item, ToolCall) else item for item in value]
