"""Draw win rates against the temperature of the samples, one line per method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter

from penchant.metrics.catalogue import metric
from penchant.reports.kit.canvas import INK, MUTED, PAPER, Picture, blank, export, percent_axis, run_style, style

# Temperature, value, and the ends of its interval; None where there is none.
Point = tuple[float, float, float | None, float | None]
MARKER_SHIFT = 0.006  # of the axis, so that markers of methods do not lie on each other
PUBLISHED = "as published"


def win_rate_picture(
    rows: Mapping[str, Sequence[Point]],
    title: str,
    *,
    published: Mapping[str, Sequence[tuple[float, float]]] | None = None,
    width: float = 5.6,
) -> Picture:
    """Draw shares between 0 and 1 over temperatures, with bands of their intervals.

    Args:
        rows: of each name, in the order of the legend, its points in any order. A point with no neighbour has a bar
            in place of a band.
        published: (temperature, share) that others report of a name, which have no interval: hollow markers in the
            colour of that name, or in one of its own where `rows` does not have it.
    """
    published_rates = published or {}
    names = list(dict.fromkeys((*rows, *published_rates)))
    temperatures = sorted({point[0] for points in rows.values() for point in points})
    reach = max(temperatures[-1] - temperatures[0], 0.5) if temperatures else 1.0
    with style():
        figure, axes = blank(width, 3.9)
        axes.axhline(0.5, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
        for index, name in enumerate(names):
            # names side by side around the temperature, so that equal rates do not hide each other
            aside = MARKER_SHIFT * reach * (index - (len(names) - 1) / 2)
            _line(axes, sorted(rows.get(name, ()), key=lambda point: point[0]), index, aside)
            color, _, marker = run_style(index)
            for temperature, value in published_rates.get(name, ()):
                axes.plot([temperature], [value], marker=marker, markersize=8.5, zorder=4, **_hollow(color))
        axes.set_ylim(-0.02, 1.02)
        if temperatures:
            axes.xaxis.set_major_locator(FixedLocator(temperatures))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        percent_axis(axes.yaxis)
        axes.set_xlabel("temperature", loc="right")
        axes.set_ylabel(metric("rate").label, color=INK)
        # the export writes the names beside the lines; what hollow markers are, it does not know
        if any(published_rates.values()):
            mark = Line2D([], [], marker="o", markersize=7, **_hollow(MUTED))
            axes.legend([mark], [PUBLISHED], loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.2)
        return export(figure, title, names)


def _line(axes: Axes, points: Sequence[Point], index: int, aside: float) -> None:
    """Draw one name's points, their line, and what the intervals cover."""
    if not points:
        return
    color, dash, marker = run_style(index)
    x, y = (np.array([point[column] for point in points], dtype=float) for column in (0, 1))
    low, high = (
        np.array([np.nan if p[column] is None else p[column] for p in points], dtype=float) for column in (2, 3)
    )
    axes.plot(x + aside, y, color=color, linestyle=dash, linewidth=1.6, marker=marker, markersize=4.6, zorder=3)
    has_interval = np.isfinite(low) & np.isfinite(high)
    axes.fill_between(x + aside, low, high, where=has_interval, color=color, alpha=0.15, linewidth=0)
    # a band needs two points: one whose neighbours have no interval gets a bar
    padded = np.concatenate(([False], has_interval, [False]))
    isolated = has_interval & ~padded[:-2] & ~padded[2:]
    if isolated.any():
        arms = np.maximum([(y - low)[isolated], (high - y)[isolated]], 0.0)
        axes.errorbar((x + aside)[isolated], y[isolated], yerr=arms, color=color, linestyle="none", elinewidth=1.0)


def _hollow(color: str) -> dict[str, Any]:
    return {"color": "none", "markerfacecolor": PAPER, "markeredgecolor": color, "markeredgewidth": 1.4}
