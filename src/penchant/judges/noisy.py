"""A simulated annotator: another judge, whose verdict is turned round in a share of the cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from penchant.judges.contract import SWAPPED, Done, Judge, Question
from penchant.types import Verdict

_STEPS = 1 << 64


class NoisyJudge:
    """Errs in `rate` of the questions, which ones hangs on content and seed alone: in both orders the same."""

    def __init__(self, judge: Judge, rate: float, seed: int = 0) -> None:
        self.judge, self.rate = judge, rate
        self.identity = f"noisy {rate} {seed} of {judge.identity}"

    def judge_many(self, questions: Sequence[Question], done: Done) -> None:
        def turned(place: int, verdict: Verdict) -> None:
            drawn = int(questions[place].digest(self.identity, ordered=False), 16) % _STEPS / _STEPS
            done(place, replace(verdict, winner=SWAPPED[verdict.winner]) if drawn < self.rate else verdict)

        self.judge.judge_many(questions, turned)
