"""What a judge is worth beside people: by hand, whatever the order of a file, and where nothing can be read."""

from __future__ import annotations

import pytest

from penchant.judges.ask import Answer, ask
from penchant.judges.chance import RandomJudge
from penchant.judges.contract import Done, Question
from penchant.judges.length import LongestJudge
from penchant.rounds.self_rewarding.quality import human_comparisons, measure_quality
from penchant.types import Comparison, PromptGroup, Verdict

RIGHT = PromptGroup("p", ["a long good answer", "bad"], [Comparison(0, 1)])
WRONG = PromptGroup("p", ["an answer that is long", "good"], [Comparison(1, 0)])
GROUPS = [(RIGHT if number < 15 else WRONG).replace(prompt=f"p{number}") for number in range(20)]


class AlwaysFirst:
    identity = "always first"

    def judge_many(self, questions: list[Question], done: Done) -> None:
        for index, _ in enumerate(questions):
            done(index, Verdict("a"))


def test_accuracy_and_length_by_hand() -> None:
    comparisons = human_comparisons(GROUPS)
    quality = measure_quality(comparisons, ask(LongestJudge(), [row.question for row in comparisons]))
    assert quality.accuracy is not None
    assert quality.longest_wins is not None
    assert quality.takes_longer is not None
    assert quality.accuracy.value == quality.longest_wins.value == 0.75
    assert quality.takes_longer.value == 1
    assert (quality.comparisons, quality.readable, quality.ties) == (20, 20, 0)


def test_a_file_with_the_winner_first_is_no_help_to_a_judge_that_names_the_first() -> None:
    groups = [
        PromptGroup(f"p{number}", [f"good {number}", f"bad {number}"], [Comparison(0, 1)]) for number in range(40)
    ]
    winners = [row.winner for row in human_comparisons(groups)]
    assert 10 < winners.count("a") < 30
    comparisons = human_comparisons(groups)
    both = measure_quality(comparisons, ask(AlwaysFirst(), [row.question for row in comparisons]))
    assert both.accuracy is not None
    assert both.first_place is not None
    assert both.flipped is not None
    assert both.accuracy.value == 0.5
    assert both.first_place.value == both.flipped.value == 1
    assert "names the first response in 100%" in both.warnings[0]


def test_what_cannot_be_read_is_counted_and_is_no_disagreement() -> None:
    comparisons = human_comparisons(GROUPS[:3])
    answers = [
        Answer(comparisons[0].question, Verdict(comparisons[0].winner), None, "one"),
        Answer(comparisons[1].question, Verdict("unparseable"), None, "one"),
        Answer(comparisons[2].question, Verdict("tie"), None, "one"),
    ]
    quality = measure_quality(comparisons, answers)
    assert quality.accuracy is not None
    assert quality.accuracy.value == 0.75
    assert (quality.readable, quality.ties) == (2, 1)
    assert quality.first_place is None
    silent = measure_quality(comparisons[:1], [Answer(comparisons[0].question, Verdict("unparseable"), None, "one")])
    assert silent.accuracy is None
    assert silent.kappa.value is None


def test_a_coin_agrees_no_more_than_chance() -> None:
    comparisons = human_comparisons(
        [
            PromptGroup(f"p{number}", [f"x {number}", f"y {number}"], [Comparison(number % 2, 1 - number % 2)])
            for number in range(200)
        ]
    )
    quality = measure_quality(comparisons, ask(RandomJudge(0), [row.question for row in comparisons], orders="one"))
    assert quality.kappa.value == pytest.approx(0, abs=0.15)
    assert quality.accuracy is not None
    assert quality.accuracy.low is not None
    assert quality.accuracy.high is not None
    assert quality.accuracy.low < 0.5 < quality.accuracy.high


def test_ties_of_people_count_in_kappa_alone() -> None:
    rows = human_comparisons([PromptGroup("p", ["a", "b"], [Comparison(0, 1, tie=True)])])
    assert rows[0].winner == "tie"
    quality = measure_quality(rows, [Answer(rows[0].question, Verdict("tie"), None, "one")])
    assert quality.accuracy is None
    assert quality.kappa.n == 1
