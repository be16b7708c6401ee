"""Find texts that a program damaged on their way into a file: each may be meant, so none is refused or changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from penchant.data.marks import last_text, texts_of
from penchant.types import PromptGroup

COMMON_SHARE = 0.1  # of the prompts: what honest code and web pages hold as well is damage only from this share on
STRINGIFIED = {"none", "nan", "<na>", "null", "n/a", "undefined", "[]", "{}", "nat", "#n/a", "\\n"}
STRINGIFIED |= {"#name?", "#ref!", "#value!", "#div/0!", "#null!", "#num!"}  # of spreadsheets
# A list as Python or JSON writes it, or bytes as Python does, instead of the text inside.
# Other objects as Python shows them count as well.
WRITTEN = re.compile(
    r"[\[(]\s*(['\"]).*\1\s*,?\s*[\])]|b(['\"]).*\2|\{\s*'[^']*'\s*:.*\}|(?:array|tensor|Series|Timestamp)\(.*\)|"
    r"<[\w. ]+ (?:object )?at 0x[0-9a-f]+>|<class '[\w.]+'>",
    re.DOTALL,
)
DOUBLE_ENTITY = re.compile(r"&amp;(?:amp|lt|gt|quot|apos|nbsp|#\d{1,6}|#x[0-9a-fA-F]{1,5});")
ENTITY = re.compile(
    r"&(?:amp|lt|gt|quot|apos|nbsp|rsquo|lsquo|ldquo|rdquo|hellip|mdash|ndash|#\d{1,6}|#x[\da-fA-F]{1,5});"
)
TAG = re.compile(r"</?[a-zA-Z]")
# \n that is no start of a LaTeX command or a name in a path, and escapes of JSON, addresses and mails.
ESCAPE = re.compile(r"\\r\\n|\\n(?![a-z{])|\\u[0-9a-fA-F]{4}|\\x[0-9a-f]{2}|%20[^\s%]*%20|=C[2-9A-F]=[89AB][0-9A-F]")
CONTROL = re.compile(r"[\x01-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
# Bytes of UTF-8 that were read as Windows-1252 or Latin-1.
LATIN = "\u20ac\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u017d\u2018\u2019\u201c\u201d\u2022"
LATIN += "\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\u017e\u0178"
LATIN_RUN = re.compile(f"[\u00c2-\u00f4][\u0080-\u00ff{LATIN}]+")
CYRILLIC_RUN = re.compile("[\u0420\u0421][\u0080-\u00ff\u0401-\u045f\u0490\u0491\u2010-\u2122]{3,}")
CLOSING = "\u201d\u2019\u2026\u2013\u2014\u00bb\u00ab"  # stand behind a capital letter with an accent in honest text
PLACEHOLDER = re.compile(r"\s*(?:\{\{?\s*\w+\s*\}?\}|<\|?\w+_placeholder\|?>|\$\{\w+\})\s*")
# Characters that turn the order of writing round, tags that nobody sees, and joiners inside words of Latin letters.
HIDDEN = re.compile(
    "[\u202d\u202e\ufeff]|(?<![\U0001f3f4\U000e0000-\U000e007f])[\U000e0000-\U000e007f]|"
    "(?<=[A-Za-z])[\u200b\u2060](?=[A-Za-z])"
)
REPLACEMENT = "\ufffd"


def _is_stringified(text: str) -> bool:
    stripped = text.strip()
    return stripped.lower() in STRINGIFIED or WRITTEN.fullmatch(stripped) is not None


def _is_misread(text: str) -> bool:
    """Return whether a text holds UTF-8 that was read as Latin-1, Windows-1252 or Windows-1251."""
    if text.isascii():
        return False
    latin = any(_decodes(run.group()) for run in LATIN_RUN.finditer(text))
    return latin or any(_decodes_from_cyrillic(run.group()) for run in CYRILLIC_RUN.finditer(text))


def _decodes_from_cyrillic(run: str) -> bool:
    """Return whether Cyrillic letters are UTF-8: no Russian word is, for its letters are all first bytes."""
    try:
        return len(run.encode("cp1251").decode("utf-8")) > 1
    except UnicodeError:  # honest Cyrillic
        return False


def _decodes(run: str) -> bool:
    """Return whether a run of Latin characters is UTF-8, and too much of it to be so by chance."""
    try:
        bytes_read = b"".join(_byte(character) for character in run)
        decoded = bytes_read.decode("utf-8")
    except UnicodeError:  # no UTF-8, as nearly every honest run of accented letters
        return False
    # One pair may be honest: a word in capitals that ends in an accented letter, before a quotation mark or a dash.
    if len(decoded) > 1 or len(run) > 2:
        return True
    return run[0] in "\u00c2\u00c3" and run[1] not in CLOSING


def _byte(character: str) -> bytes:
    try:
        return character.encode("cp1252")
    except UnicodeEncodeError:  # one of the five bytes that Windows-1252 lacks
        return character.encode("latin-1")


def _has_entities(text: str) -> bool:
    # in a text with tags, a page, entities are as they should be
    return "&" in text and not TAG.search(text) and ENTITY.search(text) is not None


@dataclass(frozen=True)
class Damage:
    """One kind of damage, and how it is reported.

    Attributes:
        shows: whether a text shows it.
        words: what the report says of such texts.
        share: of all prompts, from which on it is reported.
        covers_text: whether the text must be a whole prompt or response.
    """

    shows: Callable[[str], object]
    words: str
    share: float = 0.0
    covers_text: bool = False


KINDS = (
    Damage(
        _is_stringified, "are what programs write for a missing value or a list (None, nan, ['...'])", covers_text=True
    ),
    Damage(_is_misread, "hold UTF-8 that was read as Latin-1 (such as \u00c3\u00a9 for \u00e9)"),
    Damage(lambda text: REPLACEMENT in text, "hold the character for bytes that could not be read (\ufffd)"),
    Damage(PLACEHOLDER.fullmatch, "are the name of a text that was never filled in ({prompt})", covers_text=True),
    Damage(CONTROL.search, "hold control characters"),
    Damage(lambda text: not text.isascii() and HIDDEN.search(text), "hold characters that nobody sees inside words"),
    Damage(
        lambda text: "&amp;" in text and DOUBLE_ENTITY.search(text), "hold HTML entities encoded twice (&amp;quot;)"
    ),
    Damage(_has_entities, "hold HTML entities (&quot;, &#39;) but no tags", COMMON_SHARE),
    Damage(ESCAPE.search, "hold escapes as text (\\n, \\u00e9)", COMMON_SHARE),
)


def damage_sentences(groups: Sequence[PromptGroup]) -> Iterator[str]:
    """Yield a sentence about each kind of damage that the texts show.

    Args:
        groups: one per prompt or one per row; the shares are of them.
    """
    sources: list[list[str]] = [[] for _ in KINDS]
    for group in groups:
        texts = list(texts_of(group))
        for index, kind in enumerate(KINDS):
            if any(map(kind.shows, texts)):
                sources[index].append(group.source)
    for kind, where in zip(KINDS, sources, strict=True):
        if where and len(where) >= kind.share * len(groups):
            texts_or_whole = "whole texts" if kind.covers_text else "texts"
            yield (
                f"{texts_or_whole} of {len(where)} prompts {kind.words}; the first: {where[0]}. They are used as they "
                "stand: mend the file if they are not meant"
            )


def one_sided_prompts(groups: Sequence[PromptGroup]) -> Iterator[str]:
    """Yield a sentence about prompts that some of their responses repeat and others do not."""
    if sources := [group.source for group in groups if _repeats_on_one_side(group)]:
        yield (
            f"{len(sources)} prompts stand again at the beginning of some of their responses, but not of all (the "
            f"first: {sources[0]}), which would be learned as what tells them apart"
        )


def _repeats_on_one_side(group: PromptGroup) -> bool:
    prompt = last_text(group.prompt).strip()
    if len(prompt.split()) < 3 or len(group.responses) < 2:  # a word may well begin an answer
        return False
    begins = [response.text.lstrip().startswith(prompt) for response in group.responses]
    return any(begins) and not all(begins)


def missing_scores(groups: Sequence[PromptGroup]) -> Iterator[str]:
    """Yield a sentence about scores of -1 among scores from 0 up: in many files -1 stands for a missing rating."""
    # Below zero for one value only: scores that are rewards have others there.
    scores = [score for group in groups for score in group.scores or ()]
    if -1 in scores and all(score >= 0 for score in scores if score != -1) and any(score > 0 for score in scores):
        first = next(group.source for group in groups if -1 in (group.scores or ()))
        yield (
            f"{scores.count(-1)} of {len(scores)} scores are -1 and no other is below 0 (the first: {first}): if -1 "
            "says that a rating is missing, take these responses out"
        )
