"""Those who argue for an answer: what they say is kept by its content, so that nothing is written twice.

A statement lies in the judges' store: its prompt holds all that the advisor saw, `a` the answer that it holds, `b` the
other one, and its transcript is what it said. Its confidence is the share of the passage that the advisor read, where
that was cut to the advisor's room.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from penchant.errors import RunError
from penchant.judges import Question, VerdictStore
from penchant.rounds.oversight import quotes
from penchant.rounds.oversight.calibration import Shares
from penchant.rounds.oversight.questions import PassageQuestion
from penchant.rounds.oversight.quotes import best_sentences, support
from penchant.rounds.oversight.settings import Scripted
from penchant.runs.progress import progress_bar
from penchant.types import Verdict


@dataclass(frozen=True)
class Brief:
    """What an advisor knows when it speaks.

    Attributes:
        side: the place of the answer that it holds. turn: its how many-th statement on the question, from 0.
        history: what was said before, as it will be shown to the reader; empty at first.
    """

    question: PassageQuestion
    side: int
    turn: int = 0
    history: str = ""

    @property
    def held_answer(self) -> str:
        """The answer that it argues for."""
        return self.question.answers[self.side]

    @property
    def other(self) -> str:
        """The answer that it argues against."""
        return self.question.answers[1 - self.side]

    @property
    def key(self) -> Question:
        """All that a statement depends on besides the advisor."""
        # as JSON, so that no two ways to divide a text into question and passage have one key
        seen = [self.question.question, self.question.passage, self.turn, self.history]
        return Question(json.dumps(seen, ensure_ascii=False), self.held_answer, self.other)


class Written(Protocol):
    """Keeps a statement as soon as it is there."""

    def __call__(
        self, index: int, text: str, seconds: float, tokens: int, passage_share: float | None = None, /
    ) -> None:
        """Keep what was said on the brief in a place.

        Args:
            seconds: that it took. tokens: that somebody billed.
            passage_share: of the passage that the advisor read, where that was cut.
        """


class Advisor(Protocol):
    """Anything that argues for an answer."""

    @property
    def identity(self) -> str:
        """All that its statements depend on besides what it knows: part of the keys that they are kept under."""

    def argue(self, briefs: Sequence[Brief], written: Written) -> None:
        """Write a statement for each brief, and call `written` as soon as it is there; the order is free.

        One that cannot be written now is left out.
        """

    def answer(self, questions: Sequence[PassageQuestion], store: VerdictStore | None) -> Shares:
        """Return its own probability that the first answer is right, with the passage, shape (questions,)."""


class SilentAdvisor:
    """An advisor that says nothing, and knows nothing."""

    identity = "silent"

    def argue(self, briefs: Sequence[Brief], written: Written) -> None:
        """Say nothing on each brief."""
        # a statement all the same: it is counted as one that says nothing
        for index in range(len(briefs)):
            written(index, "", 0.0, 0)

    def answer(self, questions: Sequence[PassageQuestion], store: VerdictStore | None) -> Shares:
        """Return a half for every question."""
        return np.full(len(questions), 0.5)


class ScriptedAdvisor:
    """An advisor that quotes the sentences of the passage that speak best for its answer, right or wrong."""

    def __init__(self, settings: Scripted) -> None:
        self.quotes = settings.quotes
        # with the script itself: another version of this package may quote other sentences for the same brief
        script = inspect.getsource(quotes) + inspect.getsource(ScriptedAdvisor)
        self.identity = f"scripted {settings.quotes} {hashlib.sha256(script.encode()).hexdigest()[:16]}"

    def argue(self, briefs: Sequence[Brief], written: Written) -> None:
        """Quote other sentences in each turn; where none are left, say the answer alone."""
        # real sentences alone: it never makes one up, so a wrong one has to do with what stands there
        for index, brief in enumerate(briefs):
            # by the passage alone, and not by what the other side said: it is a script
            ranked = best_sentences(brief.question.passage, brief.question.question, brief.held_answer)
            start = brief.turn * self.quotes
            said = " ".join(f"<quote>{sentence}</quote>" for sentence in ranked[start : start + self.quotes])
            reason = f" The passage says: {said}" if said else ""
            written(index, f"The answer is {brief.held_answer}.{reason}", 0.0, 0)

    def answer(self, questions: Sequence[PassageQuestion], store: VerdictStore | None) -> Shares:
        """Return 1 where a sentence speaks better for the first answer than any does for the second, else 0; or 1/2."""
        return np.array([_verdict(question) for question in questions])


def _verdict(question: PassageQuestion) -> float:
    scores = [
        max((support(part, question.question, answer) for part in _best(question, answer)), default=0.0)
        for answer in question.answers
    ]
    return 0.5 if scores[0] == scores[1] else float(scores[0] > scores[1])


def _best(question: PassageQuestion, answer: str) -> list[str]:
    return best_sentences(question.passage, question.question, answer)[:1]


def statements_of(advisor: Advisor, briefs: Sequence[Brief], store: VerdictStore | None) -> list[Verdict]:
    """Return an advisor's statements as the store keeps them: what is there is not written again.

    Raises:
        RunError: some could not be written. Those that came are kept, and the same command asks for the others.
    """
    # by content: questions that stand in the data of two seeds are argued once
    keys = [brief.key for brief in briefs]
    stored = {} if store is None else store.find(advisor.identity, keys)
    # briefs of one content are one statement, or an advisor that draws would say two things of it
    first_of = {key: index for index, key in reversed(list(enumerate(keys)))}
    missing = sorted(index for key, index in first_of.items() if index not in stored)
    by_key = {keys[index]: statement for index, statement in stored.items()}
    with progress_bar("arguing", len(missing), "statements") as advance:

        def written(index: int, text: str, seconds: float, tokens: int, passage_share: float | None = None, /) -> None:
            key = keys[missing[index]]
            # who holds an answer names it the winner: so the row is a verdict like any other
            by_key[key] = Verdict("a", passage_share, text, seconds, tokens)
            if store is not None:
                store.keep(advisor.identity, key, by_key[key])
            advance(1, "")

        if missing:
            advisor.argue([briefs[index] for index in missing], written)
    if lacking := sum(key not in by_key for key in first_of):
        raise RunError(
            f"{lacking} of {len(briefs)} statements are missing, since calls of the advisor failed. Those that came "
            "are kept: give the same command again"
        )
    return [by_key[key] for key in keys]
