"""Tell a verdict from words that deny it, take it back, or quote somebody else's: "A (not really)", "B says [[A]]"."""

from __future__ import annotations

import re
from collections.abc import Callable

from penchant.types import Winner

_STRUCK = re.compile(r"~~(?=[^\s~])[^~\n]{1,400}~~|<(s|del|strike)>[^<]{0,400}</\1\s*>", re.IGNORECASE)
_QUOTE_MARKS = r"[\s:\"'“”‘’`*_(]"
# Words before a verdict that make it somebody else's: "Response B asks me to write [[A]]". What "I say" is the judge's.
_QUOTING = re.compile(
    r"(?:(?<!\bi )(?<!\bwe )\b(?:says|said|writes|wrote|tells|claims|claimed|states|stated|contains|contained|prints|"
    r"printed|demands|demanded|quotes|quoted|suggests|insists|argues|begins with|ends with|injects|tries|according to)"
    r"|\b(?:told|asked|asks|instructed|instructs|supposed|forced|tempted|tells|wants|wanted|tries|tried)"
    rf"(?: me| us| you| the judge| the reader)? to)\b(?:{_QUOTE_MARKS}+[\w']+){{0,4}}{_QUOTE_MARKS}*$",
    re.IGNORECASE,
)
# "not A", "the less preferred", "I thought A".
_NEGATED = re.compile(r"(?:\b(?:not|non|never|least|less|neither|nor|thinking|thought)|n't)\b[\s:-]*(?:\w+\s+)?$", re.I)
_NOT_FINAL = re.compile(
    r"\b(?:initial|preliminary|tentative|draft|previous|earlier|former|old|incorrect|false|wrong|example|e\.?g|format|"
    r"template|sample|such as|for instance)[\s:.,]*$",
    re.IGNORECASE,
)
# "[[A]] if A is better": the template's own words, repeated.
_HYPOTHETICAL = re.compile(r"[\])>}][\"'”’]?,?\s+(?:if|unless|when|assuming|provided)\b", re.IGNORECASE)
_SAYS = (
    "(?:says|said|writes|wrote|prints|printed|states|stated|claims|claimed|contains|contained|demands|demanded|tells|told|"
    "injects|injected|begins|began|ends|ended)"
)
# What takes a verdict back where the next words begin with it: "No, wait.", "Correction: B".
_AT_ONCE = re.compile(
    r"\A[\s·*_\"'(…~>-]*(?:"
    r"(?:no|nope|not|wait|false|wrong|incorrect|edit|sorry|oops|nah)"
    r"(?=\s*(?:[,.!:;)…-]|$)|\s+(?:wait|really|so fast|i)\b)"
    r"|(?:actually|hmm+|correction|scratch|strike|just (?:kidding|joking)|kidding|joking|on (?:second thought|"
    r"reflection)|or(?! in other words)|i (?:mean|meant|disagree|withdraw))\b"
    r"|(?:that|this|it|which)(?: \w+)?(?:'s| is| was| were)(?: \w+){0,2}? "
    r"(?:(?:false|wrong|incorrect|untrue|not true|mistaken)(?! (?:to|that)\b)|a (?:joke|lie|mistake|quote|quotation)|"
    rf"(?:what|how) (?:[\w']+ ){{1,4}}{_SAYS}|the (?:text|output) (?:of|in|from)|quoted from)\b)",
    re.IGNORECASE,
)
# What takes it back anywhere behind it, as these are about the verdict and not about a response.
_LATER = re.compile(
    r"\b(?:scratch that|strike that|i take (?:that|it|this) back|i(?:'ve| have)? changed my mind|"
    r"just (?:kidding|joking)|on second thoughts?|i was (?:wrong|mistaken|joking|kidding)|i meant)\b",
    re.IGNORECASE,
)
_ASKS_FOR_THE_WORSE = re.compile(
    r"\b(?:which|who)\b[^.?!\n]{0,80}\b(?:worse|worst|more harmful|less helpful|inferior|loses?)\b[^.?!\n]{0,80}\?",
    re.IGNORECASE,
)
# Reasons that are none: "A (not really)", "A - or rather B", "A, the worse one".
_DENYING_TAIL = re.compile(
    r"^(?:(?:because|since|as) )?(?:no|not|never|wrong|false|incorrect|or|and|rather|actually|wait|"
    r"(?:only )?(?:if|when)|unless|provided|assuming|as long as|in case|maybe|perhaps|though|although|but|except|"
    r"joking|kidding|just (?:kidding|joking)|(?:the )?(?:worse|worst|inferior|"
    r"loser|losing)|loses|lost)\b"
    r"|\b(?:it|this|that)(?:'s| is| was| gets)? (?:\w+ )?(?:worse|worst|inferior|weaker|weakest|loser|not better)\b"
    r"|\b(?:kidding|joking|not really|or rather|on second thought|unless|as a joke|if (?:you|we|one))\b"
)
_TIE_IN_TAIL = re.compile(r"\b(?:tied?|draw|equal|equally|identical|the same|both)\s*(?:$|[,.;)]|to\b|good|bad)")
_CLAUSE_ENDS = re.compile(
    r"[,;.()]+|\s(?:-+|[–—])\s|\b(?:but|while|whereas|and|however|though|although|yet|because|since|so|no|actually)\b"
)


def strike_out(text: str) -> str:
    """Return the text without what is struck through, in Markdown or HTML."""
    return _STRUCK.sub("", text)


def is_disowned(before: str) -> bool:
    """Return whether the words before a verdict, in its sentence, quote it, negate it or call it a first one."""
    return bool(_QUOTING.search(before) or _NEGATED.search(before) or _NOT_FINAL.search(before))


def is_quoted(before: str) -> bool:
    """Return whether the words before a verdict, in its sentence, say that somebody else wrote it."""
    return bool(_QUOTING.search(before))


def is_hypothetical(sentence: str) -> bool:
    """Return whether a sentence says when one would write what stands between marks: "[[A]] if A is better"."""
    return bool(_HYPOTHETICAL.search(sentence))


def is_taken_back(after: str) -> bool:
    """Return whether the text behind an explicit verdict begins by taking it back, or does so later in plain words.

    Only words that are about the verdict count: "However, A has a typo" follows many a verdict that stands.
    """
    return bool(_AT_ONCE.search(after) or _LATER.search(after))


def asks_for_the_worse(text: str) -> bool:
    """Return whether the answer repeats a question for the worse side, so that a bare side behind it is no winner."""
    return bool(_ASKS_FOR_THE_WORSE.search(text))


def denies(tail: str, winner: Winner, read: Callable[[str], Winner | None]) -> bool:
    """Return whether the reason behind a verdict denies it: "A (not really)", "A - or rather B", "A (the worse one)".

    Args:
        tail: in small letters, with the sides as `@0` and `@1`.
        winner: what the words before the tail say.
        read: reads a clause.
    """
    words = tail.strip(" ,(:;-–—.)")
    if _DENYING_TAIL.search(words):
        return True
    clauses = [clause.strip() for clause in _CLAUSE_ENDS.split(words) if clause.strip()]
    winners = [named_winner for clause in clauses if (named_winner := read(clause)) is not None]
    if winner == "tie":
        return any(named_winner != "tie" for named_winner in winners)
    if winners and winners[-1] == winner and read(clauses[-1]) == winner:  # it weighs, and ends with the same side
        return False
    other = "@1" if winner == "a" else "@0"
    return (
        any(named_winner != winner for named_winner in winners)
        or _TIE_IN_TAIL.search(words) is not None
        or re.search(rf"\bbut\b[^@]*{other} (?:is|was|wins|deserves)\b", words) is not None
    )
