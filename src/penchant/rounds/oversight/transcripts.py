"""What advisors said, as the reader is shown it, and how it is cut where the reader has no room. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Length = Callable[[str], int]
"""The length of a text in the reader's own tokens."""


@dataclass(frozen=True)
class Statement:
    """What an advisor said.

    Attributes:
        side: the place of the answer that it holds, 0 or 1.
        answer: that answer. text: what it said, with its quotes checked; empty where it said nothing.
    """

    side: int
    answer: str
    text: str

    @property
    def line(self) -> str:
        """The statement as the reader is shown it; empty where nothing was said."""
        return f'Advisor for "{self.answer}": {self.text}' if self.text.strip() else ""


@dataclass
class Counts:
    """What a protocol took, and what it had to leave out.

    Attributes:
        questions: that were asked. read: tokens that the reader read. written: tokens of what advisors said, in the
            reader's tokens. billed: tokens that endpoints counted.
        statements, empty: of advisors, and those that say nothing. quotes, verified: in them.
        texts_shown, cut: above a question, and those that were cut. unreadable: answers of a judge without a winner.
        passages_cut: statements of an advisor that had no room for the whole passage.
    """

    questions: int = 0
    read: int = 0
    written: int = 0
    billed: int = 0
    statements: int = 0
    empty: int = 0
    quotes: int = 0
    verified: int = 0
    texts_shown: int = 0
    cut: int = 0
    unreadable: int = 0
    passages_cut: int = 0


def ordered(statements: Sequence[Statement], first_side: int) -> list[Statement]:
    """Return the statements of each round with one side first; rounds keep their order.

    Args:
        statements: round by round, both sides of a round next to each other.
    """
    by_side = {
        side: [statement for statement in statements if statement.side == side] for side in (first_side, 1 - first_side)
    }
    rounds = max(map(len, by_side.values()), default=0)
    return [statement[number] for number in range(rounds) for statement in by_side.values() if number < len(statement)]


def show(lines: Sequence[str], room: int, length: Length) -> tuple[str, bool]:
    """Return lines as one text that fits the room, and whether something was cut.

    The longest lines are cut first, from their end, to one length: who speaks second or says more gets no more room
    than the other. A room of 0 or less holds nothing.

    Args:
        lines: what is shown; empty ones are left out. room: tokens that have place.
    """
    # an advisor that says nothing leaves no trace: else silence would be an argument
    full = [line for line in lines if line.strip()]
    text = "\n".join(full)
    if length(text) <= room:
        return text, False
    lengths = [length(f"{line}\n") for line in full]
    # with the line's end, which is a token of its own for most readers
    cap = _common_cap(lengths, room)
    kept_lines = [
        line if size <= cap else cut_end(line, cap - 1, length) for line, size in zip(full, lengths, strict=True)
    ]
    return "\n".join(line for line in kept_lines if line), True


def _common_cap(lengths: Sequence[int], room: int) -> int:
    """Return the largest length to which lines may be cut so that all of them have room together."""
    # as water fills vessels of several heights
    left, waiting = room, sorted(lengths)
    while waiting and waiting[0] * len(waiting) <= left:
        # the shortest line stays whole, and the others share what it leaves
        left -= waiting.pop(0)
    return max(left // len(waiting), 0) if waiting else max(lengths, default=0)


def cut_end(text: str, room: int, length: Length) -> str:
    """Return the longest beginning of a text, in whole words, that has at most `room` tokens."""
    words = text.split(" ")
    low, high = 0, len(words)
    # tokens of a beginning grow with its words, so that halving finds the last one that fits
    while low < high:
        middle = (low + high + 1) // 2
        if length(" ".join(words[:middle])) <= room:
            low = middle
        else:
            high = middle - 1
    return " ".join(words[:low])
