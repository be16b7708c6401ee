"""Where raters disagree: by the lengths of the responses, by the order in which they saw them, by topic."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from penchant.metrics.agreement import agreement_between, krippendorff_alpha
from penchant.metrics.intervals import cluster_mean
from penchant.metrics.word_clusters import word_clusters
from penchant.raters.ratings import FIRST, SECOND, Ratings

QUARTERS = 4
MOST_TOPICS = 12  # in the table; what is left is one row more


def by_length(found: Ratings, clusters: list[str], how: dict[str, Any]) -> list[dict[str, Any]]:
    """Agreement of every two raters, by how far the lengths of the responses differ: quarters of the shared pairs."""
    gaps = np.array([abs(pair.longer_by) for pair in found.pairs])
    shared = np.array(_shared(found))
    edges = np.unique(np.quantile(gaps[shared], np.arange(1, QUARTERS) / QUARTERS))
    which = np.searchsorted(edges, gaps[shared], side="left")
    return [
        {"least": int(gaps[places].min()), "most": int(gaps[places].max()), **_agreed(found, places, clusters, how)}
        for places in (shared[which == number].tolist() for number in np.unique(which))
    ]


def by_topic(found: Ratings, clusters: list[str], how: dict[str, Any]) -> dict[str, Any] | None:
    """Agreement by what the prompts are about: by the field that says it, else by clusters of their words.

    Returns:
        `field` (None for clusters of words), and `rows`, the topics with most shared comparisons first, what is left
        under `topic` None; None where there are fewer than two topics.
    """
    topics = found.topics if found.topic is not None else _by_words(found, how["seed"])
    places: dict[str | None, list[int]] = {}
    for place in _shared(found):
        places.setdefault(topics[place], []).append(place)
    rest = places.pop(None, [])
    ordered = sorted(places, key=lambda topic: -len(places[topic]))
    kept, left_out = ordered[:MOST_TOPICS], ordered[MOST_TOPICS:]
    for topic in left_out:
        rest = rest + places[topic]
    if len(kept) + bool(rest) < 2:
        return None
    rows = [{"topic": topic, **_agreed(found, places[topic], clusters, how)} for topic in kept]
    if rest:
        rows.append({"topic": None, **_agreed(found, rest, clusters, how)})
    return {"field": found.topic, "left_out": len(left_out), "rows": rows}


def by_order(found: Ratings, clusters: list[str], how: dict[str, Any]) -> dict[str, Any] | None:
    """Agreement of every two raters who saw the two responses in the same order, and of those who saw them the other
    way round; None where nobody knows the order. Whoever leans to the first on the page disagrees more in the second.
    """
    agreed: dict[bool, list[tuple[bool, str]]] = {True: [], False: []}
    verdicts, shown = (zip(*table, strict=True) for table in (found.verdicts, found.shown))
    for said, seen, cluster in zip(verdicts, shown, clusters, strict=True):
        known = [each for each in zip(said, seen, strict=True) if None not in each]
        for (one, one_saw), (other, other_saw) in combinations(known, 2):
            agreed[one_saw == other_saw].append((one == other, cluster))
    if not any(agreed.values()):
        return None
    return {name: mean_over(agreed[same], how) for name, same in (("same", True), ("opposite", False))}


def prefers_longer(
    found: Ratings, said: Sequence[str | None], clusters: list[str], how: dict[str, Any]
) -> dict[str, Any] | None:
    """How often a rater prefers the longer of two responses, among those that it decides and whose lengths differ."""
    return mean_over(
        [
            ((pair.longer_by > 0) == (verdict == FIRST), cluster)
            for pair, verdict, cluster in zip(found.pairs, said, clusters, strict=True)
            if verdict in (FIRST, SECOND) and pair.longer_by
        ],
        how,
    )


def prefers_first_shown(
    said: Sequence[str | None], seen: Sequence[bool | None], clusters: list[str], how: dict[str, Any]
) -> dict[str, Any] | None:
    """How often a rater prefers the response that stood first on the page, among those that it decides."""
    return mean_over(
        [
            (first_stood_first == (verdict == FIRST), cluster)
            for verdict, first_stood_first, cluster in zip(said, seen, clusters, strict=True)
            if verdict in (FIRST, SECOND) and first_stood_first is not None
        ],
        how,
    )


def _shared(found: Ratings) -> list[int]:
    return [place for place, count in enumerate(found.times) if count >= 2]


def _by_words(found: Ratings, seed: int) -> list[str | None]:
    prompts = list(dict.fromkeys(pair.prompt for pair in found.pairs))
    clustered = word_clusters(prompts, seed=seed)
    if clustered is None:
        return [None] * len(found.pairs)
    of_prompt = dict(zip(prompts, clustered[0], strict=True))
    return [clustered[1][of_prompt[pair.prompt]] for pair in found.pairs]


def _agreed(found: Ratings, places: Sequence[int], clusters: list[str], how: dict[str, Any]) -> dict[str, Any]:
    """Of some pairs: how many, the share of two raters' verdicts that are the same, and alpha (ties and one-sided
    verdicts make the former look high where little is decided)."""
    ratings = [[said[place] for place in places] for said in found.verdicts]
    here = [clusters[place] for place in places]
    return {
        "comparisons": len(places),
        "prompts": len(set(here)),
        "agreement": agreement_between(ratings, None, here, **how).as_dict(),
        "alpha": krippendorff_alpha(ratings, here, **how).as_dict(),
    }


def mean_over(held: Iterable[tuple[float, str]], how: dict[str, Any]) -> dict[str, Any] | None:
    """Return the mean of (share, cluster) over clusters; None where there is nothing to look at."""
    known = list(held)
    if not known:
        return None
    return cluster_mean([value for value, _ in known], [cluster for _, cluster in known], share=True, **how).as_dict()
