"""A simulated annotator: another judge, whose verdict is turned round in a share of the cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from penchant.judges.contract import SWAPPED, Done, Judge, Question, addresses_of, former_identities, reread
from penchant.judges.load import make_judge
from penchant.judges.settings import Noisy
from penchant.judges.shown_media import reads_media
from penchant.types import Verdict

# The lowest 64 bits of a digest, divided by this, are the draw between 0 and 1.
_STEPS = 1 << 64


class NoisyJudge:
    """A judge that turns another one's verdict round in a share of the questions.

    Which questions depends on their texts and the seed alone, so that both orders of a pair have the same error.

    Args:
        judge: whose verdicts are turned round.
        rate: share of questions, 0 to 1.
    """

    def __init__(self, judge: Judge, rate: float, seed: int = 0) -> None:
        self.judge, self.rate, self.addresses = judge, rate, addresses_of(judge)
        self.reads_media = reads_media(judge)
        self.identity = f"noisy {rate} {seed} of {judge.identity}"
        self.former_identities = tuple(f"noisy {rate} {seed} of {former}" for former in former_identities(judge))

    @classmethod
    def from_settings(cls, settings: Noisy) -> Self:
        """Return the judge that settings describe."""
        return cls(make_judge(settings.judge), settings.rate, settings.seed)

    def judge_many(self, questions: Sequence[Question], done: Done) -> None:
        """Ask the inner judge, and pass its verdicts on with the errors."""
        self.judge.judge_many(
            questions, lambda index, verdict: done(index, self._with_errors(questions[index], verdict))
        )

    def reread(self, question: Question, verdict: Verdict) -> Verdict:
        """Return a stored verdict as the inner judge reads its transcript now, with the same error."""
        # the stored verdict has the error in it, and turning it round twice gives the inner judge's own
        return self._with_errors(question, reread(self.judge, question, self._with_errors(question, verdict)))

    def _with_errors(self, question: Question, verdict: Verdict) -> Verdict:
        """Return the verdict turned round where this question is one that the judge errs in."""
        draw = int(question.digest(self.identity, ordered=False), 16) % _STEPS / _STEPS
        return replace(verdict, winner=SWAPPED[verdict.winner]) if draw < self.rate else verdict
