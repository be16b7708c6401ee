"""Read the verdict out of a judge's answer: a pure function that names a winner, or the reason why none can be read.

Nothing is guessed. An explicit verdict counts (JSON, `[[A]]`, `Verdict: B`, `<answer>A</answer>`, a bare label), else
sentences that are a verdict as a whole ("Response A is better."). Where these contradict each other, where the answer
ends inside its thoughts, or where it takes back what it said, the answer is unparseable.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from penchant.judges.contract import SWAPPED
from penchant.judges.verdict_json import GAP, Fields, find_objects, walk
from penchant.judges.verdict_marks import take_marks
from penchant.judges.verdict_phrases import Labels, read_phrase, tidy
from penchant.judges.verdict_retractions import asks_for_the_worse, is_disowned, is_taken_back, strike_out
from penchant.thought_tags import strip_thoughts
from penchant.types import Winner

# The version of these rules. Stored answers that another version read are read again; 1 is that of 0.3.0.dev0. Whoever
# changes what any text is read as raises it.
READER = 4
# Of an answer without its thoughts; the last so many are read, since a verdict stands at the end of a long one.
MAX_CHARACTERS = 50_000
LABELS = ("A", "B")

_LEAD = r"(?:(?:so|thus|therefore|hence|overall|finally|in conclusion)\b,? )?(?:(?:my|the|our) )?(?:final |overall )*"
_NOUN = r"(?: response| answer| summary| reply| option| one)?"
# Words that a verdict stands behind. A weak one may be about the task itself ("the answer is B" of a quiz).
_KEY = (
    rf"(?:{_LEAD}(?:verdict|winner|preferred{_NOUN}|preference|choice|decision|judge?ment|better{_NOUN}|"
    rf"(?:more|most) helpful{_NOUN}|less harmful{_NOUN}|selected{_NOUN}|selection|chosen{_NOUN})"
    rf"|(?P<weak>{_LEAD}(?:answer|result|best{_NOUN}|final)))"
)
_LABELLED = re.compile(rf"\b{_KEY}\s*(?:\bis\b\s*:?|\bwould be\b|\bgoes to\b|\bis for\b|[:=]+|[-–—]+>?|→|⇒)\s*", re.I)
# "Loser: B" names A, and so does a field of JSON that is called so.
_LOSER = (
    r"(?:(?:not |non-?|least |less |dis)preferred|loser|los(?:es|ing)|rejected|worse|worst|weaker|inferior|"
    rf"least helpful|less helpful|more harmful|most harmful){_NOUN}"
)
_LOSER_LABELLED = re.compile(rf"(?:(?:the|my) )?{_LOSER}(?:\s*[:=]+|\s+(?:is|was)\b:?)\s*", re.I)
_LOSER_FIELDS = re.compile(_LOSER, re.I)
_TIE_FIELDS = re.compile(r"(?:is )?(?:a )?(?:tie|tied|draw|equal)", re.I)
_HEADING = re.compile(rf"{_KEY}\s*[:=]?", re.I)
_FIELDS = re.compile(_KEY, re.I)
# Nothing is read across the end of a sentence; "e.g." and "i.e." end none.
_SENTENCES = re.compile(r"(?<=[.!?;])(?<!\be\.g\.)(?<!\bi\.e\.)\s+|\n|(?<=[.!?])(?=\*\*)")
_CLAUSES = re.compile(r",?\s+(?:but|so|yet|however|therefore|thus|hence)\b,?\s+", re.IGNORECASE)
# Behind a verdict in plain words any of these makes it none. An explicit one stands beside "However, A has a typo".
_TAKEN_BACK = re.compile(
    r"\b(?:but|however|yet|wait|actually|second thought|reconsider(?:ing)?|correction|scratch that|mistaken|not true|"
    r"wrong|nevertheless|nonetheless|on the other hand|unless)\b|(?:^|[.!?\n]\s*)no\b",
    re.IGNORECASE,
)
# A clause with one of these says what would be, or what once was thought.
_DOUBTS = re.compile(
    r"\b(?:if|unless|whether|might|could|may|perhaps|maybe|almost|nearly|hardly|barely|would have|at first|initially|"
    r"previously|first thought|tempted|(?:any|every|no|some)(?:one|thing|body) (?:but|except|other than)|"
    r"(?:all|none|nothing) (?:but|except))\b",
    re.IGNORECASE,
)
_FENCE = re.compile(r"^\s*(?:```+|~~~+)[\w -]*\s*$", re.MULTILINE)
_LINE_MARK = re.compile(r"^[ \t]*(?:(?:>+|#{1,6}(?= )|[-*+•](?= )|\d{1,2}[.)](?= ))[ \t]*)+", re.MULTILINE)
# Tags of layout, in small letters only: `<B>` is a label.
_HTML = re.compile(r"</?(?:b|strong|i|em|u|p|div|span|h[1-6]|br|blockquote|center|font)\s*/?>")
_RULE = re.compile(r"^\s*(?:[-*_=]\s*){3,}$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer says.

    Attributes:
        winner: `unparseable` where the answer names none, or more than one.
        confidence: the probability that the judge gives its verdict, where it states one.
        reason: why nothing can be read; empty where a winner was read.
    """

    winner: Winner
    confidence: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Statement:
    """A verdict in words, and where it ends in the text."""

    winner: Winner
    end: int


def read_verdict(answer: str, labels: tuple[str, str] = LABELS) -> Reading:
    """Return the verdict of a judge's answer.

    Args:
        answer: the text as it came.
        labels: what the template calls the first and the second response.

    Returns:
        The winner, `a` for the first label, or `unparseable` with its reason. No text raises an error.
    """
    # Thoughts first: a model weighs both verdicts in them.
    text = strip_thoughts(answer)
    if text is None:
        return _unreadable("it ends inside the model's thoughts, before a verdict: raise `max_tokens`")
    if not text.strip():
        return _unreadable("it is empty")
    names = Labels(*labels)
    # Then what is struck through, then JSON and marks, each taken out of the text before the next is looked for: the
    # name of a field must not count once more as a label in words.
    objects, rest = find_objects(_HTML.sub("", strike_out(text[-MAX_CHARACTERS:])))
    explicit, confidence, problem = _of_objects(objects, names)
    if problem:
        return _unreadable(problem)
    marked, rest = take_marks(rest, names)
    plain = _RULE.sub("", _LINE_MARK.sub("", _FENCE.sub("", rest))).strip()
    labelled = _labelled(plain, names)
    strong = [*explicit, *marked, *(statement.winner for statement in labelled.strong)]
    spoken = _spoken(plain, names)
    # "Verdict: neither convinces me" is none, unless a later one says more
    if labelled.unread is not None and not _said_after(labelled.unread, [*labelled.strong, *spoken], objects or marked):
        return _unreadable("its verdict names no winner")
    # "The answer is B" may be the answer to the quiz that is judged: it counts alone, or as the last word
    weak = [statement.winner for statement in labelled.weak if not strong or statement.end >= len(plain)]
    bare_lines = _bare_line(plain, names)
    explicit = [*strong, *weak, *(statement.winner for statement in bare_lines)]
    end = _end_of_last([*labelled.strong, *labelled.weak, *spoken, *bare_lines], plain)
    taken_back = not explicit and spoken and _TAKEN_BACK.search(plain, spoken[-1].end)
    if taken_back or is_taken_back(plain[end:]):
        return _unreadable("it goes on to take back what it said")
    # a bare "B" behind "which one is more harmful?" is the loser
    if explicit and asks_for_the_worse(plain):
        return _unreadable("it answers which one is worse")
    return _decide([*explicit, *(statement.winner for statement in spoken)], confidence)


def _end_of_last(statements: Sequence[_Statement], text: str) -> int:
    """Return where the last verdict of a text ends; one between marks has left a gap where it stood."""
    return max([0, text.rfind(GAP.strip()) + 1, *(statement.end for statement in statements)])


def _said_after(position: int, statements: Sequence[_Statement], marked: object) -> bool:
    """Return whether a verdict stands behind a position of the text, or anywhere between marks."""
    return bool(marked) or any(statement.end > position for statement in statements)


def _decide(winners: Iterable[Winner], confidence: float | None) -> Reading:
    distinct = set(winners)
    if not distinct:
        return _unreadable("it names no winner")
    if len(distinct) > 1:
        # no last word: "Verdict: A" and then "Verdict: B" is what small models write in most answers
        return _unreadable("it contradicts itself")
    return Reading(distinct.pop(), confidence)


def _unreadable(reason: str) -> Reading:
    return Reading("unparseable", None, reason)


def _of_objects(objects: list[Fields], labels: Labels) -> tuple[list[Winner], float | None, str]:
    """Return the verdicts in JSON, how sure they are, and what is wrong with them."""
    winners: list[Winner] = []
    confidence: float | None = None
    for fields in objects:
        for name, value in walk(fields):
            key = re.sub(r"[\W_]+", " ", name).strip()
            # True is an int to Python, and "confidence: true" is no probability
            if key.lower() == "confidence" and isinstance(value, int | float) and not isinstance(value, bool):
                confidence = float(value) if 0 <= value <= 1 else confidence
            if _TIE_FIELDS.fullmatch(key) and value is True:
                winners.append("tie")
            loses = _LOSER_FIELDS.fullmatch(key) is not None
            if not (loses or _FIELDS.fullmatch(key)) or isinstance(value, list | dict):
                continue
            # `"winner": "[[A]]"`: two habits at once
            winner = read_phrase(re.sub(r"^\[\[(.*)\]\]$", r"\1", _text_of(value)), labels)
            if loses:
                winners += [SWAPPED[winner]] if winner in ("a", "b") else []
            elif winner is None:
                # an explicit field that says something else is an answer, and no reason to look for another
                return [], None, f"its field {name[:40]!r} names no winner"
            else:
                winners.append(winner)
    return winners, confidence, ""


def _text_of(value: object) -> str:
    return "" if value is None or isinstance(value, bool) else str(value)[:1000]


@dataclass(frozen=True, slots=True)
class _Labelled:
    """The verdicts behind labels such as `Verdict:`.

    Attributes:
        strong: of labels that begin a sentence. weak: of those inside of one ("First I thought Verdict: A, but no") and
            of words that may be about the task. unread: where the last strong label without a verdict stands.
    """

    strong: list[_Statement]
    weak: list[_Statement]
    unread: int | None


def _labelled(text: str, labels: Labels) -> _Labelled:
    labelled = _Labelled([], [], None)
    for start, sentence in _pieces(text):
        words = tidy(sentence)
        if (loser := _LOSER_LABELLED.match(words)) and (side := read_phrase(words[loser.end() :], labels)) in (
            "a",
            "b",
        ):
            labelled.strong.append(_Statement(SWAPPED[side], start + len(sentence)))
            continue
        heading = _HEADING.fullmatch(words)
        label = heading or _LABELLED.search(words)
        if label is None or is_disowned(words[: label.start()]):
            continue
        value = _next_line(text, start + len(sentence)) if heading else words[label.end() :]
        # inside of a sentence it may be what was thought at first: "First I thought Verdict: A, but no"
        winner = read_phrase(value, labels) or _with_tail_clause(value, labels)
        is_strong = not label["weak"] and not label.start()
        if winner is not None:
            (labelled.strong if is_strong else labelled.weak).append(_Statement(winner, start + len(sentence)))
        elif is_strong and heading is None:
            labelled = replace(labelled, unread=start)
    return labelled


def _with_tail_clause(value: str, labels: Labels) -> Winner | None:
    """Return what the last clause says, of a value that weighs first: "both are good, but I prefer B"."""
    clauses = _CLAUSES.split(value)
    return read_phrase(clauses[-1], labels) if len(clauses) > 1 and not _DOUBTS.search(value) else None


def _next_line(text: str, start: int) -> str:
    return next((line for line in text[start:].split("\n") if line.strip()), "")


def _spoken(text: str, labels: Labels) -> list[_Statement]:
    """Return the sentences and clauses that are a verdict as a whole."""
    statements = []
    for start, sentence in _pieces(text):
        # a question says nothing, and a label alone is a heading as often as a verdict
        if len(sentence) > 2000 or sentence.rstrip().endswith(("?", ":")) or _is_bare(tidy(sentence), labels):
            continue
        tie = read_phrase(sentence, labels)
        doubted = _DOUBTS.search(sentence)
        for clause in [sentence] if tie else [] if doubted else _CLAUSES.split(sentence):
            winner = read_phrase(clause, labels)
            if winner is not None and not _is_bare(tidy(clause), labels):
                statements.append(_Statement(winner, start + sentence.find(clause) + len(clause)))
    return statements


def _is_bare(words: str, labels: Labels) -> bool:
    """Return whether words are a label alone: a heading as often as a verdict."""
    return labels.mark(words.strip(" .!,;:-–—")) in ("@0", "@1")


def _bare_line(text: str, labels: Labels) -> list[_Statement]:
    """Return the labels that stand alone on a line, where the first or the last line is one.

    "Response A" alone on a line is a heading as often, so it counts on the last line only, and where no such line names
    the other side.
    """
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        return []
    label_lines = [line for line in lines if labels.is_label(tidy(line)) and not _ends_in_colon(line)]
    ends = label_lines if lines[0] in label_lines or lines[-1] in label_lines else []
    last = tidy(lines[-1])
    if _is_bare(last, labels) and not labels.is_label(last) and not _ends_in_colon(last):
        ends = [line for line in lines if _is_bare(tidy(line), labels)]
    return [_Statement(winner, text.rfind(line) + len(line)) for line in ends if (winner := read_phrase(line, labels))]


def _ends_in_colon(line: str) -> bool:
    return tidy(line).endswith(":")


def _pieces(text: str) -> Iterable[tuple[int, str]]:
    """Yield every sentence with where it begins. A full stop, a question mark or the end of a line ends one."""
    start = 0
    for gap in _SENTENCES.finditer(text):
        if text[start : gap.start()].strip():
            yield start, text[start : gap.start()]
        start = gap.end()
    if text[start:].strip():
        yield start, text[start:]
