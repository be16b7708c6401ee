"""A progress bar in a notebook: one display below the cell, changed in place."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from importlib import import_module
from typing import Any, Protocol

EVERY_S = 0.2  # between changes: each is a message to the browser


class Handle(Protocol):
    """A display of IPython, which can be changed."""

    def update(self, content: Any) -> None:
        """Show another content in its place."""


Show = Callable[[Any], Handle]
"""Shows an object with `_repr_html_` below the cell."""


class _Html:
    def __init__(self, html: str, text: str) -> None:
        self.html, self.text = html, text

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text


def notebook_display() -> Show | None:
    """Return what shows something below the cell that runs; None outside of a notebook."""
    # asked of what is loaded: importing IPython to learn that it is not used would take a second
    shell = sys.modules.get("IPython")
    if shell is None or "ipykernel" not in sys.modules or shell.get_ipython() is None:
        return None
    display = import_module("IPython.display").display
    return lambda content: display(content, display_id=True)


@contextmanager
def notebook_bar(show: Show, title: str, total: int, unit: str, done: int) -> Iterator[Callable[..., None]]:
    """Yield `advance(count=1, note="")`, which moves a bar below the cell."""
    started = shown_at = time.monotonic()
    advanced = 0

    def content(note: str) -> _Html:
        rate = advanced / max(time.monotonic() - started, 1e-9)
        text = f"{title}: {done + advanced}/{total}, {rate:.3g} {unit}/s  {note}".rstrip()
        bar = f'<progress value="{done + advanced}" max="{max(total, 1)}"></progress>'
        return _Html(f"{bar} {escape(text)}", text)

    handle = show(content(""))

    def advance(count: int = 1, note: str = "") -> None:
        nonlocal advanced, shown_at
        advanced += count
        now = time.monotonic()
        if now - shown_at >= EVERY_S or done + advanced >= total:
            shown_at = now
            handle.update(content(note))

    yield advance
