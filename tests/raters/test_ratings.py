"""Comparisons of several raters, matched by content."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penchant.errors import InputError
from penchant.raters.ratings import FIRST, SECOND, TIE, oriented, read_ratings
from penchant.types import Comparison, PromptGroup


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def trl(prompt: str, chosen: str, rejected: str, **more: Any) -> dict[str, Any]:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected, **more}


def test_the_same_comparison_is_found_whatever_the_order_and_the_layout(tmp_path: Path) -> None:
    one = write(tmp_path / "ann.jsonl", [trl("p", "a", "b"), trl("q", "c", "d")])
    other = write(
        tmp_path / "bob.jsonl",
        [{"prompt": " p ", "responses": [" b", "a"], "comparisons": [{"winner": 0, "loser": 1}]}],
    )
    found = read_ratings([one, other])
    assert found.raters == ["ann", "bob"]
    assert len(found.pairs) == 2
    assert {found.verdicts[0][0], found.verdicts[1][0]} == {FIRST, SECOND}
    assert found.verdicts[1][1] is None


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(), st.text(min_size=1), st.text(min_size=1), st.booleans())
def test_the_orientation_depends_neither_on_the_verdict_nor_on_the_order(p: str, a: str, b: str, swap: bool) -> None:
    if a.strip() == b.strip():
        return
    texts = [b, a] if swap else [a, b]
    place = texts.index(a)
    won = oriented(PromptGroup(p, texts), Comparison(place, 1 - place))
    lost = oriented(PromptGroup(p, [a, b]), Comparison(1, 0))
    tied = oriented(PromptGroup(p, texts), Comparison(0, 1, tie=True))
    assert won[0] == lost[0] == tied[0]
    assert {won[1], lost[1]} == {FIRST, SECOND}
    assert tied[1] == TIE
    assert (won[2].first == a.strip()) == (won[1] == FIRST)


def test_chosen_first_is_no_habit_of_the_rater(tmp_path: Path) -> None:
    rows = [trl(f"prompt {n}", f"good {n}", f"bad {n}") for n in range(200)]
    found = read_ratings([write(tmp_path / "ann.jsonl", rows)])
    assert 60 < found.verdicts[0].count(FIRST) < 140


def test_models_follow_the_orientation(tmp_path: Path) -> None:
    rows = [trl(f"{n}", f"good {n}", f"bad {n}", chosen_model="G", rejected_model="B") for n in range(9)]
    for pair in read_ratings([write(tmp_path / "ann.jsonl", rows)]).pairs:
        assert pair.models == (("G", "B") if pair.first.startswith("good") else ("B", "G"))
        assert pair.longer_by == (1 if pair.first.startswith("good") else -1)


def test_who_says_both_says_a_tie(tmp_path: Path) -> None:
    found = read_ratings([write(tmp_path / "ann.jsonl", [trl("p", "a", "b"), trl("p", "b", "a"), trl("p", "a", "b")])])
    assert found.verdicts == [[TIE]]
    assert found.contradicted == 1


def test_responses_that_differ_in_white_space_only_are_left_out(tmp_path: Path) -> None:
    found = read_ratings([write(tmp_path / "ann.jsonl", [trl("p", "a", "a "), trl("p", "a", "b")])])
    assert (found.alike, len(found.pairs)) == (1, 1)


def named(winner: int, annotator: str | None, prompt: str = "p") -> dict[str, Any]:
    comparison: dict[str, Any] = {"winner": winner, "loser": 1 - winner}
    return {
        "prompt": prompt,
        "responses": ["a", "b"],
        "comparisons": [comparison | ({"annotator": annotator} if annotator else {})],
    }


def test_one_person_in_two_files_is_one_person(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{n}.jsonl", [named(0, "Ann", f"prompt {n}")]) for n in range(2)]
    assert read_ratings(files).raters == ["Ann"]


def test_only_some_of_them(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", [named(0, "Ann"), named(1, "Bob"), named(1, "Cleo", "q")])
    found = read_ratings([file], kept_raters=["Ann", "Bob"])
    assert (found.raters, len(found.pairs)) == (["Ann", "Bob"], 1)
    with pytest.raises(InputError, match="nobody is called 'Bop'; did you mean 'Bob'"):
        read_ratings([file], kept_raters=["Bop"])
    with pytest.raises(InputError, match="nobody is called 'zzz'; there are Ann, Bob, Cleo"):
        read_ratings([file], kept_raters=["zzz"])


def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 of 2 comparisons do not say who judged"):
        read_ratings([write(tmp_path / "a.jsonl", [named(0, "Ann"), named(1, None, "q")])])
    (tmp_path / "x").mkdir()
    same = [write(tmp_path / name, [named(0, None)]) for name in ("j.jsonl", "x/j.jsonl")]
    with pytest.raises(InputError, match="would both be the rater 'j'"):
        read_ratings(same)
    ann = write(tmp_path / "ann.jsonl", [named(0, "Ann")])
    with pytest.raises(InputError, match="'Ann' stands in a file of people and in a file of judges"):
        read_ratings([ann], [write(tmp_path / "b.jsonl", [named(0, "Ann", "q")])])
    with pytest.raises(InputError, match="nobody says anything"):
        read_ratings([write(tmp_path / "none.jsonl", [{"prompt": "p", "responses": ["a", "b"], "comparisons": []}])])


def test_orders_and_topics_follow_the_comparison(tmp_path: Path) -> None:
    rows = []
    for number in range(8):
        said = named(number % 2, "Ann", f"prompt {number}") | {"category": f"kind {number % 2}"}
        said["judgments"] = [{"annotator": "Ann", "order": [0, 1]}]
        other = named(0, "Bob", f"prompt {number}") | {
            "responses": ["b", "a"]
        }  # the same two, told the other way round
        other["judgments"] = [{"annotator": "Bob", "order": [0, 1]}]
        rows += [said, other]
    found = read_ratings([write(tmp_path / "a.jsonl", rows)])
    assert found.topic == "category"
    assert found.topics == ["kind 0", "kind 1"] * 4
    for pair, ann, bob in zip(found.pairs, *found.orders, strict=True):
        assert ann == (pair.first == "a")
        assert bob == (pair.first == "b")
    # one comparison judged twice, in both orders
    again = [rows[0], rows[0] | {"judgments": [{"annotator": "Ann", "order": [1, 0]}]}]
    assert read_ratings([write(tmp_path / "b.jsonl", again)]).orders == [[None]]
    with pytest.raises(InputError, match="topic=nothing"):
        read_ratings([write(tmp_path / "c.jsonl", rows)], topic="nothing")
