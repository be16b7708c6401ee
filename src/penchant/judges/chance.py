"""The baseline that knows nothing: a coin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from penchant.judges.contract import Done, Question
from penchant.judges.settings import Random
from penchant.types import Verdict


class RandomJudge:
    """A judge that flips a coin, drawn from the texts and a seed: both orders and every run get the same winner."""

    reads_media = True  # a coin looks at nothing

    def __init__(self, seed: int = 0) -> None:
        self.identity = f"random {seed}"

    @classmethod
    def from_settings(cls, settings: Random) -> Self:
        """Return the judge that settings describe."""
        return cls(settings.seed)

    def judge_many(self, questions: Sequence[Question], done: Done) -> None:
        """Flip the coin for each question; two equal texts are a tie."""
        for index, question in enumerate(questions):
            # by the content, not from a generator: a judge that is asked again, or for a part, gets the same coins
            heads = int(question.digest(self.identity, ordered=False), 16) % 2
            # it picks a text, not a position, so that a swapped pair has the same winner
            first = min(question.a, question.b) if heads else max(question.a, question.b)
            done(
                index,
                Verdict("tie" if question.a == question.b else "a" if first == question.a else "b", confidence=0.5),
            )
