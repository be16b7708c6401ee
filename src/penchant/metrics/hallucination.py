"""How much of what a model says of pictures is false: in descriptions, and in answers to questions about objects.

Descriptions are measured as CHAIR does (Rohrbach et al. 2018, "Object hallucination in image captioning"): the share of
mentioned objects that are not there, and of captions with such an object; and as SHR of HA-DPO does: the share of
sentences. What is left out counts too: a model that says nothing invents nothing. Questions are those of POPE (Li et
al. 2023, "Evaluating object hallucination in large vision-language models"), whose answers are read here with a third
case: one that is neither yes nor no is never taken as a yes.

Every interval resamples pictures.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from penchant.errors import InputError
from penchant.metrics.estimates import Estimate
from penchant.metrics.intervals import cluster_mean, finite_vector, mean_within, paired_difference
from penchant.metrics.object_mentions import CaptionCounts
from penchant.metrics.resampling import Clusters

RATIOS = {
    "false_per_mention": ("false", ("true", "false")),
    "false_sentences": ("false_sentences", ("sentences",)),
    "recall": ("recalled", ("objects",)),
}
"""Measures that are a sum over a sum: by name, the counts above and below."""
UNIT = "picture"
FIRST_WORD = re.compile(r"^\W*(yes|no)\b", re.IGNORECASE)
ANY_WORD = re.compile(r"\b(yes|no)\b", re.IGNORECASE)


def measure_captions(counts: Sequence[CaptionCounts], pictures: Clusters) -> dict[str, Estimate]:
    """Measure descriptions of pictures whose objects are known.

    Args:
        counts: of each description (`count_caption`). pictures: shape (descriptions,), which picture each is of.

    Returns:
        `false_per_mention` (CHAIR's share of mentions), `false_captions` (its share of captions), `false_sentences`,
        `false_objects` (different invented objects per caption), `recall` (share of the pictures' objects that are
        mentioned), `duplicates`, `mentions` and `words` per caption. A ratio whose lower sum is 0 is left out.

    Raises:
        InputError: no description, or another number of pictures.
    """
    measures = {
        name: cluster_mean(values, pictures, share=share, unit=UNIT) for name, (values, share) in _means(counts)
    }
    for name in RATIOS:
        above, below = _ratio_counts(counts, name)
        # a caption that mentions nothing has no share of false mentions, and is no proof of truth
        selected = below > 0
        if selected.any():
            clusters = [picture for picture, keep in zip(pictures, selected, strict=True) if keep]
            # weighted by what is below, the mean of shares is the ratio of sums
            shares = above[selected] / below[selected]
            measures[name] = cluster_mean(shares, clusters, weights=below[selected], share=True, unit=UNIT)
    return measures


def compare_captions(
    before: Sequence[CaptionCounts], after: Sequence[CaptionCounts], pictures: Clusters
) -> dict[str, Estimate]:
    """Return after minus before of each measure of `measure_captions`, description by description.

    Args:
        before, after: item i of both describes picture i of `pictures`.

    Raises:
        InputError: other lengths.
    """
    if len(before) != len(after):
        raise InputError(
            f"a paired difference needs as many captions on both sides, got {len(after)} and {len(before)}"
        )
    # both sides describe the same pictures, so what a picture makes hard is taken out
    old = dict(_means(before))
    differences = {
        name: paired_difference(values, old[name][0], pictures, share=share, unit=UNIT)
        for name, (values, share) in _means(after)
    }
    for name in RATIOS:
        sides = (*_ratio_counts(after, name), *_ratio_counts(before, name))
        # a side that mentions nothing at all has no ratio to compare
        if sides[1].sum() > 0 and sides[3].sum() > 0:
            differences[name] = ratio_difference(*sides, pictures)
    return differences


def ratio_difference(
    above_a: ArrayLike, below_a: ArrayLike, above_b: ArrayLike, below_b: ArrayLike, clusters: Clusters
) -> Estimate:
    """Return a ratio of sums minus another over the same items, with an interval over clusters.

    Each ratio is linearised around its value, so that what the same item does to both is paired:
    R + (above - R below) / mean(below).

    Args:
        above_a, below_a, above_b, below_b: shape (items,), finite; what is below is not negative, its sum above 0.
        clusters: shape (items,), what items that move together share.

    Raises:
        InputError: other lengths, or a sum below that is 0.
    """
    sides = []
    for above, below in ((above_a, below_a), (above_b, below_b)):
        upper, lower = finite_vector(above, "above"), finite_vector(below, "below")
        if len(upper) != len(lower) or lower.min() < 0 or lower.sum() <= 0:
            raise InputError("a ratio needs as many counts above as below, and a sum below that is above 0")
        # a difference of two ratios has no items of its own: each is made one per item
        ratio = upper.sum() / lower.sum()
        # the mean of these values is the ratio itself, and their spread is that of its error
        sides.append(ratio + (upper - ratio * lower) / lower.mean())
    if len(sides[0]) != len(sides[1]):
        raise InputError(f"a paired difference needs as many items on both sides, got {len(sides[0])}, {len(sides[1])}")
    return mean_within(sides[0] - sides[1], clusters, None, unit=UNIT)


def _means(counts: Sequence[CaptionCounts]) -> list[tuple[str, tuple[list[float], bool]]]:
    """Return the measures that are means over captions, with whether they are shares."""
    return [
        ("false_captions", ([float(count.false > 0) for count in counts], True)),
        ("false_objects", ([float(count.invented) for count in counts], False)),
        ("duplicates", ([float(count.duplicates) for count in counts], False)),
        ("mentions", ([float(count.true + count.false) for count in counts], False)),
        ("words", ([float(count.words) for count in counts], False)),
    ]


def _ratio_counts(counts: Sequence[CaptionCounts], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return what stands above and below in a ratio, (captions,) each."""
    above, below = RATIOS[name]
    lower = [sum(getattr(count, part) for part in below) for count in counts]
    return np.array([float(getattr(count, above)) for count in counts]), np.array(lower, dtype=float)


# -- yes or no ----------------------------------------------------------------------------------------------------


def read_yes_no(text: str) -> bool | None:
    """Return what an answer says: True for yes, False for no, None where it says neither or both.

    An answer that begins with one of the words says it. Elsewhere the first line counts where it has one of them alone.
    """
    # "No, there is a dog" and "Yes. No cat is there" are answered by their first word
    if (match := FIRST_WORD.match(text)) is not None:
        return match[1].lower() == "yes"
    # what follows the first line is often another question that the model asks itself
    lines = text.strip().splitlines()
    words = {word.lower() for word in ANY_WORD.findall(lines[0])} if lines else set()
    # "yes or no" repeats the question and answers nothing
    return words == {"yes"} if len(words) == 1 else None


@dataclass(frozen=True, slots=True)
class _AnswerTable:
    """Answers as numbers, (questions,): whether each is right, says yes, was read, and whether yes is true."""

    right: np.ndarray
    yes: np.ndarray
    is_read: np.ndarray
    truth: np.ndarray

    @property
    def f1(self) -> tuple[np.ndarray, np.ndarray]:
        """Return what stands above and below in F1: 2 TP over 2 TP + FP + FN."""
        # per question, so that F1 is a ratio of sums whose interval resamples pictures
        hits = self.yes & self.truth
        misses = (self.yes & ~self.truth) | (~self.yes & self.truth)
        return 2.0 * hits, 2.0 * hits + misses


def measure_answers(answers: Sequence[bool | None], truth: Sequence[bool], pictures: Clusters) -> dict[str, Estimate]:
    """Measure answers to questions whether pictures show objects.

    An answer that cannot be read is not right, is no yes, and finds nothing: it lowers accuracy and recall, and never
    precision.

    Args:
        answers: as `read_yes_no` gives them. truth: whether yes is right. pictures: shape (questions,).

    Returns:
        `accuracy`, `precision` (right ones of the answers yes), `recall` (found ones of the objects that are there),
        `f1`, `yes_share` (of the answers that can be read), `unparseable` (of all), and `accuracy_parsed` (of those
        that can be read). One with nothing to divide by is left out.

    Raises:
        InputError: no answer, or other lengths.
    """
    table = _answer_table(answers, truth)
    all_questions = np.ones(len(table.truth), dtype=bool)
    above, below = table.f1
    parts = {
        "accuracy": (table.right, all_questions, None),
        "precision": (table.right, table.yes, None),
        "recall": (table.yes, table.truth, None),
        "f1": (above > 0, below > 0, below),
        "yes_share": (table.yes, table.is_read, None),
        "unparseable": (~table.is_read, all_questions, None),
        "accuracy_parsed": (table.right, table.is_read, None),
    }
    measures = {}
    for name, (values, selected, weights) in parts.items():
        if selected.any():
            clusters = [picture for picture, keep in zip(pictures, selected, strict=True) if keep]
            # F1 weighs hits twice, as its equation has it
            mass = None if weights is None else weights[selected]
            measures[name] = cluster_mean(values[selected].astype(float), clusters, weights=mass, share=True, unit=UNIT)
    return measures


def compare_answers(
    before: Sequence[bool | None], after: Sequence[bool | None], truth: Sequence[bool], pictures: Clusters
) -> dict[str, Estimate]:
    """Return after minus before of accuracy, F1, the share of yes and of what cannot be read, question by question.

    Raises:
        InputError: other lengths.
    """
    # shares of all questions are paired as they are; ratios have other denominators on each side
    old, new = _answer_table(before, truth), _answer_table(after, truth)
    differences = {
        "accuracy": paired_difference(new.right, old.right, pictures, share=True, unit=UNIT),
        "unparseable": paired_difference(~new.is_read, ~old.is_read, pictures, share=True, unit=UNIT),
    }
    ratios = {"f1": (*new.f1, *old.f1), "yes_share": (new.yes, new.is_read, old.yes, old.is_read)}
    for name, sides in ratios.items():
        if sides[1].any() and sides[3].any():
            differences[name] = ratio_difference(*sides, pictures)
    return differences


def _answer_table(answers: Sequence[bool | None], truth: Sequence[bool]) -> _AnswerTable:
    if len(answers) != len(truth):
        raise InputError(f"one answer per question is needed, got {len(answers)} for {len(truth)}")
    truths = np.array(truth, dtype=bool)
    yes = np.array([answer is True for answer in answers], dtype=bool)
    # the published parser takes everything else for a yes, which this must not do
    is_read = np.array([answer is not None for answer in answers], dtype=bool)
    return _AnswerTable(is_read & (yes == truths), yes, is_read, truths)
