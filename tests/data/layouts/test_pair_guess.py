"""Tables of one's own: what is offered for them, and that the offer is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from penchant.data.layouts.pair_guess import guess_pair
from penchant.data.layouts.registry import DEMONSTRATIONS, PREFERENCES
from penchant.data.load import load_preferences
from penchant.errors import InputError

LEFT_RIGHT = "question,left_model,right_model,left_answer,right_answer,vote,rater"


@pytest.mark.parametrize(
    ("header", "guess"),
    [
        ("question,answer_1,answer_2,preferred", "question answer_1 answer_2 preferred"),
        ("who_won,ReplyB,ReplyA,task", "task ReplyA ReplyB who_won"),
        (LEFT_RIGHT, "question left_answer right_answer vote left_model right_model rater"),
        ("question,model_a,model_b,vote", ""),  # names of models are no responses
        ("question,score_1,score_2,vote", ""),
        ("question,answer_1,answer_2", ""),
        ("answer_1,answer_2,vote", ""),
        ("question,answer: 1,answer: 2,vote", ""),  # a name that a command would have to quote
    ],
)
def test_two_columns_that_differ_in_a_side_are_responses(header: str, guess: str) -> None:
    names = header.split(",")
    row = dict.fromkeys(names, "text")
    assert " ".join(guess_pair(names, row, PREFERENCES).values()) == guess
    assert guess_pair(names, row, DEMONSTRATIONS) == {}


def test_what_the_message_offers_is_read(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    rows = [
        "Q1,small,large,A river.,A chair.,left,Ann",
        "Q2,large,small,Yes.,No.,small,Bob",
        "Q3,s,l,Up.,Down.,draw,Bob",
    ]
    path.write_text("\n".join([LEFT_RIGHT, *rows]) + "\n")
    with pytest.raises(InputError) as refusal:
        load_preferences(path)
    offered = str(refusal.value).split("columns='{")[1].split("}")[0]
    groups = load_preferences(path, columns=dict(part.split(": ") for part in offered.split(", ")), ties="half")
    said = [(group.comparisons[0].winner, group.comparisons[0].tie, group.comparisons[0].annotator) for group in groups]
    assert said == [(0, False, "Ann"), (1, False, "Bob"), (0, True, "Bob")]


@pytest.mark.parametrize("winner", ["2", 2, "b", "right", "answer_2", "Model B", "the large one"])
def test_the_second_wins_in_many_spellings(tmp_path: Path, winner: str | int) -> None:
    cell = winner if isinstance(winner, int) else f'"{winner}"'
    models = '"model_a": "small", "model_b": "the large one"'
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"prompt": "p", "response_a": "x", "response_b": "y", "winner": {cell}, {models}}}\n')
    assert [(c.winner, c.tie) for c in load_preferences(path)[0].comparisons] == [(1, False)]


def test_a_zero_is_refused_until_somebody_says_that_it_is_a_tie(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("prompt,response_a,response_b,winner\np,x,y,0\nq,x,y,1\n")
    with pytest.raises(InputError, match="may mean the first of two responses, or a tie"):
        load_preferences(path, ties="half")
    groups = load_preferences(path, ties="half", layout="response-pair")
    assert [(g.comparisons[0].winner, g.comparisons[0].tie) for g in groups] == [(0, True), (0, False)]


def test_a_message_that_many_rows_share_is_said_once(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("prompt,response_a,response_b,winner\n" + "".join(f"p{n},x,y,yes\n" for n in range(30)))
    with pytest.raises(InputError, match=r"got 'yes' \(and 29 more rows\)") as refusal:
        load_preferences(path)
    assert str(refusal.value).count("got 'yes'") == 1


def test_ratings_under_other_names_are_answered_with_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("question,answer,stars\nq,x,5\nq,y,2\n")
    with pytest.raises(InputError, match=r"data.columns=\{prompt: ..., response: ..., rating: stars\}"):
        load_preferences(path)
    groups = load_preferences(path, columns={"prompt": "question", "response": "answer", "rating": "stars"})
    assert [(pair.winner, pair.loser) for pair in groups[0].comparisons] == [(0, 1)]
