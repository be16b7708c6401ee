"""What answers come to, and which habits of a judge are told."""

from __future__ import annotations

import pytest

from penchant.errors import InputError
from penchant.judges.ask import Answer
from penchant.judges.contract import Question
from penchant.judges.summary import summarize
from penchant.types import Verdict, Winner


def answer(number: int, first: Winner, second: Winner | None = None, *, final: bool = True, a: str = "long") -> Answer:
    asked = Question(f"p{number}", a, "s")
    said = None if second is None else Verdict(second, final=final, tokens=5)
    return Answer(asked, Verdict(first, final=final, tokens=5), said, "one" if second is None else "both")


def test_the_numbers_of_answers() -> None:
    found = summarize([answer(0, "a", "b"), answer(1, "a", "a"), answer(2, "b", "a"), answer(3, "tie", "tie")])
    assert found.win_rate.rate.value == pytest.approx((1 + 0.5 + 0 + 0.5) / 4)
    assert found.flipped.value == pytest.approx(1 / 3)
    assert found.first_place.value == pytest.approx(4 / 6)
    assert found.length_controlled is not None
    assert found.tokens == 40
    assert found.warnings == ()
    with pytest.raises(InputError, match="at least one pair"):
        summarize([])


@pytest.mark.parametrize(("word", "place"), [("a", "first"), ("b", "second")])
def test_a_judge_that_always_names_one_place_is_told(word: Winner, place: str) -> None:
    found = summarize([answer(number, word, word) for number in range(12)])
    assert f"names the {place} response in 100% of its verdicts" in found.warnings[0]
    assert found.flipped.value == 1
    assert summarize([answer(number, word, word) for number in range(3)]).warnings == ()
    assert summarize([answer(number, word) for number in range(12)]).warnings == (), "one order may be right"


def test_what_is_missing_is_told_by_its_reason() -> None:
    silent = [answer(0, "unparseable", "unparseable"), answer(1, "unparseable", "a", final=False)]
    nobody = Answer(Question("p2", "x", "y"), None, None, "both")
    found = summarize([*silent, nobody])
    assert found.warnings == (
        "2 of 3 pairs have no verdict yet: calls failed, or were too many. Run again.",
        "1 of 3 pairs have answers that name no winner.",
    )
    assert found.length_controlled is None
    assert found.win_rate.rate.value is None
    assert found.win_rate.rate.reason == "no verdict could be read, of 3 pairs"
