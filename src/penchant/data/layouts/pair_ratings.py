"""Read what a row says of a pair beside its order: ratings of both, their difference, and verdicts in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from penchant.data.sources.values import RowError, RowValues, as_number, cut, flag, holds, words_of
from penchant.types import Comparison, Prompt, PromptGroup, Response

RATING_WORDS = {"score", "scores", "rating", "ratings", "reward", "rewards", "grade", "quality"}
NO_RATING_WORDS = {"rank", "ranks", "id", "index", "std", "var", "count", "num", "version", "model"}
# How files name the better and the worse response in the names of their ratings.
SIDES = (
    ("chosen", "rejected"),
    ("winner", "loser"),
    ("win", "lose"),
    ("w", "l"),
    ("preferred", "dispreferred"),
    ("better", "worse"),
    ("positive", "negative"),
    ("pos", "neg"),
)
DIFFERENCE_WORDS = {"diff", "difference", "delta", "gap"}
# Values are peeked at with `dict.get`: a `ReadRow` notes what its own `get` returns as read, and a column that turns
# out to hold no rating must still be named as one that nobody reads.
FRACTION = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*/\s*(\d+)\s*")  # 4/5, as annotation forms write a rating
DECIMAL_COMMA = re.compile(r"\s*-?\d{1,3},\d{1,2}\s*")  # with three digits behind it, it may part thousands
TIE_FIELDS = ("tie", "is_tie")
# Columns whose value is a verdict on the pair.
VERDICT_WORD = re.compile(
    "status|winner|win|preference|preferred|verdict|judgment|judgement|result|outcome|decision|label|better|best|"
    "choice|vote"
)
TIE_VALUE = re.compile(
    r"tied?|draw|equal|same|both|neither|no preference|both good|both[ _]?bad|tie \(both ?bad\)|about the same"
)
CONTRADICTING_VALUES = {"rejected", "loser", "discarded", "invalid"}


def pair(
    prompt: Prompt,
    chosen: Response | str,
    rejected: Response | str,
    *,
    tie: bool = False,
    scores: Sequence[float] | None = None,
) -> PromptGroup:
    """Return a group of two responses, the first preferred.

    Raises:
        RowError: the two are the same.
    """
    if chosen == rejected:
        raise RowError(
            "identical", "fields 'chosen' and 'rejected' are the same response, so the row prefers nothing; remove it"
        )
    return PromptGroup(prompt, (chosen, rejected), (Comparison(0, 1, tie=tie),), scores)


def rated_pair(row: RowValues, prompt: Prompt, chosen: Response | str, rejected: Response | str) -> PromptGroup:
    """Return a group of two responses with the ratings that the row has of both.

    Equal ratings are a tie: such a "chosen" was picked blindly.

    Raises:
        RowError: the ratings, their difference or a verdict say that the rejected response is the better one.
    """
    tie = any(flag(row[field], field) for field in TIE_FIELDS if holds(row.get(field)))
    tie |= _is_tied_in_words(row)
    tie |= _is_tied_by_difference(row)
    ratings = _ratings(row)
    if ratings is None:
        return pair(prompt, chosen, rejected, tie=tie)
    fields, values = ratings
    scores = [as_number(value, cut(field)) for value, field in zip(values, fields, strict=True)]
    if scores[0] < scores[1]:
        columns = dict.fromkeys(cut(field.partition("[")[0]) for field in fields)  # one where an object held both
        good, bad = map(cut, fields)
        left_out = ", ".join(f"{column}: null" for column in columns)
        raise RowError(
            "value",
            f"field {good!r} ({scores[0]:g}) is below field {bad!r} ({scores[1]:g}), so the ratings "
            f"contradict the preference. Correct the row, or leave the ratings out (data.columns={{{left_out}}})",
        )
    return pair(prompt, chosen, rejected, tie=tie or scores[0] == scores[1], scores=scores)


def rating_fields(row: RowValues) -> tuple[str, str] | None:
    """Return the first two columns that hold a rating of either response; None where there are none."""
    for name, other in _rating_columns(tuple(row)):
        if _is_rating(dict.get(row, name)) and _is_rating(dict.get(row, other)):
            return name, other
    return None


# The rows of a file nearly always have the same columns, so their names are taken apart once and not for every row.
@lru_cache(maxsize=256)
def _rating_columns(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return the pairs of columns that by their names rate the better and the worse response."""
    by_words = {tuple(words_of(name)): name for name in reversed(names)}  # of equal words the first column counts
    pairs = []
    for name in names:
        words = words_of(name)
        if not RATING_WORDS.intersection(words) or NO_RATING_WORDS.intersection(words):
            continue
        for good, bad in SIDES:
            other = by_words.get(tuple(bad if word == good else word for word in words))
            if good in words and other is not None:
                pairs.append((name, other))
    return tuple(pairs)


def _ratings(row: RowValues) -> tuple[tuple[str, str], tuple[object, object]] | None:
    """Return the names and values of the two ratings, from two columns or from an object with both."""
    fields = rating_fields(row)
    if fields is not None:
        return fields, (_number(row[fields[0]]), _number(row[fields[1]]))
    for name in row:
        value = dict.get(row, name)
        if isinstance(value, dict) and RATING_WORDS.intersection(words_of(name)):
            for good, bad in SIDES:
                if _is_rating(value.get(good)) and _is_rating(value.get(bad)):
                    row.get(name)  # so that it counts as read
                    return (f"{name}[{good}]", f"{name}[{bad}]"), (_number(value[good]), _number(value[bad]))
    return None


def _number(value: object) -> object:
    """Return the number that a text holds; any other value as it is."""
    if not isinstance(value, str):
        return value
    if fraction := FRACTION.fullmatch(value):
        return float(fraction[1]) / int(fraction[2]) if int(fraction[2]) else None
    try:
        return float(value.replace(",", ".") if DECIMAL_COMMA.fullmatch(value) else value)
    except ValueError:  # a word, which is no rating
        return None


def _is_rating(value: object) -> bool:
    """Return whether a value is a number, be it one that cannot be used; text is one if it can be read as such."""
    number = _number(value)
    # NaN is a missing cell. Infinity is a rating, which `as_number` refuses with its column's name.
    return isinstance(number, int | float) and not isinstance(number, bool) and number == number


@lru_cache(maxsize=256)
def _difference_columns(names: tuple[str, ...]) -> tuple[tuple[str, bool], ...]:
    """Return the columns with how much better the chosen response is, and whether 0 says that both are equal.

    A bare `margin` of 0 is only a weak preference: TRL adds it to the loss.
    """
    columns = []
    for name in names:
        words = set(words_of(name))
        of_ratings = bool(DIFFERENCE_WORDS & words) and bool(RATING_WORDS & words)
        if "margin" in words or of_ratings:
            columns.append((name, of_ratings))
    return tuple(columns)


def _is_tied_by_difference(row: RowValues) -> bool:
    for name, zero_ties in _difference_columns(tuple(row)):
        number = _number(dict.get(row, name))
        if not isinstance(number, int | float) or isinstance(number, bool):
            continue
        row.get(name)  # so that it counts as read
        if number < 0:
            raise RowError(
                "value",
                f"field {cut(name)!r} ({number:g}) is below 0, so it says that the rejected response is the better "
                f"one. Correct the row, or leave the column out (data.columns={{{cut(name)}: null}})",
            )
        if zero_ties and number == 0:
            return True
    return False


@lru_cache(maxsize=256)
def _verdict_columns(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if any(map(VERDICT_WORD.fullmatch, words_of(name))))


def _is_tied_in_words(row: RowValues) -> bool:
    """Return whether a column such as `status` or `winner` says that neither response is the better one.

    Raises:
        RowError: it says that the rejected one is, or that the row is not to be used.
    """
    for name in _verdict_columns(tuple(row)):
        value = dict.get(row, name)
        verdict = value.strip().lower() if isinstance(value, str) else ""
        if verdict in CONTRADICTING_VALUES:
            raise RowError(
                "value",
                f"field {cut(name)!r} says {cut(value)!r}, which contradicts the preference or gives the row up. "
                f"Correct or remove the row, or leave the column out (data.columns={{{cut(name)}: null}})",
            )
        if TIE_VALUE.fullmatch(verdict):
            row.get(name)  # so that it counts as read
            return True
    return False
