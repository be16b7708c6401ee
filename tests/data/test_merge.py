"""Merging rows of one prompt: what is kept, what is counted."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.data.merge import count_ties, find_contradictions, merge_groups, without_ties
from penchant.types import Comparison, PromptGroup, Response


@st.composite
def small_groups(draw: st.DrawFn) -> PromptGroup:
    """Groups from a small world, so that prompts, responses and comparisons do repeat."""
    texts = draw(st.lists(st.sampled_from("abcd"), min_size=2, max_size=4, unique=True))
    responses = [Response(text, count=draw(st.integers(1, 3))) for text in texts]
    indices = st.integers(0, len(texts) - 1)
    pairs = draw(st.lists(st.tuples(indices, indices).filter(lambda pair: pair[0] != pair[1]), max_size=4))
    comparisons = [
        Comparison(
            winner,
            loser,
            draw(st.booleans()),
            draw(st.sampled_from([None, "x", "y"])),
            draw(st.sampled_from([0.5, 1.0])),
        )
        for winner, loser in pairs
    ]
    scores = draw(st.none() | st.lists(st.integers(-2, 2), min_size=len(texts), max_size=len(texts)))
    return PromptGroup(draw(st.sampled_from("PQ")), responses, comparisons, scores, source="row")


def verdicts(groups: list[PromptGroup]) -> dict[tuple[object, ...], float]:
    """Total weight of every verdict, by text; a tie has no direction."""
    total: dict[tuple[object, ...], float] = defaultdict(float)
    for group in groups:
        for each in group.comparisons:
            pair = [group.responses[each.winner].text, group.responses[each.loser].text]
            pair = sorted(pair) if each.tie else pair
            total[(group.prompt, *pair, each.tie, each.annotator)] += each.weight
    return total


@settings(max_examples=150)
@given(st.lists(small_groups(), max_size=6))
def test_merging_keeps_every_verdict_and_every_sample(groups: list[PromptGroup]) -> None:
    merged = merge_groups(groups, counts_add=True)
    prompts = [group.prompt for group in merged.groups]
    assert prompts == list(dict.fromkeys(group.prompt for group in groups))
    assert verdicts(merged.groups) == verdicts(groups)
    assert sum(r.count for g in merged.groups for r in g.responses) == sum(r.count for g in groups for r in g.responses)
    for group in merged.groups:
        texts = [response.text for response in group.responses]
        assert len(texts) == len(set(texts))
        keys = [
            (*sorted((c.winner, c.loser)), c.annotator) if c.tie else (c.winner, c.loser, c.annotator, 0)
            for c in group.comparisons
        ]
        assert len(keys) == len(set(keys))
    kept = sum(len(group.comparisons) for group in merged.groups)
    assert kept + merged.duplicates == sum(len(group.comparisons) for group in groups)


@settings(max_examples=50)
@given(st.lists(small_groups(), max_size=6))
def test_merging_twice_changes_nothing(groups: list[PromptGroup]) -> None:
    once = merge_groups(groups, counts_add=True)
    twice = merge_groups(once.groups, counts_add=True)
    assert twice.groups == once.groups
    assert twice.duplicates == 0


def test_counts_add_only_where_rows_are_samples() -> None:
    rows = [PromptGroup("p", [Response("a", count=2), "b"]), PromptGroup("p", ["b", Response("a", count=3)])]
    assert merge_groups(rows, counts_add=True).groups == [
        PromptGroup("p", [Response("a", count=5), Response("b", count=2)])
    ]
    assert merge_groups(rows, counts_add=False).groups == [PromptGroup("p", [Response("a", count=2), "b"])]


def test_samples_with_other_tokens_are_other_responses() -> None:
    rows = [
        PromptGroup("p", [Response("a", (1,))]),
        PromptGroup("p", [Response("a", (2,))]),
        PromptGroup("p", ["a"]),
    ]
    assert len(merge_groups(rows, counts_add=True).groups[0].responses) == 3


def test_scores_of_a_response_are_averaged_and_dropped_where_some_are_missing() -> None:
    rows = [PromptGroup("p", ["a", "b"], scores=[1, 2]), PromptGroup("p", ["b", "c"], scores=[4, 5])]
    merged = merge_groups(rows, counts_add=False)
    assert merged.groups[0].scores == (1.0, 3.0, 5.0)  # b: (2 + 4) / 2
    assert merged.scores_dropped == 0
    merged = merge_groups([*rows, PromptGroup("p", ["d"])], counts_add=False)
    assert merged.groups[0].scores is None
    assert merged.scores_dropped == 1


def test_identical_comparisons_add_their_weights_and_a_tie_has_no_direction() -> None:
    rows = [
        PromptGroup("p", ["a", "b"], [Comparison(0, 1), Comparison(0, 1, tie=True)], source="first"),
        PromptGroup("p", ["b", "a"], [Comparison(1, 0, weight=2), Comparison(0, 1, tie=True)], source="second"),
    ]
    merged = merge_groups(rows, counts_add=False)
    assert merged.duplicates == 2
    assert merged.groups == [
        PromptGroup("p", ["a", "b"], [Comparison(0, 1, weight=3), Comparison(0, 1, tie=True, weight=2)])
    ]
    assert merged.groups[0].source == "first"


@pytest.mark.parametrize(
    ("comparisons", "pairs", "same"),
    [
        ([Comparison(0, 1), Comparison(1, 0)], 1, 0),  # nobody is named
        ([Comparison(0, 1, annotator="x"), Comparison(1, 0, annotator="y")], 1, 0),
        ([Comparison(0, 1, annotator="x"), Comparison(1, 0, annotator="x")], 1, 1),
        ([Comparison(0, 1), Comparison(1, 0, tie=True)], 0, 0),
        (
            [Comparison(0, 1), Comparison(1, 2), Comparison(2, 0)],
            0,
            0,
        ),  # a circle is not a contradiction of a pair
        ([Comparison(w, other) for w in range(3) for other in range(3) if w != other], 3, 0),
    ],
)
def test_contradictions_are_pairs_preferred_both_ways(comparisons: list[Comparison], pairs: int, same: int) -> None:
    found = find_contradictions([PromptGroup("p", ["a", "b", "c"], comparisons, source="here")])
    assert (found.pairs, found.same_annotator) == (pairs, same)
    assert found.sources == (("here",) if pairs else ())


@pytest.mark.parametrize(
    ("weights", "annotator", "pairs"), [((0.7, 0.3), None, 0), ((0.7, 0.7), None, 1), ((0.7, 0.3), "ann", 1)]
)
def test_a_probability_is_no_contradiction(weights: tuple[float, float], annotator: str | None, pairs: int) -> None:
    comparisons = [
        Comparison(index, 1 - index, annotator=annotator, weight=weight) for index, weight in enumerate(weights)
    ]
    assert find_contradictions([PromptGroup("p", ["a", "b"], comparisons)]).pairs == pairs


def test_dropping_ties_drops_groups_that_have_nothing_else() -> None:
    tie, win = Comparison(0, 1, tie=True), Comparison(0, 1)
    groups = [PromptGroup(p, ["a", "b"], c) for p, c in (("p", [tie, win]), ("q", [tie]), ("r", []))]
    assert count_ties(groups) == 2
    kept = without_ties(groups)
    assert [group.prompt for group in kept] == ["p", "r"]
    assert kept[0].comparisons == (win,)
