"""Scores for responses, and comparisons from scores: every pair once, ties as ties, counts as weights."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.errors import InputError
from penchant.rewards import best_worst_pairs, compare_by_score, load_reward, score_groups
from penchant.types import Comparison, Message, PromptGroup, Response

scores_lists = st.lists(st.sampled_from([-1.0, 0.0, 0.25, 1.0, 1e300]), max_size=7)


def length(pairs):
    return [len(response) for _, response in pairs]


def group_of(scores, counts=None) -> PromptGroup:
    counts = counts or [1] * len(scores)
    responses = [Response(f"response {i}", count=count) for i, count in enumerate(counts)]
    return PromptGroup("prompt", responses, scores=scores)


def test_scores_go_to_their_responses() -> None:
    groups = [PromptGroup("a", ["x", "xxx"]), PromptGroup("b"), PromptGroup("c", ["xx"], scores=[9])]
    scored = score_groups(groups, length)
    assert [group.scores for group in scored] == [(1.0, 3.0), (), (2.0,)]
    assert [group.replace(scores=None) for group in scored] == [group.replace(scores=None) for group in groups]
    assert groups[0].scores is None
    assert score_groups([], length) == []


def test_the_reward_sees_all_pairs_at_once_and_messages_as_text() -> None:
    seen = []

    def spy(pairs):
        seen.append(pairs)
        return [0.0] * len(pairs)

    score_groups([PromptGroup([Message("user", "Hi")], ["x"]), PromptGroup("b", ["y", "z"])], spy)
    assert seen == [[("user: Hi", "x"), ("b", "y"), ("b", "z")]]


def test_a_plain_function_is_held_to_the_contract() -> None:
    with pytest.raises(InputError, match="returned 1 numbers for 2"):
        score_groups([PromptGroup("a", ["x", "y"])], lambda pairs: [1.0])


def test_vader_ranks_a_story() -> None:
    group = PromptGroup("It was a", ["horrible, sad day.", "wonderful, happy day!"])
    (compared,) = compare_by_score(score_groups([group], load_reward("vader")))
    assert compared.comparisons == (Comparison(winner=1, loser=0),)


def test_comparisons_by_hand() -> None:
    (group,) = compare_by_score([group_of([0.5, 2.0, 0.5], counts=[1, 2, 3])])
    assert group.comparisons == (
        Comparison(winner=1, loser=0, weight=2.0),
        Comparison(winner=0, loser=2, tie=True, weight=3.0),
        Comparison(winner=1, loser=2, weight=6.0),
    )


@settings(deadline=None, derandomize=True)
@given(scores_lists)
def test_every_pair_is_compared_once_and_rightly(scores: list[float]) -> None:
    (group,) = compare_by_score([group_of(scores)])
    pairs = {frozenset((c.winner, c.loser)) for c in group.comparisons}
    assert len(pairs) == len(group.comparisons) == len(scores) * (len(scores) - 1) // 2
    for comparison in group.comparisons:
        assert comparison.tie == (scores[comparison.winner] == scores[comparison.loser])
        assert scores[comparison.winner] >= scores[comparison.loser]
    assert compare_by_score([group]) == [group]  # what was compared before is replaced, not doubled


@settings(deadline=None, derandomize=True)
@given(scores_lists, st.data())
def test_order_of_responses_does_not_matter(scores: list[float], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(scores))))

    def wins(values, names) -> set:
        (group,) = compare_by_score([group_of(values)])
        return {(names[c.winner], names[c.loser]) for c in group.comparisons if not c.tie}

    assert wins(scores, range(len(scores))) == wins([scores[i] for i in order], order)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_counts_weigh_as_the_samples_they_stand_for(counts: list[int]) -> None:
    """Merged samples weigh as much between different responses as they would one by one."""
    scores = [float(i) for i in range(len(counts))]
    (merged,) = compare_by_score([group_of(scores, counts)])
    one_by_one = [score for score, count in zip(scores, counts, strict=True) for _ in range(count)]
    (drawn,) = compare_by_score([group_of(one_by_one)])
    assert sum(c.weight for c in merged.comparisons) == sum(c.weight for c in drawn.comparisons if not c.tie)


def test_the_best_against_the_worst_by_hand() -> None:
    groups = [group_of([0.5, 2.0, -1.0, 2.0], counts=[1, 2, 3, 1]), group_of([1.0, 1.0]), group_of([4.0]), group_of([])]
    paired = best_worst_pairs(compare_by_score(groups))  # what was compared before is replaced
    assert [group.comparisons for group in paired] == [(Comparison(winner=1, loser=2),), (), (), ()]
    assert [group.replace(comparisons=()) for group in paired] == groups


@settings(deadline=None, derandomize=True)
@given(scores_lists)
def test_the_best_against_the_worst_is_the_widest_of_all_pairs(scores: list[float]) -> None:
    def leads(groups: list[PromptGroup]) -> list[float]:
        return [scores[c.winner] - scores[c.loser] for group in groups for c in group.comparisons if not c.tie]

    widest, every = leads(best_worst_pairs([group_of(scores)])), leads(compare_by_score([group_of(scores)]))
    assert widest == ([max(every)] if every else [])


@pytest.mark.parametrize("compare", [compare_by_score, best_worst_pairs])
def test_what_cannot_be_compared(compare) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=r"prompt group 1 .*expected scores to compare by, but there are none"):
        compare([group_of([1.0]), PromptGroup("b", ["x", "y"])])
    with pytest.raises(InputError, match=r"prefs\.jsonl:3: response 1 has the score nan"):
        compare([PromptGroup("b", ["x", "y"], scores=[0.0, float("nan")], source="prefs.jsonl:3")])
