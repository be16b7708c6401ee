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
from penchant.judges.shown_media import reads_media
from penchant.types import Verdict, Winner


class PanelJudge:
    """A judge that gives the verdict of most of its members; equal votes are a tie, and no verdict is no vote."""

    def __init__(self, judges: Sequence[Judge]) -> None:
        self.judges = tuple(judges)
        self.addresses = {full: public for judge in judges for full, public in addresses_of(judge).items()}
        self.reads_media = all(map(reads_media, judges))
        self.identity = f"panel of {'; '.join(judge.identity for judge in judges)}"
        if any(map(former_identities, judges)):
            # one identity: an earlier version called every member by its former name
            oldest = [(*former_identities(judge), judge.identity)[0] for judge in judges]
            self.former_identities = (f"panel of {'; '.join(oldest)}",)

    @classmethod
    def from_settings(cls, settings: Panel) -> Self:
        """Return the judge that settings describe."""
        return cls([make_judge(judge) for judge in settings.judges])

    def judge_many(self, questions: Sequence[Question], done: Done) -> None:
        """Ask every member about all questions, then combine their verdicts on each."""
        # one judge after the other: a verdict of the panel needs those of all
        verdicts_by_judge: list[dict[int, Verdict]] = []
        for judge in self.judges:
            verdicts: dict[int, Verdict] = {}
            judge.judge_many(questions, verdicts.__setitem__)
            verdicts_by_judge.append(verdicts)
        for index in range(len(questions)):
            done(index, self._combine([verdicts[index] for verdicts in verdicts_by_judge]))

    def reread(self, question: Question, verdict: Verdict) -> Verdict:
        """Return a stored verdict with each judge's part of the transcript read again."""
        parts = self._parts(verdict.transcript)
        if parts is None:
            return verdict
        read = [reread(judge, question, part) for judge, part in zip(self.judges, parts, strict=True)]
        return replace(verdict, winner=majority(Counter(part.winner for part in read)))

    def _parts(self, transcript: str) -> list[Verdict] | None:
        """Return each member's verdict from a transcript of `_combine`; None where it cannot be taken apart."""
        # by the members' identities in their order, since a transcript may hold brackets of its own
        marks = [rf"\[{re.escape(judge.identity)}: ({'|'.join(SWAPPED)})\]" for judge in self.judges]
        match = re.fullmatch(r"\n\n".join(rf"{mark}(.*)" for mark in marks), transcript, re.DOTALL)
        if match is None:
            return None
        texts = match.groups()
        return [
            Verdict(cast(Winner, winner), None, part.strip())
            for winner, part in zip(texts[::2], texts[1::2], strict=True)
        ]

    def _combine(self, verdicts: Sequence[Verdict]) -> Verdict:
        named_verdicts = zip(self.judges, verdicts, strict=True)
        return Verdict(
            majority(Counter(verdict.winner for verdict in verdicts)),
            transcript="\n\n".join(
                f"[{judge.identity}: {verdict.winner}] {verdict.transcript}".strip()
                for judge, verdict in named_verdicts
            ),
            seconds=sum(verdict.seconds for verdict in verdicts),
            tokens=sum(verdict.tokens for verdict in verdicts),
            # a member whose call failed is asked again, and with it the panel
            final=all(verdict.final for verdict in verdicts),
        )


def majority(votes: Mapping[Winner, float]) -> Winner:
    """Return the verdict with the most votes: a tie where two lead together, unparseable where there is no vote."""
    # who said nothing has no vote, so that one judge that fails does not outvote two that agree
    ranked = sorted(((n, winner) for winner, n in votes.items() if winner != "unparseable" and n), reverse=True)
    if not ranked:
        return "unparseable"
    return "tie" if len(ranked) > 1 and ranked[0][0] == ranked[1][0] else ranked[0][1]
