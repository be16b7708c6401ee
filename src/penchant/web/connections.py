"""Connections that ask for nothing: closed after a while, and few per address, so that nobody fills the page.

uvicorn bounds the time between two requests, and not the time that a request's header and body take.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from penchant.web.settings import is_loopback

if TYPE_CHECKING:  # uvicorn says only `asyncio.Protocol` of what it takes, which has neither a client nor a cycle
    from uvicorn.protocols.http.h11_impl import H11Protocol as AutoHTTPProtocol
else:
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

# Seconds from a connection's first moment, or a request's first byte, until the whole request is there.
REQUEST_S = 20.0
# Connections of one address. A browser opens six. This machine itself is exempt: a proxy's all come from it.
MOST_PER_ADDRESS = 60


def bounded_protocol(
    *, request_s: float = REQUEST_S, most_per_address: int = MOST_PER_ADDRESS, exempt_this_machine: bool = True
) -> type[asyncio.Protocol]:
    """Return uvicorn's HTTP protocol with a time for each request and a number of connections for each address."""
    open_now: Counter[str] = Counter()

    class BoundedProtocol(AutoHTTPProtocol):  # the one way that uvicorn offers
        """One connection."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
            super().connection_made(transport)
            self.deadline: asyncio.TimerHandle | None = None
            self.address = self.client[0] if self.client else ""
            open_now[self.address] += 1
            exempt = exempt_this_machine and is_loopback(self.address)
            if open_now[self.address] > most_per_address and not exempt:
                transport.abort()  # not `close`, which would wait for a peer that reads nothing
                return
            self.start_deadline()

        def data_received(self, data: bytes) -> None:
            self.start_deadline()  # only where none runs: a byte now and then must not put it off
            super().data_received(data)
            if self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete:
                self.stop_deadline()

        def on_response_complete(self) -> None:
            self.stop_deadline()  # uvicorn's own clock runs until the next request begins
            super().on_response_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self.stop_deadline()
            open_now[self.address] -= 1
            if open_now[self.address] <= 0:  # else every address that ever came would stay in memory
                del open_now[self.address]
            super().connection_lost(exc)

        def start_deadline(self) -> None:
            if self.deadline is None:
                self.deadline = self.loop.call_later(request_s, self.transport.abort)

        def stop_deadline(self) -> None:
            if self.deadline is not None:
                self.deadline.cancel()
                self.deadline = None

    return BoundedProtocol
