"""The baseline that reads nothing but lengths: the longer response wins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from penchant.judges.contract import Done, Question, higher
from penchant.judges.settings import Longest
from penchant.types import Verdict


class LongestJudge:
    """A judge that prefers the response with more characters; equal lengths are a tie."""

    identity = "longest"
    # marks are of one length: of two pictures neither is longer
    reads_media = True

    @classmethod
    def from_settings(cls, settings: Longest) -> Self:
        """Return the judge that settings describe."""
        return cls()

    def judge_many(self, questions: Sequence[Question], done: Done) -> None:
        """Compare the lengths of each question's responses."""
        for index, question in enumerate(questions):
            # characters, as the length-controlled win rate counts them; tokens would need a tokenizer
            done(index, Verdict(higher(len(question.a), len(question.b))))
