"""How far raters (people, judges, models) agree.

Raters say one of a few things of each item, or nothing (missing). Agreement beyond chance is Cohen's kappa for two
(Cohen 1960, equal to scikit-learn's) and Krippendorff's alpha for any number of them (nominal; the package
`krippendorff`). Intervals resample clusters of items (prompts), with the statistic computed anew each time. What cannot
be computed is undefined, with a reason, and never NaN.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Unpack

import krippendorff
import numpy as np
from numpy.typing import NDArray

from penchant.errors import InputError
from penchant.metrics.chance_corrected import alphas, kappas, with_interval
from penchant.metrics.estimates import Coefficient
from penchant.metrics.intervals import cluster_mean
from penchant.metrics.resampling import Clusters, Resampling, cluster_codes

Rating = Hashable
"""What a rater says of an item, such as "first" or 1; None (or NaN) where it says nothing."""
MISSING = -1


@dataclass(frozen=True, slots=True)
class Pair:
    """The agreement of two raters: `raw`, the share of common items that they rate the same, and Cohen's `kappa`."""

    raw: Coefficient
    kappa: Coefficient


def pair_agreement(
    first: Sequence[Rating],
    second: Sequence[Rating],
    clusters: Clusters | None = None,
    **resampling: Unpack[Resampling],
) -> Pair:
    """Measure how far two raters agree on the items that both rated.

    Kappa = (observed - expected) / (1 - expected), expected from how often each says what. Where both always say one
    and the same thing it is 0 / 0: undefined.

    Args:
        first, second: (items,) what each says; None where it says nothing.
        clusters: (items,) what related items share; every item by itself if not given.
        resampling: level, resamples and seed, as in `cluster_mean`.

    Raises:
        InputError: other lengths.
    """
    codes, kinds = _coded([first, second])
    labels = _labels(codes, clusters)
    rated_by_both = (codes != MISSING).all(0)
    if not rated_by_both.any():
        undefined = Coefficient(None, None, None, 0, 0, "no item was rated by both")
        return Pair(undefined, undefined)
    (a, b), item_clusters = codes[:, rated_by_both], cluster_codes(labels[rated_by_both])
    raw = _share(a == b, item_clusters, resampling)
    tables = np.zeros((item_clusters.max() + 1, kinds * kinds))
    # a contingency table per cluster, since tables add up: a resample of clusters is a sum of theirs
    np.add.at(tables, (item_clusters, a * kinds + b), 1.0)
    value = float(kappas(tables.sum(0, keepdims=True))[0])
    if np.isnan(value):
        reason = "both say one and the same thing of every item, so chance alone would agree as often"
        return Pair(raw, Coefficient(None, None, None, len(a), len(tables), reason))
    return Pair(raw, with_interval(kappas, tables, value, len(a), **resampling))


def krippendorff_alpha(
    ratings: Sequence[Sequence[Rating]], clusters: Clusters | None = None, **resampling: Unpack[Resampling]
) -> Coefficient:
    """Compute Krippendorff's alpha (nominal) of any number of raters.

    Args:
        ratings: (raters, items), None where a rater says nothing. Items with fewer than two ratings tell nothing.
        clusters, resampling: as in `pair_agreement`.

    Returns:
        alpha = 1 - observed / expected disagreement; `n` counts items with two ratings or more.

    Raises:
        InputError: raters with other numbers of items.
    """
    codes, kinds = _coded(ratings)
    labels = _labels(codes, clusters)
    counts = np.array([(codes == kind).sum(0) for kind in range(kinds)]).reshape(kinds, codes.shape[1]).T
    pairable = counts.sum(1) >= 2
    n = int(pairable.sum())
    if not n:
        reason = "there is one rater only" if len(codes) < 2 else "no item was rated twice"
        return Coefficient(None, None, None, 0, 0, reason)
    counts, item_clusters = counts[pairable], cluster_codes(labels[pairable])
    # one kind of rating only: no disagreement is expected, and alpha is 0 / 0
    if (counts.sum(0) > 0).sum() < 2:
        reason = "everybody says one and the same thing of every item, so there is nothing to agree on"
        return Coefficient(None, None, None, n, int(item_clusters.max()) + 1, reason)
    value = float(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))
    # Krippendorff's coincidences: ordered pairs of ratings of one item, each weighed by 1 / (ratings - 1)
    ordered = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(kinds)
    coincidences = ordered / (counts.sum(1) - 1)[:, None, None]
    sums = np.zeros((item_clusters.max() + 1, kinds * kinds))
    np.add.at(sums, item_clusters, coincidences.reshape(n, -1))
    return with_interval(alphas, sums, value, n, **resampling)


def majority(ratings: Sequence[Sequence[Rating]]) -> list[Rating]:
    """Return the rating that most raters give each item; None where nobody says anything or no single rating leads.

    Args:
        ratings: (raters, items), None where a rater says nothing.
    """
    codes, kinds = _coded(ratings)
    names = _kinds(ratings)
    counts = np.array([(codes == kind).sum(0) for kind in range(kinds)]).reshape(kinds, codes.shape[1])
    if not kinds:
        return [None] * codes.shape[1]
    leads = (counts == counts.max(0)).sum(0) == 1
    return [names[kind] if lead else None for kind, lead in zip(counts.argmax(0), leads, strict=True)]


def leave_one_out(
    ratings: Sequence[Sequence[Rating]], clusters: Clusters | None = None, **resampling: Unpack[Resampling]
) -> list[Pair]:
    """Compare each rater with the majority of the others. Items without such a majority are left out.

    With two others, a majority is what both say: the items are then the easier ones, and the agreement is higher than
    with any one of them.
    """
    pairs = []
    for number, rater in enumerate(ratings):
        other_raters = [*ratings[:number], *ratings[number + 1 :]]
        consensus = majority(other_raters) if other_raters else [None] * len(rater)
        pairs.append(pair_agreement(rater, consensus, clusters, **resampling))
    return pairs


def agreement_between(
    these: Sequence[Sequence[Rating]],
    those: Sequence[Sequence[Rating]] | None = None,
    clusters: Clusters | None = None,
    **resampling: Unpack[Resampling],
) -> Coefficient:
    """Return the share of pairs of ratings of one item that are equal.

    A pair is a rating of `these` with one of `those` raters (a judge with people), or, where `those` are not given, two
    of `these` (people with people).

    Args:
        these, those: (raters, items), None where a rater says nothing.
        clusters, resampling: as in `pair_agreement`.

    Returns:
        The share; `n` counts pairs of ratings.
    """
    count = len(these)
    codes, _ = _coded([*these, *(those or ())])
    labels = _labels(codes, clusters)
    # within one group every two raters; between two groups each of the one with each of the other
    if those is None:
        chosen = list(combinations(range(count), 2))
    else:
        chosen = [(rater, other_rater) for rater in range(count) for other_rater in range(count, len(codes))]
    # empty arrays first, so that nothing to compare still concatenates
    equal, pair_clusters = [np.zeros(0, dtype=bool)], [labels[:0]]
    for rater, other_rater in chosen:
        rated_by_both = (codes[rater] != MISSING) & (codes[other_rater] != MISSING)
        equal.append((codes[rater] == codes[other_rater])[rated_by_both])
        pair_clusters.append(labels[rated_by_both])
    agree, where = np.concatenate(equal), np.concatenate(pair_clusters)
    if not len(agree):
        return Coefficient(None, None, None, 0, 0, "no item was rated by two of them")
    return _share(agree, where, resampling)


def _kinds(ratings: Sequence[Sequence[Rating]]) -> list[Rating]:
    """Return the different ratings, in order of first appearance."""
    distinct_ratings = dict.fromkeys(rating for rater in ratings for rating in rater)
    return [rating for rating in distinct_ratings if not is_missing(rating)]


def is_missing(rating: Rating) -> bool:
    """Return whether a rater said nothing."""
    return rating is None or rating != rating  # NaN


def _coded(ratings: Sequence[Sequence[Rating]]) -> tuple[NDArray[np.intp], int]:
    """Return the ratings as numbers, (raters, items), and how many different ratings there are."""
    sizes = {len(rater) for rater in ratings}
    if len(sizes) != 1:
        raise InputError(f"every rater needs one rating (or None) per item, got {[len(rater) for rater in ratings]}")
    code_of = {rating: number for number, rating in enumerate(_kinds(ratings))}
    codes = [[MISSING if is_missing(rating) else code_of[rating] for rating in rater] for rater in ratings]
    return np.array(codes, dtype=np.intp).reshape(len(ratings), sizes.pop()), len(code_of)


def _share(equal: NDArray[np.bool_], clusters: Clusters, resampling: Resampling) -> Coefficient:
    return Coefficient.from_estimate(cluster_mean(equal, clusters, share=True, **resampling))


def _labels(codes: NDArray[np.intp], clusters: Clusters | None) -> NDArray[np.intp]:
    items = codes.shape[1]
    if clusters is None:
        return np.arange(items)
    if len(clusters) != items:
        raise InputError(f"one cluster per item is needed, got {len(clusters)} for {items} items")
    return cluster_codes(clusters)
