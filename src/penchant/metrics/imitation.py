"""How a student relates to its supervisor: where they agree, and what becomes of the supervisor's errors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from penchant.errors import InputError
from penchant.metrics.estimates import Estimate
from penchant.metrics.intervals import cluster_mean
from penchant.metrics.resampling import Clusters, cluster_codes
from penchant.metrics.two_way import two_way_mean


@dataclass(frozen=True, slots=True)
class Agreement:
    """The agreement of a student with its supervisor on test items.

    Attributes:
        overall: share of the items on which both say the same.
        where_right, where_wrong: the same among the items on which the supervisor is right, or wrong; None where there
            are none. A student that imitates agrees where the supervisor is wrong. Their intervals resample
            items only.
        fixed, inherited, new: shares of all items: the supervisor is wrong and the student right; both are
            wrong; the supervisor is right and the student wrong.
    """

    overall: Estimate
    where_right: Estimate | None
    where_wrong: Estimate | None
    fixed: Estimate
    inherited: Estimate
    new: Estimate


def student_supervisor(
    weak: ArrayLike, student: ArrayLike, truth: ArrayLike, *, groups: Clusters | None = None
) -> Agreement:
    """Measure where a student agrees with its supervisor, and which of its errors it fixes, inherits and adds.

    Args:
        weak, student: predicted classes, shape (seeds, test items). truth: classes, shape (test items,).
        groups: shape (test items,), what items that move together share; every item by itself if not given.

    Raises:
        InputError: other shapes.
    """
    w, s, t = np.asarray(weak), np.asarray(student), np.asarray(truth)
    if w.ndim != 2 or w.shape != s.shape or t.shape != w.shape[1:]:
        raise InputError(
            f"predictions must have the shape (seeds, test items) and the truth (test items,), got {w.shape}, "
            f"{s.shape} and {t.shape}"
        )
    # all six shares are of the same answers, so they add up: fixed + inherited is how often the supervisor is wrong
    agreeing, right, hit = w == s, w == t, s == t
    codes = np.arange(w.shape[1]) if groups is None else cluster_codes(groups)
    share = partial(two_way_mean, share=True, groups=groups)
    where_right, where_wrong = (_agreement_where(agreeing, where, codes) for where in (right, ~right))
    fixed, inherited, new = share(~right & hit), share(~right & ~hit), share(right & ~hit)
    return Agreement(share(agreeing), where_right, where_wrong, fixed, inherited, new)


def _agreement_where(
    agreeing: NDArray[np.bool_], where: NDArray[np.bool_], groups: NDArray[np.intp]
) -> Estimate | None:
    # which items the supervisor gets right differs by seed, so there is no table of seeds and items to take apart
    _, items = np.nonzero(where)
    return cluster_mean(agreeing[where], groups[items], share=True) if len(items) else None


def consistency(predicted: ArrayLike, clusters: Clusters | None = None) -> Estimate:
    """Return how often a model answers an item the same when it is asked in other words.

    It is the share of pairs of templates that agree, a mean over items. No labels are needed; a model that knows what
    it is asked should come near 1.

    Args:
        predicted: classes, shape (templates, items). clusters: (items,) what related items share, which the interval
            resamples; every item by itself if not given.

    Raises:
        InputError: fewer than two templates, or another shape.
    """
    table = np.asarray(predicted)
    if table.ndim != 2 or len(table) < 2 or not table.shape[1]:
        raise InputError(
            f"consistency needs classes of shape (templates, items), two templates or more, got {table.shape}"
        )
    # a mean over pairs first, so that an item is one number whatever the number of templates
    pairs = list(combinations(range(len(table)), 2))
    agree = np.mean([table[wording] == table[other_wording] for wording, other_wording in pairs], axis=0)
    return cluster_mean(agree, np.arange(len(agree)) if clusters is None else clusters, share=True)
