"""Questions on passages for the tests of oversight, and advisors that tests can watch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from penchant.rounds.oversight.advisors import Brief, Written
from penchant.rounds.oversight.questions import PassageQuestion, passages_of
from penchant.rounds.oversight.settings import OverlapReader, ProtocolSpec
from penchant.rounds.oversight.supervisor import Oversight

# of one word and of two: a reader that counts words has something to go by
CROPS = (
    *("maize", "rice", "winter wheat", "oats", "spring barley", "rye"),
    *("broad beans", "peas", "flax", "hemp", "millet", "hops"),
)


def questions(count: int, start: int = 0) -> tuple[list[PassageQuestion], NDArray[np.int64]]:
    """Questions with the places of their right answers; a passage has both, the right one beside the name asked for."""
    asked, truth = [], []
    for number in range(start, start + count):
        right, wrong = CROPS[number % 12], CROPS[(number * 5 + 7) % 12]
        wrong = wrong if wrong != right else CROPS[(number + 1) % 12]
        # the neighbour's sentence has the wrong answer, which an advisor for it can quote
        passage = f"Farmer {number} lives by the river. Farmer {number} grows {right}. The neighbour sells {wrong}."
        place = number % 3 % 2
        answers = (right, wrong) if place == 0 else (wrong, right)
        asked.append(PassageQuestion(f"What does farmer {number} grow?", answers, passage))
        truth.append(place)
    return asked, np.array(truth, dtype=np.int64)


LEARNED, LEARNED_TRUTH = questions(40)
ASKED, TRUTH = questions(30, start=100)
PASSAGES = passages_of([*LEARNED, *ASKED])
EXAMPLES = [question.example for question in ASKED]


def made(protocol: ProtocolSpec, **changes: object) -> Oversight:
    """A protocol on these questions, read by overlaps."""
    settings: dict[str, object] = {"reader": OverlapReader(rows=40), "passages": PASSAGES, **changes}
    return Oversight(protocol, **settings)  # type: ignore[arg-type]


@dataclass
class Talker:
    """An advisor of whom a test says what it says, and which counts its briefs.

    Attributes:
        says: the form of a statement, with {held}. stops_after: statements after which it fails, as a killed run does.
    """

    says: str = "It is {held}."
    stops_after: int | None = None
    identity: str = "talker"
    briefs: list[Brief] = field(default_factory=list)

    def argue(self, briefs: Sequence[Brief], written: Written) -> None:
        for place, brief in enumerate(briefs):
            # in the middle of a call, as a kill comes
            if self.stops_after is not None and len(self.briefs) >= self.stops_after:
                raise KeyboardInterrupt
            self.briefs.append(brief)
            written(place, self.says.format(held=brief.held_answer), 0.0, 3)

    def answer(self, questions: Sequence[PassageQuestion], store: object) -> NDArray[np.float64]:
        return np.full(len(questions), 0.5)
