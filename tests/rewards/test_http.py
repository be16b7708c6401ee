"""A reward behind an address, asked over real sockets: batches, attempts, and every way in which an answer is none."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import penchant as pt
from penchant.cli.main import main
from penchant.digests import read_sums, write_sums
from penchant.errors import InputError, RunError
from penchant.rewards import checked_reward, load_reward, score_groups
from penchant.rewards.http import MAX_BYTES, TOKEN, HTTPReward
from penchant.types import PromptGroup

PAIRS = [("Once upon a time", "a long tale."), ("Well,", "no."), ("\ud800é", "\u2028")]


class Endpoint:
    """A server on 127.0.0.1 that answers by `answers`, one an attempt, then like a working reward (the length)."""

    def __init__(self) -> None:
        self.answers: list[Callable[[BaseHTTPRequestHandler], None]] = []
        self.seen: list[tuple[dict[str, str], Any]] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.seen.append(({"path": self.path, **self.headers}, asked))
                self.asked = asked
                answer = endpoint.answers.pop(0) if endpoint.answers else works
                answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


def reply(handler: BaseHTTPRequestHandler, body: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(content)


def works(handler: Any) -> None:
    reply(handler, {"rewards": [len(pair["response"]) for pair in handler.asked["pairs"]]})


def says(body: Any, status: int = 200, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    return partial(reply, body=body, status=status, headers={name.replace("_", "-"): v for name, v in headers.items()})


def breaks_off(handler: BaseHTTPRequestHandler) -> None:
    """Announces more than comes."""
    reply(handler, b'{"rewards": [1', headers={"Content-Length": "100"})
    handler.close_connection = True


def hangs_up(handler: BaseHTTPRequestHandler) -> None:
    with suppress(OSError):  # the client may have gone before
        handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def writes_to_the_terminal(handler: BaseHTTPRequestHandler) -> None:
    """Refuses, with an escape sequence for a reason."""
    handler.wfile.write(b"HTTP/1.1 404 no\x1b[2J\r\nContent-Length: 0\r\n\r\n")


def is_slow(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(0.5)
    hangs_up(handler)


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # no proxy stands between a machine and itself
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv(TOKEN, raising=False)
    made = Endpoint()
    thread = Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def quick(url: str, **settings: Any) -> Callable[..., list[float]]:
    """The reward with waits that a test can afford."""
    return checked_reward(HTTPReward(url, **{"first_wait_s": 0.01, "attempts": 4, **settings}))


def test_load_reward_takes_an_address(endpoint: Endpoint) -> None:
    assert load_reward(f"{endpoint.url}/score?kind=a")(PAIRS) == [12.0, 3.0, 1.0]
    ((headers, asked),) = endpoint.seen
    assert headers["path"] == "/score?kind=a"
    assert headers["Content-Type"] == "application/json"
    assert asked == {"pairs": [{"prompt": prompt, "response": response} for prompt, response in PAIRS]}
    groups = score_groups(
        [PromptGroup("a", ["x", "xx"]), PromptGroup("b"), PromptGroup("c", ["xxx"])], quick(endpoint.url)
    )
    assert [group.scores for group in groups] == [(1.0, 2.0), (), (3.0,)]
    assert load_reward(endpoint.url)([]) == []
    assert len(endpoint.seen) == 2  # nobody asks for nothing


def test_batches_are_of_bounded_size_and_in_order(endpoint: Endpoint) -> None:
    pairs = [("p", "x" * length) for length in range(10)]
    assert quick(endpoint.url, batch=4)(pairs) == [float(length) for length in range(10)]
    assert [len(asked["pairs"]) for _, asked in endpoint.seen] == [4, 4, 2]


@pytest.mark.parametrize(
    "fault",
    [says({}, 500), says(b"busy", 503), says({}, 429), breaks_off, hangs_up],
    ids=["500", "503", "429", "half", "hang up"],
)
def test_a_flaky_endpoint_is_asked_again(
    endpoint: Endpoint, fault: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.answers = [fault, fault]
    assert quick(endpoint.url)(PAIRS) == [12.0, 3.0, 1.0]
    assert len(endpoint.seen) == 3
    assert "attempt 1 of 4 failed" in caplog.text
    assert "again in 0.02 s" in caplog.text  # twice the first wait


def test_a_slow_endpoint_times_out_and_is_asked_again(endpoint: Endpoint) -> None:
    endpoint.answers = [is_slow]
    assert quick(endpoint.url, timeout_s=0.1)(PAIRS) == [12.0, 3.0, 1.0]
    endpoint.answers = [is_slow, is_slow]
    with pytest.raises(RunError, match="2 attempts failed, the last because TimeoutError"):
        quick(endpoint.url, timeout_s=0.1, attempts=2)(PAIRS)


@pytest.mark.parametrize("where", ["header", "body"])
def test_a_server_that_drips_does_not_hold_a_run(endpoint: Endpoint, where: str) -> None:
    """A byte before each time-out would keep a connection for years."""

    def drips(handler: Any) -> None:
        start = b"HTTP/1.1 200 OK\r\n" + (b"Content-Length: 1000\r\n\r\n" if where == "body" else b"X-Long: ")
        with contextlib.suppress(OSError):
            handler.wfile.write(start)
            for _ in range(400):
                time.sleep(0.05)
                handler.wfile.write(b" ")

    endpoint.answers = [drips, drips]
    begun = time.monotonic()
    with pytest.raises(RunError, match="2 attempts failed"):
        HTTPReward(endpoint.url, timeout_s=0.2, attempts=2, first_wait_s=0.01)(PAIRS)
    assert time.monotonic() - begun < 8


def test_no_clock_outlives_its_answer(endpoint: Endpoint) -> None:
    before = threading.active_count()
    for _ in range(20):
        HTTPReward(endpoint.url)(PAIRS)
    gc.collect()
    deadline = time.monotonic() + 5
    while threading.active_count() > before + 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= before + 2


def test_the_endpoint_may_say_how_long_to_wait(endpoint: Endpoint) -> None:
    endpoint.answers = [says({}, 503, Retry_After="1")]
    started = time.monotonic()
    assert quick(endpoint.url)(PAIRS[:1]) == [12.0]
    assert time.monotonic() - started > 1


def test_an_endpoint_that_stays_away_is_a_run_error(endpoint: Endpoint) -> None:
    with socket.socket() as taken:  # bound but not listening: nobody answers there, and nobody else takes the port
        taken.bind(("127.0.0.1", 0))
        url = f"http://me:secret@127.0.0.1:{taken.getsockname()[1]}/score?token=secret"
        with pytest.raises(RunError) as caught:
            quick(url)(PAIRS)
    for part in ("127.0.0.1", "/score", "4 attempts failed", "ConnectionRefusedError", "--resume"):
        assert part in str(caught.value)
    assert "secret" not in str(caught.value)
    endpoint.answers = [says({}, 503)] * 4
    with pytest.raises(RunError, match="4 attempts failed, the last because it answered 503"):
        quick(endpoint.url)(PAIRS)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (says({"detail": "no\x1b[2J such"}, 404), "refused the request: 404 Not Found, .*such.*Check the address"),
        (writes_to_the_terminal, r"refused the request: 404 no\u241b\[2J, ''"),
        (says({}, 401), f"refused the request: 401 .*into .{TOKEN}"),
        (says({}, 422), "refused the request: 422 .*must take POSTed JSON"),
        (says(b"", 307, Location="http://me:secret@elsewhere/there"), "307: a redirect to http://elsewhere/there"),
        (says(b"<html>hello"), "answered '<html>hello', which is no JSON"),
        (says(b"\xff"), "which is no JSON"),
        (says(b"[" * 5000), "which is no JSON"),
        (says([1, 2, 3]), r"answered '\[1, 2, 3\]', expected \{\"rewards\""),
        (says({"scores": [1, 2, 3]}), "expected .*rewards"),
        (says({"rewards": 1}), "expected .*rewards"),
        (says({"rewards": [1, 2]}), "returned 2 numbers for 3 "),
        (says({"rewards": [1, 2, float("nan")]}), "returned nan for pair 2 "),
        (says({"rewards": [1, "2", 3]}), "returned '2' for pair 1 .*prompt is 'Well,'"),
        (says({"rewards": [1, None, 3]}), "returned None for pair 1 "),
        (says({"rewards": [1, 2, 10**400]}), "for pair 2 "),
        (says(b" " * (MAX_BYTES + 1)), "more than 1,048,576 bytes"),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_named_and_not_asked_for_again(
    endpoint: Endpoint, answer: Callable[..., None], message: str
) -> None:
    endpoint.answers = [answer]
    with pytest.raises(InputError, match=message) as caught:
        quick(endpoint.url)(PAIRS)
    assert f"the reward `{endpoint.url}` " in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(endpoint.seen) == 1


def test_wrong_batches_that_add_up_are_wrong(endpoint: Endpoint) -> None:
    endpoint.answers = [says({"rewards": [1]}), says({"rewards": [1, 2, 3]})]
    with pytest.raises(InputError, match="returned 1 numbers for 2"):
        quick(endpoint.url, batch=2)([*PAIRS, PAIRS[0]])


def test_a_redirect_is_not_followed(endpoint: Endpoint) -> None:
    for status in (301, 302, 303, 307, 308):
        endpoint.answers = [says(b"", status, Location=f"{endpoint.url}/there")]
        with pytest.raises(InputError, match=f"{status}: a redirect"):
            quick(endpoint.url)(PAIRS)
    assert {headers["path"] for headers, _ in endpoint.seen} == {"/"}


def test_credentials(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    reward = HTTPReward(endpoint.url.replace("//", "//me:s%40cret@"))
    reward(PAIRS)
    assert endpoint.seen[-1][0]["Authorization"] == "Basic bWU6c0BjcmV0"  # me:s@cret
    assert "cret" not in repr(reward) + reward.__name__
    monkeypatch.setenv(TOKEN, "abc")
    reward(PAIRS)
    assert endpoint.seen[-1][0]["Authorization"] == "Bearer abc"


def test_an_endpoint_that_sends_the_token_back_shows_it_to_nobody(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    token = "tok/en+0123456789"
    monkeypatch.setenv(TOKEN, token)
    caplog.set_level(logging.WARNING, logger="httpx")  # what it says is redacted by the handler of the command line
    echo = "x" * (120 - 15) + f"Bearer {token}"  # cut within the token, had it been cut first
    answers = [
        says({"detail": echo}, 404),
        says(echo.encode(), 200),
        says({"said": f"Bearer {token}"}),
        says({"rewards": [1, f"Bearer {token}", 3]}),
        says({"rewards": [1, {"token": token}, 3]}),
        says(b"", 307, Location=f"http://elsewhere/{token}"),
    ]
    reward = quick(f"{endpoint.url}/score?key=pass%2Fword")
    for answer in answers:
        endpoint.answers = [answer]
        with pytest.raises(InputError) as caught:
            reward(PAIRS)
        assert "tok/" not in str(caught.value)
        assert "0123" not in str(caught.value)
    endpoint.answers = [says({}, 503)] * 4
    with pytest.raises(RunError):
        reward(PAIRS)
    assert endpoint.seen[0][0]["Authorization"] == f"Bearer {token}"
    assert token not in caplog.text
    assert "word" not in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "https:///path",
        "http://host:port/",
        "http://[::1/",
        "http://a b/",
        "HTTP://häuser/",
        "http://h:p/w@x",
    ],
)
def test_what_is_no_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(InputError, match=r"address cannot be used: .*; expected one such as http://") as caught:
        load_reward(url)
    assert "p/w" not in str(caught.value)


def test_training_stops_with_its_work_kept_and_goes_on(
    endpoint: Endpoint, tiny_model: str, preference_file: Path, tmp_path: Path
) -> None:
    lines = f"reward = HTTPReward({endpoint.url!r}, attempts=2, first_wait_s=0.01)"
    (tmp_path / "mine.py").write_text(f"from penchant.rewards.http import HTTPReward\n{lines}\n")
    samples = {"max_new_tokens": 4, "max_prompts": 2, "reward": f"{tmp_path / 'mine.py'}:reward"}
    config = pt.DPO(
        model={"name": tiny_model, "device": "cpu"},  # type: ignore[arg-type]
        data=str(preference_file),  # type: ignore[arg-type]
        batch_size=8,
        max_steps=3,
        evaluate={"every_steps": 1, "samples": samples},  # type: ignore[arg-type]
        out=str(tmp_path / "run"),
    )
    endpoint.answers = [*[works] * 4, *[says({}, 503)] * 2]  # away while step 2 is evaluated (two requests each)
    with pytest.raises(RunError, match="cannot be reached: 2 attempts failed"):
        pt.train(config)
    assert (tmp_path / "run" / "checkpoint" / "model.safetensors").exists()
    assert pt.train(config, resume=True).metrics["status"] == "done"
    steps = [json.loads(line)["step"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert steps == [0, 1, 1, 2, 2, 3, 3]


def test_no_file_of_a_run_holds_the_credentials_of_its_reward(
    endpoint: Endpoint, tiny_model: str, preference_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    secret, run = "s3cretpass", tmp_path / "run"
    address = endpoint.url.replace("//", f"//me:{secret}@") + f"/score?key={secret}&n=1"
    settings = [
        f"model.name={tiny_model}",
        "model.device=cpu",
        f"data={preference_file}",
        "batch_size=8",
        "max_steps=1",
    ]
    samples = ["evaluate.samples.max_new_tokens=4", "evaluate.samples.max_prompts=2"]
    reward = f"evaluate.samples.reward={address}"
    assert main(["train", "dpo", *settings, *samples, reward, f"out={run}", f"--report={tmp_path / 'r.html'}"]) == 0
    assert {headers["path"] for headers, _ in endpoint.seen} == {f"/score?key={secret}&n=1"}
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {"config.yaml", "provenance.json", "r.html"} <= {file.name for file in files}
    assert [file.name for file in files if secret.encode() in file.read_bytes()] == []
    capfd.readouterr()
    assert main(["train", "dpo", "--resume", f"out={run}", reward]) == 0
    (run / "result.json").unlink()
    write_sums(run, {name: line for name, line in (read_sums(run) or {}).items() if name != "result.json"})
    assert main(["train", "dpo", "--resume", f"out={run}"]) == 2
    told = capfd.readouterr()
    assert "give it again, with them" in told.err
    assert secret not in told.err + told.out


def test_a_mistyped_address_is_refused_without_its_password(capfd: pytest.CaptureFixture[str]) -> None:
    for mistyped in ("htp://me:s3cret@host/", "http://me:s3cret@host:99999/", "[http://me:s3cret@host/]"):
        assert main(["train", "ppo_gt", "model=x", "data=y", "prompts=z", f"reward={mistyped}"]) == 2
        assert "s3cret" not in capfd.readouterr().err
