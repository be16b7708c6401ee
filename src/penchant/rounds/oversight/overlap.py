"""A logistic regression on how two answers overlap with a question and a text: a reader that knows no word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penchant.rounds.oversight.quotes import COMMON, content_words, covered, sentences

Read = tuple[str, tuple[str, str], str]
"""A question, its two answers, and the text that was read; empty where there is none."""
Numbers = NDArray[np.float64]
# of few labelled questions weights would else grow without end where they separate them
SHRINKAGE = 1.0
"""Inverse strength of the penalty on weights, scikit-learn's default."""


@dataclass(frozen=True)
class OverlapModel:
    """Weights of overlaps.

    Attributes:
        weights: of the features of the first answer less those of the second, shape (features,).
    """

    weights: Numbers

    @classmethod
    def fit(cls, read: Sequence[Read], truth: NDArray[np.int64]) -> OverlapModel:
        """Fit the weights to questions whose right answer is known, 0 or 1."""
        # imported here: it takes a second, and other readers need none of it
        from sklearn.linear_model import LogisticRegression

        features = differences(read)
        # each question the other way round too: no place may be preferred, and one class alone can be learned from
        both_orders, is_first = np.concatenate([features, -features]), np.concatenate([truth == 0, truth != 0])
        fitted = LogisticRegression(C=SHRINKAGE, fit_intercept=False).fit(both_orders, is_first)
        return cls(np.asarray(fitted.coef_[0], dtype=np.float64))

    def predict(self, read: Sequence[Read]) -> Numbers:
        """Return the probability that the first answer is right, shape (questions,)."""
        if not read:
            return np.zeros(0)
        return np.asarray(1 / (1 + np.exp(-differences(read) @ self.weights)))


def differences(read: Sequence[Read]) -> Numbers:
    """Return the features of first answers less those of second ones, shape (questions, features)."""
    features = np.array(
        [[features_of(question, answer, text) for answer in answers] for question, answers, text in read]
    )
    return np.asarray(features[:, 0] - features[:, 1], dtype=np.float64)


def features_of(question: str, answer: str, text: str) -> tuple[float, ...]:
    """Return what overlaps: of the answer with the text, with the question, and of a sentence with both; its length."""
    # one that has the answer alone speaks for nothing: a wrong advisor finds such a sentence, too
    # a sentence of the text that has the whole answer: how much has it of the question?
    question_overlaps = [covered(question, part) for part in sentences(text) if covered(answer, part) == 1]
    shared = len(content_words(answer) & content_words(question) - COMMON) > 0
    # five numbers for a hundred questions: more would be learned by heart
    return (
        covered(answer, text) if text else 0.0,
        max(question_overlaps, default=0.0),
        float(len(question_overlaps)),
        float(shared),
        float(np.log(len(answer.split()) + 1)),
    )
