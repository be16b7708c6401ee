"""What judges write is read as it was meant, and what cannot be known is not guessed."""

from __future__ import annotations

import json
import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penchant.judges.contract import SWAPPED
from penchant.judges.verdicts import read_verdict
from verdict_sides import with_sides

# X wins; Y is the other side. Each text is read with X = A and with X = B.
NAMES_X = [
    "X",
    "x",
    " x ",
    "(X)",
    "**X**",
    "X.",
    "`X`",
    '"X"',
    "Response X",
    "response x",
    "Answer X.",
    "The response X",
    "Option X",
    "Output (x)",
    "Verdict: X",
    "verdict: x",
    "**Verdict:** X",
    "**Verdict: X**",
    "Verdict: **X**",
    "### Verdict\n**X**",
    "## Final Verdict:\n\nResponse X",
    "Verdict: Response X",
    "Verdict: X is better",
    "Final verdict: X",
    "My final verdict is: [[X]]",
    "[[X]]",
    "[[X>Y]]",
    "[[X>>Y]]",
    "X>Y",
    "X > Y",
    "Y < X",
    "Response X > Response Y",
    "Response X is better.",
    "I choose X",
    "I prefer X.",
    "I'd go with X",
    "I would choose Response X over Response Y.",
    "X wins",
    "X is the winner",
    "The winner is X",
    "Winner: X",
    "The better response is X.",
    'Preferred: "X"',
    "Preferred: X",
    "More helpful: X",
    "Comparison: X is longer, Y is shorter.\nPreferred: X",
    "a narrow win for X",
    "A narrow win for X",
    "Verdict: a narrow win for X",
    "Slight edge to X",
    "X, slightly",
    "X slightly better",
    "Slightly prefer X",
    '{"winner": "X"}',
    '```json\n{"winner": "X"}\n```',
    'Here is my verdict:\n```json\n{"reason": "x", "winner": "X"}\n```\nThanks.',
    '{"winner": "X"',
    '{"winner": "X", "reason": "because it is',
    '{"reason": "Y is good", "winner": "X"}',
    "{'winner': 'X'}",
    '{"winner": "X",}',
    '{"verdict": "Response X"}',
    '{"result": {"winner": "X"}}',
    '{"winner": "[[X]]"}',
    "<think>Y is better. Verdict: Y</think>Verdict: X",
    "Y is better. Verdict: Y</think>\nX",
    '<think>Y</think>\n\n{"winner": "X"}',
    "<answer>X</answer>",
    "\\boxed{X}",
    "\\boxed{\\text{X}}",
    "Response X is better because it is correct, while Response Y is wrong.",
    "Y is worse",
    "Response Y is worse than Response X.",
    "Both are fine, but I prefer X.",
    "Therefore, X is better.",
    "Overall, Response X is the better response.",
    "Both are good.\n\nX",
    "X\n\nIt is more accurate.",
    "Verdict: X. It is shorter.",
    "Verdict: X (more accurate)",
    "Verdict: X because Y is wrong",
    "Verdict: X - it is clearer",
    "[RESULT] X",
    "Assistant X is better.",
    "I think Response X is better.",
    "Response X is slightly better.",
    "Response X is preferred.",
    "Response X beats Y",
    "So the answer is X.",
    "The answer: X",
    "X is preferable to Y.",
    "X > Y because Y is wrong",
    "First I thought Verdict: Y, but no.\nVerdict: X",
    "**Response X** is better than **Response Y**.",
    "\n\n > Verdict: X\n",
    "- Verdict: X",
    "1. Verdict: X",
    "Ｘ",
    "Verdict：X",
    "verdict = X",
    "Verdict - X",
    "X is clearly better",
    "My choice is X",
    "Summary X is better",
    "I pick option X.",
    "Decision: X wins",
    "Response X.",
    "<|channel|>analysis<|message|>Y?<|end|><|start|>assistant<|channel|>final<|message|>Verdict: X<|return|>",
    "The final answer is: X",
    "Final Answer: Response X",
    "I lean towards X.",
    "Response X has a slight edge.",
    "i choose x",
    "x is better",
    "x wins",
    "THE WINNER IS X",
    "VERDICT: A NARROW WIN FOR X",
    "Verdict: [X]",
    "Verdict: <X>",
    "Preferred: {X}",
    "Winner: Response X 🏆",
    "✅ X",
    "<b>Verdict: X</b>",
    "The correct answer is Y. Response X says so. [[X]]",
    "The answer is Y. Response X got it. Verdict: X",
    "**Response X**\ngood\n**Response Y**\nbad\n\nX",
    "X: good\nY: bad\nVerdict: X",
    "Verdict: **Response X** is better.",
    "> **Verdict:** X",
    "* **Verdict: X**",
    "Verdict: X>Y",
    "Response X is better than Y.",
    "x > y",
    "Final: X",
    "Judgement: X",
    "Judgment: Response X",
    "Verdict:\n\n**X**\n\nBecause it is shorter.",
    "~~~\nVerdict: X\n~~~",
    "Verdict: X\nReason: Y is wrong.",
    "{winner: X}",
    'Verdict: "X"',
    "**Final Verdict: Response X is better**",
    "Winner: **X** – clearer",
    "The better summary is: X",
]
TIES = [
    "tie",
    "Tie",
    "TIE.",
    "a tie",
    "A tie",
    "Verdict: a tie",
    "Verdict: A tie",
    "Verdict: tie",
    "A and B are equal",
    "Verdict: A and B are equal",
    "A=B",
    "[[A=B]]",
    "[[C]]",
    "[[tie]]",
    "[[Tie]]",
    "It's a tie.",
    "It is a tie",
    "Both responses are equally good.",
    "Both are equal.",
    '{"winner": "tie"}',
    "Verdict: Both are equal",
    "Neither is better.",
    "There is no clear winner",
    "equal",
    "Verdict: draw",
    "A is as good as B",
    "My final verdict is tie: [[A=B]]",
    "Response A and Response B are equally good.",
    "I call it a tie.",
    "Verdict: a tie between A and B",
    "A tie between A and B.",
    "They are tied",
    "Verdict: the same",
    "no preference",
    "I cannot tell them apart.",
    "verdict: a and b are equal",
    "a and b are equal",
    "a = b",
    "Verdict: A = B",
    "Verdict: it's a tie",
    "Verdict: Tie - both are equal",
]
UNREADABLE = [
    "",
    "Both are good answers.",
    "Verdict: Apples",
    '{"winner": "neither"}',
    "[1, 2]",
    "<think>Verdict: A",
    "<think>A is better",
    "Verdict: A\nVerdict: B",
    "A or B",
    "A/B",
    "Verdict: A or B",
    "Verdict: A, B, or tie",
    "A and B",
    "Response A is better. Response B is better.",
    "not A",
    "Verdict: not A",
    "A is not better",
    "I don't prefer A",
    "A is not better than B",
    '{"winner": "A", "verdict": "B"}',
    '{"winner":"A","winner":"B"}',
    '{"winner": "A',
    '{"reason": "A is better',
    "Verdict: it depends",
    "If you like humor, A is better",
    "A is better if short",
    "Is A better?",
    "A might be better",
    "Response A is better. However, it is wrong.",
    "A better response is B? no",
    "A tie-break win for B",
    "A is better than A",
    "Response A:\ngood\nResponse B:\nbad",
    "[[A]] [[B]]",
    "[[A]]\nVerdict: B",
    "Response A is better.\nVerdict: B",
    "not a tie",
    "It is not a tie",
    "Verdict:",
    "Apples",
    "I would rather not say.",
    "A B",
    "Neither",
    "Both",
    "<answer>A or B</answer>",
    '{"winner": null}',
    '{"winner": true}',
    "{",
    "I can't choose",
    "A wins on style, B wins on accuracy",
    "A is almost better",
    "A friendly answer",
    "A model",
    "A is better in style.",
    "Plan A is better",
    "vitamin A is better",
    "A.I. is better",
    "He got an A",
    "Grade: A",
    "The answer is A or B",
    "A\nB",
    "A\nB\nB",
    "**Response A**\ngood\n**Response B**",
    "Winner: None",
    "Verdict: Tie (A)",
    "A: 8, B: 9",
    "Response A: 8/10\nResponse B: 6/10",
    "a response",
    "a better response",
    "Verdict: A\n\nVerdict: B",
    "A is better. Wait, no.",
    "Verdict: neither",
    "Response A has a typo",
]
WRAPPINGS = {
    "as it is": "{}",
    "thoughts before": "<think>\nResponse B is better. Verdict: B\nWait: [[A]]?\n</think>\n\n{}",
    "thoughts whose opening tag the server kept": "I weigh both. Verdict: tie. [[B]]\n</think>\n{}",
    "a code fence": "```\n{}\n```",
    "a fence with a language": "```markdown\n{}\n```",
    "white space": "\n\n \t{}\n \n",
    "a quote": "> {}",
    "a heading": "## {}",
    "an item of a list": "- {}",
    "bold": "**{}**",
    "HTML": "<p><b>{}</b></p>",
}
ONE_LINE = ("a quote", "a heading", "an item of a list", "bold")


@pytest.mark.parametrize("text", NAMES_X)
def test_a_named_side_is_read_whichever_it_is(text: str) -> None:
    assert read_verdict(with_sides(text, "A", "B")).winner == "a"
    assert read_verdict(with_sides(text, "B", "A")).winner == "b"


@pytest.mark.parametrize("text", TIES)
def test_a_tie_is_no_win_of_a(text: str) -> None:
    assert read_verdict(text).winner == "tie"


@pytest.mark.parametrize("text", UNREADABLE)
def test_what_cannot_be_known_is_not_guessed(text: str) -> None:
    found = read_verdict(text)
    assert found.winner == "unparseable"
    assert found.reason


def test_the_reason_says_what_is_wrong() -> None:
    assert "thoughts" in read_verdict("<think>Verdict: A").reason
    assert "contradicts" in read_verdict("Verdict: A\nVerdict: B").reason
    assert "'winner'" in read_verdict('{"winner": "neither"}').reason
    assert "empty" in read_verdict(" \n").reason
    assert "take back" in read_verdict("Response A is better. However, it is wrong.").reason


def test_confidence_is_kept_where_it_is_one() -> None:
    read = [read_verdict(json.dumps({"winner": "A", "confidence": sure})) for sure in (0.7, 1, 7, -1, True, "0.7")]
    assert {found.winner for found in read} == {"a"}
    assert [found.confidence for found in read] == [0.7, 1.0, None, None, None, None]
    assert read_verdict("Verdict: A").confidence is None


def test_other_labels() -> None:
    assert read_verdict("Verdict: 2", ("1", "2")).winner == "b"
    assert read_verdict('{"winner": 1}', ("1", "2")).winner == "a"


@pytest.mark.parametrize("name", WRAPPINGS)
def test_wrapping_changes_no_verdict(name: str) -> None:
    texts = [with_sides(text, "B", "A") for text in NAMES_X] + TIES + UNREADABLE
    for text in texts:
        if "think>" in text or "channel" in text or (name in ONE_LINE and "\n" in text):
            continue
        if name in ("a quote", "HTML") and not text.strip():
            continue
        wrapped = WRAPPINGS[name].replace("{}", text)
        assert read_verdict(wrapped).winner == read_verdict(text).winner, wrapped


words = st.sampled_from(
    re.split(
        " ",
        "A B a b tie response Response answer is are better worse than and or not the a I prefer choose verdict: "
        "Verdict: winner equal both neither because but however if wins [[A]] [[B]] [[C]] A=B A>B . , \n : ? ( ) ** "
        '``` <think> </think> {"winner": "A"} {"winner": "B" } { } " \' > < # - \\boxed{A} <answer> </answer> [RESULT]',
    )
)
anything = st.one_of(st.text(), st.lists(words, max_size=25).map(" ".join), st.lists(words, max_size=25).map("".join))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(anything)
@example("{" * 3000)
@example('{"a":' * 3000)
@example("<think>" * 3000 + "</think>" * 3000)
@example("\ud800 A \x00")
def test_any_text_is_read_without_an_error(text: str) -> None:
    found = read_verdict(text)
    assert found.winner in SWAPPED
    assert (found.winner == "unparseable") == bool(found.reason)
    assert read_verdict(f"<think>{text.replace('think>', '')}".replace("[", "(")).winner == "unparseable"


swappable = st.sampled_from(
    re.split(
        " ",
        "X Y tie response Response answer is are better worse than and or not the I prefer choose verdict: Verdict: "
        "winner equal both neither because but however if wins [[X]] [[Y]] X=Y X>Y . , \n : ? ( ) ** {'winner':'X'}",
    )
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(swappable, max_size=20).map(" ".join))
def test_swapped_labels_swap_the_verdict(text: str) -> None:
    """With labels that are no English words, as an `A` may be an article."""
    first = read_verdict(with_sides(text, "Q", "Z"), ("Q", "Z")).winner
    assert read_verdict(with_sides(text, "Z", "Q"), ("Q", "Z")).winner == SWAPPED[first]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sampled_from(NAMES_X), st.sampled_from(NAMES_X))
def test_two_verdicts_for_different_sides_are_none(one: str, other: str) -> None:
    """An answer that names A and then B as a whole is never read as A, the one that it does not end with."""
    text = f"{with_sides(one, 'A', 'B')}\n\n{with_sides(other, 'B', 'A')}"
    cut = one.count('"') % 2  # inside of a text in JSON, where all that follows belongs to it
    label_in_the_middle = other.startswith("X\n")
    if "think>" not in text and "channel" not in text and not cut and not label_in_the_middle:
        assert read_verdict(text).winner in ("b", "unparseable")


@pytest.mark.parametrize(
    "text", ["Verdict: " * 6_000, "A is better. " * 6_000, "{'a': " * 6_000, "[[A" * 6_000, "'" * 50_000]
)
def test_long_answers_take_no_time(text: str) -> None:
    # of the processor: a busy machine must not fail it
    begun = time.process_time()
    read_verdict(text)
    assert time.process_time() - begun < 5
