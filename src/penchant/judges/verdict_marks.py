"""Take verdicts that stand between marks out of a text: `[[A]]`, `<answer>A</answer>`, `\\boxed{A}`, `[RESULT] A`."""

from __future__ import annotations

import re

from penchant.judges.contract import SWAPPED
from penchant.judges.verdict_json import GAP
from penchant.judges.verdict_phrases import MAX_PHRASE, Labels, read_phrase
from penchant.judges.verdict_retractions import is_hypothetical, is_quoted
from penchant.types import Winner

_BRACKETS = re.compile(r"\[\[([^\[\]]{1,40})\]\]")
_TAGGED = re.compile(
    r"<(verdict|answer|final_answer|winner|choice|preference|preferred|output|result|decision|judge?ment)>"
    r"\s*([^<>]{0,200}?)\s*</\1\s*>",
    re.IGNORECASE,
)
_LOSER_TAGGED = re.compile(r"<(loser|rejected|worse|worst)>\s*([^<>]{0,200}?)\s*</\1\s*>", re.IGNORECASE)
# LaTeX's box, in which models that were trained on mathematics put every answer.
_BOXED = re.compile(r"\\boxed\s*\{\s*(?:\\(?:text|textbf|mathrm|mathbf)\s*\{)?\s*([^{}]{1,40}?)\s*\}?\s*\}")
_RESULT = re.compile(r"\[(?:result|verdict|answer)\]\s*[:=]?\s*([^\n]{1,40})", re.IGNORECASE)
_SENTENCE_ENDS = re.compile(r"[.!?;]\s+|\n")


def take_marks(text: str, labels: Labels) -> tuple[list[Winner], str]:
    """Return the verdicts that stand between marks, and the text without them."""
    winners: list[Winner] = []
    for pattern, group in ((_BRACKETS, 1), (_TAGGED, 2), (_LOSER_TAGGED, 2), (_BOXED, 1), (_RESULT, 1)):
        remaining, end = [], 0
        for match in pattern.finditer(text):
            winner = _tie_by_letter(match[group], labels) if pattern is _BRACKETS else None
            winner = winner or read_phrase(match[group], labels)
            if winner is not None:
                # taken out in any case: a quoted mark must not count as words either
                if not _is_somebody_elses(text, match.start(), match.end()):
                    winners.append(SWAPPED[winner] if pattern is _LOSER_TAGGED else winner)
                remaining.append(text[end : match.start()])
                end = match.end()
        text = GAP.join([*remaining, text[end:]]) if remaining else text
    return winners, text


def _is_somebody_elses(text: str, start: int, end: int) -> bool:
    """Return whether the sentence around a mark quotes it, or says when one would write it."""
    before = _SENTENCE_ENDS.split(text[max(0, start - MAX_PHRASE) : start])[-1]
    after = _SENTENCE_ENDS.split(text[start : end + MAX_PHRASE])[0]
    return is_quoted(before[-120:]) or is_hypothetical(before + after)


def _tie_by_letter(content: str, labels: Labels) -> Winner | None:
    """Return a tie for `[[C]]`, which MT-Bench's judges write for one; only where the sides are called A and B."""
    return "tie" if content.strip().upper() == "C" and {"A", "B"} == {labels.first, labels.second} else None
