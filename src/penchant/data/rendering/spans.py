"""Place taught turns in a text, and arrange the rows of token ids that they become."""

from __future__ import annotations

from dataclasses import dataclass

from penchant.data.rendering.rendered import Branch, Rendered
from penchant.data.sources.values import common_length
from penchant.errors import InputError


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A prompt with one response.

    Attributes:
        ids: token ids of both. spans: (start, stop) of each turn that is taught.
        unstable: whether the boundary of prompt and response is inside a token.
    """

    ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    unstable: bool


@dataclass(frozen=True, slots=True)
class Span:
    """A taught turn in characters of `full`: where what is scored starts, and where its content and the turn end."""

    full: str
    start: int
    text_end: int
    end: int
    finished: bool


@dataclass(frozen=True, slots=True)
class WrittenGroup:
    """A prompt and its responses as text.

    Attributes:
        head: the prompt as a sampler gets it.
        rows: of each response its taught turns, the response the last of them.
        moved_boundary: whether the boundary stands where the responses' texts start, since the template writes another
            header once they are there.
        stripped_thoughts: whether the thoughts of some earlier turn were taken out.
    """

    head: str
    rows: list[list[Span]]
    moved_boundary: bool = False
    stripped_thoughts: bool = False


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """A text's token ids and the characters that each stands for."""

    ids: tuple[int, ...]
    offsets: list[tuple[int, int]]

    def first_ending_after(self, character: int) -> int:
        """Return the first token that holds a character from here on; the number of tokens if none does."""
        return next((i for i, (_, end) in enumerate(self.offsets) if end > character), len(self.ids))

    def first_from(self, character: int, begin: int) -> int:
        """Return the first token from `begin` on that starts at this character or after it and stands for some."""
        for index in range(begin, len(self.ids)):
            # a token of no characters, such as one that a tokenizer adds, starts nowhere
            start, end = self.offsets[index]
            if start >= character and end > start:
                return index
        return len(self.ids)


def share_prefix(rows: list[TokenRow], start_id: int, text: WrittenGroup, source: str) -> Rendered:
    """Arrange rows as a tree: the common prefix up to the first scored token of any, then a branch each."""
    if not rows:
        raise InputError("a group without responses cannot be rendered")
    # No scored token may be shared: each branch has to have all of its own.
    first_scored = min(row.spans[0][0] for row in rows)
    shared = min([first_scored, *(common_length(rows[0].ids, row.ids) for row in rows[1:])])
    # The first token of a response is predicted from the one before it, so there must be one.
    prompt = rows[0].ids[:shared] or (start_id,)
    branches = tuple(
        Branch(row.ids[shared:], tuple((start - shared, end - shared) for start, end in row.spans)) for row in rows
    )
    unstable = tuple(row.unstable for row in rows)
    return Rendered(
        prompt,
        branches,
        unstable,
        moved_boundary=text.moved_boundary,
        stripped_thoughts=text.stripped_thoughts,
        source=source,
    )
