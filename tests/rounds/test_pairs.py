"""Comparisons of samples: by score or by a judge, and what is counted of samples that give none."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from penchant.judges.contract import Done, Question
from penchant.rounds import pairs
from penchant.types import Comparison, PromptGroup, Response, Verdict

CUT = Response("a b c", (5, 6, 7), finished=False)


def test_the_best_against_the_worst_or_every_pair_without_ties() -> None:
    group = PromptGroup("p", ["a", Response("b", count=3), "c"], scores=[1, 2, 1])
    assert pairs.compare_scored([group], "best_worst").groups[0].comparisons == (Comparison(1, 0),)
    every = pairs.compare_scored([group], "all").groups[0].comparisons
    assert every == (Comparison(1, 0, weight=3), Comparison(1, 2, weight=3))


def test_cut_samples_are_left_out_or_lose_their_penalty() -> None:
    group = PromptGroup("p", ["a", CUT], scores=[1, 2])
    assert pairs.without_cut_samples([group]) == [PromptGroup("p", ["a"])]
    (penalised,) = pairs.with_cut_penalty([group], 1.5)
    assert penalised.scores == (1, 0.5)
    assert pairs.compare_scored([penalised], "best_worst").groups[0].comparisons == (Comparison(0, 1),)


def test_counts_say_why_prompts_give_no_comparison() -> None:
    drawn = [
        PromptGroup("same", [Response("a", count=3)]),
        PromptGroup("same text of other tokens", [Response("a", (1,)), Response("a", (2,), count=2)]),
        PromptGroup("undecided", [" ", "b", CUT], scores=[1, 1, 1]),
        PromptGroup("decided", ["a", Response("b", count=2)], scores=[1, 2]),
    ]
    compared = pairs.Compared(pairs.compare_scored(drawn[2:], "all").groups)
    counts = pairs.count_samples(drawn, compared)
    assert counts.to_row() == {
        "prompts": 4, "samples": 12, "repeated": 5, "empty": 1, "cut": 1, "same_prompts": 2, "undecided_prompts": 1,
        "unscored": 0, "compared_prompts": 1, "pairs": 1,
    }  # fmt: skip
    none = pairs.count_samples(drawn[:2], pairs.Compared([]))
    assert none.reason() == "all 6 samples of 2 prompts say the same as the others of their prompt"
    some = pairs.count_samples(drawn[:3], pairs.Compared([]))
    assert some.reason().endswith("and 1 have samples of which none is better")


def test_equal_texts_of_which_one_was_cut_are_no_undecided_prompt_less_than_none() -> None:
    group = PromptGroup("p", [Response("a", (5,)), Response("a", (5,), finished=False)], scores=[1, 1])
    compared = pairs.compare_scored(pairs.with_cut_penalty([group], 0.5), "best_worst")
    counts = pairs.count_samples([group], compared)
    assert (counts.compared_prompts, counts.undecided_prompts) == (1, 0)


def test_what_no_comparison_names_is_left_out() -> None:
    group = PromptGroup("p", ["a", "b", "c", "d"], [Comparison(3, 1, weight=2), Comparison(1, 0, annotator="x")],
                        scores=[1, 2, 3, 4], columns={"answer": "5"})  # fmt: skip
    (pruned,) = pairs.only_compared([group])
    assert [response.text for response in pruned.responses] == ["a", "b", "d"]
    assert pruned.comparisons == (Comparison(2, 1, weight=2), Comparison(1, 0, annotator="x"))
    assert (pruned.scores, pruned.columns) == (None, {"answer": "5"})


class Alphabetical:
    """Prefers the text that comes first in the alphabet, and has no verdict on texts with a question mark."""

    identity = "alphabetical"

    def __init__(self) -> None:
        self.asked: list[Question] = []

    def judge_many(self, questions: Sequence[Question], done: Done) -> None:
        self.asked += questions
        for index, question in enumerate(questions):
            readable = "?" not in question.a + question.b
            done(index, Verdict(("a" if question.a < question.b else "b") if readable else "unparseable"))


@pytest.mark.parametrize("rule", ["best_worst", "all"])
def test_a_judge_is_asked_about_different_texts_once(rule: pairs.PairRule) -> None:
    judge = Alphabetical()
    group = PromptGroup("p", [Response("b", (1,)), Response("a", (2,)), Response("b", (3,), count=2), "c", "d?"])
    compared = pairs.compare_judged([group, PromptGroup("q", ["x"])], rule, judge)
    # each pair of the four texts in both orders
    assert len(judge.asked) == len(set(judge.asked)) == 12
    texts = [response.text for response in compared.groups[0].responses]
    assert texts == ["b", "a", "c", "d?"]
    found = {(texts[c.winner], texts[c.loser], c.weight) for c in compared.groups[0].comparisons}
    assert found == ({("a", "c", 1)} if rule == "best_worst" else {("a", "b", 3), ("a", "c", 1), ("b", "c", 3)})
    assert compared.unscored == 1
    assert compared.groups[1].comparisons == ()


def test_a_judge_that_always_takes_the_first_decides_nothing() -> None:
    class First(Alphabetical):
        def judge_many(self, questions: Sequence[Question], done: Done) -> None:
            for index in range(len(questions)):
                done(index, Verdict("a"))

    group = PromptGroup("p", ["a", "b"])
    assert pairs.compare_judged([group], "best_worst", First()).decided_groups == []
    one_order = pairs.compare_judged([group], "best_worst", First(), orders="one").decided_groups
    assert one_order[0].comparisons == (Comparison(0, 1),)
