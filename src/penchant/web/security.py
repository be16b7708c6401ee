"""What stands before every route: sizes, rates, the host's name, and the headers of every answer."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# A judgment has a note of 2,000 characters at most, which is 12 kB where each is written as an escape.
MOST_BODY_BYTES = 64 * 1024
MOST_ADDRESS_BYTES = 2048  # links and digests have a hundred
MOST_CALLERS = 10_000  # that the rate limit remembers: addresses are free, memory is not

# It stops whatever slips through the escaping of texts: no script or style in a page, and nothing from elsewhere, which
# would tell others who judges what, and when.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer, a form would be sent with the origin "null"
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "X-Robots-Tag": "noindex, nofollow",
}


class Rate:
    """A token bucket per caller: `per_minute` requests go in a minute, half a minute's worth at once."""

    def __init__(self, per_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second, self._room, self._clock = per_minute / 60, per_minute / 2, clock
        self._callers: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, caller: str) -> float:
        """Return seconds that the caller has to wait; 0 lets the request pass, which then counts."""
        now = self._clock()
        left, seen = self._callers.pop(caller, (self._room, now))
        # what was left when the caller was last seen, and what has come in since
        left = min(self._room, left + (now - seen) * self._per_second)
        allowed = left >= 1
        self._callers[caller] = (left - 1 if allowed else left, now)
        if len(self._callers) > MOST_CALLERS:  # the one that was seen longest ago
            self._callers.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._per_second


class Guard:
    """Middleware around the whole application.

    Refuses what is too large or has a foreign host or origin, and puts the security headers on every answer, errors
    too.

    Args:
        app: what is guarded. hosts: names that the page may be asked for under (without ports).
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                if "cache-control" not in headers:  # pages hold a person's texts and tokens
                    headers["Cache-Control"] = "no-store"
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, guarded)
            return
        await _pass_limited_body(self._app, scope, receive, guarded)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host_name(host) not in self._hosts:  # a page elsewhere whose name was made to point here
            return PlainTextResponse("This page is not served under that name. Use the link as it was given.", 421)
        if len(scope.get("raw_path") or b"") + len(scope.get("query_string", b"")) > MOST_ADDRESS_BYTES:
            return PlainTextResponse("The address is too long.", 414)
        # what is announced can be refused before a byte of it is read
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MOST_BODY_BYTES:
            return _too_large()
        if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            # browsers say one or both; a program that says neither cannot be made to act for a person
            origin = headers.get("origin")
            is_foreign = origin is not None and urlsplit(origin).netloc != host
            if is_foreign or headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
                return PlainTextResponse("Refused: the request comes from another site.", 403)
        return None


async def _pass_limited_body(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Read the body before the application does, and refuse one that is longer than allowed, whatever was announced."""
    if scope["method"] in ("GET", "HEAD"):
        await app(scope, receive, send)
        return
    body, has_more = b"", True
    while has_more:
        message = await receive()
        if message["type"] != "http.request":
            return  # the caller is gone
        body += message.get("body", b"")
        has_more = message.get("more_body", False)
        if len(body) > MOST_BODY_BYTES:
            await _too_large()(scope, receive, send)
            return
    is_read = False

    async def receive_body() -> Message:
        nonlocal is_read
        if is_read:  # what comes next is the end of the connection
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    await app(scope, receive_body, send)


def _too_large() -> PlainTextResponse:
    return PlainTextResponse(f"The request is larger than {MOST_BODY_BYTES:,} bytes.", 413)


def host_name(host: str) -> str:
    """Return a Host header without its port, in small letters; empty for what is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def bracketed(host: str) -> str:
    """Return a host as an address holds it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
