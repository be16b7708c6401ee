"""Verifiers: what counts as right, what they are told by their name, and what is wrong with a row."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from penchant.errors import InputError
from penchant.rewards import load_reward, score_groups
from penchant.rewards.content import reward_content
from penchant.rewards.names import check_reward, reward_kind
from penchant.rewards.verifiers import last_number
from penchant.types import PromptGroup


def score(name: str, response: str, **columns: object) -> float:
    (group,) = score_groups([PromptGroup("?", [response], columns=columns, source="a.jsonl:1")], load_reward(name))
    assert group.scores is not None
    return group.scores[0]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("so it is 18.", "18"),
        ("$1,234.50 in all", "1234.50"),
        ("from 3 to -4", "-4"),
        ("5 - 3", "3"),
        ("x-3", "3"),
        ("−2", "-2"),
        (".5", "0.5"),
        ("1e3", "1000"),
        ("1,2", "2"),
        ("10,000,000 or 7 %", "7"),
        ("the share is 1/2.", "0.5"),
        ("-3 / 4", "-0.75"),
        ("on 5 km/2", "2"),
        ("1/0", None),
        ("10^6", None),
        ("2**3", None),
        ("10^6 = 1000000", "1000000"),
        ("nothing", None),
        ("", None),
    ],
)
def test_the_last_number_of_a_text(text: str, number: str | None) -> None:
    assert last_number(text) == (None if number is None else Decimal(number))


def test_an_exact_answer() -> None:
    assert score("exact_answer", " Paris.\n", answer="Paris") == 1.0
    assert score("exact_answer", "paris", answer="Paris") == 0.0
    assert score("exact_answer:ignore_case=true", "paris", answer="Paris") == 1.0
    assert score("exact_answer", "It is Paris", answer="Paris") == 0.0
    assert score("exact_answer:marker=is ", "It is Paris\nI think", answer="Paris") == 1.0
    assert score("exact_answer:marker=####", "#### 1\n#### 72", answer="24+48\n#### 72") == 1.0
    assert score("exact_answer:marker=####", "72", answer="72") == 0.0
    assert score("exact_answer:column=capital", "Rome", capital="Rome", answer="Oslo") == 1.0


def test_a_number_within_a_tolerance() -> None:
    assert score("number", "5 apples and 3 more are 8", answer="8") == 1.0
    assert score("number", "about 8.5", answer="8") == 0.0
    assert score("number:tolerance=0.5", "about 8.5", answer="8") == 1.0
    assert score("number:tolerance=0.4", "about 8.5", answer="8") == 0.0
    # sums of floats would differ in the last digit
    assert score("number:tolerance=0.1", "0.3", answer="0.2") == 1.0
    assert score("number", "12345678901234567890123456789012", answer="12345678901234567890123456789013") == 0.0
    assert score("number", "1e9999", answer="1e9998") == 0.0
    assert score("number", "none", answer="8") == 0.0
    assert score("number:marker=####", "#### 8\nor 9", answer="5+3=8\n#### 8") == 1.0
    assert score("number:marker=####", "8", answer="8") == 0.0
    assert [score("number", "18", answer=answer) for answer in (18, 18.0, "18.0")] == [1.0, 1.0, 1.0]


def test_a_regular_expression() -> None:
    assert score("regular_expression:pattern=^(yes|no), ", "yes, it is") == 1.0
    assert score("regular_expression:pattern=^(yes|no), ", "maybe") == 0.0
    assert score("regular_expression:column=pattern", "abc", pattern="b.$") == 1.0


def test_a_row_that_cannot_be_verified_is_named() -> None:
    with pytest.raises(
        InputError, match=r"`number` failed on a.jsonl:1, .*the column 'answer' holds no number: 'many'"
    ):
        score("number", "8", answer="many")
    with pytest.raises(InputError, match=r"failed on a.jsonl:1.*unterminated|failed on a.jsonl:1.*missing"):
        score("regular_expression:column=pattern", "abc", pattern="(")
    with pytest.raises(
        InputError,
        match=r"which a.jsonl:1 does not have; its columns: id; name another with reward=exact_answer:column=id",
    ):
        score("exact_answer", "abc", id=3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("number:tolerence=1", "unknown setting 'tolerence'.*tolerance"),
        ("number:tolerance=-1", "expected a number from 0 up"),
        ("number:tolerance=nan", "expected a number from 0 up"),
        ("exact_answer:ignore_case=maybe", "expected true or false"),
        ("regular_expression", "expected `pattern`"),
        ("regular_expression:pattern=(", "no regular expression"),
        ("exact_anser", "exact_answer"),
    ],
)
def test_names_that_are_none(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_reward(name)


def test_a_file_with_the_name_of_a_verifier_is_still_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "number.py").write_text("def answer(pairs): return [7.0] * len(pairs)")
    assert reward_kind("number:answer") == "function"
    assert load_reward("number:answer")([("", "")]) == [7.0]


def test_other_settings_are_another_reward() -> None:
    assert reward_content("number") != reward_content("number:tolerance=1")
    # what a response thinks first is no answer, unless the reward is to read it
    assert score("number", "<think>9</think>8", answer="8") == 1.0
    assert score("thoughts:regular_expression:pattern=9", "<think>9</think>8") == 1.0
