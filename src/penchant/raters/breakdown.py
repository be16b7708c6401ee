"""Break agreement down: by the lengths of the responses, by the order in which raters saw them, by topic."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np

from penchant.metrics.agreement import agreement_between, krippendorff_alpha
from penchant.metrics.estimates import Estimate
from penchant.metrics.intervals import cluster_mean
from penchant.metrics.resampling import Resampling
from penchant.metrics.word_clusters import word_clusters
from penchant.raters.ratings import FIRST, SECOND, Ratings
from penchant.raters.results import GroupAgreement, LengthGroup, Orders, TopicGroup, Topics
from penchant.raters.sides import Judgment

QUARTERS = 4
MOST_TOPICS = 12  # in the table; the other topics share one more row


def by_length(ratings: Ratings, resampling: Resampling) -> tuple[LengthGroup, ...]:
    """Return the agreement of each two raters, by how far the lengths of the responses differ.

    The groups are quarters of the comparisons that two raters share.
    """
    gaps = np.array([abs(pair.longer_by) for pair in ratings.pairs])
    shared = np.array(_shared(ratings))
    # Unique, since many pairs may have one and the same difference, and a quarter between equal edges would be empty.
    edges = np.unique(np.quantile(gaps[shared], np.arange(1, QUARTERS) / QUARTERS))
    # left: a difference that equals an edge belongs to the quarter below it
    quarters = np.searchsorted(edges, gaps[shared], side="left")
    groups = (shared[quarters == quarter].tolist() for quarter in np.unique(quarters))
    return tuple(
        LengthGroup(int(gaps[items].min()), int(gaps[items].max()), _agreement(ratings, items, resampling))
        for items in groups
    )


def by_topic(ratings: Ratings, resampling: Resampling) -> Topics | None:
    """Return the agreement by what the prompts are about: by the field that says it, else by clusters of their words.

    Topics with most shared comparisons come first. None where there are fewer than two topics.
    """
    # A field that people filled in says more than words that happen to occur together.
    topics = ratings.topics if ratings.topic is not None else _word_topics(ratings, resampling["seed"])
    items: dict[str | None, list[int]] = {}
    for item in _shared(ratings):
        items.setdefault(topics[item], []).append(item)
    rest = items.pop(None, [])
    ordered = sorted(items, key=lambda topic: -len(items[topic]))
    table_topics, left_out = ordered[:MOST_TOPICS], ordered[MOST_TOPICS:]
    rest = rest + [item for topic in left_out for item in items[topic]]
    # One group alone cannot differ from anything. No test is made across more: with a dozen of them some lie apart by
    # chance, and the page says so.
    if len(table_topics) + bool(rest) < 2:
        return None
    groups = [(topic, items[topic]) for topic in table_topics] + ([(None, rest)] if rest else [])
    rows = tuple(TopicGroup(topic, _agreement(ratings, group, resampling)) for topic, group in groups)
    return Topics(ratings.topic, len(left_out), rows)


def by_order(ratings: Ratings, resampling: Resampling) -> Orders | None:
    """Return the agreement of each two raters who saw the responses in the same order, and in opposite orders.

    Whoever leans to the first response on the page disagrees more in the second. None where nobody knows the order.
    """
    agreements: dict[bool, list[tuple[bool, str]]] = {True: [], False: []}  # by whether the order was the same
    verdicts, orders = (zip(*table, strict=True) for table in (ratings.verdicts, ratings.orders))
    for item_verdicts, item_orders, cluster in zip(verdicts, orders, ratings.clusters, strict=True):
        verdicts_with_order = [seen for seen in zip(item_verdicts, item_orders, strict=True) if None not in seen]
        # every two raters of the comparison, as in the agreement that this is a part of
        for (verdict, order), (other_verdict, other_order) in combinations(verdicts_with_order, 2):
            agreements[order == other_order].append((verdict == other_verdict, cluster))
    if not any(agreements.values()):
        return None
    return Orders(mean_over(agreements[True], resampling), mean_over(agreements[False], resampling))


def leaning(
    verdicts: Sequence[str | None], sides: Sequence[bool | None], clusters: list[str], resampling: Resampling
) -> Estimate | None:
    """Return how often a rater prefers one kind of response, such as the longer one, where it decides.

    Args:
        sides: whether the first response of each pair is of that kind; None where neither is, or nobody knows.
    """
    # a tie, or a choice between two of a kind, shows no leaning either way
    return mean_over(
        [
            (is_first == (verdict == FIRST), cluster)
            for verdict, is_first, cluster in zip(verdicts, sides, clusters, strict=True)
            if verdict in (FIRST, SECOND) and is_first is not None
        ],
        resampling,
    )


def first_shown_share(
    judgments: Sequence[Sequence[Judgment]], clusters: list[str], resampling: Resampling
) -> Estimate | None:
    """Return how often a rater prefers the response that stood first, where it decides.

    What it judged in both orders counts once per order: whoever never changes their mind has one half there, whatever
    the responses are, and whoever always takes the first has 1.

    Args:
        judgments: of each pair, those of which the side is known.
    """
    return mean_over(
        [
            (judgment.stood_first == (judgment.verdict == FIRST), cluster)
            for pair_judgments, cluster in zip(judgments, clusters, strict=True)
            for judgment in pair_judgments
            if judgment.verdict in (FIRST, SECOND)
        ],
        resampling,
    )


def _shared(ratings: Ratings) -> list[int]:
    """Return the comparisons that two or more raters judged."""
    return [item for item, count in enumerate(ratings.times) if count >= 2]


def _word_topics(ratings: Ratings, seed: int) -> list[str | None]:
    # each prompt once, or those with many comparisons would draw the clusters to themselves
    prompts = list(dict.fromkeys(pair.prompt for pair in ratings.pairs))
    clustered = word_clusters(prompts, seed=seed)
    if clustered is None:
        return [None] * len(ratings.pairs)
    # `word_clusters` gives a cluster per prompt, and the words that name each cluster
    cluster_of = dict(zip(prompts, clustered[0], strict=True))
    return [clustered[1][cluster_of[pair.prompt]] for pair in ratings.pairs]


def _agreement(ratings: Ratings, items: Sequence[int], resampling: Resampling) -> GroupAgreement:
    """Return how far raters agree on some comparisons.

    Alpha stands beside the share, which ties and one-sided verdicts make look high where little is decided.
    """
    verdicts = [[rater[item] for item in items] for rater in ratings.verdicts]
    clusters = [ratings.clusters[item] for item in items]
    return GroupAgreement(
        comparisons=len(items),
        prompts=len(set(clusters)),
        agreement=agreement_between(verdicts, None, clusters, **resampling),
        alpha=krippendorff_alpha(verdicts, clusters, **resampling),
    )


def mean_over(shares: Iterable[tuple[float, str]], resampling: Resampling) -> Estimate | None:
    """Return the mean of (share, cluster) over clusters; None where there is nothing to look at."""
    pairs = list(shares)
    if not pairs:
        return None
    return cluster_mean([value for value, _ in pairs], [cluster for _, cluster in pairs], share=True, **resampling)
