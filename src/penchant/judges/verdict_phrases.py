"""Read one phrase: which side it names, a tie, or nothing that can be known.

A phrase is matched whole against what judges write ("Response A is better", "a narrow win for B", "A = B"). One that
says more than that says nothing here: half of a sentence is no verdict.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property, lru_cache

from penchant.judges.verdict_retractions import denies
from penchant.types import Winner

MAX_PHRASE = 400  # characters of a phrase that is read; longer ones explain
MAX_WORDS = 24  # of a phrase without its reasons; no pattern has more
_UNSEEN = ("Cf", "So")  # formatting, and pictures
_REFUSING = frozenset("❌✗✘✖✕❎👎🚫⛔☒⊘")  # pictures that say no: what stands beside one is no verdict

_NOUN = (
    r"(?:ai |chat ?bot |assistant |model |candidate )?(?:responses?|repl(?:y|ies)|answers?|summar(?:y|ies)|assistants?|"
    r"options?|outputs?|models?|candidates?|completions?|choices?|texts?|versions?|solutions?|essays?|stor(?:y|ies)|"
    r"translations?|messages?|continuations?|chat ?bots?|systems?|agents?|conversations?|dialogues?|comments?|ones?)"
)
# Words before a verdict that add nothing to it.
_LEAD = re.compile(
    r"^(?:(?:so|thus|therefore|hence|overall|finally|ultimately|conclusively|in conclusion|in summary|in short|"
    r"to conclude|to sum up|on balance|on the whole|all in all|all things considered|in my opinion|in my view|"
    r"in my judg[e]?ment|as a result|consequently|accordingly|and|ok|okay|well|taken together|in total)\b[\s,:]*)+",
)
# The reason behind a verdict. It is looked at before it is dropped: "A because B is better" is no verdict for A.
_TAIL = re.compile(
    r"(?:\s*[,(:;]\s*|\s+(?:-+|[–—])\s+|\s+)"
    r"(?:because|since|due to|owing to|given that|as (?:it|its|this|that|they)\b).*$"
    r"|\s+(?:-+|[–—])\s+.*$|\s*\((?!\s*$).*\)\s*$",
    re.DOTALL,
)
# How much better, which is not asked.
_DEGREE = re.compile(
    r"\b(?:slightly|clearly|definitely|marginally|narrowly|overall|much|far|significantly|considerably|substantially|"
    r"strongly|somewhat|noticeably|decisively|easily|certainly|obviously|really|very|just|only just|a bit|a little|"
    r"too|as well|also|a lot|by far|by a hair|"
    r"by a (?:small|narrow|slim|large|wide) margin|convincingly|generally|simply|honestly|"
    r"personally|mildly|moderately|even|ever so|hands down|here|indeed|ultimately|therefore|thus|clear(?=ly)|"
    r"in quality|in this case|of the two|of both)\b[\s,]*"
)
_BETTER = (
    r"(?:better|best|preferable|preferred|superior|stronger|strongest|winner|winning|more helpful|most helpful|"
    r"more useful|more accurate overall|more harmless|less harmful|favou?red|chosen|selected)"
)
_WORSE = r"(?:worse|worst|inferior|weaker|weakest|loser|losing|less helpful|more harmful|less preferable)"
# What may follow a small `a` that is a label; before a noun it is an article.
_AFTER_SMALL = (
    r"\s*(?:$|[.,;:!)\]><=≈~&]|(?:is|was|wins|won|beats|over|than|and|or|because|since|has|gets|equals|loses|lost|ties|"
    r"edges|outperforms|are|slightly|clearly)\b)"
)
_SIDE = r"(?P<x>@[01])"
_OTHER = r"@[01]"
_IS = r"(?:is|was|has been|'s|remains|comes out|came out)"
_THAN = rf"(?: (?:than|to|over|compared (?:to|with)) {_OTHER})?"
_THINK = (
    r"(?:i|we)(?:'d| would| will| do| must| have to|'ll)?(?: have to)? "
    r"(?:think|believe|find|judge|conclude|say|feel|consider|decide|rate)(?: that)? "
)
_GIVE = r"(?:win|victory|preference|edge|advantage|vote|nod|point|lead|verdict|choice)"
_SIZE = r"(?:narrow|slight|clear|close|small|strong|marginal|big|large|solid|modest|slim|decisive|final|weak|tiny)"

# Each pattern matches a whole phrase, since half of a sentence may be taken back by the other half. `x` is the side
# that wins, of `_LOSES` the one that loses.
_WINS = [
    rf"(?:{_THINK})?{_SIDE}",
    rf"(?:{_THINK})?{_SIDE} (?:{_IS} )?(?:the |my )?(?:(?:clear|narrow) )?{_BETTER}"
    rf"(?: (?:one|choice|pick|{_NOUN}))?{_THAN}",
    rf"(?:{_THINK})?{_SIDE} to be (?:the )?{_BETTER}(?: (?:one|choice|{_NOUN}))?{_THAN}",
    rf"(?:{_THINK})?{_SIDE} (?:wins|won|prevails|takes (?:it|the win)|gets (?:it|my vote|the nod|the point)|"
    rf"has (?:the|a|an)(?: {_SIZE})? {_GIVE}|comes out (?:ahead|on top)|is (?:my|the) (?:choice|pick|winner|verdict))"
    rf"{_THAN}",
    rf"(?:{_THINK})?{_SIDE} (?:beats|outperforms|edges out|surpasses|wins over|wins against|defeats|bests) {_OTHER}",
    rf"{_SIDE} (?:over|>+|≻) {_OTHER}",
    rf"{_SIDE} (?:preferred|favou?red)",
    r"(?:i|we)(?:'d| would| will|'ll)?(?: have to)? (?:choose|chose|pick|picked|prefer|preferred|select|selected|"
    r"favou?r|favou?red|vote for|go with|went with|go for|say|lean towards?|recommend|take)(?: that)? "
    rf"{_SIDE}(?: (?:over|to|instead of) {_OTHER})?",
    r"(?:slightly )?(?:prefer|choose|pick|select|leaning(?: towards?)?|lean(?:s)? towards?|favou?rs?) "
    rf"{_SIDE}(?: over {_OTHER})?",
    rf"(?:the |my )?{_BETTER}(?: (?:one|choice|pick|{_NOUN}))?(?: of the two)?(?: is| was|:)?:? {_SIDE}",
    rf"(?:it is |it's |this is |i see )?(?:a |an |the |my )?(?:{_SIZE} )*{_GIVE} "
    rf"(?:is |was )?(?:for|to|goes to|of|with|is|:) {_SIDE}(?: over {_OTHER})?",
    rf"(?:{_SIZE} )+{_SIDE}",
]
_LOSES = [
    rf"(?:{_THINK})?{_SIDE} {_IS} (?:the )?{_WORSE}(?: (?:one|choice|{_NOUN}))?{_THAN}",
    rf"(?:{_THINK})?{_SIDE} (?:loses|lost)(?: to {_OTHER})?",
    rf"{_SIDE} (?:<+|≺) {_OTHER}",
    rf"(?:the )?{_WORSE}(?: (?:one|choice|{_NOUN}))? (?:is|was) {_SIDE}",
]
_EQUAL = (
    r"(?:equal|equivalent|tied|identical|the same|on par|evenly matched|alike|comparable|indistinguishable|even|"
    r"(?:equally|as|just as) (?:good|bad|strong|weak|helpful|valid|useful|well|poor)(?: as each other)?|"
    r"of (?:equal|the same) quality|a (?:tie|draw))"
)
_TIES = [
    r"(?:(?:it|this|that)(?:'s| is| was)|(?:i|we)(?:'d| would)? (?:call|say|declare|judge)(?: it| this)?(?: is)?|"
    rf"(?:{_THINK})(?:it is |it's ))?\s*(?:a |an )?(?:{_SIZE} |complete |perfect |virtual |dead )*"
    rf"(?:tie|ties|tied|draw|toss[- ]?up|heat|stalemate)"
    rf"(?: between (?:the two|both|the two {_NOUN}|{_OTHER} and {_OTHER}))?",
    rf"(?:{_THINK})?(?:both|the two|they)(?: of them)?(?: {_NOUN})?(?: {_OTHER} and {_OTHER})? (?:are|were|look) "
    rf"(?:both )?{_EQUAL}",
    rf"(?:{_THINK})?{_OTHER} (?:and|&) {_OTHER} (?:are (?:both )?{_EQUAL}|tie|draw)",
    rf"(?:{_THINK})?{_OTHER} (?:is {_EQUAL} (?:as|to|with)|equals|is equal to|ties with|is on par with) {_OTHER}",
    rf"{_OTHER} (?:=+|≈|~) {_OTHER}",
    rf"(?:both )?{_EQUAL}",
    rf"neither(?: {_NOUN}| of them| of the two)?(?: is| was)? {_BETTER}(?: than the other)?",
    r"(?:there is |i have |i see )?no (?:clear |real |strong )?(?:winner|preference|difference)"
    r"(?: between (?:them|the two|both))?",
    rf"(?:i |we )?(?:cannot|can't|can not|could not|couldn't) (?:tell|tell apart|distinguish)(?: (?:them|the two|both)"
    rf"(?: {_NOUN})?)?(?: apart)?",
]
# A phrase without a side and without one of these is no tie: most sentences end here, before 25 patterns are tried.
_TIE_WORDS = re.compile(
    r"\b(?:ties?|tied|draw|toss|heat|stalemate|equal\w*|equivalent|identical|same|par|matched|alike|comparable|even|"
    r"indistinguishable|as|neither|no|tell|distinguish)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Labels:
    """What the two sides are called in an answer, such as `A` and `B`."""

    first: str
    second: str

    @cached_property
    def mentions(self) -> re.Pattern[str]:
        """The sides in a phrase; a small letter only where it can be no article."""
        upper = "|".join(map(re.escape, (self.first, self.second)))
        lower = "|".join(re.escape(label.lower()) for label in (self.first, self.second))
        noun = rf"(?:the )?{_NOUN}\s*[#:]?\s*"
        return re.compile(
            rf"(?:(?i:{noun})?[(\[](?P<in_brackets>{upper}|{lower})[)\]]|(?i:{noun})(?P<after_noun>{upper}|{lower})"
            rf"|(?i:the )?(?P<bare>{upper})|(?P<small>{lower})(?={_AFTER_SMALL}))(?![\w'-])"
            rf"(?:'s (?i:{_NOUN})\b)?(?:(?i: {_NOUN})(?= (?i:is|was|wins)\b))?"
        )

    @cached_property
    def marks_by_label(self) -> dict[str, str]:
        """The marks of the two labels, by what the whole phrase may be in either case."""
        return {self.first.lower(): "@0", self.second.lower(): "@1"}

    def mark(self, phrase: str) -> str:
        """Return the phrase with its sides as `@0` and `@1`."""
        if self.is_label(phrase):
            return self.marks_by_label[_stripped(phrase)]

        def mark_of(match: re.Match[str]) -> str:
            name = match["in_brackets"] or match["after_noun"] or match["bare"] or match["small"]
            # the A in `DNA`, and the one in "A narrow win for B"
            if _is_inside_word(match) or (match["bare"] and self._is_article(match)):
                return match[0]
            return self.marks_by_label[name.lower()]

        return self.mentions.sub(mark_of, phrase)

    def is_label(self, phrase: str) -> bool:
        """Whether a phrase is a label and nothing else, in either case."""
        return _stripped(phrase) in self.marks_by_label

    @staticmethod
    def _is_article(match: re.Match[str]) -> bool:
        """Whether the `A` that opens a phrase is an article, as in "A narrow win for B"."""
        return match["bare"] == "A" and _ARTICLE.match(match.string, match.end()) is not None


# `!A` is not A, `A-` is a grade, and `@0` in a foreign text would stand for a side.
_NOT_A_LABEL = re.compile(r"^[!¬~–—-]\w|\b\w[-+]$|@[01]")
_ARTICLE = re.compile(
    rf" (?:{_SIZE}|tie|draw|toss|dead|stalemate|complete|perfect|virtual|{_GIVE}|{_BETTER} {_NOUN}|{_WORSE} {_NOUN}|"
    rf"{_NOUN})\b(?! (?:is|was|wins)\b)",
    re.IGNORECASE,
)


def _stripped(phrase: str) -> str:
    return phrase.strip(" ()[].,:!").lower()


def _is_inside_word(match: re.Match[str]) -> bool:
    before = match.string[: match.start()]
    return bool(before) and (before[-1].isalnum() or before[-1] in "_'@")


@lru_cache(maxsize=1)  # compiled at the first answer: an import need not wait for it
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    kinds = ((_WINS, "wins"), (_LOSES, "loses"), (_TIES, "tie"))
    return [(re.compile(text), kind) for patterns, kind in kinds for text in patterns]


def read_phrase(phrase: str, labels: Labels) -> Winner | None:
    """Return the winner that a phrase as a whole names; None where it names none, or says more."""
    if len(phrase) > MAX_PHRASE:  # before any pattern: their time grows with the text
        return None
    text = tidy(phrase)
    if text.endswith("?") or _NOT_A_LABEL.search(text):
        return None
    marked = labels.mark(text.strip(" .!,;:-–—"))
    if "@" not in marked and not _TIE_WORDS.search(marked):
        return None
    if (winner := _read_marked(marked)) is not None:
        return winner
    # else without the reason behind it, unless that reason denies it
    tail = _TAIL.search(marked)
    winner = _read_marked(marked[: tail.start()]) if tail else None
    return None if winner is None or tail is None or denies(tail[0].lower(), winner, _read_marked) else winner


def _read_marked(marked: str) -> Winner | None:
    marked = re.sub(r"\s*([<>=≈~≻≺]+)\s*", r" \1 ", marked)
    lowered = re.sub(r"[\s,]+", " ", _LEAD.sub("", marked.lower())).strip(" .!,;:-–—()[]")
    if lowered.count(" ") >= MAX_WORDS:
        return None
    # first as it stands: "slightly" is a word of degree, and "slightly prefer A" a pattern
    for text in dict.fromkeys((lowered, re.sub(r"\s+", " ", _DEGREE.sub("", lowered)).strip(" ,"))):
        for pattern, kind in _patterns():
            match = pattern.fullmatch(text)
            # a side that is better than itself is a slip of the model, and no verdict
            if match is None or len(set(re.findall(r"@[01]", text))) < len(re.findall(r"@[01]", text)):
                continue
            if kind == "tie":
                return "tie"
            return "a" if (match["x"] == "@0") == (kind == "wins") else "b"
    return None


@lru_cache(maxsize=256)
def tidy(text: str) -> str:
    """Return a text without marks of emphasis, quotes and unseen characters, with single spaces."""
    if not text.isascii():
        # letters of full width and in circles are read as what they look like; pictures that say no stay
        text = unicodedata.normalize("NFKC", text)
        text = "".join(letter for letter in text if letter in _REFUSING or not _is_unseen(letter))
    text = re.sub(r"[<{]\s*([A-Za-z]+(?: [A-Za-z]+)?)\s*[>}]", r"\1", text)
    text = re.sub(r"[‘’´`](?=[a-z]{1,2}\b)", "'", text)
    text = re.sub(r"[*_`\"“”«»„]|(?<!\w)'|'(?!\w)|[‘’]|\\(?=[*_\[\]()#>])", "", text.replace("\\_", ""))
    return re.sub(r"\s+", " ", text).strip(" {}")


def _is_unseen(letter: str) -> bool:
    return unicodedata.category(letter) in _UNSEEN or letter == "\ufe0f"
