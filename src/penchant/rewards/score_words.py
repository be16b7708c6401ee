"""Read a score out of a judge's answer: a pure function that gives a number, or the reason why there is none.

Nothing is guessed. "Score: 4", "Rating: [[4]]", "4/5" and a bare "4" count. A number of another scale ("8/10"), a range
("3-4"), scores that contradict each other, and an answer that ends inside its thoughts count as no score. No score is
never a low score: it says nothing of the response.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from penchant.thought_tags import strip_thoughts

# Of an answer without its thoughts; a score stands at the end of a long one.
MAX_CHARACTERS = 50_000
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBER = rf"(?P<number>[-−]?[0-9]+(?:[.,][0-9]+)?|{'|'.join(_WORDS)})(?![0-9a-z]|[.,][0-9])"
_SCALE = r"(?:\s*(?:/|\bout of\b|\bof\b)\s*(?P<scale>[0-9]+(?:[.,][0-9]+)?)(?![0-9a-z]))?"
_MARKS = r"[\s*_`\"'\[(<{]*"
_LABEL = (
    r"(?P<strong>\b(?:total|final|overall)\s+)?\b(?:score|rating|grade|mark)s?\b[*_`\"'\])>]*"
    r"\s*(?:\bis\b|\bof\b|:|=|[-–—]>?|→)\s*(?:\bis\b|:)?"
)
_LABELLED = re.compile(rf"{_LABEL}{_MARKS}{_NUMBER}[*_`\"'\])>}}]*{_SCALE}", re.IGNORECASE)
_NUMBER_LINE = re.compile(
    rf"{_MARKS}{_NUMBER}{_SCALE}[*_`\"'\])>}}]*\s*(?:points?|stars?)?\s*[.!]?[*_`]*", re.IGNORECASE
)
# What makes the number in front of it another one: "3-4", "3 to 4", "80%", and the sums of an additive rubric, "1 + 1".
_GOES_ON = re.compile(r"[*_`\"'\])>}]*\s*(?:(?:[-–—+=→]|\bto\b|\bor\b)\s*[0-9]|%)", re.IGNORECASE)
_LINE_MARKS = " >#*_`\"'{([-"


@dataclass(frozen=True, slots=True)
class ScoreReading:
    """What an answer says.

    Attributes:
        score: None where it names none, or more than one.
        reason: why there is none; empty where a score was read.
    """

    score: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Mention:
    """A number that stands for a score.

    Attributes:
        rank: how much it counts: 3 for a total, 2 for a label that begins a line, 1 inside a line, 0 without a label.
        score: None where it is no number of the scale.
    """

    rank: int
    score: float | None


def read_score(answer: str, lowest: float = 0.0, highest: float = 5.0) -> ScoreReading:
    """Return the score that a judge's answer names.

    Of several labels the strongest count: "Total score: 3" before "Score: 1", and that before a score inside a
    sentence. Those of one strength must agree.

    Args:
        answer: the text as it came.
        lowest, highest: ends of the scale, both included.

    Returns:
        The score, or None with its reason. No text raises an error.
    """
    # thoughts first: a model weighs several scores in them
    text = strip_thoughts(answer)
    if text is None:
        return ScoreReading(None, "it ends inside the model's thoughts, before a score: raise `max_new_tokens`")
    text = _single_spaces(text[-MAX_CHARACTERS:])
    if not text:
        return ScoreReading(None, "it is empty")
    # bare numbers only where no label stands: a list's numbers are bare as well
    mentions = list(_labelled(text, lowest, highest)) or list(_number_lines(text, lowest, highest))
    if not mentions:
        return ScoreReading(None, "it names no score")
    strongest = max(mention.rank for mention in mentions)
    scores = {mention.score for mention in mentions if mention.rank == strongest}
    if None in scores:
        return ScoreReading(None, f"its score is no number from {lowest:g} to {highest:g}")
    if len(scores) > 1:
        # no last word: a small model that goes on to score other responses writes several
        return ScoreReading(None, "it contradicts itself")
    return ScoreReading(scores.pop())


def _single_spaces(text: str) -> str:
    """Return a text without runs of spaces and empty lines, which the patterns would be slow on."""
    return re.sub(r" ?\n\s*", "\n", re.sub(r"[^\S\n]+", " ", text)).strip()


def _labelled(text: str, lowest: float, highest: float) -> Iterator[_Mention]:
    for match in _LABELLED.finditer(text):
        line_start = text.rfind("\n", 0, match.start()) + 1
        begins_line = not text[line_start : match.start()].strip(_LINE_MARKS)
        rank = 3 if match["strong"] else 2 if begins_line else 1
        yield _Mention(rank, _score_of(match, text, lowest, highest))


def _number_lines(text: str, lowest: float, highest: float) -> Iterator[_Mention]:
    """Yield the numbers that are the first or the last line as a whole."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    for line in {lines[0], lines[-1]}:
        if match := _NUMBER_LINE.fullmatch(line):
            yield _Mention(0, _score_of(match, line, lowest, highest))


def _score_of(match: re.Match[str], text: str, lowest: float, highest: float) -> float | None:
    """Return the number of a match; None for one of another scale, beyond the ends, or of a range."""
    number = match["number"].lower()
    score = float(_WORDS.index(number)) if number in _WORDS else _float(number)
    # "8/10" is no 8 of 5, and dividing it would guess what the model meant
    other_scale = match["scale"] is not None and _float(match["scale"]) != highest
    if other_scale or _GOES_ON.match(text, match.end()) or not lowest <= score <= highest:
        return None
    return score


def _float(digits: str) -> float:
    return float(digits.replace(",", ".").replace("−", "-"))
