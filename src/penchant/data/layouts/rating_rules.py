"""Turn ratings into comparisons by the rules that are set: which rating counts, and how much better is better."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from penchant.data.layouts.columns import NO_RULES, ReadRow
from penchant.data.layouts.outcomes import comparisons_of_scores
from penchant.data.merge import merge_groups
from penchant.data.options import RatingRules
from penchant.data.sources.values import RowError, RowValues, as_number, as_object, cut
from penchant.errors import did_you_mean
from penchant.types import Comparison, Prompt, PromptGroup

FRACTION = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*/\s*(\d+)\s*")  # 4/5, as annotation forms write a rating
RATER_FIELDS = ("annotator", "rater")
NO_RATERS: Mapping[str, str] = {}
DECIMAL_COMMA = re.compile(r"\s*-?\d{1,3},\d{1,2}\s*")  # with three digits behind it, it may part thousands


def rules_of(row: RowValues) -> RatingRules:
    """Return how the ratings of a row are to be read."""
    return row.rules if isinstance(row, ReadRow) else NO_RULES


def state_rating(row: RowValues, sentence: str) -> None:
    """Note for the report how the ratings of a row were read."""
    if isinstance(row, ReadRow):
        row.rating = sentence


def state_rater(row: RowValues) -> None:
    """Note who rated a row, where it says so: its rating is then compared with those of the same rater alone."""
    if not isinstance(row, ReadRow):
        return
    # looked at without `get`, which notes a column as read: one that names nobody is not
    values = dict(row.items())
    for name in RATER_FIELDS:
        value = values.get(name)
        # many files number their raters; True is an int in Python, and names nobody
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            row.rater = str(row[name]).strip()
            row.rating += f", within each {name}"
            return


def rating_weights(row: RowValues, default: str) -> dict[str, float]:
    """Return the weight of each rating that counts, and note the rule.

    Args:
        default: the rating that counts unless `data.score` names others.
    """
    score = rules_of(row).score
    weights = {default: 1.0} if score is None else {score: 1.0} if isinstance(score, str) else dict(score)
    terms = [f"{'-' if weight < 0 else '+'} {_factor(weight)}{name}" for name, weight in weights.items()]
    state_rating(row, " ".join(terms).removeprefix("+ "))
    return weights


def _factor(weight: float) -> str:
    return "" if abs(weight) == 1 else f"{abs(weight):g} * "


def state_only_rating(row: RowValues, name: str) -> None:
    """Note that the rows of a layout have one rating or verdict and no other.

    Raises:
        RowError: `data.score` names another one.
    """
    score = rules_of(row).score
    if score not in (None, name):
        raise RowError("value", f"data.score: the rows have {name} and nothing else to compare by, got {score!r}")
    state_rating(row, name)


def weighted_rating(ratings: Mapping[str, object], weights: Mapping[str, float], path: str = "") -> float:
    """Return the weighted sum of ratings.

    Args:
        ratings: by name, numbers; other values may stand beside them.
        path: where they stand in the row, for messages, with a dot at its end.

    Raises:
        RowError: a rating that is not there, or is no number.
    """
    total = 0.0
    for name, weight in weights.items():
        if ratings.get(name) is None:
            names = [rating for rating, value in ratings.items() if isinstance(value, int | float)]
            advice = did_you_mean(name, names, form=repr)
            raise RowError(
                "missing",
                f"data.score: there is no rating {cut(path + name)!r}{advice}; the ratings are "
                f"{', '.join(map(cut, names[:20])) or 'none'}",
            )
        total += weight * as_number(ratings[name], f"{path}{name}")
    return total


def choice_of(row: RowValues, choices: Sequence[str]) -> str | None:
    """Return which of several verdicts of a row `data.score` names; None where it names none.

    Raises:
        RowError: it names another one, or a weighted sum.
    """
    score = rules_of(row).score
    if score is None:
        return None
    if not isinstance(score, str) or score not in choices:
        advice = did_you_mean(score, choices, form=repr) if isinstance(score, str) else ""
        raise RowError("value", f"data.score: expected one of {', '.join(choices)}, got {score!r}{advice}")
    return score


def strength_comparison(strength: float, row: RowValues, *, annotator: str | None = None) -> Comparison:
    """Return the comparison of two responses by how much better the second one is; below 0 the first one is.

    The weight is the strength. A strength of 0, or below the margin, is a tie of weight 1.
    """
    if strength == 0 or abs(strength) < rules_of(row).margin:
        return Comparison(0, 1, tie=True, annotator=annotator)
    winner = int(strength > 0)
    return Comparison(winner, 1 - winner, annotator=annotator, weight=abs(strength))


def apply_margin(group: PromptGroup, margin: float) -> PromptGroup:
    """Return the group with those comparisons as ties whose responses have scores that are nearer than the margin."""
    if not margin or group.scores is None:
        return group
    scores = group.scores
    comparisons = [
        Comparison(pair.winner, pair.loser, True, pair.annotator, pair.weight)
        if not pair.tie and abs(scores[pair.winner] - scores[pair.loser]) < margin
        else pair
        for pair in group.comparisons
    ]
    return group.replace(comparisons=tuple(comparisons))


def join_ratings(
    groups: Sequence[PromptGroup], rules: RatingRules, raters: Mapping[str, str] = NO_RATERS
) -> list[PromptGroup]:
    """Return one group per prompt of rows that hold one rated response each, compared by their scores.

    Each rater's ratings are compared among themselves. A harsh rater of some responses would make them look worse, if
    means over raters were compared. A response that one rater rated in several rows has their mean.

    Args:
        raters: by the row (`PromptGroup.source`), who rated it; rows without one are those of one more rater.
    """
    rows_of: dict[str | None, list[PromptGroup]] = {}
    for group in groups:
        rows_of.setdefault(raters.get(group.source), []).append(group)
    if len(rows_of) < 2 and None in rows_of:
        return _compared(groups, rules)
    # All rows together give the order of prompts and responses; the raters' comparisons are numbered by it.
    joined = merge_groups(groups, counts_add=False).groups
    comparisons: dict[Prompt, list[Comparison]] = {}
    indices = {group.prompt: {response: n for n, response in enumerate(group.responses)} for group in joined}
    for rater, rows in rows_of.items():
        for group in _compared(rows, rules):
            index = [indices[group.prompt][response] for response in group.responses]
            comparisons.setdefault(group.prompt, []).extend(
                Comparison(index[pair.winner], index[pair.loser], pair.tie, rater, pair.weight)
                for pair in group.comparisons
            )
    return [group.replace(comparisons=tuple(comparisons[group.prompt])) for group in joined]


def _compared(groups: Sequence[PromptGroup], rules: RatingRules) -> list[PromptGroup]:
    joined = merge_groups(groups, counts_add=False).groups
    return [
        apply_margin(
            group.replace(comparisons=tuple(comparisons_of_scores(group.scores, group.responses))), rules.margin
        )
        if group.scores is not None and not group.comparisons
        else group
        for group in joined
    ]


def nested_ratings(value: object, name: str, key: str) -> dict[str, object]:
    """Return the ratings of an object of objects, such as `{"honesty": {"Rating": "4"}}`; those of text as numbers."""
    ratings: dict[str, object] = {}
    for aspect, item in as_object(value, name).items():
        if isinstance(item, dict):
            ratings[aspect] = number_in(item.get(key))
    return ratings


def number_in(value: object) -> object:
    """Return the number that a text holds; any other value as it is."""
    if not isinstance(value, str):
        return value
    if fraction := FRACTION.fullmatch(value):
        return float(fraction[1]) / int(fraction[2]) if int(fraction[2]) else None
    try:
        return float(value.replace(",", ".") if DECIMAL_COMMA.fullmatch(value) else value)
    except ValueError:  # a word, which is no rating
        return None
