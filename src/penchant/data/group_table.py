"""Keep the groups of a large data set in a memory-mapped file, and build each when it is asked for.

As Python objects a group of two short responses takes about 2 KB beside its text. In the file it is its text alone, as
JSON, and the system reads and forgets pages of it as they are needed.

The file: the groups' texts, then where each begins, then a footer of JSON, then the footer's length and a mark. Digests
of the first two stand in the footer, so that a damaged or cut file is seen and written anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from io import BufferedReader
from itertools import accumulate
from pathlib import Path
from typing import Any, overload

import numpy as np

from penchant.files import atomic_stream, open_ordinary
from penchant.types import Comparison, Message, PromptGroup, Response, ToolCall

log = logging.getLogger("penchant.data")

MARK = b"PENCHANT-GROUPS1"
TAIL = struct.Struct(f"<Q{len(MARK)}s")
PIECE = 2**20  # bytes that are digested in one go
Facts = dict[str, object]
"""What reading counted and warned of, as JSON."""


class GroupRows(Sequence[PromptGroup]):
    """Groups that are built one by one as they are asked for; equal to the list of them.

    Args:
        build: gives a group by its number.
        numbers: which groups, in which order.
        digest: of the content of all groups that `build` gives.
        changes: groups that stand in the place of those that `build` gives, by number.
    """

    def __init__(
        self,
        build: Callable[[int], PromptGroup],
        numbers: Sequence[int],
        digest: str,
        changes: Mapping[int, PromptGroup] | None = None,
    ) -> None:
        self._build, self._numbers, self._changes = build, numbers, changes or {}
        self._content = digest

    @property
    def numbers(self) -> Sequence[int]:
        """Return the number of each group, among those that the table has."""
        return self._numbers

    @property
    def changes(self) -> Mapping[int, PromptGroup]:
        """Return the groups that are others than in the table, by number."""
        return self._changes

    @property
    def digest(self) -> str:
        """Return a digest of the groups and their order."""
        digest = hashlib.sha256(self._content.encode())
        digest.update(np.asarray(self._numbers, np.int64).tobytes())
        for number in sorted(self._changes):
            digest.update(f"{number} {encode_group(self._changes[number])}".encode())
        return digest.hexdigest()

    def pick(self, indices: Sequence[int]) -> GroupRows:
        """Return some of the groups, in the order given."""
        return GroupRows(self._build, [self._numbers[index] for index in indices], self._content, self._changes)

    def changed(self, changes: Mapping[int, PromptGroup]) -> GroupRows:
        """Return the groups with others in the place of some, by index."""
        by_number = {self._numbers[index]: group for index, group in changes.items()}
        return GroupRows(self._build, self._numbers, self._content, {**self._changes, **by_number})

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> PromptGroup: ...
    @overload
    def __getitem__(self, index: slice) -> GroupRows: ...
    def __getitem__(self, index: int | slice) -> PromptGroup | GroupRows:
        if isinstance(index, slice):
            return GroupRows(self._build, self._numbers[index], self._content, self._changes)
        number = self._numbers[index]
        return self._changes[number] if number in self._changes else self._build(number)


def pick_groups(groups: Sequence[PromptGroup], indices: Sequence[int]) -> Sequence[PromptGroup]:
    """Return some of the groups, in the order given; those of a table are not built."""
    return groups.pick(indices) if isinstance(groups, GroupRows) else [groups[index] for index in indices]


def chain_groups(parts: Sequence[Sequence[PromptGroup]]) -> Sequence[PromptGroup]:
    """Return the groups of several data sets, one behind the other; those of tables are not built."""
    if len(parts) == 1:
        return parts[0]
    # one list among them is in memory anyway, and small: its groups are listed with the others
    if not all(isinstance(part, GroupRows) for part in parts):
        return [group for part in parts for group in part]
    starts = list(accumulate(map(len, parts), initial=0))

    def build(number: int) -> PromptGroup:
        part = bisect_right(starts, number) - 1
        return parts[part][number - starts[part]]

    digest = " ".join(part.digest for part in parts if isinstance(part, GroupRows))
    return GroupRows(build, range(starts[-1]), digest)


# -- a group as JSON ----------------------------------------------------------------------------------------------


def _filled(item: Message | Response | Comparison | ToolCall) -> list[object]:
    """Return the fields' values in their order, without those at the end that have their default value."""
    # by position and not by name: names would take as much space as the texts of short rows
    item_fields = fields(item)
    values = [getattr(item, field.name) for field in item_fields]
    while values and values[-1] == item_fields[len(values) - 1].default:
        values.pop()
    return [[_filled(call) for call in value] if _is_calls(value) else value for value in values]


def _is_calls(value: object) -> bool:
    return isinstance(value, tuple) and bool(value) and isinstance(value[0], ToolCall)


def encode_group(group: PromptGroup) -> str:
    """Return a group as a line of JSON."""
    prompt = group.prompt if isinstance(group.prompt, str) else [_filled(turn) for turn in group.prompt]
    responses = [_filled(response) for response in group.responses]
    comparisons = [_filled(comparison) for comparison in group.comparisons]
    # columns are rare: a table without them has the bytes that it always had
    columns = [dict(group.columns)] if group.columns else []
    # ASCII: half of a surrogate pair is written as such, and read back as it was
    return json.dumps([prompt, responses, comparisons, group.scores, group.source, *columns], separators=(",", ":"))


# `Any`: values of JSON by position, which the file's digest vouches for and the classes themselves check
def _with_calls(values: list[Any], names: Sequence[str]) -> list[Any]:
    index = names.index("tool_calls")
    # values at the end that have their default are not written
    if len(values) > index:
        values[index] = tuple(ToolCall(*call) for call in values[index])
    return values


_TURN_FIELDS = [field.name for field in fields(Message)]
_RESPONSE_FIELDS = [field.name for field in fields(Response)]


def decode_group(line: str | bytes) -> PromptGroup:
    """Return the group of a line of JSON.

    Raises:
        ValueError, TypeError, InputError: it is not what `encode_group` writes.
    """
    prompt, responses, comparisons, scores, source, *columns = json.loads(line)
    return PromptGroup(
        prompt if isinstance(prompt, str) else [Message(*_with_calls(turn, _TURN_FIELDS)) for turn in prompt],
        [Response(*_with_calls(response, _RESPONSE_FIELDS)) for response in responses],
        [Comparison(*comparison) for comparison in comparisons],
        scores,
        source,
        *columns,
    )


# -- the file -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GroupTable:
    """The content of a table's file.

    Attributes:
        groups: built one by one.
        responses: how many responses they have in all.
        facts: what was kept beside the groups.
    """

    groups: GroupRows
    responses: int
    facts: Facts


def write_table(path: Path, groups: Iterable[PromptGroup], facts: Facts) -> None:
    """Write a table whole; two processes at once write the same.

    Raises:
        OSError: it cannot be written; nothing is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    digest, responses = hashlib.sha256(), 0
    offsets = [0]
    # private, as the texts may be
    with atomic_stream(path, private=True, shared=True) as file:
        for group in groups:
            line = encode_group(group).encode()
            digest.update(line)
            file.write(line)
            offsets.append(offsets[-1] + len(line))
            responses += len(group.responses)
        table = np.array(offsets, np.int64).tobytes()
        file.write(table)
        content = {
            "groups": len(offsets) - 1,
            "responses": responses,
            "text": digest.hexdigest(),
            "offsets": hashlib.sha256(table).hexdigest(),
            "facts": facts,
        }
        footer = json.dumps(content).encode()
        file.write(footer + hashlib.sha256(footer).digest() + TAIL.pack(len(footer), MARK))


def read_table(path: Path) -> GroupTable | None:
    """Return a table, memory-mapped; None if there is none or it is damaged, which is logged."""
    try:
        return _mapped(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("the table of groups %s cannot be read (%s): reading the data anew", path, error)
        return None


def _mapped(path: Path) -> GroupTable:
    with open_ordinary(path) as file:
        content, start = _footer(file.seek(0, 2), file)
        count = content["groups"]
        assert isinstance(count, int)
        size = 8 * (count + 1)
        # read and not mapped: pages of the map that were looked at would count as memory of this process
        _check(file, 0, start - size, content["text"])
        _check(file, start - size, size, content["offsets"])
        file.seek(start - size)
        offsets = np.frombuffer(file.read(size), np.int64)
        # stays mapped as long as a group may be asked for; the file itself may be closed, replaced or removed
        view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    # the digests vouch for the bytes, and this for a writer of another version
    facts, responses = content["facts"], content["responses"]
    if not isinstance(facts, dict) or not isinstance(responses, int) or int(offsets[-1]) != start - size:
        raise ValueError("its footer does not fit its content")

    def build(number: int) -> PromptGroup:
        return decode_group(view[offsets[number] : offsets[number + 1]])

    return GroupTable(GroupRows(build, range(count), str(content["text"])), responses, facts)


def _footer(size: int, file: BufferedReader) -> tuple[dict[str, object], int]:
    """Return the footer, and where it begins."""
    if size < TAIL.size:
        raise ValueError("it is cut short")
    file.seek(size - TAIL.size)
    length, mark = TAIL.unpack(file.read(TAIL.size))
    start = size - TAIL.size - 32 - length
    if mark != MARK or start < 0:
        raise ValueError("it is cut short, or no table of groups")
    file.seek(start)
    footer, digest = file.read(length), file.read(32)
    if hashlib.sha256(footer).digest() != digest:
        raise ValueError("its footer does not fit its digest")
    return json.loads(footer), start


def _check(file: BufferedReader, start: int, size: int, expected: object) -> None:
    digest = hashlib.sha256()
    file.seek(start)
    while size > 0:
        piece = file.read(min(PIECE, size))
        if not piece:
            break
        digest.update(piece)
        size -= len(piece)
    if digest.hexdigest() != expected:
        raise ValueError("its content does not fit its digest")
