"""Progress bars with a rate and an estimate; plain lines where nobody watches."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LINE_EVERY_S = 15.0  # between lines in a log file

Advance = Callable[..., None]


@contextmanager
def progress_bar(what: str, total: int, unit: str, *, done: int = 0, quiet: bool = False) -> Iterator[Advance]:
    """Yields `advance(count=1, note="")`. On a terminal a bar, in a log a line every 15 s, both on stderr."""
    if quiet:
        yield lambda count=1, note="": None
    elif sys.stderr.isatty():
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(what, total=total, completed=done, rate="", note="")
            started = time.monotonic()
            moved = 0

            def advance(count: int = 1, note: str = "") -> None:
                nonlocal moved
                moved += count
                rate = moved / max(time.monotonic() - started, 1e-9)
                bar.update(task, advance=count, rate=f"{rate:.3g} {unit}/s", note=note)

            yield advance
    else:
        yield _LineReporter(what, total, unit, done).advance


class _LineReporter:
    def __init__(self, what: str, total: int, unit: str, done: int) -> None:
        self.what, self.total, self.unit, self.done = what, total, unit, done
        self.moved = 0
        self.started = self.printed = time.monotonic()

    def advance(self, count: int = 1, note: str = "") -> None:
        self.done += count
        self.moved += count
        now = time.monotonic()
        if now - self.printed >= LINE_EVERY_S:
            self.printed = now
            rate = self.moved / (now - self.started)
            left = (self.total - self.done) / rate if rate else float("inf")
            line = f"{self.what}: {self.done}/{self.total}, {rate:.3g} {self.unit}/s, about {left:.0f} s left"
            print(f"{line}  {note}".rstrip(), file=sys.stderr, flush=True)
