"""Running text from reviews: mark-up away, tokens joined, casing restored where a corpus lost it."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

TAG = re.compile(r"<[a-zA-Z/][^<>]{0,200}>")
WORD = re.compile(r"[A-Za-z]+(?:['’][A-Za-z]+)*")
STARTS = re.compile(r"[.!?:\"]")  # between two words: the second one's capital may be the sentence's
OPENS = re.compile(r"(?<!\.)[.!?][\")\]']*\s")  # a new sentence; an ellipsis opens none
QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\x91": "'", "\x92": "'"})


def clean(text: str) -> str:
    """Return one line of text: composed characters, plain quotes, no tags, no control characters, single spaces."""
    text = TAG.sub(" ", unicodedata.normalize("NFC", text).translate(QUOTES))
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def detokenize(line: str) -> str:
    """Join tokens to running text: `it 's " good " , he said .` is `it's "good", he said.`"""
    line = clean(line)
    # the order matters: dots before other punctuation, quotes before the spaces around them go
    line = re.sub(r"\. \. \.( \.)*", "...", line)
    line = re.sub(r" (n't|'(?:s|re|ve|ll|d|m))\b", r"\1", line)
    pieces = re.split(r'\s*"\s*', line)  # quotes come in pairs: the odd ones open
    quoted = [f'"{piece}"' if index % 2 and index < len(pieces) - 1 else piece for index, piece in enumerate(pieces)]
    line = " ".join(piece for piece in quoted if piece)
    line = re.sub(r"([(\[$]) ", r"\1", line)
    return re.sub(r" (?=[.,;:!?)\]%])", "", line)


@dataclass(frozen=True)
class Casing:
    """How words are written inside a sentence, learned from text that kept its casing."""

    forms: dict[str, str]

    @classmethod
    def learn(cls, texts: Iterable[str], *, at_least: int = 3, share: float = 0.6) -> Casing:
        """Learn the form that at least `share` of a word's occurrences inside sentences have, seen `at_least` times.

        Words that are mostly lower-case are not kept. Words at the start of a sentence do not count, and neither does
        a word in capitals after another (a shout counts by its first word alone).
        """
        seen: dict[str, Counter[str]] = defaultdict(Counter)
        for text in texts:
            before, before_end, shouted = "", 0, False
            for match in WORD.finditer(text):
                word = match[0]
                loud = len(word) > 1 and word.isupper()
                if before and not STARTS.search(text[before_end : match.start()]) and not (loud and shouted):
                    seen[word.lower()][word] += 1
                before, before_end, shouted = word, match.end(), loud
        forms = {}
        for low, counts in seen.items():
            form, count = counts.most_common(1)[0]
            if form != low and count >= at_least and count >= share * counts.total():
                forms[low] = form
        return cls(forms)

    def restore(self, line: str) -> str:
        """Return a lower-cased line of sentences with its capitals."""
        parts, end = [], 0
        for match in WORD.finditer(line):
            word, gap = self.forms.get(match[0], match[0]), line[end : match.start()]
            # `j. r. r. tolkien`: a letter before a dot is an initial, and its dot ends no sentence
            initial = len(word) == 1 and line[match.end() : match.end() + 1] == "."
            if not end or initial or OPENS.search(gap):
                word = word[0].upper() + word[1:]
            parts += [gap, word]
            end = match.end()
        return "".join([*parts, line[end:]])
