"""Ask an endpoint over HTTP, and again where that can help: what rewards and judges share. Imports no torch.

An address is asked itself or not at all: redirects are not followed, since texts and keys go to the host that the user
named and to no other, and no proxy stands between a machine and itself. An answer is bounded in time and in bytes.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from penchant.clean_text import clean
from penchant.errors import InputError

T = TypeVar("T")

# Seconds between two attempts at most: a server whose `Retry-After` asks for a day must not hold up a run.
MAX_WAIT_S = 60.0
# No proxy stands between a machine and itself, whatever the environment says.
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Limits:
    """How long, how much and how often an endpoint is asked.

    Attributes:
        timeout_s: seconds that connecting, and each wait for data, may take.
        total_s: seconds for a whole answer: a server that sends a byte now and then would hold a run for years.
        max_bytes: of an answer.
        attempts: how often a request is sent before giving up.
        first_wait_s: seconds before the second attempt; each further wait is twice as long, or what the endpoint asks
            for.
    """

    timeout_s: float
    total_s: float
    max_bytes: int
    attempts: int
    first_wait_s: float


@dataclass(frozen=True)
class Reply:
    """An answer of any status, read to its end; its reason is fit for a terminal."""

    status: int
    reason: str
    headers: httpx.Headers
    body: bytes

    @property
    def asked_wait_s(self) -> float:
        """Return the seconds that `Retry-After` asks to wait, given as a number or as a date; 0 where it does not."""
        value = self.headers.get("Retry-After", "")
        try:
            seconds = float(value)
        except ValueError:
            try:
                seconds = parsedate_to_datetime(value).timestamp() - time.time()
            except (ValueError, TypeError, OverflowError):
                return 0.0
        # a date that has passed is no wait; `inf` and `nan` are numbers to Python, and no server means them
        return max(seconds, 0.0) if math.isfinite(seconds) else 0.0


class TemporaryFailure(Exception):
    """An attempt that failed in a way that another one may mend: nobody there, no whole answer in time, busy.

    Attributes:
        asked_wait_s: seconds that the endpoint asks to wait.
        unreachable: whether no connection came about.
    """

    def __init__(self, reason: str, *, asked_wait_s: float = 0.0, unreachable: bool = False) -> None:
        super().__init__(reason)
        self.asked_wait_s, self.unreachable = asked_wait_s, unreachable


class AnswerTooLarge(Exception):
    """An answer of more bytes than its limit."""


def open_client(url: str) -> httpx.AsyncClient:
    """Return a client for one address, to be closed by `async with`.

    Proxies are those that the environment names. Certificates are checked against the system's and certifi's.

    Raises:
        InputError: the environment names a proxy that cannot be used.
    """
    parts = urlsplit(url)
    if parts.scheme.lower() == "https":
        tls = httpx.create_ssl_context()
        tls.load_default_certs()
    else:  # a context without certificates: loading them takes longer than most requests
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return httpx.AsyncClient(
            follow_redirects=False,
            trust_env=parts.hostname not in LOCAL_HOSTS,
            verify=tls,
            # how many calls run at once is the caller's setting; httpx would stop at 100
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=100),
            # not compressed: a few bytes could unpack to more than `max_bytes` before anybody counts them
            headers={"User-Agent": "penchant", "Accept-Encoding": "identity"},
        )
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise InputError(f"the proxy in the environment (http_proxy, all_proxy, ...) cannot be used: {error}") from None


async def post_json(
    client: httpx.AsyncClient, url: str, content: object, headers: Mapping[str, str], limits: Limits
) -> Reply:
    """Send JSON by POST once and return the answer, whatever its status.

    Raises:
        TemporaryFailure: nobody there, a connection that broke, or no whole answer in time.
        AnswerTooLarge: the answer has more than `limits.max_bytes`.
    """
    headers = {"Content-Type": "application/json", "Accept": "application/json", **headers}
    request = client.stream("POST", url, content=json.dumps(content), headers=headers, timeout=limits.timeout_s)
    try:
        async with asyncio.timeout(limits.total_s), request as response:
            # read in pieces, so that an answer without an end is given up when it is too large
            body = bytearray()
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > limits.max_bytes:
                    raise AnswerTooLarge(f"more than {limits.max_bytes:,} bytes")
            return Reply(response.status_code, clean(response.reason_phrase), response.headers, bytes(body))
    except (TimeoutError, httpx.TimeoutException) as error:
        # only a connection that never came about says that the address may be wrong
        connecting = isinstance(error, httpx.ConnectTimeout)
        missing = "no connection" if connecting else "no whole answer"
        raise TemporaryFailure(f"TimeoutError: {missing} in time", unreachable=connecting) from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        cause = _root_cause(error)
        raise TemporaryFailure(
            f"{type(cause).__name__}: {cause}", unreachable=isinstance(error, httpx.ConnectError)
        ) from None


def _root_cause(error: BaseException) -> BaseException:
    """Return the system's own error below those of httpx, which say only that all attempts failed."""
    root, inner = error, error.__cause__ or error.__context__
    while inner is not None:
        # anyio tries the addresses of a host side by side, and groups what each of them said
        inner = inner.exceptions[0] if isinstance(inner, BaseExceptionGroup) else inner
        root = inner if isinstance(inner, OSError) else root
        inner = inner.__cause__ or inner.__context__
    return root


async def retry(
    send: Callable[[], Awaitable[T]],
    limits: Limits,
    on_retry: Callable[[int, TemporaryFailure, float], None] = lambda *_: None,
) -> T:
    """Return what `send` returns, after as many attempts as it takes.

    Args:
        on_retry: told the number of the attempt that failed, why, and the seconds before the next one.

    Raises:
        TemporaryFailure: that of the last attempt. Whatever else `send` raises ends the attempts.
    """
    for attempt in itertools.count(1):
        try:
            return await send()
        except TemporaryFailure as failure:
            if attempt >= limits.attempts:
                raise
            wait = min(max(limits.first_wait_s * 2.0 ** (attempt - 1), failure.asked_wait_s), MAX_WAIT_S)
            on_retry(attempt, failure, wait)
        # outside of `except`: an error while it waits has nothing to do with that of the attempt
        await asyncio.sleep(wait)
    raise AssertionError("unreachable")


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine, also where an event loop runs already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    # a loop cannot run inside of another one in the same thread
    with ThreadPoolExecutor(1) as elsewhere:
        return elsewhere.submit(asyncio.run, work).result()
