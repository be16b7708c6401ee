"""Find marks of chat templates in texts, and responses that differ in white space alone: no file should hold them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from penchant.data.sources.values import INVISIBLE
from penchant.types import Prompt, PromptGroup, Response, prompt_turns

# Text that was written for one model's template is no text for another, nor for the same one: its marks come twice.
MARK = re.compile(
    r"<\|[A-Za-z_]{2,30}\|>|<\uff5c[^<>\n]{2,30}\uff5c>|<(?:start|end)_of_(?:turn|role)>|<(?:human|bot)>:|"
    r"\[/?INST\]|<</?SYS>>|</s>|<s>|<(?:bos|eos|pad|unk|image)>|\[(?:PAD|SEP|CLS|UNK|MASK|BOS|EOS)\]|"
    r"### (?:Instruction|Response|Human|Assistant|Input):|"
    r"(?:\A|\n)\s*(?:Human|Assistant|User|USER|ASSISTANT|human|assistant|user):"
)
UNSEEN = str.maketrans("", "", INVISIBLE)
# Letters and strokes of other scripts that look like those of marks, and characters that nobody sees.
LOOK_ALIKES = dict(
    zip(
        "\u0430\u0435\u043e\u0440\u0441\u0445\u0443\u0456\u0455\u0458\u0501\u04bb\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425\u0405\u0406"
        "\u03b1\u03bf\u03c1\u03b9\u0131\u03bd\u01c0\u2223\u2502\u23d0\u2758\u2039\u203a\u27e8\u27e9\u3008\u3009",
        "aeopcxyisjdhABEKMHOPCTXSI"  # for Cyrillic letters
        "aopiiv|||||<><><>",  # for Greek letters, strokes and angle brackets
        strict=True,
    )
)
# U+202A to U+202E turn the direction of writing round, and are seen by nobody either.
FOLDED = str.maketrans({**LOOK_ALIKES, **dict.fromkeys([*INVISIBLE, *map(chr, range(0x202A, 0x202F))], "")})
# What `FOLDED` or NFKC makes "<" or "[" of, and these two: a text without any shows no mark in brackets.
BRACKETS = re.compile("[<\\[\u2039\u27e8\u3008\ufe47\ufe64\uff1c\uff3b]")
# Every mark holds one of these, which are found a hundred times as fast.
HINTS = (
    "<|",
    "<\uff5c",
    "_of_turn>",
    "_of_role>",
    "<human>:",
    "<bot>:",
    "INST]",
    "SYS>>",
    "s>",
    "<image>",
    "<pad>",
    "<unk>",
    "[PAD",
    "[SEP",
    "[CLS",
    "[UNK",
    "[MASK",
    "[BOS",
    "[EOS",
    "### ",
    "uman:",
    "ssistant:",
    "ser:",
    "USER:",
    "ASSISTANT:",
)


@dataclass(frozen=True)
class Marks:
    """The marks that texts hold, and the sources of the groups that hold some."""

    marks: tuple[str, ...]
    sources: tuple[str, ...]

    def sentence(self) -> str:
        """Return a sentence about the marks; empty without any."""
        if not self.sources:
            return ""
        examples = ", ".join(repr(mark) for mark in self.marks[:4]) + (", ..." if len(self.marks) > 4 else "")
        return (
            f"the texts of {len(self.sources)} prompts hold marks of a chat template ({examples}; the first: "
            f"{self.sources[0]}): the model's own template writes them once more. Give the turns without them, or use "
            "template=plain"
        )


def find_marks(groups: Iterable[PromptGroup], special: Sequence[str] = ()) -> Marks:
    """Find the marks of any template in prompts and responses.

    Args:
        special: special tokens of the tokenizer that is used; it takes them for their ids wherever they stand.
    """
    pattern, hints = _mark_pattern(special), _hints(special)

    def marks_of(text: str) -> list[str]:
        return _matches(pattern, text) if any(part in text for part in hints) else []

    return _collect(groups, marks_of)


def _collect(groups: Iterable[PromptGroup], marks_of: Callable[[str], list[str]]) -> Marks:
    marks: dict[str, None] = {}  # as a set that keeps its order
    sources = []
    for group in groups:
        if group_marks := [mark for text in texts_of(group) for mark in marks_of(text)]:
            marks |= dict.fromkeys(group_marks)
            sources.append(group.source)
    return Marks(tuple(marks), tuple(sources))


def _mark_pattern(special: Sequence[str]) -> re.Pattern[str]:
    # an empty special token, which a tokenizer may list, would stand in every text
    return re.compile("|".join([MARK.pattern, *(re.escape(token) for token in special if token.strip())]))


def _hints(special: Sequence[str]) -> tuple[str, ...]:
    return (*HINTS, *filter(str.strip, special))


def _matches(pattern: re.Pattern[str], text: str) -> list[str]:
    return [match.group().strip() for match in pattern.finditer(text)]


def texts_of(group: PromptGroup) -> Iterator[str]:
    """Yield the texts of a group's prompt and responses, but for drawn ones: of those the token ids count."""
    for turn in prompt_turns(group.prompt):
        yield turn.text
        if turn.reasoning or turn.tool_calls:
            yield from (turn.reasoning, *(call.arguments for call in turn.tool_calls))
    for response in group.responses:
        if response.token_ids is None:
            yield response.text
            if response.reasoning or response.tool_calls:
                yield from (response.reasoning, *(call.arguments for call in response.tool_calls))


def disguised_marks(groups: Iterable[PromptGroup], special: Sequence[str] = ()) -> Iterator[str]:
    """Yield a sentence about texts that look as if they held a mark, but hold other characters.

    Args:
        special: as in `find_marks`.
    """
    pattern, hints = _mark_pattern(special), _hints(special)
    disguises = _collect(groups, lambda text: [] if text.isascii() else _disguised(text, pattern, hints))
    if disguises.sources:
        looks = ", ".join(map(repr, disguises.marks[:4]))
        yield (
            f"the texts of {len(disguises.sources)} prompts hold what looks like a mark of a chat template ({looks}; "
            f"the first: {disguises.sources[0]}) but is written with other or invisible characters, so that no "
            "tokenizer takes it for one"
        )


def _disguised(text: str, pattern: re.Pattern[str], hints: Sequence[str]) -> list[str]:
    """Return the marks in brackets that a text shows only once its look-alikes are replaced."""
    if not BRACKETS.search(text):  # to fold a text takes longer than all else that is done with it
        return []
    folded = unicodedata.normalize("NFKC", text.translate(FOLDED))
    if folded == text or not any(part in folded for part in hints):
        return []
    # A mark that the text holds as it is counts as one, not as a disguise, also where NFKC alone changes its form.
    plain_marks = _matches(pattern, text)
    plain_marks += [unicodedata.normalize("NFKC", mark) for mark in plain_marks]
    return [mark for mark in _matches(pattern, folded) if mark[:1] in ("<", "[") and mark not in plain_marks]


def last_text(prompt: Prompt) -> str:
    """Return the prompt, or the last turn of a conversation."""
    return prompt_turns(prompt)[-1].text


def begins_with_prompt(group: PromptGroup) -> bool:
    """Return whether the whole text was given as the response, a common mistake that shows the prompt twice."""
    prompt = last_text(group.prompt)
    return bool(group.responses and prompt) and all(response.text.startswith(prompt) for response in group.responses)


def has_odd_turns(group: PromptGroup) -> bool:
    """Return whether a conversation has two turns of one side in a row, or does not end with the user's."""
    if isinstance(group.prompt, str):
        return False
    # a system turn may stand anywhere
    roles = [turn.role for turn in group.prompt if turn.role not in ("system", "developer", "tools")]
    # What a tool answers is read as a question is; the answers to several calls of one turn follow each other.
    sides = ["user" if role == "tool" else role for role in roles]
    repeated = any(
        a == b and (c, d) != ("tool", "tool") for (a, b), (c, d) in zip(pairwise(sides), pairwise(roles), strict=True)
    )
    return sides[-1:] != ["user"] or repeated


def look_alike(groups: Iterable[PromptGroup]) -> tuple[str, ...]:
    """Return the sources of comparisons whose responses differ in white space or in the form of Unicode alone."""
    return tuple(
        group.source
        for group in groups
        for comparison in group.comparisons
        if _responses_look_same(group.responses[comparison.winner], group.responses[comparison.loser])
    )


def _responses_look_same(first: Response, second: Response) -> bool:
    if first.tool_calls != second.tool_calls or first.reasoning != second.reasoning:
        return False
    return _looks_same(first.text, second.text)


def _looks_same(first: str, second: str) -> bool:
    # the first words tell nearly all pairs apart; to normalise two whole texts takes far longer
    begins = (_plain(" ".join(text.split(maxsplit=1)[:1])) for text in (first, second))
    return next(begins) == next(begins) and _plain(first) == _plain(second)


def alike_sentence(sources: Sequence[str]) -> str:
    """Return a sentence about comparisons between responses that look the same."""
    return (
        f"{len(sources)} comparisons are between responses that differ in white space or in the form of Unicode alone "
        f"(the first: {sources[0]}); those that become the same tokens are dropped"
    )


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", " ".join(text.translate(UNSEEN).split()))


def joined_words(groups: Sequence[PromptGroup]) -> str:
    """Return a sentence where prompts and responses meet in the middle of a word, without a template; else nothing.

    Plain texts are joined as they are. A cell of a table rarely begins with the space that a continuation needs.
    """
    texts = [(group.prompt, group.responses) for group in groups if isinstance(group.prompt, str) and group.responses]
    # Letters alone: scripts without spaces between words, and a question's mark, join nothing.
    joined = [
        (prompt, responses)
        for prompt, responses in texts
        if re.search(r"[A-Za-z,;]\Z", prompt) and all(re.match(r"[A-Za-z0-9]", answer.text) for answer in responses)
    ]
    # in few rows it may be meant, as where a word is to be completed
    if not joined or 2 * len(joined) < len(texts):
        return ""
    last, first = joined[0][0].split()[-1], joined[0][1][0].text.split()[0]
    return (
        f"{len(joined)} prompts end, and their responses begin, without white space: a model without a chat template "
        f"reads {last[-20:] + first[:20]!r}. For such a model begin responses with a space"
    )
