"""How new and how varied texts are: n-grams of words, and the overlap of one text with others.

Words are compared without case and punctuation, so that "Who won?" and "who won" are one text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from penchant.errors import InputError

_WORD = re.compile(r"\w+")


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a text, without case and punctuation."""
    return tuple(_WORD.findall(text.casefold()))


def rouge_l(first: Sequence[str], second: Sequence[str]) -> float:
    """Return ROUGE-L of two texts: F of the longest common subsequence of their words (Lin 2004).

    F = 2 L / (m + n), for a subsequence of L words of texts of m and n; 1 for equal texts, 0 for texts without a common
    word, and 0 where both are empty.
    """
    if not first or not second:
        return 0.0
    return 2 * _longest_common(first, second) / (len(first) + len(second))


def _longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    # one row of the table at a time: prompts are compared with hundreds of others
    lengths = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0
        for index, other_word in enumerate(second, start=1):
            above = lengths[index]
            lengths[index] = diagonal + 1 if word == other_word else max(above, lengths[index - 1])
            diagonal = above
    return lengths[-1]


@dataclass
class TextCollection:
    """Texts that a new one is compared with.

    Attributes:
        threshold: a ROUGE-L above it makes two texts near duplicates; self-instruct has 0.7 (Wang et al. 2022).
    """

    threshold: float = 0.7
    _counts: dict[tuple[str, ...], Counter[str]] = field(default_factory=dict)

    def __contains__(self, text: str) -> bool:
        """Return whether a text of the same words is there."""
        return words_of(text) in self._counts

    def add(self, text: str) -> None:
        """Add a text."""
        words = words_of(text)
        self._counts[words] = Counter(words)

    def has_near(self, text: str) -> bool:
        """Return whether a text is there whose ROUGE-L with this one is above the threshold."""
        # by words, as the texts are kept
        words = words_of(text)
        counts = Counter(words)
        for other_words, other_counts in self._counts.items():
            # the shorter text bounds the common subsequence too, before any word is counted
            if 2 * min(len(words), len(other_words)) <= self.threshold * (len(words) + len(other_words)):
                continue
            # Common words bound the common subsequence from above, and are counted in no time: most texts end here.
            bound = 2 * (counts & other_counts).total()
            limit = self.threshold * (len(words) + len(other_words))
            if bound > limit and rouge_l(words, other_words) > self.threshold:
                return True
        return False


def ngrams(texts: Iterable[str], n: int) -> Counter[tuple[str, ...]]:
    """Count the n-grams of words of texts; none goes over the end of a text.

    Raises:
        InputError: n below 1.
    """
    if n < 1:
        raise InputError(f"an n-gram has at least 1 word, got n = {n}")
    # per text: an n-gram over the seam of two prompts is nobody's
    counts: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        words = words_of(text)
        counts.update(words[start : start + n] for start in range(len(words) - n + 1))
    return counts


@dataclass(frozen=True, slots=True)
class Novelty:
    """How varied and how new some texts are together.

    Attributes:
        distinct: share of distinct n-grams among theirs (distinct-n of Li et al. 2016). It falls with the number of
            texts, so compare it at like numbers.
        fresh: share of their distinct n-grams that no earlier text has.

    Both are None where no text has n words.
    """

    distinct: float | None
    fresh: float | None


def measure_novelty(texts: Sequence[str], earlier_texts: Iterable[str], n: int = 2) -> Novelty:
    """Measure the n-grams of texts beside those of earlier ones.

    Raises:
        InputError: n below 1.
    """
    counts = ngrams(texts, n)
    if not counts:
        return Novelty(None, None)
    earlier_counts = ngrams(earlier_texts, n)
    unseen = sum(gram not in earlier_counts for gram in counts)
    return Novelty(len(counts) / counts.total(), unseen / len(counts))
