"""What the pages of `agree`, `rank` and `judge` have alike: how they are written, and how their numbers read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penchant.errors import RunError
from penchant.files import atomic_write, make_folder
from penchant.metrics.estimates import Measure
from penchant.reports.kit.canvas import Picture
from penchant.reports.kit.render import file_name, render_page
from penchant.reports.kit.tables import flatten
from penchant.reports.kit.text import number, recorded

TEMPLATE = "page.html.j2"
Numbers = Mapping[str, Any]


def write_page(context: Mapping[str, Any], pictures: Mapping[str, Picture], folder: Path) -> None:
    """Write `report.html`, and the figures as PNG under `figures`.

    Raises:
        RunError: the folder cannot be written.
    """
    page = render_page(TEMPLATE, context)
    try:
        make_folder(folder / "figures")
        for key, picture in pictures.items():
            atomic_write(folder / "figures" / f"{file_name(key)}.png", picture.png, shared=True)
        atomic_write(folder / "report.html", page.encode("utf-8", "replace"), shared=True)
    except OSError as error:
        raise RunError(f"cannot write to {folder}: {error.strerror}") from error


def shared_context(
    method: str, level: float, provenance: Mapping[str, Any], resampled: str = "prompts"
) -> dict[str, Any]:
    """Return what every page of a command says at its end: where the numbers come from, and what intervals are.

    Args:
        method: the command, after which its JSON file is named.
        level: coverage of the intervals.
        resampled: what they resample.
    """
    return {
        "provenance": flatten({key: value for key, value in provenance.items() if value is not None}),
        "intervals": intervals_note(level, resampled),
        "json": f"{method}.json",
    }


def format_measure(numbers: Measure | Numbers | None, *, percent: bool = False) -> str:
    """Format a coefficient or an estimate for a cell or a sentence, as `recorded` does."""
    low = numbers.low if isinstance(numbers, Measure) else numbers and numbers["low"]
    without_interval = numbers is not None and low is None  # no width of an interval to take the digits from
    return recorded(numbers, percent=percent, decimals=2 if without_interval and not percent else None)


def intervals_note(level: float, resampled: str = "prompts") -> str:
    """Return the sentence that says what the intervals are."""
    return f"Intervals are {number(100 * level, 0)}% and resample {resampled}."
