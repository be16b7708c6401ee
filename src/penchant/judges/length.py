"""The baseline that reads nothing but lengths: the longer response wins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from penchant.judges.contract import Done, Question
from penchant.judges.settings import Longest
from penchant.types import Verdict


class LongestJudge:
    """More characters win; as many are a tie."""

    identity = "longest"

    @classmethod
    def from_settings(cls, settings: Longest) -> Self:
        """Return the judge that settings describe."""
        return cls()

    def judge_many(self, questions: Sequence[Question], done: Done) -> None:
        for place, asked in enumerate(questions):
            longer = len(asked.a) - len(asked.b)
            done(place, Verdict("tie" if not longer else "a" if longer > 0 else "b"))
