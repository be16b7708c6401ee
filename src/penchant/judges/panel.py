"""Several judges: what more of them say than anything else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Self, cast

from penchant.judges.contract import SWAPPED, Done, Judge, Question, addresses_of, former_identities, reread
from penchant.judges.load import make_judge
from penchant.judges.settings import Panel
from penchant.types import Verdict, Winner


class PanelJudge:
    """The majority; where two verdicts have as many votes it is a tie, and who said nothing has no vote."""

    def __init__(self, judges: Sequence[Judge]) -> None:
        self.judges = tuple(judges)
        self.addresses = {full: public for judge in judges for full, public in addresses_of(judge).items()}
        self.identity = f"panel of {'; '.join(judge.identity for judge in judges)}"
        if any(map(former_identities, judges)):
            oldest = [(*former_identities(judge), judge.identity)[0] for judge in judges]
            self.former_identities = (f"panel of {'; '.join(oldest)}",)

    @classmethod
    def from_settings(cls, settings: Panel) -> Self:
        """Return the judge that settings describe."""
        return cls([make_judge(judge) for judge in settings.judges])

    def judge_many(self, questions: Sequence[Question], done: Done) -> None:
        heard: list[dict[int, Verdict]] = []
        for judge in self.judges:
            said: dict[int, Verdict] = {}
            judge.judge_many(questions, said.__setitem__)
            heard.append(said)
        for place in range(len(questions)):
            done(place, self._together([said[place] for said in heard]))

    def reread(self, asked: Question, verdict: Verdict) -> Verdict:
        """Return a stored verdict with each judge's part of the transcript read again."""
        parts = self._parts(verdict.transcript)
        if parts is None:
            return verdict
        read = [reread(judge, asked, part) for judge, part in zip(self.judges, parts, strict=True)]
        return replace(verdict, winner=majority(Counter(part.winner for part in read)))

    def _parts(self, transcript: str) -> list[Verdict] | None:
        """Return what each judge said, from the transcript of `_together`; None where it cannot be taken apart."""
        marks = [rf"\[{re.escape(judge.identity)}: ({'|'.join(SWAPPED)})\]" for judge in self.judges]
        found = re.fullmatch(r"\n\n".join(rf"{mark}(.*)" for mark in marks), transcript, re.DOTALL)
        if found is None:
            return None
        texts = found.groups()
        return [
            Verdict(cast(Winner, winner), None, said.strip())
            for winner, said in zip(texts[::2], texts[1::2], strict=True)
        ]

    def _together(self, verdicts: Sequence[Verdict]) -> Verdict:
        named = zip(self.judges, verdicts, strict=True)
        return Verdict(
            majority(Counter(verdict.winner for verdict in verdicts)),
            transcript="\n\n".join(f"[{judge.identity}: {of.winner}] {of.transcript}".strip() for judge, of in named),
            seconds=sum(verdict.seconds for verdict in verdicts),
            tokens=sum(verdict.tokens for verdict in verdicts),
            final=all(verdict.final for verdict in verdicts),
        )


def majority(votes: Mapping[Winner, float]) -> Winner:
    """Return what has the most votes; a tie where two have as many, unparseable where nobody said anything."""
    ranked = sorted(((n, winner) for winner, n in votes.items() if winner != "unparseable" and n), reverse=True)
    if not ranked:
        return "unparseable"
    return "tie" if len(ranked) > 1 and ranked[0][0] == ranked[1][0] else ranked[0][1]
