"""Short forms of objects for people who type their names: a line for a terminal, a table for a notebook."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

BAR_WIDTH, BAR_HEIGHT, BAR_MARGIN = 160, 12, 6
"""Of the picture of an interval, in pixels."""
LONGEST = 60
"""Characters of a text that a line shows."""


def shorten(text: str, length: int = LONGEST) -> str:
    """Return the beginning of a text on one line."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"


class Html(str):
    """A piece of a page that this package made, which is shown as it is."""


def html_table(caption: str, rows: Iterable[Sequence[str]], head: Sequence[str] = ()) -> str:
    """Return an HTML table of texts and pictures, in the style of the notebook."""
    top = f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr>" if head else ""
    lines = "".join(f"<tr>{''.join(f'<td>{_cell(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><caption>{escape(caption)}</caption>{top}{lines}</table>"


def _cell(content: str) -> str:
    # escaped: what a model wrote must not become a part of the page
    return content if isinstance(content, Html) else escape(content)


def svg_image(svg: str, words: str) -> Html:
    """Return a drawing as an image, which runs no script and loads nothing, with words for who cannot see it."""
    content = b64encode(svg.encode("utf-8")).decode("ascii")
    return Html(f'<img src="data:image/svg+xml;base64,{content}" alt="{escape(words)}">')


@dataclass(frozen=True)
class Interval:
    """A number with the ends of its interval; both None where it has none."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def text(self) -> str:
        """The number, and its interval where there is one."""
        ends = f" [{self.low:.4g}, {self.high:.4g}]" if self.low is not None and self.high is not None else ""
        return f"{self.value:.4g}{ends}"


def interval_bars(intervals: Sequence[Interval], scale: Sequence[float] = ()) -> Html:
    """Return bars one below the other on one scale: of an interval its ends, with a point at the number.

    Args:
        scale: numbers that the scale has in any case, such as 0 and 1 of a share.

    Returns:
        The last one in colour and those before it in grey, since they are what it is compared with, and a line at 0
        where the scale has it.
    """
    numbers = [*scale, *(number for bar in intervals for number in (bar.value, bar.low, bar.high))]
    ends = [number for number in numbers if number is not None and math.isfinite(number)]
    # a loss that is not finite has no place on any scale
    if not ends:
        return Html("")
    low, span = min(ends), max(ends) - min(ends) or 1.0

    def x(number: float) -> str:
        return f"{BAR_MARGIN + (number - low) / span * (BAR_WIDTH - 2 * BAR_MARGIN):.1f}"

    height = BAR_HEIGHT * len(intervals)
    parts = [f'<line x1="{x(0)}" x2="{x(0)}" y1="0" y2="{height}" stroke="#999"/>'] if low < 0 < low + span else []
    for index, bar in enumerate(intervals):
        # both can be seen on light and on dark paper
        color, y = ("#2f7ed8" if index == len(intervals) - 1 else "#999"), BAR_HEIGHT * (index + 0.5)
        if bar.low is not None and bar.high is not None:
            parts.append(
                f'<line x1="{x(bar.low)}" x2="{x(bar.high)}" y1="{y}" y2="{y}" stroke="{color}" stroke-width="3"/>'
            )
        if math.isfinite(bar.value):
            parts.append(f'<circle cx="{x(bar.value)}" cy="{y}" r="4" fill="{color}"/>')
    size = f'width="{BAR_WIDTH}" height="{height}"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>'
    return svg_image(svg, " then ".join(bar.text for bar in intervals))


def estimate_rows(numbers: object, prefix: str = "") -> list[tuple[str, Interval, str]]:
    """Return the estimates of an evaluation's line as (name, number with its interval, both as text)."""
    if not isinstance(numbers, Mapping):
        return []
    if isinstance(value := numbers.get("value"), int | float):
        low, high = numbers.get("low"), numbers.get("high")
        if isinstance(low, int | float) and isinstance(high, int | float):
            interval = Interval(value, low, high)
            return [(prefix, interval, interval.text)]
        return [(prefix, Interval(value), f"{value:.4g} {numbers.get('reason') or 'no interval'}")]
    return [row for name, inner in numbers.items() for row in estimate_rows(inner, f"{prefix} {name}".strip())]
