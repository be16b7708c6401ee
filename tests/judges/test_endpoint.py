"""An endpoint that is kind, and one that is not: nothing is lost, nothing counted twice, failures are reported."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from penchant.errors import InputError, RunError
from penchant.judges import Question, VerdictStore, ask, judge_one
from penchant.judges.ask import plan_calls
from penchant.judges.endpoint import EndpointJudge
from penchant.judges.settings import Endpoint

if TYPE_CHECKING:
    from fake_endpoint import FakeEndpoint

PAIRS = [Question(f"p{number}", "a longer answer", "short") for number in range(20)]


@pytest.fixture
def judge(endpoint: FakeEndpoint) -> Any:
    def make(**settings: Any) -> EndpointJudge:
        base = {"model": "m", "base_url": endpoint.url, "first_wait_s": 0.01}
        return EndpointJudge(Endpoint(**{**base, **settings}))

    return make


def test_a_kind_one_is_asked_once_a_question_and_order(endpoint: FakeEndpoint, judge: Any) -> None:
    answers = ask(judge(), PAIRS)
    assert {answer.outcome for answer in answers} == {"a"}
    assert len(endpoint.calls) == 40
    assert answers[0].first is not None
    assert answers[0].first.tokens == 15
    assert "Both are fine" in answers[0].first.transcript
    request = endpoint.calls[0]
    assert request["temperature"] == 0
    assert request["max_tokens"] == 400
    assert request["response_format"]["type"] == "json_schema"


def test_template_args_reach_the_server_and_the_key_of_verdicts(endpoint: FakeEndpoint, judge: Any) -> None:
    ask(judge(), PAIRS[:1])
    assert all("chat_template_kwargs" not in request for request in endpoint.calls)
    quick = judge(template_args={"enable_thinking": False})
    ask(quick, PAIRS[:1])
    assert [request.get("chat_template_kwargs") for request in endpoint.calls[2:]] == [{"enable_thinking": False}] * 2
    assert quick.identity == f'{judge().identity} template_args {{"enable_thinking": false}}'


def test_what_an_unkind_one_does_is_borne(endpoint: FakeEndpoint, judge: Any, tmp_path: Path) -> None:
    """Errors, 429, half of an answer, wrong words: three in ten calls. All verdicts come, on a busy machine too."""

    honest = endpoint.behave
    unkind: list[Any] = [
        500,
        503,
        (429, {"retry-after": "0.02"}, b"{}"),
        (200, {}, b'{"choices": [{"message": {"content": "Verd'),
        (200, {}, b'{"choices": []}'),
        (200, {"content-length": "5000"}, b"{"),
        (200, {}, b'{"choices": [{"message": {"content": null}}]}'),
        502,
    ]
    turn, lock = [0], threading.Lock()

    def behave(number: int, request: dict[str, Any]) -> Any:
        if number % 10 in (2, 5, 8):
            with lock:
                turn[0] += 1
                return unkind[turn[0] % len(unkind)]
        return honest(number, request)

    endpoint.behave = behave
    with VerdictStore(tmp_path / "v.sqlite") as store:
        answers = ask(judge(attempts=14), PAIRS, store=store)  # with 6 attempts one run in thirty lost a verdict
        assert {answer.outcome for answer in answers} == {"a"}
        assert len(store) == 40
    assert len(endpoint.calls) > 40
    before = len(endpoint.calls)
    with VerdictStore(tmp_path / "v.sqlite") as store:
        ask(judge(), PAIRS, store=store)
    assert len(endpoint.calls) == before


def test_an_answer_that_comes_in_a_drip_is_given_up_and_asked_for_again(endpoint: FakeEndpoint, judge: Any) -> None:
    """The drip itself lifts the limit of the calls after it, so that a busy machine fails none of those."""
    made = judge(attempts=1000, timeout_s=0.1)
    drips: list[int] = []

    def behave(number: int, request: dict[str, Any]) -> Any:
        made.settings = made.settings.replace(timeout_s=60.0)
        if drips:
            return "Verdict: B"
        drips.append(number)
        return (200, {"drips": "until the judge leaves"}, b"")

    endpoint.behave = behave
    assert judge_one(made, "p", "a", "b").winner == "b"
    assert len(drips) == 1


def test_calls_that_fail_for_good_are_counted_and_tried_again(
    endpoint: FakeEndpoint, judge: Any, tmp_path: Path
) -> None:
    endpoint.behave = lambda number, request: 500 if "p3\n" in request["messages"][0]["content"] else "Verdict: A"
    with VerdictStore(tmp_path / "v.sqlite") as store:
        answers = ask(judge(attempts=2), PAIRS, store=store)
        assert [answer.outcome == "unparseable" for answer in answers] == [n == 3 for n in range(20)]
        assert answers[3].first is not None
        assert "failed: it answered 500" in answers[3].first.transcript
        assert len(store) == 38
        endpoint.behave = lambda *_: "Verdict: A"
        assert ask(judge(), PAIRS, store=store)[3].outcome == "tie"


def test_wrong_words_are_an_answer_that_is_kept(endpoint: FakeEndpoint, judge: Any, tmp_path: Path) -> None:
    endpoint.behave = lambda *_: "I would rather not say."
    with VerdictStore(tmp_path / "v.sqlite") as store:
        answers = ask(judge(), PAIRS[:2], store=store)
        assert {answer.outcome for answer in answers} == {"unparseable"}
        assert len(store) == len(endpoint.calls) == 4


def test_where_forms_are_refused_plain_words_are_asked_for(endpoint: FakeEndpoint, judge: Any) -> None:
    endpoint.behave = lambda number, request: 400 if "response_format" in request else "Verdict: B"
    answers = ask(judge(concurrency=1), PAIRS[:3])
    assert {answer.outcome for answer in answers} == {"tie"}
    assert sum("response_format" in call for call in endpoint.calls) == 1
    endpoint.calls.clear()
    ask(judge(structured=False), PAIRS[:1])
    assert not any("response_format" in call for call in endpoint.calls)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "refuses the key in OPENAI_API_KEY"),
        (403, "refuses the key"),
        (404, "does not know"),
        (302, "does not know"),
    ],
)
def test_what_would_fail_for_all_stops_at_once(
    endpoint: FakeEndpoint, judge: Any, status: int, message: str, tmp_path: Path
) -> None:
    endpoint.behave = lambda number, request: status if number > 8 else "Verdict: A"
    with VerdictStore(tmp_path / "v.sqlite") as store:
        with pytest.raises(InputError, match=message):
            ask(judge(concurrency=2), PAIRS, store=store)
        assert len(store) == 8
    assert len(endpoint.calls) <= 12


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"detail": "pinned to another"}', "pinned to another"),
        (b"<h1>no</h1>", "<h1>no</h1>"),
        (b'{"error": {"message": "as OpenAI has it"}}', "400 - as OpenAI has it"),
    ],
)
def test_a_refusal_is_told_in_the_servers_words(endpoint: FakeEndpoint, judge: Any, body: bytes, words: str) -> None:
    endpoint.behave = lambda *_: (400, {}, body)
    assert words in judge_one(judge(), "p", "a", "b").transcript


def test_nobody_there_and_no_key(judge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match="cannot be reached, 2 attempts failed"):
        judge_one(judge(base_url="http://127.0.0.1:9/v1", attempts=2), "p", "a", "b")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(InputError, match="set the environment variable OPENAI_API_KEY"):
        EndpointJudge(Endpoint(model="m"))
    monkeypatch.setenv("OWN_KEY", "secret")
    assert "secret" not in EndpointJudge(Endpoint(model="m", key_from="OWN_KEY")).identity


def test_the_key_is_sent_and_settings_reach_the_endpoint(
    endpoint: FakeEndpoint, judge: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OWN_KEY", "secret")
    judge_one(judge(key_from="OWN_KEY", temperature=None, max_tokens=7), "p", "a", "b")
    assert endpoint.keys == ["Bearer secret"]
    assert "temperature" not in endpoint.calls[0]
    assert endpoint.calls[0]["max_tokens"] == 7


def test_so_many_at_once_and_no_more(endpoint: FakeEndpoint, judge: Any) -> None:
    running, most, lock = [0], [0], threading.Lock()
    gate = threading.Event()

    def behave(number: int, request: dict[str, Any]) -> str:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
            if running[0] == 3:
                gate.set()
        gate.wait(5)
        with lock:
            running[0] -= 1
        return "Verdict: A"

    endpoint.behave = behave
    ask(judge(concurrency=3, timeout_s=10), PAIRS[:6])
    assert most[0] == 3


def test_it_works_where_an_event_loop_runs_already(endpoint: FakeEndpoint, judge: Any) -> None:
    async def notebook() -> str:
        return judge_one(judge(), "p", "a longer one", "b").winner

    assert asyncio.run(notebook()) == "a"


@pytest.mark.parametrize("status", [400, 422])
def test_a_question_that_is_refused_fails_alone(endpoint: FakeEndpoint, judge: Any, status: int) -> None:
    """Such as one that is too long; and it does not make the others be asked without a form."""
    endpoint.behave = lambda _, request: status if "p3\n" in request["messages"][0]["content"] else "Verdict: A"
    answers = ask(judge(concurrency=1), PAIRS[:6])
    assert [answer.outcome for answer in answers] == ["tie"] * 3 + ["unparseable"] + ["tie"] * 2
    assert "response_format" in endpoint.calls[-1]
    assert answers[3].first is not None
    assert not answers[3].first.final


def test_the_key_stands_in_no_transcript_and_no_message(
    endpoint: FakeEndpoint, judge: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OWN_KEY", "s3cret")
    endpoint.behave = lambda *_: "You sent s3cret. Verdict: A"
    verdict = judge_one(judge(key_from="OWN_KEY"), "p", "a", "b")
    assert "s3cret" not in verdict.transcript
    assert "[secret]" in verdict.transcript
    endpoint.behave = lambda *_: (401, {}, b'{"error": {"message": "bad key s3cret"}}')
    with pytest.raises(InputError) as raised:
        judge_one(judge(key_from="OWN_KEY"), "p", "a", "b")
    assert "s3cret" not in str(raised.value)
    with pytest.raises(InputError, match="credentials in it"):
        judge(base_url="http://user:pass@127.0.0.1/v1")


def test_a_server_that_goes_away_leaves_failures_to_ask_again(endpoint: FakeEndpoint, judge: Any) -> None:
    """It was there, so what fails later is counted; one that never was stops the run."""
    made = judge(attempts=1, concurrency=1)
    assert judge_one(made, "p", "a longer one", "b").winner == "a"
    made.settings = made.settings.replace(base_url="http://127.0.0.1:9/v1")
    assert judge_one(made, "p", "a longer one", "b").winner == "unparseable"


def test_limits_that_an_endpoint_does_not_want_are_not_sent(endpoint: FakeEndpoint, judge: Any) -> None:
    judge_one(judge(max_tokens=None), "p", "a", "b")
    assert "max_tokens" not in endpoint.calls[0]


@pytest.mark.parametrize(
    "address",
    [
        "localhost:8000/v1",
        "127.0.0.1:8000",
        "ftp://h/v1",
        "http://",
        "http://h:0/v1",
        "http://h:99999/v1",
        "http://a b/v1",
    ],
)
def test_an_address_that_is_none_is_refused_before_any_call(judge: Any, address: str) -> None:
    with pytest.raises(InputError, match="expected an address such as http://localhost:8000/v1"):
        judge(base_url=address)


def test_a_judge_whose_first_answers_all_fail_is_stopped(endpoint: FakeEndpoint, judge: Any, tmp_path: Path) -> None:
    """With what the first one failed of; nothing that came is lost, and one good answer is enough to go on."""
    endpoint.behave = lambda *_: (400, {}, b'{"error": {"message": "the context is full"}}')
    with pytest.raises(RunError, match=r"20 of the first 20 calls failed.*the context is full.*judge\.base_url"):
        ask(judge(), PAIRS)
    endpoint.behave = lambda _, request: "Verdict: A" if "p0\n" in request["messages"][0]["content"] else 400
    assert len(ask(judge(concurrency=1), PAIRS)) == len(PAIRS)


def test_a_judge_that_names_no_winner_is_stopped_and_its_answers_are_kept(
    endpoint: FakeEndpoint, judge: Any, tmp_path: Path
) -> None:
    endpoint.behave = lambda *_: "Once upon a time there was a dog."
    with VerdictStore(tmp_path / "v.sqlite") as store:
        with pytest.raises(
            RunError, match=r"first 20 answers of 'm' name no winner.*upon a time.*ask_again=unreadable"
        ):
            ask(judge(concurrency=1), PAIRS, store=store)
        assert len(store) == 20


def test_unreadable_answers_are_asked_again_where_that_is_wished(
    endpoint: FakeEndpoint, judge: Any, tmp_path: Path
) -> None:
    """Only these; what they said first stays in the database, also where the second call fails."""
    endpoint.behave = lambda _, request: "Hm." if "p3\n" in request["messages"][0]["content"] else "Verdict: A"
    with VerdictStore(tmp_path / "v.sqlite") as store:
        ask(judge(), PAIRS[:5], store=store)
        assert plan_calls(judge(), PAIRS[:5], store=store).missing == []
        again = plan_calls(judge(), PAIRS[:5], store=store, ask_again="unreadable")
        assert again.missing == [PAIRS[3], PAIRS[3].swapped]
        endpoint.behave = lambda *_: 400
        (answer,) = ask(judge(), PAIRS[3:4], store=store, ask_again="unreadable")
        assert answer.first is not None
        assert answer.first.transcript == "Hm."
        endpoint.behave = lambda *_: "Verdict: B"
        assert ask(judge(), PAIRS[3:4], store=store, ask_again="unreadable")[0].outcome == "tie"
    with closing(sqlite3.connect(tmp_path / "v.sqlite")) as connection:
        rows = connection.execute("SELECT winner, transcript FROM earlier_verdicts").fetchall()
    assert rows == [("unparseable", "Hm.")] * 2
