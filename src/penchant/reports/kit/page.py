"""Write the pages of `agree`, `rank` and `judge`, and format their numbers alike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from penchant.errors import RunError
from penchant.files import atomic_write, make_folder
from penchant.metrics.estimates import Measure
from penchant.reports.kit.canvas import Picture
from penchant.reports.kit.render import file_name, render_page
from penchant.reports.kit.tables import flatten
from penchant.reports.kit.text import percent, recorded

TEMPLATE = "page.html.j2"


def write_page(context: Mapping[str, object], pictures: Mapping[str, Picture], folder: Path) -> None:
    """Write `report.html`, and the figures as PNG under `figures`.

    Raises:
        RunError: the folder cannot be written.
    """
    # Filled in before the first file is touched: a page that cannot be made leaves the old one as it is.
    page = render_page(TEMPLATE, context)
    try:
        make_folder(folder / "figures")
        for key, picture in pictures.items():
            atomic_write(folder / "figures" / f"{file_name(key)}.png", picture.png, shared=True)
        # Texts of users may hold lone surrogates, which no encoding has.
        atomic_write(folder / "report.html", page.encode("utf-8", "replace"), shared=True)
    except OSError as error:
        raise RunError(f"cannot write to {folder}: {error.strerror}") from error


def shared_context(
    method: str, level: float, provenance: Mapping[str, object], resampled: str = "prompts"
) -> dict[str, object]:
    """Return the end of every command's page: where the numbers come from, and what intervals are.

    Args:
        method: the command, after which its JSON file is named.
        level: coverage of the intervals.
        resampled: what they resample.
    """
    return {
        "provenance": flatten({key: value for key, value in provenance.items() if value is not None}),
        "intervals": f"Intervals are {percent(level)} and resample {resampled}.",
        "json": f"{method}.json",
    }


def format_measure(measure: Measure | None, *, percent: bool = False) -> str:
    """Format a coefficient or an estimate for a cell or a sentence, as `recorded` does."""
    # Without an interval there is no width to take the digits from, and a kappa of .41666 claims too much.
    fixed = measure is not None and not measure.has_interval and not percent
    return recorded(measure, percent=percent, decimals=2 if fixed else None)
