"""The truth of the rows that a supervisor labels, and what is made of it: labels of the ceiling and of controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.studies.weak_to_strong.stage_settings import Where
from penchant.types import LabeledExample

Array = NDArray[Any]


def errors_first(where: Where, rows: Sequence[LabeledExample], seed: int) -> Array:
    """Return a number per row, by which rows get the supervisor's errors first, shape (rows,).

    Args:
        where: `class`: the rows of one class, drawn by the seed, then those of the next; `topic`: those that lie
            farthest to one side of the texts' main contrast of words; `long`: the longest texts.
    """
    generator = np.random.default_rng([seed, 5])
    if where == "class":
        labels = np.array([row.label for row in rows])
        # which class it is must not hang on the classes' order, which names decide
        return np.asarray(generator.permutation(labels.max() + 1)[labels] + generator.random(len(rows)) / 2)
    if where == "long":
        return np.array([len(row.text) for row in rows], dtype=float)
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(sublinear_tf=True, stop_words="english").fit_transform([row.text for row in rows])
    # the first component is how common a text's words are; the second is the first that parts the texts by content
    components = TruncatedSVD(n_components=2, random_state=seed).fit_transform(words)
    return np.asarray(components[:, 1])


@dataclass(frozen=True)
class Truth:
    """The true labels of some rows.

    Attributes:
        labels: shape (rows,). answers: how many answers each row has, same shape. classes: columns of probabilities.
    """

    labels: Array
    answers: Array
    classes: int

    @classmethod
    def from_rows(cls, rows: Sequence[LabeledExample], classes: int) -> Truth:
        answers = [len(row.options) or classes for row in rows]
        return cls(np.array([row.label for row in rows]), np.array(answers), classes)

    def all(self) -> Array:
        """Return the true labels, one-hot, shape (rows, classes)."""
        return np.eye(self.classes)[self.labels]

    def random(self, seed: int) -> Array:
        """Draw labels that know nothing, one-hot, shape (rows, classes)."""
        # among each row's own answers, of which rows may have different numbers
        return np.eye(self.classes)[np.random.default_rng([seed, 2]).integers(0, self.answers)]

    def dealt(self, labels: Array, seed: int, errors_first: Array | None = None) -> Array:
        """Return a supervisor's labels dealt out to the rows at random: as many errors, and as sure of each.

        A row gets the label of another one, turned so that what it gives to the other row's true answer it gives to
        this one's. So right labels stay right and wrong ones wrong, each with its confidence; what is lost is which
        rows the supervisor errs on. Rows with as many answers exchange labels.

        Args:
            labels: the supervisor's probabilities for these rows, shape (rows, classes).
            errors_first: a number per row, shape (rows,): rows with the largest get the wrong labels. Any row may, if
                not given.
        """
        generator, dealt_labels = np.random.default_rng([seed, 3]), np.zeros_like(labels)
        for answers in np.unique(self.answers):
            (rows,) = np.nonzero(self.answers == answers)
            sources = generator.permutation(rows)
            if errors_first is not None:
                # rows in the order of who gets an error first, and the labels that are wrong before the others
                rows = rows[np.argsort(-errors_first[rows], kind="stable")]
                is_right = labels[sources, :answers].argmax(-1) == self.labels[sources]
                sources = sources[np.argsort(is_right, kind="stable")]
            # how many columns the source's true answer lies to the right of this row's, modulo the row's answers
            turn = self.labels[sources] - self.labels[rows]
            columns = (np.arange(answers) + turn[:, None]) % answers
            dealt_labels[rows, :answers] = np.take_along_axis(labels[sources, :answers], columns, 1)
        return dealt_labels
