"""Read what a row says of a pair beside its order: ratings of both, their difference, and verdicts in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from penchant.data.layouts.rating_rules import number_in, rules_of, state_rating
from penchant.data.sources.values import RowError, RowValues, as_number, cut, flag, holds, words_of
from penchant.errors import did_you_mean
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

    Equal ratings are a tie: such a "chosen" was picked blindly. A rating that `data.score` names decides by itself.

    Raises:
        RowError: the ratings, their difference or a verdict say that the rejected response is the better one.
    """
    tie = any(flag(row[field], field) for field in TIE_FIELDS if holds(row.get(field)))
    tie |= _is_tied_in_words(row)
    tie |= _is_tied_by_difference(row)
    ratings = _ratings(row)
    if ratings is None:
        return pair(prompt, chosen, rejected, tie=tie)
    fields, scores = ratings
    state_rating(row, f"{fields[0]} and {fields[1]}")
    if rules_of(row).score is not None and scores[0] < scores[1]:  # who names a rating wants it to decide
        return pair(prompt, chosen, rejected, scores=scores).replace(comparisons=(Comparison(1, 0, tie=tie),))
    if scores[0] < scores[1]:
        # one name where an object held both; several where a weighted sum was taken
        parts = [part for field in fields for part in field.split(" + ")]
        columns = dict.fromkeys(cut(part.partition("[")[0]) for part in parts)
        good, bad = map(cut, fields)
        left_out = ", ".join(f"{column}: null" for column in columns)
        raise RowError(
            "value",
            f"field {good!r} ({scores[0]:g}) is below field {bad!r} ({scores[1]:g}), so the ratings "
            f"contradict the preference. Correct the row, or leave the ratings out (data.columns={{{left_out}}})",
        )
    return pair(prompt, chosen, rejected, tie=tie or scores[0] == scores[1], scores=scores)


def rating_fields(row: RowValues, score: str | None = None) -> tuple[str, str] | None:
    """Return the first two columns that hold a rating of either response; None where there are none.

    Args:
        score: the rating that they have to be: one of the columns, or what is left of their names without the sides
            (`rm_score` for `rm_score_chosen` and `rm_score_rejected`).
    """
    for name, other, words in _rating_columns(tuple(row)):
        is_meant = _name_ratings(words) if score is None else score in (name, other) or words_of(score) == list(words)
        if is_meant and _is_rating(dict.get(row, name)) and _is_rating(dict.get(row, other)):
            return name, other
    return None


# The rows of a file nearly always have the same columns, so their names are taken apart once and not for every row.
@lru_cache(maxsize=256)
def _rating_columns(names: tuple[str, ...]) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Return the pairs of columns that belong to the better and the worse response, and the words that both share."""
    by_words = {tuple(words_of(name)): name for name in reversed(names)}  # of equal words the first column counts
    pairs = []
    for name in names:
        words = words_of(name)
        for good, bad in SIDES:
            other = by_words.get(tuple(bad if word == good else word for word in words))
            if good in words and other is not None:
                pairs.append((name, other, tuple(word for word in words if word != good)))
    return tuple(pairs)


def _name_ratings(words: Sequence[str]) -> bool:
    return bool(RATING_WORDS.intersection(words)) and not NO_RATING_WORDS.intersection(words)


def _ratings(row: RowValues) -> tuple[tuple[str, str], tuple[float, float]] | None:
    """Return the names and values of the two ratings that count; with weights, of both sums.

    Raises:
        RowError: `data.score` names ratings that the row lacks, or one is no finite number.
    """
    score = rules_of(row).score
    if score is None:
        return _rating_pair(row, None)
    weights = {score: 1.0} if isinstance(score, str) else dict(score)
    sums, fields = [0.0, 0.0], []
    for name, weight in weights.items():
        if (rated := _rating_pair(row, name)) is None:
            names = ["_".join(words) for _, _, words in _rating_columns(tuple(row)) if words]
            raise RowError(
                "missing",
                f"data.score: no rating {cut(name)!r} of both responses{did_you_mean(name, names, form=repr)}; the "
                f"row has {', '.join(map(cut, names[:20])) or 'none'}",
            )
        fields.append(rated[0])
        sums = [total + weight * value for total, value in zip(sums, rated[1], strict=True)]
    good, bad = (" + ".join(side) for side in zip(*fields, strict=True))
    return (good, bad), (sums[0], sums[1])


def _rating_pair(row: RowValues, score: str | None) -> tuple[tuple[str, str], tuple[float, float]] | None:
    """Return the names and values of two ratings, from two columns or from an object with both."""
    fields = rating_fields(row, score)
    if fields is not None:
        values = [as_number(number_in(row[field]), cut(field)) for field in fields]
        return fields, (values[0], values[1])
    for name in row:
        value = dict.get(row, name)
        if isinstance(value, dict) and (RATING_WORDS.intersection(words_of(name)) if score is None else name == score):
            for good, bad in SIDES:
                if _is_rating(value.get(good)) and _is_rating(value.get(bad)):
                    row.get(name)  # so that it counts as read
                    names = (f"{name}[{good}]", f"{name}[{bad}]")
                    values = [as_number(number_in(value[side]), cut(name)) for side in (good, bad)]
                    return names, (values[0], values[1])
    return None


def _is_rating(value: object) -> bool:
    """Return whether a value is a number, be it one that cannot be used; text is one if it can be read as such."""
    number = number_in(value)
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
        number = number_in(dict.get(row, name))
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
