"""Win rates against the temperature of the samples, a line a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter

from penchant.reports.canvas import INK, MUTED, Picture, blank, error_arms, export, run_style, style
from penchant.reports.words import number

APART = 0.006  # of the axis, so that intervals of methods do not lie on each other


@dataclass(frozen=True)
class Line:
    """A method's estimates (as JSON has them) by temperature, and what others published of it."""

    name: str
    rates: Mapping[float, Mapping[str, Any]]
    published: Mapping[float, float]


def temperature_picture(lines: Sequence[Line], title: str, *, width: float = 5.6) -> Picture:
    """Rates with bands of their intervals; a star is a published number, which has none."""
    temperatures = sorted({temperature for line in lines for temperature in line.rates})
    with style():
        figure, axes = blank(width, 3.9)
        axes.axhline(0.5, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
        reach = max(temperatures[-1] - temperatures[0], 0.5) if temperatures else 1.0
        for index, line in enumerate(lines):
            color, dash, marker = run_style(index)
            here = sorted(line.rates)
            x = np.array(here) + APART * reach * (index - (len(lines) - 1) / 2)
            found = [line.rates[one] for one in here]
            y = [one["value"] for one in found]
            axes.plot(x, y, color=color, linestyle=dash, linewidth=1.6, marker=marker, markersize=4.6, zorder=3)
            axes.errorbar(x, y, yerr=error_arms(found), color=color, linestyle="none", elinewidth=1.0, alpha=0.55)
            for temperature, rate in line.published.items():
                axes.plot(
                    [temperature], [rate], marker="*", markersize=11, color="none", markeredgecolor=color, zorder=4
                )
        axes.set_ylim(-0.02, 1.02)
        if temperatures:
            axes.xaxis.set_major_locator(FixedLocator(temperatures))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{number(100 * value, 0)}%"))
        axes.set_xlabel("temperature", loc="right")
        axes.set_ylabel("win rate", color=INK)
        return export(figure, title, [line.name for line in lines])
