"""Progress bars with a rate and an estimate; plain lines where nobody watches."""

from __future__ import annotations

import os
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

from penchant.runs.notebook_progress import notebook_bar, notebook_display

LINE_EVERY_S = 15.0  # between lines in a log file

Advance = Callable[..., None]

_display: Progress | None = None


@contextmanager
def progress_bar(title: str, total: int, unit: str, *, done: int = 0, quiet: bool = False) -> Iterator[Advance]:
    """Yield `advance(count=1, note="")`: on a terminal a bar, in a log one line per 15 s, both on stderr."""
    # several processes would write over each other's bars: all but the first are quiet
    if quiet or os.environ.get("PENCHANT_QUIET"):  # `penchant -q` sets it
        yield lambda count=1, note="": None
    elif (notebook := notebook_display()) is not None:
        with notebook_bar(notebook, title, total, unit, done) as advance:
            yield advance
    elif sys.stderr.isatty():
        # rich refuses a second live display: a bar inside another (samples in an evaluation) becomes a line of it
        inner = _display is not None
        with _live_display() as display:
            bar = _Bar(display, title, total, unit, done)
            yield bar.advance
            # otherwise every evaluation of a long training would leave a finished bar
            if inner:
                display.remove_task(bar.task)
    else:
        yield _LineReporter(title, total, unit, done).advance


@contextmanager
def _live_display() -> Iterator[Progress]:
    global _display
    if _display is not None:
        yield _display
        return
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
    with Progress(*columns, console=Console(stderr=True)) as display:
        _display = display
        try:
            yield display
        finally:
            _display = None


class _Bar:
    def __init__(self, display: Progress, title: str, total: int, unit: str, done: int) -> None:
        self.display, self.unit, self.advanced, self.started = display, unit, 0, time.monotonic()
        self.task = display.add_task(title, total=total, completed=done, rate="", note="")

    def advance(self, count: int = 1, note: str = "") -> None:
        # the rate counts this session alone: steps of an earlier one would make it look too fast
        self.advanced += count
        rate = self.advanced / max(time.monotonic() - self.started, 1e-9)
        self.display.update(self.task, advance=count, rate=f"{rate:.3g} {self.unit}/s", note=note)


class _LineReporter:
    def __init__(self, title: str, total: int, unit: str, done: int) -> None:
        self.title, self.total, self.unit, self.done = title, total, unit, done
        self.advanced = 0
        self.started = self.printed = time.monotonic()

    def advance(self, count: int = 1, note: str = "") -> None:
        self.done += count
        self.advanced += count
        now = time.monotonic()
        # an update of nothing, such as "none were stored", has no rate to estimate by
        if self.advanced and now - self.printed >= LINE_EVERY_S:
            self.printed = now
            rate = self.advanced / max(now - self.started, 1e-9)
            left = (self.total - self.done) / rate
            line = f"{self.title}: {self.done}/{self.total}, {rate:.3g} {self.unit}/s, about {left:.0f} s left"
            print(f"{line}  {note}".rstrip(), file=sys.stderr, flush=True)
