"""Read responses that are labelled good or bad one at a time, and find the labels that any group holds.

A label needs no field of its own. In data without comparisons a response's score says which share of its labels is
good (1 good, 0 bad) and its `count` how many it has, so that merging rows keeps contradicting ones. In data with
comparisons each winner is labelled good and each loser bad, and scores are ratings. See
`docs/decisions/0007-kto-labels.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from penchant.data.sources.values import RowError, RowValues, flag
from penchant.errors import InputError
from penchant.types import PromptGroup

LABEL_FIELDS = ("label", "kto_tag")


def labelled(read: Callable[[RowValues], PromptGroup]) -> Callable[[RowValues], PromptGroup]:
    """Return a reader that reads a row as another one does, and its label as the response's score."""
    return lambda row: read(row).replace(scores=(_label(row),))


def _label(row: RowValues) -> float:
    """Return 1 for good and 0 for bad."""
    filled = (name for name in LABEL_FIELDS if row.get(name) is not None)
    labels = {name: flag(row[name], name, expected="true (good) or false (bad)") for name in filled}
    if len(set(labels.values())) > 1:
        raise RowError("value", f"fields {' and '.join(map(repr, labels))} say the opposite of each other")
    return float(next(iter(labels.values())))


@dataclass(frozen=True, slots=True)
class Label:
    """The label of a response, good or bad. weight: how often that was said; halves come from ties."""

    response: int
    desirable: bool
    weight: float


def labels_of(group: PromptGroup) -> list[Label]:
    """Return the labels of a group's responses, one per response and side, in order; none where nothing is known.

    Raises:
        InputError: scores that are no labels, being below 0 or above 1.
    """
    weights: dict[tuple[int, bool], float] = {}
    for comparison in group.comparisons:
        for winner, loser, weight in comparison.directed():
            for key in ((winner, True), (loser, False)):
                weights[key] = weights.get(key, 0.0) + weight
    # Beside comparisons scores are ratings: a response of 0.7 that lost is a bad one.
    if not group.comparisons and group.scores is not None:
        for index, (score, response) in enumerate(zip(group.scores, group.responses, strict=True)):
            if not 0 <= score <= 1:
                raise InputError(
                    f"{group.source or 'a prompt group'}: response {index} has the score {score:g}, which is no label; "
                    "expected 1 (good) or 0 (bad). Label the responses, or compare them by their scores "
                    "(pt.compare_by_score)"
                )
            # Merged rows have averaged their labels and added their counts; multiplied, both sides come back.
            weights[index, True] = score * response.count
            weights[index, False] = (1 - score) * response.count
    return [Label(index, good, weight) for (index, good), weight in sorted(weights.items()) if weight > 0]


def without_ratings(groups: Sequence[PromptGroup]) -> list[PromptGroup]:
    """Return the groups without ratings: the scores of those without comparisons, where others have comparisons."""
    if not any(group.comparisons for group in groups):
        return list(groups)
    return [group if group.comparisons else group.replace(scores=None) for group in groups]


@dataclass(frozen=True)
class LabelCounts:
    """Summed weights of all labels, and how many responses have labels of both sides where none were compared."""

    desirable: float
    undesirable: float
    labelled_both: int


def count_labels(groups: Iterable[PromptGroup]) -> LabelCounts:
    """Count the labels of some groups; raises what `labels_of` does."""
    sums, contradictory = {True: 0.0, False: 0.0}, 0
    for group in groups:
        labels = labels_of(group)
        for label in labels:
            sums[label.desirable] += label.weight
        # A response that won and lost has labels of both sides by right; one that was labelled twice has not.
        if not group.comparisons:
            contradictory += len(labels) - len({label.response for label in labels})
    return LabelCounts(sums[True], sums[False], contradictory)
