"""Short forms of objects for people who type their names: a line for a terminal, a table for a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

LONGEST = 60
"""Characters of a text that a line shows."""


def shorten(text: str, length: int = LONGEST) -> str:
    """Return the beginning of a text on one line."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"


def html_table(caption: str, rows: Iterable[Sequence[str]], head: Sequence[str] = ()) -> str:
    """Return an HTML table of texts, in the style of the notebook."""
    # escaped: what a model wrote must not become a part of the page
    top = f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr>" if head else ""
    lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><caption>{escape(caption)}</caption>{top}{lines}</table>"


def estimate_rows(numbers: object, prefix: str = "") -> list[tuple[str, str]]:
    """Return the estimates of an evaluation's line as (name, value with its interval)."""
    if not isinstance(numbers, Mapping):
        return []
    if isinstance(value := numbers.get("value"), int | float):
        low, high = numbers.get("low"), numbers.get("high")
        has_interval = isinstance(low, int | float) and isinstance(high, int | float)
        interval = f"[{low:.4g}, {high:.4g}]" if has_interval else str(numbers.get("reason") or "no interval")
        return [(prefix, f"{value:.4g} {interval}")]
    return [row for name, inner in numbers.items() for row in estimate_rows(inner, f"{prefix} {name}".strip())]
