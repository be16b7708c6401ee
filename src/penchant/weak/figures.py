"""Figures that `penchant weak train` and the weak-to-strong study share."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan

from matplotlib.axes import Axes
from matplotlib.axis import Axis

from penchant.metrics.estimates import Measure
from penchant.reports.kit.canvas import MUTED, Picture, blank, error_arms, export, percent_axis, run_style, style

CLOSE = (0.05, 0.005)
"""Widths of an axis below which its ticks need one more digit each."""


def reliability_picture(curves: Mapping[str, Mapping[float, Measure]], title: str) -> Picture:
    """Draw accuracy against confidence, one line per name; a dotted line shows where the two are equal."""
    with style():
        figure, axes = blank(4.4, 3.6)
        for index, curve in enumerate(curves.values()):
            plot_curve(axes, index, curve)
        # the dotted line begins where the first curve does: the rest of the square is empty
        low = min(confidence for curve in curves.values() for confidence in curve)
        axes.plot([low, 1], [low, 1], color=MUTED, linewidth=0.9, linestyle=":")
        for axis in (axes.xaxis, axes.yaxis):
            fitted_percent_axis(axis)
        axes.set_xlabel("confidence", loc="right")
        return export(figure, title, list(curves))


def plot_curve(
    axes: Axes, index: int, points: Mapping[float, Measure], *, dash: str | None = None, label: str | None = None
) -> None:
    """Plot estimates with their intervals against their positions, in the style of the line `index`."""
    color, line_style, marker = run_style(index)
    x = sorted(points)
    estimates = [points[step] for step in x]
    # a gap in the line, where a 0 would be read as a measurement
    values = [nan if estimate.value is None else estimate.value for estimate in estimates]
    axes.errorbar(
        x,
        values,
        yerr=error_arms(estimates),
        color=color,
        linestyle=dash or line_style,
        marker=marker,
        markersize=4,
        linewidth=1.2,
        label=label,
    )


def fitted_percent_axis(axis: Axis) -> None:
    """Write percentages at an axis's ticks, with more digits where these lie close; call it after all is drawn."""
    low, high = axis.get_view_interval()
    percent_axis(axis, sum(high - low < close for close in CLOSE))
