"""The baseline that knows nothing: a coin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from penchant.judges.contract import Done, Question
from penchant.judges.settings import Random
from penchant.types import Verdict


class RandomJudge:
    """A coin that falls by the content and a seed, so that both orders and every run have the same verdict."""

    def __init__(self, seed: int = 0) -> None:
        self.identity = f"random {seed}"

    @classmethod
    def from_settings(cls, settings: Random) -> Self:
        """Return the judge that settings describe."""
        return cls(settings.seed)

    def judge_many(self, questions: Sequence[Question], done: Done) -> None:
        for place, asked in enumerate(questions):
            heads = int(asked.digest(self.identity, ordered=False), 16) % 2
            first = min(asked.a, asked.b) if heads else max(asked.a, asked.b)
            done(place, Verdict("tie" if asked.a == asked.b else "a" if first == asked.a else "b", confidence=0.5))
