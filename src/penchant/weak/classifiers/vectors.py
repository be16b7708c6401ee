"""Label vectors: what says an attribute of every row, a classifier that was saved or a function of the user's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from penchant.errors import InputError
from penchant.weak.contract import Example, Probabilities, marks_of, no_distributions
from penchant.weak.semi_supervised.settings import OWN_VECTORS


class Vector(Protocol):
    """Says an attribute of rows.

    Attributes:
        learned_marks: digests of the examples that it learned from.
    """

    learned_marks: frozenset[str]

    def predict_proba(self, examples: Sequence[Example]) -> Probabilities:
        """Return probabilities of the attribute's classes, shape (examples, classes)."""


class FunctionVector:
    """An attribute that a function of the user's gives: a list of examples to probabilities.

    Args:
        name: `module:function`.

    Raises:
        InputError: there is no such function.
    """

    def __init__(self, name: str) -> None:
        self.name, self.function = name, OWN_VECTORS.load_callable(name)
        self.learned_marks: frozenset[str] = frozenset()

    def predict_proba(self, examples: Sequence[Example]) -> Probabilities:
        """Return what the function says of examples.

        Raises:
            InputError: it fails, or returns anything but one distribution per example over two classes or more.
        """
        with OWN_VECTORS.named_errors(self.name, f"it failed on {len(examples)} examples"):
            # a list of its own: a function that sorts its rows in place would move ours
            probabilities = np.asarray(self.function(list(examples)), dtype=np.float64)
        if probabilities.ndim != 2 or len(probabilities) != len(examples) or probabilities.shape[1] < 2:
            raise OWN_VECTORS.refusal(
                self.name,
                f"it returned the shape {probabilities.shape}, expected ({len(examples)}, classes): for each example "
                "the probability of each class, at least two",
            )
        if (bad := no_distributions(probabilities)).any():
            row = int(bad.argmax())
            raise OWN_VECTORS.refusal(
                self.name,
                f"it must return probabilities that sum to 1, got {probabilities[row].tolist()} for example {row}",
            )
        return probabilities


def refuse_known_rows(vectors: Sequence[Vector], examples: Sequence[Example]) -> None:
    """Refuse vectors that learned from some of these examples: their word on them may be a truth that they were told.

    Raises:
        InputError: one did.
    """
    # texts without a letter or digit have no mark, and all would be one
    marks = set(filter(None, marks_of(examples)))
    for number, vector in enumerate(vectors):
        if count := len(marks & vector.learned_marks):
            raise InputError(
                f"`vectors[{number}]` learned from {count} of the {len(marks)} rows here, and may repeat labels that "
                "its student must not know: train it on other rows"
            )
