"""Connections that ask for nothing are closed, and one address gets only so many."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
import uvicorn

from penchant.web.connections import bounded_protocol

GET = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
POST = b"POST /w/1/undo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50\r\n\r\n{"


@pytest.fixture
def address(make_site: Callable[..., Any]) -> Iterator[tuple[str, int]]:
    """Where the page is served, with a second for a request and three connections for an address."""
    site = make_site([{"prompt": "p", "responses": ["a", "b"]}])
    protocol = bounded_protocol(request_s=1.0, most_per_address=3, exempt_this_machine=False)
    server = uvicorn.Server(uvicorn.Config(site.app, port=0, http=protocol, log_level="error", lifespan="off"))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listener.getsockname()
        server.should_exit = True
        thread.join()


def connect(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, timeout=10)


def is_closed(connection: socket.socket) -> bool:
    """Whether the server closes a connection, which it has 10 seconds for."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def answer(connection: socket.socket) -> bytes:
    """The whole answer to `GET`, whose body is `ok`."""
    received = b""
    while not received.endswith(b"\r\n\r\nok"):
        received += connection.recv(4096)
    return received


@pytest.mark.parametrize("sent", [b"", b"G", GET[:-2], POST])
def test_who_asks_for_nothing_is_let_go(address: tuple[str, int], sent: bytes) -> None:
    with connect(address) as connection:
        connection.sendall(sent)
        assert is_closed(connection)


def test_a_request_that_drips_is_let_go_too(address: tuple[str, int]) -> None:
    begun = time.monotonic()
    with connect(address) as connection, suppress(OSError):
        for byte in GET * 200:
            connection.sendall(bytes([byte]) if byte != 13 else b"x")
            time.sleep(0.05)
    assert time.monotonic() - begun < 10


@pytest.mark.slow
def test_who_asks_gets_an_answer_again_and_again(address: tuple[str, int]) -> None:
    with connect(address) as connection:
        for _ in range(3):
            connection.sendall(GET)
            assert b"200 OK" in answer(connection)
            time.sleep(0.5)  # longer in all than one request may take
    with connect(address) as connection:
        connection.sendall(GET + GET[:10])  # the next one is never ended
        assert b"200 OK" in answer(connection)
        while not is_closed(connection):
            pass


def test_one_address_gets_so_many(address: tuple[str, int]) -> None:
    with ExitStack() as stack:
        held = [stack.enter_context(connect(address)) for _ in range(3)]
        time.sleep(0.1)
        with connect(address) as another:
            another.settimeout(0.9)
            assert is_closed(another)
        held[0].sendall(GET)
        assert b"200 OK" in answer(held[0])
    time.sleep(0.1)
    with connect(address) as again:
        again.sendall(GET)
        assert b"200 OK" in answer(again)
