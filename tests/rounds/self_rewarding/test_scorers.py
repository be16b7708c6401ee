"""Who says which answers are better: scores, win chances over both orders, and what becomes of answers without one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from penchant.judges.ask import Answer, ask
from penchant.judges.contract import Done, Question
from penchant.judges.length import LongestJudge
from penchant.models.load import load_policy
from penchant.rounds.self_rewarding.scorers import (
    PointJudge,
    VerdictJudge,
    compare_rated,
    habit_of,
    judge_of,
    win_chance,
)
from penchant.rounds.self_rewarding.settings import JudgeScorer, LikelihoodScorer, RewardScorer, VerdictsScorer
from penchant.types import Comparison, PromptGroup, Response, Verdict

GROUPS = [PromptGroup("p", ["good", "bad", "fair"]), PromptGroup("q", ["x", "y"])]


def test_an_answer_without_a_score_is_left_out_and_never_the_worst() -> None:
    compared = compare_rated(GROUPS, [2.0, None, 1.0, None, None])
    (group,) = compared.groups
    assert [response.text for response in group.responses] == ["good", "fair"]
    assert group.comparisons == (Comparison(0, 1),)
    assert compared.unscored == 3


def test_equal_scores_give_no_pair() -> None:
    compared = compare_rated(GROUPS, [1.0, 1.0, 1.0, 0.0, 1.0])
    assert [group.comparisons for group in compared.groups] == [(), (Comparison(1, 0),)]


def test_a_judge_by_points_takes_the_higher_and_knows_no_order() -> None:
    judge = PointJudge(lambda pairs: [None if text == "?" else float(len(text)) for _, text in pairs])
    answers = judge.ask([Question("p", "long", "no"), Question("p", "a", "b"), Question("p", "?", "b")])
    assert [answer.outcome for answer in answers] == ["a", "tie", "unparseable"]
    assert all(answer.second is None for answer in answers)


class First:
    """A judge that names the first place with a confidence, higher where the first response is `good`."""

    identity = "first"

    def judge_many(self, questions: Sequence[Question], done: Done) -> None:
        for index, question in enumerate(questions):
            if "?" in (question.a, question.b):
                done(index, Verdict("unparseable"))
            else:
                done(index, Verdict("a", 0.9 if question.a == "good" else 0.6))


def test_a_preference_for_a_place_cancels_over_both_orders() -> None:
    compared = VerdictJudge(First(), "probability").compare([PromptGroup("p", ["bad", "good", "fair"])])
    (group,) = compared.groups
    # good wins with .9 where it stands first and .4 where it stands second, against each of the two others
    assert group.scores == pytest.approx(((0.35 + 0.5) / 2, 0.65, (0.35 + 0.5) / 2))
    assert group.comparisons == (Comparison(1, 0),)


def test_a_verdict_that_changes_with_the_order_is_a_tie_and_the_habit_is_named() -> None:
    judge = VerdictJudge(First())
    (group,) = judge.compare([PromptGroup("p", ["bad", "good", "fair", "new"])]).groups
    assert group.scores == (0.5,) * 4
    assert group.comparisons == ()
    assert judge.habit == "each of its 12 verdicts names the first answer"
    assert habit_of(ask(LongestJudge(), [Question("p", "a" * n, "bb") for n in range(3, 9)])) == ""


def test_a_judge_is_measured_as_it_counts() -> None:
    (pair,) = ask(First(), [Question("p", "bad", "good")])
    assert (pair.outcome, VerdictJudge(First()).winner(pair)) == ("tie", "tie")
    assert VerdictJudge(First(), "probability").winner(pair) == "b"


def test_a_pair_without_a_verdict_counts_nowhere() -> None:
    compared = VerdictJudge(First()).compare([PromptGroup("p", ["good", "?"]), PromptGroup("q", ["good", "?", "bad"])])
    assert compared.unscored == 3
    assert [[response.text for response in group.responses] for group in compared.groups] == [["good", "bad"]]


def answer(first: Verdict | None, second: Verdict | None, both: bool = True) -> Answer:
    return Answer(Question("p", "a", "b"), first, second, "both" if both else "one")


def test_the_chance_to_win_is_the_mean_over_both_orders() -> None:
    assert win_chance(answer(Verdict("a", 0.8), Verdict("b", 0.6))) == pytest.approx(0.7)
    assert win_chance(answer(Verdict("a"), Verdict("a"))) == 0.5
    assert win_chance(answer(Verdict("tie"), Verdict("a", 0.8))) == pytest.approx(0.35)
    assert win_chance(answer(Verdict("b"), None, both=False)) == 0
    assert win_chance(answer(Verdict("a"), None)) is None
    assert win_chance(answer(Verdict("a"), Verdict("unparseable"))) is None


def test_the_policy_judges_itself_by_words_and_by_verdicts(tiny_model: str) -> None:
    policy = load_policy(tiny_model, device="cpu")
    groups = [PromptGroup("p", [Response("a"), Response("b")])]
    # the templates are longer than this model's context: every answer is without a score, and nothing fails
    for settings in (LikelihoodScorer(), VerdictsScorer()):
        judge = judge_of(settings, policy, device="cpu", seed=0, store=None)
        compared = judge.compare(groups)
        assert (compared.groups, compared.unscored) == ([], 2)
        assert judge.ask([Question("p", "a", "b")])[0].outcome == "unparseable"


def test_judges_from_outside_need_no_policy() -> None:
    groups = [PromptGroup("p", ["I love it.", "I hate all of it."])]
    for settings, winner in (
        (RewardScorer(reward="vader"), 0),
        (JudgeScorer(judge={"name": "longest"}), 1),
    ):
        compared = judge_of(settings, None, device="cpu", seed=0, store=None).compare(groups)
        assert compared.groups[0].comparisons == (Comparison(winner, 1 - winner),)
