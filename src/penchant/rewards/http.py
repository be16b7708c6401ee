"""A reward behind an address: (prompt, response) texts are POSTed as JSON in batches, and again where that can help.

The endpoint is sent `{"pairs": [{"prompt": ..., "response": ...}, ...]}` and answers with status 200 and
`{"rewards": [number, ...]}`, one number a pair, in the same order.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import logging
import socket
import threading
import time
import urllib.error
import urllib.request
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlunsplit

from penchant.errors import InputError, RunError
from penchant.redact import redact, secret_from, secrets_of_address, shown_url
from penchant.rewards.names import address_parts

log = logging.getLogger("penchant.rewards")

TOKEN = "PENCHANT_REWARD_TOKEN"
"""The environment variable whose value is sent as a bearer token, so that no secret stands in a configuration."""

MOST_BYTES = 2**20  # of an answer: thousands of times what a batch of numbers takes
MOST_WAIT_S = 60.0  # between two attempts, whatever `Retry-After` asks for
TRY_AGAIN = (429, *range(500, 600))  # busy or broken; any other status says that asking again is of no use
FORM = '{"pairs": [{"prompt": "...", "response": "..."}, ...]}'
ANSWER = '{"rewards": [...]} with a number for each pair'
PATIENCE = 5  # times `timeout_s`, for a whole answer
EXCERPT = 120  # characters of an answer that a message shows


@dataclass(frozen=True)
class HTTPReward:
    """The rewards that an endpoint gives; `load_reward("http://...")` makes one with these defaults.

    Attributes:
        url: of the endpoint. Credentials in it (`http://user:password@host/...`) are sent as basic authentication
            and shown in no message, even if the endpoint sends them back; the token in `$PENCHANT_REWARD_TOKEN`,
            where there is one, goes before them.
        batch: pairs of one request, at most.
        timeout_s: seconds that connecting, and each wait for data, may take; a whole answer, five times as many.
        attempts: how often a request is sent before giving up.
        first_wait_s: seconds before the second attempt; each further wait is twice as long.

    Raises:
        InputError: an address that is none; later, an answer that another attempt would not change: a status of
            300 to 499 except 429, no JSON, another number of rewards than of pairs.
        RunError: later, nobody there, no answer in time, or status 429 or 5xx, at every attempt.
    """

    url: str = field(repr=False)
    batch: int = 64
    timeout_s: float = 60.0
    attempts: int = 6
    first_wait_s: float = 0.5

    def __post_init__(self) -> None:
        address_parts(self.url)

    @property
    def __name__(self) -> str:
        """What messages call it: the address without credentials and without its query."""
        return shown_url(self.url)

    @property
    def _called(self) -> str:
        return f"the reward `{self.__name__}`"

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> list[Any]:
        """The endpoint's rewards as they came; `checked_reward` looks at each."""
        opener = urllib.request.build_opener(_NoRedirect, _BoundedHTTP, _BoundedHTTPS, *_proxies(self.url))
        rewards: list[Any] = []
        for start in range(0, len(pairs), self.batch):
            some = pairs[start : start + self.batch]
            rewards += self._rewards(self._answer(opener, some), len(some))
        return rewards

    def _answer(self, opener: urllib.request.OpenerDirector, pairs: Sequence[tuple[str, str]]) -> bytes:
        """The body of the answer to one request, after as many attempts as it takes."""
        request = _request(self.url, pairs)
        reason = ""
        for attempt in range(1, self.attempts + 1):
            wait = min(self.first_wait_s * 2 ** (attempt - 1), MOST_WAIT_S)
            try:
                return self._once(opener, request)
            except urllib.error.HTTPError as error:
                with error:
                    if error.code not in TRY_AGAIN:
                        raise self._refused(error) from None
                    reason = f"it answered {error.code} {error.reason}"
                    wait = max(wait, _asked_wait(error))
            except (OSError, http.client.HTTPException) as error:
                cause = getattr(error, "reason", error)  # urllib wraps what happened while connecting
                reason = f"{type(cause).__name__}: {cause}" if isinstance(cause, Exception) else str(cause)
            reason = self._safe(reason)
            if attempt < self.attempts:
                place = f"attempt {attempt} of {self.attempts}"
                log.warning("%s: %s failed (%s); again in %.3g s", self._called, place, reason, wait)
                time.sleep(wait)
        raise RunError(
            f"{self._called} cannot be reached: {self.attempts} attempts failed, the last because {reason}. Start it, "
            "or correct the address (a training run keeps its last checkpoint and goes on with --resume)"
        )

    def _once(self, opener: urllib.request.OpenerDirector, request: urllib.request.Request) -> bytes:
        with opener.open(request, timeout=self.timeout_s) as response:
            body: bytes = response.read(MOST_BYTES + 1)
            if len(body) > MOST_BYTES:
                raise InputError(f"{self._called} answered with more than {MOST_BYTES:,} bytes, expected a few numbers")
            if response.length:  # the connection broke before all that was announced had come
                raise http.client.IncompleteRead(body, response.length)
            return body

    def _refused(self, error: urllib.error.HTTPError) -> InputError:
        """What to say of a status that asking again would not change."""
        if 300 <= error.code < 400:
            target = error.headers.get("Location", "")
            where = f" to {self._safe(shown_url(target))}" if target else ""
            return InputError(
                f"{self._called} answered {error.code}: a redirect{where}, which is not followed; give that address"
            )
        advice = f"it must take POSTed JSON {FORM}"
        if error.code in (401, 403):
            advice = f"put its token into ${TOKEN}"
        try:
            said = self._excerpt(error.read(MOST_BYTES))
        except (OSError, http.client.HTTPException):
            said = "nothing more"
        return InputError(
            f"{self._called} refused the request: {error.code} {self._safe(error.reason)}, {said}. Check the address; "
            f"{advice}"
        )

    def _rewards(self, body: bytes, expected: int) -> list[Any]:
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            said = self._excerpt(body)
            raise InputError(f"{self._called} answered {said}, which is no JSON; expected {ANSWER}") from None
        rewards = answer.get("rewards") if isinstance(answer, dict) else None
        if not isinstance(rewards, list):
            raise InputError(f"{self._called} answered {self._excerpt(body)}, expected {ANSWER}")
        if len(rewards) != expected:  # counted here: two wrong batches may add up to the right number
            raise InputError(f"{self._called} returned {len(rewards)} numbers for {expected} (prompt, response) pairs")
        # what is no number ends up in a message of `checked_reward`
        return [value if isinstance(value, int | float | None) else self._safe(_plain(value)) for value in rewards]

    def _safe(self, text: str) -> str:
        """Return the text without token and credentials, which an endpoint may send back."""
        return redact(text, [secret_from(TOKEN), *secrets_of_address(self.url)])

    def _excerpt(self, body: bytes) -> str:
        """Return the beginning of an answer, for a message; redacted before it is cut, or a part would stay."""
        text = self._safe(body.decode(errors="replace"))
        return ascii(text if len(text) <= EXCERPT else f"{text[: EXCERPT - 3]}...")


class _Bounded(http.client.HTTPConnection):
    """A connection that is shut after a while, so that no server keeps it with a byte now and then."""

    def connect(self) -> None:
        super().connect()
        self.late = threading.Event()
        clock = threading.Timer(PATIENCE * (self.timeout or 0), _shut, [weakref.ref(self.sock), self.late])
        clock.daemon = True
        clock.start()
        weakref.finalize(self.sock, clock.cancel)  # the answer outlives this object, and its clock ends with it

    def getresponse(self) -> http.client.HTTPResponse:
        response = super().getresponse()
        if self.late.is_set():  # the end of the connection looks like the end of the header
            response.close()
            raise TimeoutError("the answer did not come to its end in time")
        return response


class _BoundedTLS(_Bounded, http.client.HTTPSConnection):
    """The same under TLS."""


class _BoundedHTTP(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_Bounded, req)


class _BoundedHTTPS(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_BoundedTLS, req)


def _shut(connection: weakref.ref[socket.socket], late: threading.Event) -> None:
    """End a connection that is still there; whoever reads from it finds it cut short."""
    late.set()
    if (found := connection()) is not None:
        with contextlib.suppress(OSError):
            found.shutdown(socket.SHUT_RDWR)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Texts (and tokens) go to the address that was given and to no other."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _proxies(url: str) -> list[urllib.request.ProxyHandler]:
    """None for this machine itself, which no proxy reaches; else those that the environment names."""
    here = address_parts(url).hostname in ("localhost", "127.0.0.1", "::1")
    return [urllib.request.ProxyHandler({})] if here else []


def _request(url: str, pairs: Sequence[tuple[str, str]]) -> urllib.request.Request:
    parts = address_parts(url)
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "penchant"}
    user, at, host = parts.netloc.rpartition("@")
    if token := secret_from(TOKEN):
        headers["Authorization"] = f"Bearer {token}"
    elif at:
        headers["Authorization"] = f"Basic {base64.b64encode(unquote(user).encode()).decode()}"
    rows = [{"prompt": prompt, "response": response} for prompt, response in pairs]
    target = urlunsplit((parts.scheme, host, parts.path or "/", parts.query, ""))
    return urllib.request.Request(target, json.dumps({"pairs": rows}).encode(), headers, method="POST")


def _asked_wait(error: urllib.error.HTTPError) -> float:
    """Seconds that the endpoint asks to wait, within reason."""
    seconds = error.headers.get("Retry-After", "")
    return min(float(seconds), MOST_WAIT_S) if seconds.isdecimal() else 0.0


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
