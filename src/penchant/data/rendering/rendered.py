"""Hold token ids of a data set: `Rendered` is one group, `RenderedRows` many of them in flat arrays.

Ids as Python numbers take 36 bytes each, as an array 4, and an array can lie in a memory-mapped file. So a data set
is kept as arrays, and a group is built when it is asked for, which takes some microseconds.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain
from typing import TYPE_CHECKING, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from penchant.data.rendering.media_prompt import MediaPrompt


@dataclass(frozen=True, slots=True)
class Branch:
    """The tokens of one response, after the prompt that its group shares.

    Attributes:
        ids: token ids after the shared prefix.
        spans: half-open ranges of `ids` that are scored (the response; in a conversation, every taught turn).
    """

    ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]

    @property
    def scored(self) -> int:
        """Count the tokens that are scored."""
        return sum(end - start for start, end in self.spans)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A group as token ids: a shared prompt (never empty) and one branch per response, in the group's order.

    Attributes:
        unstable: of each response, whether a token straddles its boundary. truncated: whether the prompt was cut.
        moved_boundary: whether responses are scored from their texts on, as the template writes another header before
            them than the one that asks for an answer.
        stripped_thoughts: whether the template took the thoughts of earlier turns out.
        media: the prompt's pictures, for a model that reads them; None for a model of texts.
    """

    prompt_ids: tuple[int, ...]
    branches: tuple[Branch, ...]
    unstable: tuple[bool, ...] = ()
    truncated: bool = False
    moved_boundary: bool = False
    stripped_thoughts: bool = False
    source: str = field(default="", compare=False)
    media: MediaPrompt | None = None

    @property
    def lengths(self) -> tuple[int, ...]:
        """Count the tokens of prompt and response, a number per response."""
        return tuple(len(self.prompt_ids) + len(branch.ids) for branch in self.branches)

    def key(self, index: int) -> bytes:
        """Return a digest of all that response `index`'s score depends on, the weights aside.

        Where the text was cut between prompt and branch makes no difference."""
        branch = self.branches[index]
        offset = len(self.prompt_ids)
        ids = (*self.prompt_ids, *branch.ids)
        spans = [(start + offset, end + offset) for start, end in branch.spans]
        # a model of texts has the keys that it always had
        pictures = "" if self.media is None else self.media.digest
        return hashlib.sha256(f"{ids}{spans}{pictures}".encode()).digest()


# -- many groups --------------------------------------------------------------------------------------------------

Arrays = Mapping[str, NDArray[np.generic]]
Number = TypeVar("Number", np.int64, np.bool_)

LAYOUT: dict[str, type] = {  # one number per ...
    "prompt_lengths": np.int32,  # group
    "branch_counts": np.int32,  # group
    "truncated": np.bool_,  # group
    "moved_boundary": np.bool_,  # group
    "stripped_thoughts": np.bool_,  # group
    "branch_lengths": np.int32,  # branch
    "span_counts": np.int32,  # branch
    "unstable": np.bool_,  # branch
    "twins": np.int32,  # branch: the first of its group with the same tokens and spans, counted in the group
    "spans": np.int32,  # two per span
    "ids": np.int32,  # token: of each group its prompt, then its branches
}


def packed(rows: Sequence[Rendered]) -> Arrays:
    """Pack groups into the flat arrays of `LAYOUT`."""
    branches = [branch for row in rows for branch in row.branches]
    spans = chain.from_iterable(chain.from_iterable(branch.spans) for branch in branches)
    ids = chain.from_iterable(chain(row.prompt_ids, *(branch.ids for branch in row.branches)) for row in rows)
    values: dict[str, Iterable[int]] = {
        "prompt_lengths": (len(row.prompt_ids) for row in rows),
        "branch_counts": (len(row.branches) for row in rows),
        "truncated": (row.truncated for row in rows),
        "moved_boundary": (row.moved_boundary for row in rows),
        "stripped_thoughts": (row.stripped_thoughts for row in rows),
        "branch_lengths": (len(branch.ids) for branch in branches),
        "span_counts": (len(branch.spans) for branch in branches),
        "unstable": chain.from_iterable(row.unstable for row in rows),
        "twins": chain.from_iterable(map(_twins, rows)),
        "spans": spans,
        "ids": ids,
    }
    return {name: np.fromiter(values[name], dtype) for name, dtype in LAYOUT.items()}


def _twins(row: Rendered) -> list[int]:
    first: dict[Branch, int] = {}
    return [first.setdefault(branch, index) for index, branch in enumerate(row.branches)]


def joined(parts: Sequence[Arrays]) -> Arrays:
    """Join the packed parts of a data set."""
    # an empty part first, since nothing can be concatenated of no parts at all
    return {name: np.concatenate([part[name] for part in (packed([]), *parts)]) for name in LAYOUT}


def digest_arrays(arrays: Arrays) -> str:
    """Return a digest of the arrays of a data set."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        values = arrays[name]
        digest.update(f"{name}{values.dtype}{values.shape}".encode())
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


class _Table:
    """Groups in the packed form of one data set, built one by one."""

    def __init__(self, arrays: Arrays, sources: Sequence[str], media: Sequence[MediaPrompt] | None = None) -> None:
        self._arrays, self._sources, self._media = arrays, sources, media
        self._prompts, self._branches, self._lengths, self._spans = (
            np.concatenate([[0], np.cumsum(arrays[name], dtype=np.int64)])
            for name in ("prompt_lengths", "branch_counts", "branch_lengths", "span_counts")
        )

    def __len__(self) -> int:
        return len(self._sources)

    @property
    def longest_response(self) -> int:
        return int(self._arrays["branch_lengths"].max(initial=1))

    @property
    def branch_counts(self) -> NDArray[np.int64]:
        """Count the branches of each group."""
        return np.diff(self._branches)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Count the tokens of each group: of its prompt once, and of all branches."""
        return np.diff(self._prompts) + self.response_tokens

    @property
    def response_tokens(self) -> NDArray[np.int64]:
        """Count the tokens of all branches of each group."""
        return np.diff(self._lengths[self._branches])

    @property
    def has_twins(self) -> NDArray[np.bool_]:
        """Return of each group whether two branches are the same tokens."""
        twins = np.asarray(self._arrays["twins"], np.int64)
        own_indices = np.arange(len(twins)) - np.repeat(self._branches[:-1], self.branch_counts)
        repeats = np.concatenate([[0], np.cumsum(twins != own_indices)])
        return np.diff(repeats[self._branches]) > 0

    def digest(self) -> str:
        # of a mapped file it is known: computing it again would bring all of the file into the memory
        return getattr(self._arrays, "digest", None) or digest_arrays(self._arrays)

    def build(self, group: int) -> Rendered:
        # Each cumulated sum has one entry more than there are items: item i reaches from entry i to entry i + 1.
        arrays = self._arrays
        first, last = self._branches[group : group + 2].tolist()
        # before this group stand the prompts of all earlier groups and all of their branches
        start = int(self._prompts[group] + self._lengths[first])
        stop = int(self._prompts[group + 1] + self._lengths[last])
        ids = tuple(arrays["ids"][start:stop].tolist())
        lengths = arrays["branch_lengths"][first:last].tolist()
        counts = arrays["span_counts"][first:last].tolist()
        flat = iter(arrays["spans"][2 * int(self._spans[first]) : 2 * int(self._spans[last])].tolist())
        spans = iter(list(zip(flat, flat, strict=True)))
        prompt = int(self._prompts[group + 1] - self._prompts[group])
        ends = list(accumulate(lengths, initial=prompt))
        branches = tuple(
            Branch(ids[begin:end], tuple(next(spans) for _ in range(count)))
            for begin, end, count in zip(ends, ends[1:], counts, strict=False)
        )
        unstable = tuple(arrays["unstable"][first:last].tolist())
        flags = [bool(arrays[name][group]) for name in ("truncated", "moved_boundary", "stripped_thoughts")]
        truncated, moved_boundary, stripped_thoughts = flags
        media = None if self._media is None else self._media[group]
        source = self._sources[group]
        return Rendered(ids[:prompt], branches, unstable, truncated, moved_boundary, stripped_thoughts, source, media)


class RenderedRows(Sequence[Rendered]):
    """Groups in packed form, built one by one as they are asked for; equal to the list of them.

    Args:
        arrays: what `packed` gives; a memory-mapped file will do.
        sources: where each group came from.
        indices: which groups, in which order; all if None.
        media: the pictures of each group's prompt, for a model that reads them.
    """

    def __init__(
        self,
        arrays: Arrays,
        sources: Sequence[str],
        indices: Sequence[int] | None = None,
        media: Sequence[MediaPrompt] | None = None,
    ) -> None:
        self._tables: tuple[_Table, ...] = (_Table(arrays, sources, media),)
        self._starts = [0]  # the number of each table's first group
        self._indices = range(len(sources)) if indices is None else indices

    @classmethod
    def chained(cls, parts: Sequence[RenderedRows]) -> RenderedRows:
        """Return the groups of several data sets, one behind the other; nothing is copied."""
        if len(parts) == 1:
            return parts[0]
        rows = cls.__new__(cls)
        tables: list[_Table] = []
        indices: list[int] = []
        for part in parts:
            before = sum(map(len, tables))
            indices += [before + index for index in part._indices]
            tables += part._tables
        rows._tables, rows._indices = tuple(tables), indices
        rows._starts = list(accumulate(map(len, tables[:-1]), initial=0))
        return rows

    @property
    def longest_response(self) -> int:
        """Count the tokens of the longest response of these groups and of those they were picked from; at least 1."""
        return max(table.longest_response for table in self._tables)

    @property
    def branch_counts(self) -> NDArray[np.int64]:
        """Count the responses of each group."""
        return self._column([table.branch_counts for table in self._tables])

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Count the tokens of each group: of its prompt once, and of all responses after it."""
        return self._column([table.sizes for table in self._tables])

    @property
    def response_tokens(self) -> NDArray[np.int64]:
        """Count the tokens of all responses of each group."""
        return self._column([table.response_tokens for table in self._tables])

    @property
    def with_twins(self) -> list[int]:
        """Return the groups in which two responses are the same tokens."""
        return np.flatnonzero(self._column([table.has_twins for table in self._tables])).tolist()

    @property
    def digest(self) -> str:
        """Return a digest of all that is scored and its order, from the arrays and without building a group."""
        digest = hashlib.sha256(" ".join(table.digest() for table in self._tables).encode())
        digest.update(np.asarray(self._indices, np.int64).tobytes())
        return digest.hexdigest()

    def _column(self, columns: Sequence[NDArray[Number]]) -> NDArray[Number]:
        return np.concatenate(columns)[np.asarray(self._indices, np.int64)]

    def pick(self, indices: Sequence[int]) -> RenderedRows:
        """Return some of the groups, in the order given."""
        return self._with([self._indices[index] for index in indices])

    def _with(self, indices: Sequence[int]) -> RenderedRows:
        rows = RenderedRows.__new__(RenderedRows)
        rows._tables, rows._starts, rows._indices = self._tables, self._starts, indices
        return rows

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> Rendered: ...
    @overload
    def __getitem__(self, index: slice) -> RenderedRows: ...
    def __getitem__(self, index: int | slice) -> Rendered | RenderedRows:
        if isinstance(index, slice):
            return self._with(self._indices[index])
        number = self._indices[index]
        table = bisect_right(self._starts, number) - 1
        return self._tables[table].build(number - self._starts[table])
