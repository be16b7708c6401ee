"""An endpoint that speaks OpenAI's protocol, on this machine, and can be as unkind as a test wants."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

Behave = Callable[[int, dict[str, Any]], Any]
"""Call number and request in; out comes the text of an answer, a status (int), or (status, headers, body)."""


@dataclass
class FakeEndpoint:
    """Attributes:
    url: for `base_url`. calls: the requests so far; keys, queries: what came with them. behave: what to answer.
    """

    url: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    behave: Behave = lambda _, request: longer(request)
    lock: threading.Lock = field(default_factory=threading.Lock)


def longer(request: dict[str, Any]) -> str:
    """An honest judge of lengths, in words."""
    text = request["messages"][0]["content"]
    a = text.partition("Answer A:\n")[2].partition("\n\nAnswer B:")[0]
    b = text.partition("Answer B:\n")[2].partition("\n\nSay in")[0]
    return f"Both are fine.\nVerdict: {'tie' if len(a) == len(b) else 'A' if len(a) > len(b) else 'B'}"


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    fake = FakeEndpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with fake.lock:
                fake.calls.append(request)
                fake.keys.append(self.headers.get("authorization", ""))
                number = len(fake.calls)
            place, _, query = self.path.partition("?")
            fake.queries.append(query)
            if not place.endswith("/v1/chat/completions"):
                self._send(404, {}, b'{"error": {"message": "no such place"}}')
                return
            said = fake.behave(number, request)
            if isinstance(said, str):
                message = {"role": "assistant", "content": said}
                body = {
                    "id": "1",
                    "object": "chat.completion",
                    "created": 1,
                    "model": "m",
                    "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
                }
                said = (200, {}, json.dumps(body).encode())
            elif isinstance(said, int):
                said = (said, {}, b'{"error": {"message": "no"}}')
            self._send(*said)

        def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
            try:
                self.send_response(status)
                for name, value in {"content-type": "application/json", **headers}.items():
                    self.send_header(name, value)
                if not headers.keys() & {"content-length", "drips"}:
                    self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                while "drips" in headers:  # until the other side is gone, which ends it by an OSError
                    self.wfile.write(b" ")
                    time.sleep(0.01)
            except OSError:  # the judge did not wait
                pass

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    # every 0.01 s it looks whether to shut down; by default twice a second, which each test would wait for
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield fake
    server.shutdown()
    server.server_close()
