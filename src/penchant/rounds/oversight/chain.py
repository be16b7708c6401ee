"""A chain of students, each of which learns from the labels of the one before (bootstrapping, Burns et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from penchant.rounds.oversight.calibration import Shares
from penchant.weak.classifiers.registry import load_classifier, make_classifier
from penchant.weak.contract import Classifier, Example, Probabilities, marks_of
from penchant.weak.settings import StudentSpec

HALVES = 42
"""Purpose of the random numbers that divide the rows of a chain."""


@dataclass(frozen=True)
class Chain:
    """The last student of a chain, as two classifiers, each of which learned from one half of the rows.

    Attributes:
        students: both. half_of: the half that a row was learned in, by its mark.
    """

    students: tuple[Classifier, Classifier]
    half_of: dict[str, int]

    @classmethod
    def fit(cls, chain: Sequence[StudentSpec], examples: Sequence[Example], first: Shares, *, seed: int) -> Chain:
        """Train the chain.

        Args:
            examples: prompts with two options. first: the first labels, of the reader, shape (examples,).
        """
        order = np.random.default_rng([seed, HALVES]).permutation(len(examples))
        halves = np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])
        labels = np.stack([first, 1 - first], 1)
        for number, settings in enumerate(chain):
            # each half is about as many questions as the other, so both students know as much
            students = [_trained(settings, examples, labels, half.tolist(), seed) for half in halves]
            if number == len(chain) - 1:
                break
            after = np.empty_like(labels)
            # a student labels the half that it did not learn from: of the other it would hand on what it knows by heart
            for student, half in zip(students, reversed(halves), strict=True):
                after[half] = student.predict_proba([examples[row] for row in half.tolist()])
            labels = after
        marks = marks_of(examples)
        half_of = {marks[row]: number for number, half in enumerate(halves) for row in half.tolist()}
        # both are kept: neither may label what it learned from
        return cls((students[0], students[1]), half_of)

    def save(self, folder: Path) -> dict[str, int]:
        """Write both students, and return the half that each row was learned in, by its mark."""
        for number, student in enumerate(self.students):
            student.save(folder / f"student-{number}")
        return self.half_of

    @classmethod
    def load(cls, folder: Path, half_of: dict[str, int]) -> Chain:
        """Load what `save` wrote."""
        students = [load_classifier(folder / f"student-{number}") for number in range(2)]
        return cls((students[0], students[1]), half_of)

    def shares(self, examples: Sequence[Example]) -> Shares:
        """Return the probability of each first option: of a row that was learned by the student that did not see it.

        Of other rows it is the mean of both.
        """
        student_shares = np.stack([student.predict_proba(examples)[:, 0] for student in self.students], 1)
        # by mark and not by place: whoever asks may have them in another order
        halves = [self.half_of.get(mark) for mark in marks_of(examples)]
        return np.array(
            [row.mean() if half is None else row[1 - half] for row, half in zip(student_shares, halves, strict=True)]
        )


def _trained(
    settings: StudentSpec, examples: Sequence[Example], labels: Probabilities, rows: list[int], seed: int
) -> Classifier:
    # a fresh one for every half and link: what went before is in the labels alone
    student = make_classifier(settings, names=("first", "second"), seed=seed)
    return student.fit([examples[row] for row in rows], labels[rows], classes=2)
