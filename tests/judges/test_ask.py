"""Both orders, what is kept, and what is asked again."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from penchant.errors import InputError, RunError
from penchant.judges import Question, VerdictStore, ask
from penchant.judges.contract import Done
from penchant.types import Verdict, Winner

PAIRS = [Question(f"p{number}", f"a{number}", f"b{number}") for number in range(6)]


@dataclass
class Scripted:
    """Says what it is told to, by the first response; fails at a call."""

    said: dict[str, Winner]
    identity: str = "scripted"
    fail_at: int | None = None
    final: bool = True
    asked: list[Question] = field(default_factory=list)

    def judge_many(self, questions: Sequence[Question], done: Done) -> None:
        for place, question in enumerate(questions):
            if self.fail_at is not None and len(self.asked) >= self.fail_at:
                raise RunError("the machine went away")
            self.asked.append(question)
            done(place, Verdict(self.said.get(question.a, "tie"), transcript=f"of {question.a}", final=self.final))


def test_two_orders_make_one_outcome() -> None:
    said: dict[str, Winner] = {
        "a0": "a", "b0": "b",  # the first, whatever the order
        "a1": "a", "b1": "a",  # whoever stands first: a tie, and flipped
        "a2": "a", "b2": "tie",  # unsure in one order: a tie
        "a3": "unparseable", "b3": "b",  # nothing in one order
        "a4": "b", "b4": "a",  # the second
    }  # fmt: skip
    answers = ask(Scripted(said), PAIRS)
    assert [answer.outcome for answer in answers] == ["a", "tie", "tie", "unparseable", "b", "tie"]
    assert [answer.flipped for answer in answers] == [False, True, None, None, False, None]
    assert [answer.first_slot for answer in answers] == [
        [True, False],
        [True, True],
        [True],
        [False],
        [False, True],
        [],
    ]


def test_one_order_has_to_be_asked_for() -> None:
    judge = Scripted({"a0": "a"})
    (answer,) = ask(judge, PAIRS[:1], orders="one")
    assert (answer.outcome, answer.flipped, len(judge.asked)) == ("a", None, 1)


def test_nobody_is_asked_the_same_twice(tmp_path: Path) -> None:
    judge = Scripted({"a0": "a", "b0": "b"})
    with VerdictStore(tmp_path / "v.sqlite") as store:
        first = ask(judge, [*PAIRS, PAIRS[0], PAIRS[0].swapped], store=store)
        assert len(judge.asked) == len(store) == 12
        assert [answer.outcome for answer in first[-2:]] == ["a", "b"]
    again = Scripted({})
    with VerdictStore(tmp_path / "v.sqlite") as store:
        assert ask(again, PAIRS, store=store) == first[:6]
        assert not again.asked
        ask(Scripted({}, identity="another"), PAIRS[:1], store=store)
        assert len(store) == 14


def test_a_judge_that_stops_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "v.sqlite"
    with VerdictStore(path) as store, pytest.raises(RunError, match="went away"):
        ask(Scripted({}, fail_at=5), PAIRS, store=store)
    rest = Scripted({})
    with VerdictStore(path) as store:
        assert len(store) == 5
        ask(rest, PAIRS, store=store)
        assert len(rest.asked) == 7
        assert len(store) == 12


def test_failed_calls_count_but_are_not_kept(tmp_path: Path) -> None:
    with VerdictStore(tmp_path / "v.sqlite") as store:
        said = dict.fromkeys([text for asked in PAIRS for text in (asked.a, asked.b)], "unparseable")
        answers = ask(Scripted(said, final=False), PAIRS, store=store)  # type: ignore[arg-type]
        assert {answer.outcome for answer in answers} == {"unparseable"}
        assert len(store) == 0


def test_calls_have_a_limit_and_the_rest_comes_later(tmp_path: Path) -> None:
    judge = Scripted({"a0": "a", "b0": "b"})
    with VerdictStore(tmp_path / "v.sqlite") as store:
        answers = ask(judge, PAIRS, store=store, max_calls=3)
        assert [answer.outcome for answer in answers] == ["a"] + ["unparseable"] * 5
        assert len(store) == 3
        assert ask(judge, PAIRS, store=store)[5].outcome == "tie"
        assert len(judge.asked) == 12
    with pytest.raises(InputError, match="at least 0"):
        ask(judge, PAIRS, max_calls=-1)


def test_files_that_are_no_database_of_verdicts_are_refused(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.sqlite"
    damaged.write_bytes(b"not a database at all" * 100)
    with pytest.raises(InputError, match="if it is damaged, move it away"):
        VerdictStore(damaged)
    newer = tmp_path / "newer.sqlite"
    with VerdictStore(newer):
        pass
    connection = sqlite3.connect(newer)
    connection.execute("PRAGMA user_version=7")
    connection.close()
    with pytest.raises(InputError, match="of this version"):
        VerdictStore(newer)
    other = tmp_path / "other.sqlite"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE users (id INTEGER)")
    connection.close()
    with pytest.raises(InputError, match="with 1 tables"):
        VerdictStore(other)


def test_a_full_disk_stops_with_what_was_kept(tmp_path: Path) -> None:
    path = tmp_path / "v.sqlite"
    with VerdictStore(path) as store:
        ask(Scripted({}), PAIRS[:1], store=store)
        (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
        store._connection.execute(f"PRAGMA max_page_count={pages}")  # SQLite's own way to a full disk
        long = [Question("p" * 40_000, "a", "b")]
        with pytest.raises(RunError, match=r"full.*is kept"):
            ask(Scripted({}), long, store=store)
    with VerdictStore(path) as store:
        assert len(store) == 2


def test_texts_that_no_database_takes_are_kept_all_the_same(tmp_path: Path) -> None:
    odd = [Question("\ud800 half a letter", "nul \0", "\u202e")]
    with VerdictStore(tmp_path / "v.sqlite") as store:
        ask(Scripted({}), odd, store=store)
        again = Scripted({})
        ask(again, odd, store=store)
        assert not again.asked
