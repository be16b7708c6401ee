"""What every figure of a report is drawn on and with: palette, style, export as SVG (light and dark) and PNG."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from penchant.metrics.estimates import Measure
from penchant.reports.kit.text import short

# Okabe and Ito's colours, the light ones darkened for white paper; each with its twin for dark paper.
# Colour-blind readers and black-and-white prints have the markers and dashes as well.
RUN_COLORS = (
    ("#0072b2", "#4fb0f0"),
    ("#d55e00", "#ff8f4d"),
    ("#009e73", "#2fcf9f"),
    ("#a6498a", "#e493c6"),
    ("#b07d00", "#f0c24f"),
    ("#2a9fd6", "#9adcff"),
)
INK, MUTED, GRID, PAPER = "#1f2530", "#667080", "#e6e9ee", "#fefefe"
_DARK = dict(RUN_COLORS) | {INK: "#e8ebf0", MUTED: "#a0a9b8", GRID: "#2c333f", PAPER: "#181d26"}
Dash = Literal["-", "--", ":"]
_DASHES: tuple[Dash, ...] = ("-", "--", ":")
_MARKERS = "oDs^vP"
_RC: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8.0,
    "text.color": INK,
    "text.parse_math": False,  # a run may be called $\frac{
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "svg.fonttype": "none",  # the page's own font, sharp at any size
    "svg.hashsalt": "penchant",  # equal runs give equal bytes
    "figure.facecolor": PAPER,
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}
_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True)
class Picture:
    """One figure under its `title`: `light` and `dark` are SVG, `png` the file beside the page."""

    title: str
    light: str
    dark: str
    png: bytes
    width: int
    height: int


def run_style(index: int) -> tuple[str, Dash, str]:
    """Return colour, dash and marker of the run at this place: 18 combinations before one comes back."""
    turn, color_index = divmod(index, len(RUN_COLORS))
    return RUN_COLORS[color_index][0], _DASHES[turn % len(_DASHES)], _MARKERS[(color_index + turn) % len(_MARKERS)]


@contextmanager
def style() -> Iterator[None]:
    """Draw with Matplotlib's defaults and the report's style inside the block, whatever the user's own style is."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Gg]lyph.*")  # a run may be named in any script
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        yield


def blank(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure of this size in inches, with one empty pair of axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def error_arms(estimates: Sequence[Measure | Mapping[str, Any]]) -> np.ndarray:
    """Return the lengths of error bars, shape (2, estimates); without an interval there is no bar."""
    arms = [
        (0.0, 0.0) if value is None or low is None or high is None else (value - low, high - value)
        for value, low, high in map(_ends, estimates)
    ]
    return np.maximum(np.array(arms).T, 0.0)


def _ends(measure: Measure | Mapping[str, Any]) -> tuple[float | None, float | None, float | None]:
    if isinstance(measure, Measure):
        return measure.value, measure.low, measure.high
    return measure["value"], measure["low"], measure["high"]


def export(figure: Figure, title: str, names: Sequence[str]) -> Picture:
    """Export a figure as SVG without title and runs (the page has them as text), and as PNG with both."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    light = _own_fonts(buffer.getvalue())
    width, height = (round(float(size) * 96) for size in figure.get_size_inches())
    if len(names) > 1:
        _legend_of_runs(figure, names)
    figure.suptitle(title, x=0.02, ha="left", fontsize=8.5 if figure.get_figwidth() < 5 else 10, fontweight="bold")
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=200, facecolor=PAPER, metadata={"Software": None})
    return Picture(title, light, _recolored(light), image.getvalue(), width, height)


def _legend_of_runs(figure: Figure, names: Sequence[str]) -> None:
    handles = []
    for index in range(len(names)):
        color, dash, marker = run_style(index)
        handles.append(Line2D([], [], color=color, linestyle=dash, marker=marker, markersize=4.2))
    # a label that starts with an underscore would be left out
    labels = [f" {short(name, 26)}" for name in names]
    columns = 2 if len(names) < 7 else 3
    rows = math.ceil(len(names) / columns)
    figure.set_size_inches(figure.get_figwidth(), figure.get_figheight() + 0.18 * rows + 0.1)
    figure.legend(handles, labels, loc="outside lower left", ncols=columns, fontsize=7, columnspacing=1.0)


def _own_fonts(svg: str) -> str:
    return svg.replace("'DejaVu Sans'", _FONTS)


def _recolored(svg: str) -> str:
    pattern = re.compile("|".join(_DARK))
    return pattern.sub(lambda match: _DARK[match.group()], svg)
