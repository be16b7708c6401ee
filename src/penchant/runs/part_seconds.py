"""Seconds that the parts of a longer command take: whoever runs several runs learns where their time went."""

from __future__ import annotations

import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar

# not an argument: the parts lie deep in loops that have no other use for a clock
_seconds: ContextVar[MutableMapping[str, float] | None] = ContextVar("part_seconds", default=None)


@contextmanager
def collect_seconds(seconds: MutableMapping[str, float]) -> Iterator[None]:
    """Add the seconds of all `timed_part` blocks to a mapping, by part, until the `with` block ends."""
    token = _seconds.set(seconds)
    try:
        yield
    finally:
        _seconds.reset(token)


@contextmanager
def timed_part(part: str) -> Iterator[None]:
    """Add the seconds of a `with` block to those of a part, where somebody collects them."""
    seconds = _seconds.get()
    if seconds is None:
        yield
        return
    started = time.monotonic()
    # what a part within this one takes is counted there alone, so that the parts add up
    inner_parts: dict[str, float] = {}
    token = _seconds.set(inner_parts)
    try:
        yield
    finally:
        _seconds.reset(token)
        inner_parts[part] = inner_parts.get(part, 0.0) + time.monotonic() - started - sum(inner_parts.values())
        for name, duration in inner_parts.items():
            seconds[name] = seconds.get(name, 0.0) + duration
