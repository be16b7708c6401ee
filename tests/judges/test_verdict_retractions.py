"""A verdict that is denied, taken back, quoted or tied to a condition is no verdict, and one with a reason stays one.

`X` and `Y` stand for the two sides: each text is read with X = A and with X = B.
"""

from __future__ import annotations

import time

import pytest

from penchant.judges.verdicts import read_verdict
from verdict_sides import with_sides

DENIED = [
    "X is better; Y is better too.",
    "Anyone but X wins",
    "Verdict: anything but X",
    "Verdict: X. No wait, Y.",
    "Verdict: X. Actually Y.",
    "Verdict: X... or Y",
    "!X",
    "~X",
    "winner: -X",
    "X-",
    "Verdict: X-",
    "Verdict: X ❌",
    "❌ X",
    "X ✗",
    "👎 X",
    "X is better - not!",
    "X is better... NOT",
    "X is better (not really)",
    "X is better (just kidding, Y is)",
    "X is better (if you ignore facts)",
    "Response X is better - if you like lies",
    "X is better as it stands, but Y is right",
    "X is better because... no, Y is better",
    "X is better because it is not better",
    "Verdict: X\n(Just kidding: Y)",
    "Verdict: X\nCorrection: Y",
    "Verdict: X\n\nEdit: I meant Y.",
    "Verdict: X\nOn reflection, Y is more accurate.",
    "Verdict: X\nStrike that. Y.",
    "Verdict: X\nThe first one is shorter.\nScratch that: Y",
    "Verdict: X is better\nNot.",
    "[[X]]\n\nNo, wait.",
    '{"winner": "X"}\n\nWait, I made a mistake.',
    "X is better. False.",
    "X is better. That's false.",
    "X is better. I disagree with this.",
    "X is better. Or is it?",
    "I choose X as it is the worse one",
    "I select X (the worse one)",
    "Verdict: X (loses)",
    "Verdict: X - loses",
    "Verdict: X (no)",
    "Verdict: X - wrong, Y is right",
    "Verdict: X (tie)",
    "Verdict: X (equal to Y)",
    "Verdict: X - both are equal",
    "Verdict: X - Y",
    "Verdict: X (or Y)",
    "Verdict: X – or rather Y",
    "Verdict: X because Y is better",
    "Verdict: X (provided that it's right)",
    "Verdict: tie (X slightly better)",
    "Best: X\nWorst: X",
    "Question: Which is worse? Answer: X",
    "Response Y asks me to write [[X]].",
    'Response Y tells the judge: "Verdict: X". That is manipulation.',
    'The response says "Verdict: X"',
    "Response Y ends with: Verdict: X",
    "> Verdict: X\n\nThat was the text of response Y.",
    "```\nVerdict: X\n```\nThis is what response Y printed.",
    "[[X]] if assistant X is better, [[Y]] if assistant Y is better, and [[C]] for a tie.",
    "Verdict: [[X]] if assistant X is better",
    "Initial verdict: X",
    "Incorrect answer: X",
    "e.g. Verdict: X",
    "Thinking: Verdict: X",
    "◁think▷Verdict: X",
    "<|START_THINKING|>Verdict: X",
    "<|think|>Verdict: X",
    "&lt;think&gt;Verdict: X",
    '<think lang="en">Verdict: X',
    "[thinking]Verdict: X[/thinking]",
    '{"winner": "X", "loser": "X"}',
    '{"winner": "X", "tie": true}',
    '{"winner": "X (not really)"}',
    "<winner>X</winner><loser>X</loser>",
    "Neither X nor Y is better than the other in every way",
    "It is not true that X is better.",
    "No one would say X is better.",
    "X, said nobody",
]
READ = [
    "Verdict: X. However, Y is shorter.",
    "Verdict: X. Response Y says the capital is Lyon. That is wrong.",
    "Verdict: X (Y is worse)",
    "Verdict: X because Y is not correct.",
    "Verdict: X as it avoids the error in Y.",
    "Verdict: X (more complete, though longer)",
    "Response X is better because it's accurate, although Y is more concise.",
    "Verdict: X. No hallucinations.",
    "Verdict: X. Not even close.",
    "Verdict: X\n\nNote: Y was wrong about the date.",
    '{"winner": "X"}\nNo further comments.',
    '{"winner": "X", "loser": "Y"}',
    '{"loser": "Y"}',
    "Loser: Y\nWinner: X",
    "Worst: Y. Best: X.",
    "Rejected: Y",
    "<loser>Y</loser>",
    "~~Verdict: Y~~\nVerdict: X",
    "<s>Y</s> X",
    "❌ Y\n✅ X",
    "Not Y but X.\nVerdict: X",
    "My verdict: X, because Y tells the user to write [[Y]].",
    "Response Y tells the reader to use a hammer. [[X]]",
    "I was told to write [[X]] if X is better, or else [[Y]].\n[[X]]",
    "◁think▷Y◁/think▷Verdict: X",
    "<|START_THINKING|>Y<|END_THINKING|>Verdict: X",
    "&lt;think&gt;Y&lt;/think&gt;X",
    "Verdict: X\nThis is what the user wanted.",
    "Verdict: X. That is what I would choose.",
    "Verdict: X. This is the output that follows the instructions.",
    "Verdict: X. It shows how one would say it.",
    "Verdict: X\n\nOr in other words, X is more accurate.",
    "[[X]] It is wrong to say that the capital is Lyon, as Y does.",
]
OTHER_LANGUAGES = {
    "A 更好": "a",
    "A 不好": None,
    "A 不如 B": "b",
    "B比A更好": "b",
    "Antwort A ist besser.": "a",
    "Antwort A ist nicht besser.": None,
    "Verdict: kein A": None,
    "Sieger ist B, nicht A": "b",
    "Réponse A n'est pas meilleure": None,
    "La respuesta A no es mejor que B": None,
    "A の方が良い": "a",
    "А is better": None,  # a Cyrillic letter
}


@pytest.mark.parametrize("text", DENIED)
def test_a_denied_verdict_is_unreadable(text: str) -> None:
    for sides in ("AB", "BA"):
        found = read_verdict(with_sides(text, *sides))
        assert found.winner == "unparseable", sides
        assert found.reason


@pytest.mark.parametrize("text", READ)
def test_a_reason_does_not_deny(text: str) -> None:
    assert read_verdict(with_sides(text, "A", "B")).winner == "a"
    assert read_verdict(with_sides(text, "B", "A")).winner == "b"


@pytest.mark.parametrize("text", OTHER_LANGUAGES)
def test_another_language_is_read_right_or_not_at_all(text: str) -> None:
    assert read_verdict(text).winner in {"unparseable", OTHER_LANGUAGES[text] or "unparseable"}


@pytest.mark.parametrize("mark", ["@0", "Verdict: @1", "@1 is better"])
def test_our_own_marks_are_no_sides(mark: str) -> None:
    assert read_verdict(mark).winner == "unparseable"


@pytest.mark.parametrize(
    "part",
    ["~~A", "<s>", "says to ", "[[A]] says ", "A (", "which worse ", "&lt;think ", "A is better because but ", "no, "],
)
def test_long_answers_take_no_time(part: str) -> None:
    # of the processor: a busy machine must not fail it
    begun = time.process_time()
    read_verdict((part * 50_000)[:50_000])
    assert time.process_time() - begun < 5
