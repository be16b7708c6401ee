"""Contests between raters over who agrees with the others; `bradley_terry` turns them into strengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

from penchant.metrics.agreement import Rating, is_missing


def against_consensus(ratings: Sequence[Sequence[Rating]]) -> tuple[list[int], list[int], list[int]]:
    """Return contests of two raters: a rater wins where it alone, of the two, says what most of the others say.

    The two are held against the others alone, so nobody agrees with itself. Where both are with the others, or neither
    is, nothing is learned: by Rasch's model, in which the log-odds of being with the others are a rater's strength less
    the item's difficulty, exactly these are dropped and the difficulty with them, and what is left is Bradley and
    Terry's model of the strengths (pairwise conditional estimation: Choppin 1968, Zwinderman 1995). The others err too,
    which draws strengths towards each other, the more the fewer they are: of three raters, one that is right alone
    loses.

    Args:
        ratings: (raters, items), None where a rater says nothing. Items with fewer than three ratings tell nothing, nor
            do those of which the others are divided.

    Returns:
        winners, losers, items: (contests,) each.
    """
    winners, losers, items = [], [], []
    for item, item_ratings in enumerate(zip(*ratings, strict=True)):
        rater_ratings = [(rater, rating) for rater, rating in enumerate(item_ratings) if not is_missing(rating)]
        votes = Counter(rating for _, rating in rater_ratings)
        # of two raters there are no others, and where all say the same nobody wins
        if len(rater_ratings) < 3 or len(votes) < 2:
            continue
        leaders: dict[frozenset[Rating], Rating] = {}
        for (first_rater, says), (other_rater, other_rating) in combinations(rater_ratings, 2):
            if says == other_rating:
                continue
            pair = frozenset((says, other_rating))
            # what the others say depends on the two ratings alone, not on who of many gave them
            if pair not in leaders:
                leaders[pair] = _leader(votes - Counter(pair))
            if leaders[pair] in pair:
                rater_won = says == leaders[pair]
                winners.append(first_rater if rater_won else other_rater)
                losers.append(other_rater if rater_won else first_rater)
                items.append(item)
    return winners, losers, items


def _leader(votes: Counter[Rating]) -> Rating:
    """Return the rating with more votes than any other, or None."""
    # a tie for the lead is no lead
    (first, votes_of_first), *rest = votes.most_common(2)
    return None if rest and rest[0][1] == votes_of_first else first
