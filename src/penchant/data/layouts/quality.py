"""Find columns that say how good a response or a row is: by a word in their name, or by a verdict in a cell."""

from __future__ import annotations

import re
from functools import lru_cache

from penchant.data.layouts.columns import ReadRow, is_text
from penchant.data.sources.values import RowValues, words_of

# Words in the names of columns that say how good a response is.
QUALITY_WORD = re.compile(
    r"label|labels|score|scores|rating|ratings|rank|ranking|reward|rewards|grade|quality|star|stars|vote|votes|"
    r"upvotes|likes|helpfulness|helpful|correctness|correct|coherence|harmless|harmlessness|toxic|toxicity|safe|"
    r"unsafe|good|bad|accept|accepted|reject|rejected|chosen|prefer|preferred|preference|better|worse|winner|"
    r"thumbs|desirable|approved|solved|passed|failed|valid|invalid|hallucinated|flag|flagged|feedback|upvoted|downvotes|"
    r"downvoted|accuracy|verdict|judgement|judgment|win|won|lost|loser|incorrect|wrong|fail|failure|success|harmful|liked|"
    r"disliked|truthful|honesty|comparisons|best|worst|selected|picked|pass|passes|upvote|downvote|karma|nsfw|"
    r"offensive|hateful|harmfulness|hallucination|broken|critic"
)
# Words in the names of columns that say which response a value belongs to, and no more.
SIDE_WORD = re.compile("chosen|rejected|reject|prefer|preferred|better|worse|best|worst|winner|loser")
# Words that say that the order of a pair was turned round, or may be wrong.
ORDER_WORD = "flip|flipped|swap|swapped|reversed|inverted|noisy|mislabeled|mislabelled"
# Words that say how much a judgment counts.
STRENGTH_WORD = "weight|weights|strength|confidence|certainty|importance|margin|elo"
JUDGING_WORD = re.compile(f"{QUALITY_WORD.pattern}|{ORDER_WORD}|{STRENGTH_WORD}")
COUNT_WORD = re.compile("id|ids|index|count|num|number|length|len|tokens|version|model|logps|logp")
# A whole cell that judges, under any name.
VERDICT = re.compile(
    r"good|bad|wrong|correct|incorrect|accept(?:ed)?|reject(?:ed)?|pass(?:ed)?|fail(?:ed)?|(?:un)?(?:safe|helpful)|"
    r"harmful|harmless|better|worse|\U0001f44d|\U0001f44e",
    re.IGNORECASE,
)

# A whole cell that names one of two responses by its place.
POSITION = re.compile(
    r"(?:(?:response|model|option|answer|output|assistant|completion)[ _-]?)?(?:[ab01]|2|left|right|first|second)",
    re.IGNORECASE,
)


def quality_columns(row: ReadRow) -> list[str]:
    """Return the columns that say how good a response is, or that hold another one that lost."""
    names = [name for name, value in row.items() if value is not None and value != ""]
    read = row.looked_at  # of a row that nobody has read yet, a short response may look like a verdict
    verdicts = {name for name, value in row.items() if read and name not in read and _is_whole(VERDICT, value)}
    return [
        name
        for name in names
        if name in verdicts or name == "kto_tag" or any(map(QUALITY_WORD.fullmatch, words_of(name)))
    ]


def judging_columns(unread: RowValues) -> list[str]:
    """Return the unread columns of numbers, flags or places that by their names judge a row or a response.

    Other texts are named as columns with text; what counts or identifies is left out.
    """
    return [
        name for name, value in unread.items() if _judges(name) and (not is_text(value) or _is_whole(POSITION, value))
    ]


@lru_cache(maxsize=4096)  # asked for every row, and the names are the same in all of them
def _judges(name: str) -> bool:
    words = words_of(name)
    if any(map(COUNT_WORD.fullmatch, words)):
        return False
    rest = [word for word in words if not SIDE_WORD.fullmatch(word)]
    # `winner` alone beside a pair: there is nothing else that the value could belong to
    return any(map(JUDGING_WORD.fullmatch, rest)) if rest else bool(words)


def _is_whole(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value.strip()) is not None
