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
        for index, question in enumerate(questions):
            difference = len(question.a) - len(question.b)
            done(index, Verdict("tie" if not difference else "a" if difference > 0 else "b"))
