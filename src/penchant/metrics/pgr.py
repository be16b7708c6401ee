"""Performance Gap Recovered (Burns et al. 2023, arXiv:2312.09390), with its uncertainty.

PGR = (student - weak) / (ceiling - weak), of accuracies on one test set: 0 where the student is no better than its
supervisor, 1 where it is as good as the same student trained on the truth. It is a ratio of two noisy differences, so

- whether there is a gap at all is tested first: without one the ratio means nothing and is *undefined*;
- it is the ratio of the means over seeds, never a mean of ratios, which explode where a gap happens to be small;
- its interval is Fieller's (1954): all ratios r for which student - weak - r (ceiling - weak) may be zero, seeds and
  items both drawn anew (`two_way`), and paired: the three models answer the same items.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from penchant.errors import InputError
from penchant.metrics.estimates import Estimate, Measure
from penchant.metrics.resampling import Clusters, Numbers
from penchant.metrics.shares import same_interval
from penchant.metrics.two_way import as_table, group_deviations, squared_half_widths, two_way_mean

WIDE = 0.1  # a half-width above this leaves open what the student did; the warning says what would reach it


@dataclass(frozen=True, slots=True)
class PGR(Measure):
    """The share of the gap that a student recovered, or why there is none.

    Attributes:
        value: the ratio; None when undefined. It may lie outside [0, 1].
        low, high: ends of its interval; None when undefined.
        reason: why it is undefined; empty when it is not.
        weak, student, ceiling: mean accuracies.
        gain: student - weak. gap: ceiling - weak. Both paired.
        warnings: what a reader should know before using the number.
    """

    value: float | None
    low: float | None
    high: float | None
    reason: str
    weak: Estimate
    student: Estimate
    ceiling: Estimate
    gain: Estimate
    gap: Estimate
    warnings: tuple[str, ...] = ()


def pgr(
    weak: ArrayLike, student: ArrayLike, ceiling: ArrayLike, *, level: float = 0.95, groups: Clusters | None = None
) -> PGR:
    """Compute the share of the gap between weak supervisor and ceiling that the student recovered.

    Args:
        weak, student, ceiling: correctness of each model, shape (seeds, test items), 0 or 1 (or between, where an
            answer may be half right); item i and seed s are the same item and split in all three.
        level: coverage of every interval.
        groups: shape (test items,), what items that move together share, such as the question that two rows are about;
            every item by itself if not given. The intervals draw whole groups.

    Returns:
        The ratio with its interval, or the reason why it is undefined. An interval of one seed is for new items
        only, and a warning says so.

    Raises:
        InputError: other shapes, fewer than two items, other groups, or numbers outside [0, 1].
    """
    w, s, c = _correctness(weak, "weak"), _correctness(student, "student"), _correctness(ceiling, "ceiling")
    if not w.shape == s.shape == c.shape:
        raise InputError(
            f"the three models must have answered the same items with the same seeds: weak has the shape {w.shape}, "
            f"student {s.shape}, ceiling {c.shape} (seeds, test items)"
        )
    mean = partial(two_way_mean, level=level, groups=groups)
    # accuracies are shares; their differences are not, and lie between -1 and 1
    means = mean(w, share=True), mean(s, share=True), mean(c, share=True)
    gain, gap = mean(s - w), mean(c - w)
    warnings: tuple[str, ...] = ()
    if len(w) == 1:
        warnings += ("one seed: the intervals leave out how much seeds differ",)
    if (reason := _no_gap(gap)) is not None:
        return PGR(None, None, None, reason, *means, gain, gap, warnings)
    # a ratio of means over seeds: the mean of ratios explodes where one seed's gap happens to be small
    value = gain.value / gap.value
    parts = group_deviations(s - w, groups) + gain.value, group_deviations(c - w, groups) + gap.value
    low, high = _fieller(*parts, level)
    if (half := (high - low) / 2) > WIDE:
        warnings += (_what_would_do(parts[0] - value * parts[1], w.shape, gap.value, half, level),)
    return PGR(value, low, high, "", *means, gain, gap, warnings)


def _correctness(values: ArrayLike, name: str) -> Numbers:
    table = as_table(values, name)
    if table.min() < 0 or table.max() > 1:
        raise InputError(f"{name} must be correctness between 0 and 1, got {table.min():g} to {table.max():g}")
    if table.shape[1] < 2:
        raise InputError(f"{name} has one test item, of which no interval can be made")
    return table


def _no_gap(gap: Estimate) -> str | None:
    """Return why there is no gap to recover; None where there is one."""
    if gap.above(0):
        return None
    if gap.has_interval:
        return f"no gap: ceiling - weak is {gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]"
    # one group of items has a mean and no interval
    if gap.clusters == 1:
        return f"no gap can be shown: ceiling - weak is {gap.value:+.3f} ({gap.reason})"
    return None if gap.value > 0 else f"no gap: ceiling - weak is {gap.value:+.3f} on every test item"


def _fieller(gain: Numbers, gap: Numbers, level: float) -> tuple[float, float]:
    """Return the smallest and largest ratio that the data do not exclude; finite, since the gap excludes zero.

    Where student and ceiling (or any fixed share of the gap) agree on every item, there is no variance to take a width
    from: items on which they differ remain unseen as in `same_interval`, and this is the least half-width.
    """
    middle = float(gain.mean() / gap.mean())
    # rounding aside, no item sets the student apart from a fixed share of the ceiling
    agree = float(np.ptp(gain - middle * gap)) < 1e-12
    least_half_width = same_interval(0.0, gain.shape[1], level, (-1.0, 1.0))[1] if agree else 0.0

    def excess(ratio: float) -> float:
        """Return a number above zero where the ratio is excluded."""
        rest = gain - ratio * gap
        return float(rest.mean() ** 2 - max(sum(squared_half_widths(rest, level=level)), least_half_width**2))

    return _edge(excess, middle, -1.0), _edge(excess, middle, 1.0)


def _edge(excess: Callable[[float], float], middle: float, step: float) -> float:
    if excess(middle) >= 0:  # no spread at all: the ratio is exact
        return middle
    # steps double until one lands outside, since nobody knows how far out an end lies
    included = middle
    while excess(middle + step) < 0:
        included, step = middle + step, 2 * step
        if not math.isfinite(middle + step):
            return middle + step
    return float(brentq(excess, *sorted((included, middle + step))))


def _what_would_do(rest: Numbers, shape: tuple[int, ...], gap: float, half: float, level: float) -> str:
    """Say how many items would bring the half-width down to WIDE, seeds left as they are."""
    from_seeds, from_items = squared_half_widths(rest, level=level)
    seeds, items = shape
    text = f"the interval is ±{half:.2f}: {items:,} test items and {seeds} seeds are few for a gap of {gap:.2f}; "
    # the items' part of the squared half-width falls with their number, the seeds' part does not
    left = (WIDE * gap) ** 2 - from_seeds
    if left <= 0:
        return text + "more items alone would not help, since seeds differ too much: take more seeds"
    items_needed = math.ceil(items * from_items / left)
    if items_needed <= items:
        return text + "somewhat more of both would bring it to ±0.1"
    return (
        text
        + f"about {float(np.format_float_positional(items_needed, 2, fractional=False)):,.0f} items would give ±0.1"
    )
