"""VADER: how positive or negative a response sounds, by a lexicon and rules. Deterministic, without a model.

C.J. Hutto and E.E. Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media
Text", ICWSM 2014; the package `vaderSentiment` is the authors' own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer


def vader(pairs: Sequence[tuple[str, str]]) -> list[float]:
    """Return the compound score of each response, from -1 (most negative) to 1 (most positive); 0 for empty text.

    Args:
        pairs: (prompt, response) texts. The prompt does not count: only the response is scored.
    """
    analyzer = _analyzer()
    return [float(analyzer.polarity_scores(response)["compound"]) for _, response in pairs]


@cache
def _analyzer() -> SentimentIntensityAnalyzer:
    # imported and built on first use: reading the lexicon takes a moment that not everyone needs
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()
