"""What a reader is shown of a question by each protocol: nothing, the passage, or what advisors say on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from penchant.errors import InputError
from penchant.judges import VerdictStore
from penchant.judges.contract import digest
from penchant.rounds.oversight.advisors import Advisor, Brief, statements_of
from penchant.rounds.oversight.calibration import Shares
from penchant.rounds.oversight.questions import PassageQuestion
from penchant.rounds.oversight.quotes import CheckedText, check_quotes
from penchant.rounds.oversight.readers import Case, Reader
from penchant.rounds.oversight.settings import Consultancy, Debate, Informed, ProtocolSpec
from penchant.rounds.oversight.transcripts import Counts, Statement, ordered, show

BOTH_SIDES = (0, 1)


@dataclass(frozen=True)
class View:
    """One way in which a question is shown to a reader.

    Attributes:
        case: as it is shown. swapped: whether its answers stand in the other order than the question's.
    """

    case: Case
    swapped: bool = False


@dataclass
class Presenter:
    """Shows questions to a reader as a protocol has it.

    Attributes:
        protocol: which. advisor: who argues, where somebody does. store: where statements are kept. seed: of coins.
        counts: what was shown, said and cut so far.
    """

    protocol: ProtocolSpec
    advisor: Advisor | None = None
    store: VerdictStore | None = None
    seed: int = 0
    counts: Counts = field(default_factory=Counts)

    def views(
        self, questions: Sequence[PassageQuestion], reader: Reader, sides: Sequence[int] | None = None
    ) -> list[list[View]]:
        """Return the views of each question, over which its probability is averaged.

        Args:
            reader: for how much of it has room.
            sides: of a consultancy, the place of the answer that the advisor holds; by a coin if not given.
        """
        match self.protocol:
            case Informed():
                return self._informed(questions, reader)
            case Consultancy() as protocol:
                # whoever measures a consultancy asks for both sides, and whoever labels by it takes what a coin sends
                coins = [coin(question, self.seed) for question in questions] if sides is None else sides
                speaking = [(side,) for side in coins]
                transcripts = self._transcripts(questions, speaking, protocol.rounds, reader)
                return [
                    self._in_orders(question, [statement.line for statement in statements], reader)
                    for question, statements in zip(questions, transcripts, strict=True)
                ]
            case Debate() as protocol:
                transcripts = self._transcripts(questions, [BOTH_SIDES] * len(questions), protocol.rounds, reader)
                return [
                    self._debated(question, statements, reader)
                    for question, statements in zip(questions, transcripts, strict=True)
                ]
        # of the others the reader sees the question alone
        return [self._in_orders(question, [], reader) for question in questions]

    def _informed(self, questions: Sequence[PassageQuestion], reader: Reader) -> list[list[View]]:
        # a reader without the passage would count as informed
        if lacking := sum(not question.passage.strip() for question in questions):
            raise InputError(
                f"{lacking} of {len(questions)} questions have no passage, so that no reader can be informed: name the "
                "column that holds it, or leave the protocol `informed` out"
            )
        return [self._in_orders(question, [question.passage], reader) for question in questions]

    def _in_orders(self, question: PassageQuestion, lines: Sequence[str], reader: Reader) -> list[View]:
        """Return one view, and a second one with the answers swapped where the reader may prefer a place."""
        # a reader that compares two answers by themselves would say the same twice
        first = View(self._case(question, lines, reader))
        if not reader.has_order:
            return [first]
        return [first, View(self._case(question.swapped, lines, reader), swapped=True)]

    def _debated(self, question: PassageQuestion, statements: Sequence[Statement], reader: Reader) -> list[View]:
        """Return both orders of speaking; in the second one the answers change places too."""
        views = []
        for first_side in BOTH_SIDES:
            lines = [statement.line for statement in ordered(statements, first_side)]
            asked_question = question.swapped if first_side else question
            views.append(View(self._case(asked_question, lines, reader), swapped=bool(first_side)))
        # where nobody says anything both are one view: then a debate is what the blind reader says, to the last bit
        return views if views[0].case.text_above or reader.has_order else views[:1]

    def _case(self, question: PassageQuestion, lines: Sequence[str], reader: Reader) -> Case:
        """Return a question with lines above it, as far as they have room, and count what was cut."""
        # by the longer answer, so that both are read below the same text
        bare_case = Case(question.question, question.answers)
        used_tokens = reader.length(bare_case.prompt) + max(reader.length(f" {answer}") for answer in question.answers)
        # two for the empty line between what is shown and the question
        text, was_cut = show(lines, reader.tokens - used_tokens - 2, reader.length)
        self.counts.texts_shown += any(line.strip() for line in lines)
        self.counts.cut += was_cut
        self.counts.read += used_tokens + reader.length(text)
        return Case(question.question, question.answers, text)

    def _transcripts(
        self, questions: Sequence[PassageQuestion], sides: Sequence[Sequence[int]], rounds: int, reader: Reader
    ) -> list[list[Statement]]:
        """Return what the advisors say on each question, round by round, with its quotes checked.

        Args:
            sides: of each question, the places of the answers that somebody holds. reader: counts in its tokens.
        """
        if self.advisor is None:
            raise InputError(f"the protocol {self.protocol.name} needs an advisor: name one")
        transcripts: list[list[Statement]] = [[] for _ in questions]
        for turn in range(rounds):
            # both sides of a round speak at once: neither knows what the other says in it
            briefs = [
                (index, Brief(question, side, turn, "\n".join(statement.line for statement in transcripts[index])))
                for index, question in enumerate(questions)
                for side in sides[index]
            ]
            # all of a round in one call: endpoints answer several at once
            written = statements_of(self.advisor, [brief for _, brief in briefs], self.store)
            for (index, brief), verdict in zip(briefs, written, strict=True):
                # checked when it is read and not when it is kept: a better check needs no new statement
                checked = check_quotes(verdict.transcript, brief.question.passage)
                transcripts[index].append(Statement(brief.side, brief.held_answer, checked.text))
                self._count(checked, reader.length(checked.text), verdict.tokens)
                self.counts.passages_cut += verdict.confidence is not None
        return transcripts

    def _count(self, checked: CheckedText, length: int, billed: int) -> None:
        counts = self.counts
        counts.statements += 1
        counts.empty += not checked.text.strip()
        counts.quotes += checked.quotes
        counts.verified += checked.verified
        counts.written += length
        counts.billed += billed


def coin(question: PassageQuestion, seed: int) -> int:
    """Return which answer the advisor of a consultancy holds: by the question's content, so that a second call agrees.

    The order of the answers does not count: the same advisor argues for the same answer in both.
    """
    # a digest and no generator: a question that other rows surround gets the same advisor
    ranked = sorted(question.answers)
    heads = int(digest(str(seed), question.question, *ranked)[:8], 16) % 2
    return question.answers.index(ranked[heads])


def averaged(views: Sequence[Sequence[View]], reader: Reader) -> Shares:
    """Return the mean over each question's views of the probability that its first answer is right."""
    # in one call, since a reader takes texts of like length together
    flat = [view for of_question in views for view in of_question]
    read = reader.probabilities([view.case for view in flat])
    shares = np.array([1 - share if view.swapped else share for view, share in zip(flat, read, strict=True)])
    counts = [len(of_question) for of_question in views]
    if set(counts) == {1}:
        # not even a division by one: a protocol with one view is what the reader says
        return shares
    ends = np.cumsum(counts)
    return np.array([shares[end - count : end].mean() for end, count in zip(ends, counts, strict=True)])


def fitted(reader: Reader, views: Sequence[Sequence[View]], truth: NDArray[np.int64]) -> Reader:
    """Fit a reader to questions as it will be shown them, in every order; return it.

    Args:
        truth: the place of each question's right answer.
    """
    # in every order that it will meet, or it would learn that who speaks first is right
    cases, right_indices = [], []
    for of_question, right in zip(views, truth.tolist(), strict=True):
        cases += [view.case for view in of_question]
        right_indices += [1 - right if view.swapped else right for view in of_question]
    return reader.fit(cases, np.array(right_indices, dtype=np.int64))
