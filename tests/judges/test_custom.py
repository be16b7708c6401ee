"""Judges of users that are hostile or mistaken: each is refused by name, with the place and the remedy, or mended."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from penchant.config import load_config
from penchant.errors import InputError, RunError
from penchant.judges import Question, VerdictStore, ask, make_judge
from penchant.judges.compare.runs import judge
from penchant.judges.compare.settings import JudgeConfig
from penchant.judges.endpoint import EndpointJudge
from penchant.judges.settings import Custom, Endpoint
from penchant.types import Verdict

if TYPE_CHECKING:
    from fake_endpoint import FakeEndpoint

PAIRS = [Question(f"p{number}", "short", "a longer one") for number in range(4)]

HEAD = """
import enum, threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from penchant.types import Verdict

def shorter(question):
    return Verdict("a" if len(question.a) < len(question.b) else "b")

def answer_all(questions, done):
    for place, question in enumerate(questions):
        done(place, shorter(question))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(body: str, **settings: Any) -> Any:
    """The judge `Mine` of a file with this code."""
    Path("mine.py").write_text(HEAD + body)
    return make_judge(Custom(factory="mine.py:Mine", settings=settings))


def judging(*lines: str, signature: str = "(self, questions, done)", **settings: Any) -> Any:
    """A judge whose `judge_many` has these lines."""
    body = "\n".join(f"        {line}" for line in lines)
    return made(f"class Mine:\n    def judge_many{signature}:\n{body}\n", **settings)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "class Mine:\n    def judge_many(self, questions):\n        pass",
            "does not take .questions, done.: too many",
        ),
        (
            "class Mine:\n    def judge_many(self, questions, done, more):\n        pass",
            "missing a required argument: 'mo",
        ),
        ("class Mine:\n    async def judge_many(self, questions, done):\n        pass", "is `async` or yields"),
        ("class Mine:\n    def judge_many(self, questions, done):\n        yield Verdict('a')", "is `async` or yields"),
        ("class Mine:\n    judge_many = 3", "expected a judge, which has .*but it is a Mine"),
        ("class Inner:\n    judge_many = answer_all\ndef Mine():\n    return Inner", "but it is the class Inner"),
        (
            "def Mine(questions, done):\n    answer_all(questions, done)",
            "expected a function of one question, which has .*missing a required argument: 'done'; or a function that "
            "makes a judge of `judge.settings`, but missing a required argument: 'questions'",
        ),
        ("async def Mine(question):\n    return 'a'", "it is `async`, so that a call does nothing"),
        ("class Call:\n    async def __call__(self):\n        pass\nMine = Call()", "it is `async`"),
        (
            "def Mine():\n    return 'a'",
            "but it takes no question, so it was called .* and returned 'a': give a function",
        ),
        ("def Mine():\n    pass", "returned None: give a function of one question"),
        ("Mine = None", "but it is a NoneType"),
        ("class Mine:\n    def __init__(self):\n        {}['weights']", r"KeyError: 'weights' \(mine.py, line 17\)"),
        (
            "class Mine:\n    def __getattr__(self, name):\n        raise OSError('gone')",
            "cannot be made of .*OSError: gone",
        ),
        (
            "class Mine:\n    judge_many = print\n    @property\n    def identity(self):\n        raise OSError('no')",
            r"its `identity` cannot be read: OSError: no \(mine.py, line 19\)",
        ),
        (
            "class Mine:\n    judge_many = lambda *_: 0\n    def identity(self):\n        pass",
            "its `identity` is <bound me",
        ),
        ("class Mine:\n    judge_many = lambda *_: 0\n    identity = object()", "a text that is the same in every run"),
        ("class Mine:\n    judge_many = lambda *_: 0\n    identity = '\\ud800'", "its `identity` is '.ud800'"),
    ],
)
def test_what_cannot_judge_is_refused_before_anybody_is_asked(body: str, message: str, folder: Path) -> None:
    with pytest.raises(InputError, match=rf"^the judge `mine\.py:Mine`: .*{message}"):
        made(body)


def test_a_function_that_makes_judges_and_lacks_a_setting_says_so(folder: Path) -> None:
    body = "class Inner:\n    judge_many = staticmethod(answer_all)\ndef Mine(model):\n    return Inner()"
    with pytest.raises(InputError, match=r"it makes judges, and lacks the setting `model` \(judge.settings="):
        made(body).judge_many(PAIRS, lambda *_: None)
    with pytest.raises(InputError, match=r"a judge of `judge\.settings`, but missing a required argument: 'model'"):
        made(body, temperature=1.0)
    assert made(body, model="m").factory == "mine.py:Mine"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["1 / 0"], r"failed on 8 questions: ZeroDivisionError: division by zero \(mine\.py, line 17\)"),
        (["answer_all(questions[:3], done)"], "5 of 8 questions have no verdict, the first is question 3: call `done"),
        (["return [Verdict('a') for _ in questions]"], "8 of 8 questions have no verdict.*what it returns is not read"),
        (["done('0', Verdict('a'))"], "a verdict on question '0'; there are 8, from 0"),
        (["done(1.0, Verdict('a'))"], "a verdict on question 1.0"),
        (["done(-1, Verdict('a'))"], "a verdict on question -1"),
        (["done(True, Verdict('a'))"], "a verdict on question True"),
        (["done(0, None)"], "it gave None for question 0"),
        (["done(0, Verdict(['a']))"], "whose winner is one of a, b, tie, unparseable"),
        (["done(0, Verdict('A'))"], "whose winner is one of"),
        (
            ["done(0, Verdict('a', confidence=float('nan')))"],
            "question 0 has the confidence nan, expected a probability",
        ),
        (["done(0, Verdict('a', confidence=95))"], "has the confidence 95"),
        (["done(0, Verdict('a', confidence='high'))"], "has the confidence 'high'"),
        (["done(0, Verdict('a', confidence=np.array([0.1, 0.2])))"], "has the confidence array"),
        (["done(0, Verdict('a', transcript=None))"], "has the transcript None, expected a text"),
        (["done(0, Verdict('a', transcript=b'x'))"], "has the transcript b'x'"),
        (["done(0, Verdict('a', seconds=float('inf')))"], "has the seconds inf, expected a finite number"),
        (["done(0, Verdict('a', tokens='12'))"], "has the tokens '12'"),
        (["done(0, Verdict('a', tokens=float('nan')))"], "has the tokens nan"),
    ],
)
def test_what_breaks_the_contract_is_refused_and_what_came_before_is_kept(
    lines: list[str], message: str, folder: Path, tmp_path: Path
) -> None:
    mine = judging(*lines)
    with VerdictStore(tmp_path / "v.sqlite") as store:
        with pytest.raises(InputError, match=rf"^the judge `mine\.py:Mine`: .*{message}"):
            ask(mine, PAIRS, store=store)
        assert len(store) == (3 if "[:3]" in lines[0] else 0)


def test_a_message_holds_no_escapes_and_little_of_a_value(folder: Path) -> None:
    shown = judging("done(0, type('Odd', (), {'__repr__': lambda self: '\\x1b[2J' + 9999 * 'x'})())")
    with pytest.raises(InputError, match="it gave ␛") as raised:
        ask(shown, PAIRS)
    assert len(str(raised.value)) < 400
    unshown = judging("done(0, type('Odd', (), {'__repr__': lambda self: 1 / 0})())")
    with pytest.raises(InputError, match="it gave a Odd for question 0"):
        ask(unshown, PAIRS)


@pytest.mark.parametrize("second", ["Verdict('b')", "'b'"])
def test_an_error_that_the_judge_catches_stands(second: str, folder: Path) -> None:
    mine = judging(
        "answer_all(questions, done)", "try:", f"    done(0, {second})", "except Exception:", "    print('never mind')"
    )
    with pytest.raises(InputError, match="two verdicts on question 0"):
        ask(mine, PAIRS)


def test_a_full_disk_stands_where_the_judge_catches_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pair would count as one without a verdict otherwise."""
    mine = judging("try:", "    answer_all(questions, done)", "except Exception:", "    answer_all(questions, done)")

    def fail(*_: object) -> None:
        raise RunError("no space left")

    with VerdictStore(tmp_path / "v.sqlite") as store:
        monkeypatch.setattr(store, "keep", fail)
        with pytest.raises(RunError, match="no space left"):
            ask(mine, PAIRS, store=store)


@pytest.mark.parametrize(
    "lines",
    [
        [
            "with ThreadPoolExecutor(4) as pool:",
            "    list(pool.map(done, range(len(questions)), map(shorter, questions)))",
        ],
        ["one = threading.Thread(target=answer_all, args=(questions, done))", "one.start()", "one.join()"],
    ],
)
def test_verdicts_may_come_from_threads(lines: list[str], folder: Path, tmp_path: Path) -> None:
    with VerdictStore(tmp_path / "v.sqlite") as store:
        assert {answer.outcome for answer in ask(judging(*lines), PAIRS, store=store)} == {"a"}
        assert len(store) == 8


def test_a_failure_in_a_pool_that_nobody_asks_is_no_silence(folder: Path) -> None:
    mine = judging("with ThreadPoolExecutor(2) as pool:", "    pool.submit(done, 0, 'a')")
    with pytest.raises(InputError, match="it gave 'a' for question 0"):
        ask(mine, PAIRS)


def test_a_verdict_from_another_process_is_refused(folder: Path, tmp_path: Path) -> None:
    """It went into the store by a connection that two processes shared, and the pair had none."""
    mine = judging(
        "from multiprocessing import get_context",
        "child = get_context('fork').Process(target=answer_all, args=(questions, done))",
        "child.start(), child.join()",
    )
    with VerdictStore(tmp_path / "v.sqlite") as store:
        with pytest.raises(InputError, match="8 of 8 questions have no verdict"):
            ask(mine, PAIRS, store=store)
        assert len(store) == 0


def test_a_judge_that_changes_the_current_folder_moves_no_report(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    judging("import os", "os.chdir('elsewhere')", "answer_all(questions, done)")
    compared()
    assert sorted(path.name for path in (folder / "judged").iterdir() if path.is_file())[:2] == [
        "judge.json",
        "judgments.sqlite",
    ]
    assert not list((folder / "elsewhere").iterdir())


def test_a_verdict_that_comes_after_the_end_is_refused(folder: Path) -> None:
    mine = judging("answer_all(questions, done)", "self.late = done")
    assert {answer.outcome for answer in ask(mine, PAIRS)} == {"a"}
    with pytest.raises(InputError, match=r"called `done` after `judge_many` had returned: wait for its threads"):
        mine.judge.late(0, Verdict("a"))


@pytest.mark.parametrize("change", ["questions.clear()", "questions.reverse()", "questions.append(None)"])
def test_a_judge_that_changes_its_list_moves_no_verdict(change: str, folder: Path, tmp_path: Path) -> None:
    mine = judging("asked = list(questions)", change, "answer_all(asked, done)")
    with VerdictStore(tmp_path / "v.sqlite") as store:
        assert [(answer.outcome, answer.flipped) for answer in ask(mine, PAIRS, store=store)] == [("a", False)] * 4
        assert {index: verdict.winner for index, verdict in store.find(mine.identity, PAIRS).items()} == dict.fromkeys(
            range(4), "a"
        )


def test_numbers_of_numpy_are_kept_as_plain_ones(folder: Path, tmp_path: Path) -> None:
    mine = judging(
        "for place in np.argsort([len(question.prompt) for question in questions]):",
        "    done(place, Verdict('tie', np.float32(1.0000001), 'x', np.array(0.5), np.int64(7), np.bool_(True)))",
    )
    with VerdictStore(tmp_path / "v.sqlite") as store:
        verdicts = [verdict for answer in ask(mine, PAIRS, store=store) for verdict in (answer.first, answer.second)]
        again = [verdict for answer in ask(mine, PAIRS, store=store) for verdict in (answer.first, answer.second)]
    assert verdicts == again == [Verdict("tie", 1.0, "x", 0.5, 7)] * 8
    assert json.dumps([verdicts[0].tokens, verdicts[0].seconds]) == "[7, 0.5]"  # type: ignore[union-attr]


def test_an_identity_that_changes_while_it_judges_is_read_once(folder: Path, tmp_path: Path) -> None:
    mine = judging(
        "for place, question in enumerate(questions):",
        "    self.identity = place",
        "    done(place, shorter(question))",
    )
    with VerdictStore(tmp_path / "v.sqlite") as store:
        ask(mine, PAIRS, store=store)
        assert len(store.find(mine.identity, PAIRS)) == 4
    with closing(sqlite3.connect(tmp_path / "v.sqlite")) as connection:
        assert connection.execute("SELECT COUNT(DISTINCT judge) FROM verdicts").fetchone() == (1,)


def test_what_it_calls_its_addresses_is_its_own_matter(folder: Path, tmp_path: Path) -> None:
    """The store replaces a built-in judge's addresses in the names of all judges."""
    mine = judging("answer_all(questions, done)", "type(self).addresses = {'': 'x', 'custom': 'y'}")
    mine.judge.addresses = ["http://localhost"]
    with VerdictStore(tmp_path / "v.sqlite") as store:
        for _ in range(2):
            assert {answer.outcome for answer in ask(mine, PAIRS, store=store)} == {"a"}
        assert len(store.find(mine.identity, PAIRS)) == 4


def test_ctrl_c_stops_it_and_keeps_what_came(folder: Path, tmp_path: Path) -> None:
    mine = judging("answer_all(questions[:2], done)", "raise KeyboardInterrupt")
    with VerdictStore(tmp_path / "v.sqlite") as store:
        with pytest.raises(KeyboardInterrupt):
            ask(mine, PAIRS, store=store)
        assert len(store) == 2


def write_responses(folder: Path) -> None:
    for name, more in (("ours", ""), ("theirs", " indeed")):
        rows = [{"prompt": f"{n}?", "responses": [text + more]} for n, text in enumerate(("no", "yes"))]
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def compared(*settings: str) -> Any:
    write_responses(Path())
    given = ["responses=[ours.jsonl]", "against=theirs.jsonl", "judge=mine.py:Mine", *settings]
    return judge(load_config(JudgeConfig, None, given))


def test_a_judge_that_cannot_be_pickled_and_prints_escapes_judges(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judging(
        "self.lock, self.function = threading.Lock(), lambda: 0",
        "print('\\x1b[2J')",
        "for place, question in enumerate(questions):",
        "    done(place, Verdict(shorter(question).winner, transcript='\\x1b]0;x\\x07 \\u202e <b>'))",
    )
    results = compared()
    assert results.methods["ours.jsonl"].win_rate.rate.value == 1
    page = (folder / "judged" / "report.html").read_text()
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "<b>" not in re.sub(r"<(script|style)[\s\S]*?</\1>", "", page)


def test_failures_alone_are_an_error_without_escapes(folder: Path) -> None:
    judging(
        "for place in range(len(questions)):",
        "    done(place, Verdict('unparseable', None, 'failed: \\x1b[2J', final=False))",
    )
    with pytest.raises(RunError, match=r"all 4 calls of the judge failed.*The first failed: ␛\[2J"):
        compared()


def test_verdicts_that_are_never_final_are_asked_for_again(folder: Path, tmp_path: Path) -> None:
    mine = judging("self.calls = getattr(self, 'calls', 0) + len(questions)", "for place in range(len(questions)):",
                   "    done(place, Verdict('a', final=False))")  # fmt: skip
    with VerdictStore(tmp_path / "v.sqlite") as store:
        for _ in range(2):
            ask(mine, PAIRS, store=store)
        assert (mine.judge.calls, len(store)) == (16, 0)


def test_an_endpoint_answers_into_a_store_where_an_event_loop_runs_already(
    endpoint: FakeEndpoint, tmp_path: Path
) -> None:
    """As in a notebook, where the answers come in another thread than the one that opened the store."""

    async def notebook() -> int:
        with VerdictStore(tmp_path / "v.sqlite") as store:
            ask(EndpointJudge(Endpoint(model="m", base_url=endpoint.url)), PAIRS, store=store)
            return len(store)

    assert asyncio.run(notebook()) == 8
