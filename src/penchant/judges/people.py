"""People as a judge: what annotators said of the same prompt and responses, in files or a collected database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Self

from penchant.data.load import load_preferences
from penchant.judges.contract import SWAPPED, Done, Question, digest
from penchant.judges.panel import majority
from penchant.judges.settings import People
from penchant.thoughts import shown_text
from penchant.types import Verdict, Winner, prompt_text

# The transcript where there is no vote. That verdict is not final: more people may be asked before the next run.
MISSING = "nobody compared these two"


class PeopleJudge:
    """A judge that looks up how most annotators compared the same two texts, whatever order they saw them in.

    Args:
        paths: preference files, as `penchant.load_preferences` reads them.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.votes: dict[str, dict[Winner, float]] = defaultdict(lambda: defaultdict(float))
        for path in paths:
            for group in load_preferences(path, ties="half"):
                for comparison in group.comparisons:
                    pair = [group.responses[index] for index in (comparison.winner, comparison.loser)]
                    winner: Winner = "tie" if comparison.tie else "a"
                    # people saw the thoughts as well; what is asked about may be the answers alone
                    forms = {tuple(shown_text(side, thoughts=thoughts) for side in pair) for thoughts in (True, False)}
                    for first, second in forms:
                        question = Question(prompt_text(group.prompt), first, second)
                        # kept for the texts in their alphabetical order, whatever order people saw
                        self.votes[_key(question)][winner if first <= second else SWAPPED[winner]] += comparison.weight
        # the votes and no names of files: a file that has grown makes another judge
        content = digest(*(f"{key}{sorted(votes.items())}" for key, votes in sorted(self.votes.items())))
        self.identity = f"people {content}"

    @classmethod
    def from_settings(cls, settings: People) -> Self:
        """Return the judge that settings describe."""
        return cls(settings.paths)

    def judge_many(self, questions: Sequence[Question], done: Done) -> None:
        """Look up the votes on each question; one that nobody compared is unparseable, and asked again next time."""
        for index, question in enumerate(questions):
            votes = self.votes.get(_key(question), {})
            if question.a > question.b:
                votes = {SWAPPED[winner]: n for winner, n in votes.items()}
            transcript = ", ".join(f"{n:g} for {winner}" for winner, n in sorted(votes.items())) or MISSING
            done(index, Verdict(majority(votes), transcript=transcript, final=bool(votes)))


def _key(question: Question) -> str:
    return question.digest(ordered=False)
