"""Draw every figure of a report alike: palette, style, error bars, export as SVG and PNG."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import ArrayLike, NDArray

from penchant.metrics.estimates import Estimate, Measure
from penchant.reports.kit.drawing import compact_svg
from penchant.reports.kit.text import percent, short

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

# Okabe and Ito's colours, the light ones darkened for white paper; `page.css` has the twins for dark screens.
# Colour-blind readers and black-and-white prints have the markers and dashes as well.
RUN_COLORS = ("#0072b2", "#d55e00", "#009e73", "#a6498a", "#b07d00", "#2a9fd6")
INK, MUTED, GRID, PAPER = "#1f2530", "#667080", "#e6e9ee", "#fefefe"
# `page.css` has a rule for each of these colours, which makes it the colour of the page, light or dark.
PALETTE = (*RUN_COLORS, INK, MUTED, GRID, PAPER)
Dash = Literal["-", "--", ":"]
_DASHES: tuple[Dash, ...] = ("-", "--", ":")
_MARKERS = "oDs^vP"
FONT_SIZE = 9.0  # points: 12 CSS pixels, as pages show a figure at its own size
SMALL_FONT_SIZE = 8.0  # of marks inside a figure
PHONE_WIDTH = 3.45  # inches: what a card leaves on a screen of 390 CSS pixels
WIDEST_PHONE_FIGURE = 365  # CSS pixels: scaled to a phone, its text is still larger than 10 pixels
_RC: dict[RcKeyType, object] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": FONT_SIZE,
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
    "legend.fontsize": FONT_SIZE,
    "svg.fonttype": "none",  # the page's own font, sharp at any size
    "svg.hashsalt": "penchant",  # equal runs give equal bytes
    "figure.facecolor": PAPER,
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


@dataclass(frozen=True)
class Picture:
    """One figure under its `title`: `svg` for the page, which colours it light or dark, `png` the file beside it.

    Attributes:
        width, height: of the SVG, in CSS pixels.
        narrow: the same figure drawn for a phone, as SVG; empty where the figure is narrow already.
        named_above: its runs are named in the legend of the page, which a saved figure needs too.
    """

    title: str
    svg: str
    png: bytes
    width: int
    height: int
    narrow: str = ""
    named_above: bool = False


def run_style(index: int) -> tuple[str, Dash, str]:
    """Return colour, dash and marker by the index of a run or method; the 19th looks like the first."""
    # Six colours by three dashes; the marker moves on with each turn, so no two of the first 18 look alike.
    turn, color_index = divmod(index, len(RUN_COLORS))
    return RUN_COLORS[color_index], _DASHES[turn % len(_DASHES)], _MARKERS[(color_index + turn) % len(_MARKERS)]


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
    # Without pyplot, which keeps every figure alive and picks a backend by the user's screen.
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def error_arms(measures: Sequence[Measure]) -> NDArray[np.float64]:
    """Return the lengths of error bars, shape (2, measures); without an interval there is no bar."""
    arms = [
        (0.0, 0.0) if e.value is None or e.low is None or e.high is None else (e.value - e.low, e.high - e.value)
        for e in measures
    ]
    # A resampled end may lie on the other side of the value, and Matplotlib refuses a negative arm.
    return np.maximum(np.array(arms).T, 0.0)


def draw_line(axes: Axes, x: ArrayLike, estimates: Sequence[Estimate], index: int) -> None:
    """Draw a line of estimates with their intervals, in the style of its index."""
    color, dash, marker = run_style(index)
    y = [e.value for e in estimates]
    axes.plot(x, y, color=color, linestyle=dash, linewidth=1.7, marker=marker, markersize=5, zorder=3)
    axes.errorbar(x, y, yerr=error_arms(estimates), color=color, linestyle="none", elinewidth=1.0, alpha=0.7)


def draw_points(axes: Axes, x: ArrayLike, estimates: Sequence[Estimate], index: int) -> None:
    """Draw estimates of things that no line should join, with their intervals."""
    color, _, marker = run_style(index)
    y = [e.value for e in estimates]
    axes.errorbar(x, y, yerr=error_arms(estimates), color=color, marker=marker, markersize=5, linestyle="none")


def draw_reference(axes: Axes, reward: Estimate, color: str, *, size: float, zorder: int) -> None:
    """Draw the reference's reward at a KL of 0: a hollow diamond, which no method has as its marker."""
    axes.errorbar(
        [0.0],
        [reward.value],
        yerr=error_arms([reward]),
        color=color,
        marker="D",
        markersize=size,
        markerfacecolor=PAPER,
        elinewidth=1.2,
        zorder=zorder,
    )


def percent_axis(axis: Axis, decimals: int = 0) -> None:
    """Write percentages at the ticks of an axis of shares; with a decimal more where ticks lie between."""

    def write(value: float, _: object) -> str:
        # half percents would be written as their neighbours, and two ticks would have one number
        is_between = any(abs(round(tick, decimals + 2) - tick) > 1e-9 for tick in axis.get_majorticklocs())
        return percent(value, decimals + is_between)

    axis.set_major_formatter(FuncFormatter(write))


def legend_above(
    axes: Axes, entries: Mapping[str, Line2D], columns: int, *, handlelength: float, columnspacing: float
) -> None:
    """Put a legend of these marks above the axes, where it hides no point."""
    axes.legend(
        list(entries.values()),
        list(entries),
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=columns,
        borderaxespad=0.2,
        handlelength=handlelength,
        columnspacing=columnspacing,
    )


def export(figure: Figure, title: str, names: Sequence[str], *, narrow: bool = True) -> Picture:
    """Export a figure as SVG without title and runs (the page has them as text), and as PNG with both.

    Args:
        narrow: whether a wide figure can be drawn as wide as a phone; of others a phone shows a part, and scrolls.
    """
    svg = draw_svg(figure)
    # CSS has 96 pixels per inch.
    width, height = (round(float(size) * 96) for size in figure.get_size_inches())
    png = _png(figure, title, names)
    for_phone = _narrow_svg(figure, height / 96) if narrow and width > WIDEST_PHONE_FIGURE else ""
    return Picture(title, svg, png, width, height, for_phone, named_above=len(names) > 1)


def draw_svg(figure: Figure) -> str:
    """Return a figure as SVG in the form that pages hold."""
    buffer = io.StringIO()
    # Neither file has a date or a version of Matplotlib in it: equal numbers give equal bytes.
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    # Measured with the font that comes with Matplotlib, so alike on every machine, and shown in the reader's own.
    return compact_svg(buffer.getvalue())


def _png(figure: Figure, title: str, names: Sequence[str]) -> bytes:
    """Return the figure as PNG under its title, with a legend of several runs; the figure itself stays as it was."""
    width, height = figure.get_figwidth(), figure.get_figheight()
    if len(names) > 1:
        _legend_of_runs(figure, names)
    heading = figure.suptitle(title, x=0.02, ha="left", fontsize=FONT_SIZE + 1.5, fontweight="bold", wrap=True)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=200, facecolor=PAPER, metadata={"Software": None})
    heading.set_text("")
    # an empty title would still take its line from the axes
    heading.set_in_layout(False)
    for legend in list(figure.legends):
        legend.remove()
    figure.set_size_inches(width, height)
    return image.getvalue()


def _narrow_svg(figure: Figure, height: float) -> str:
    """Draw the figure again as wide as a phone: scaled down, its text would be too small to read."""
    figure.set_size_inches(PHONE_WIDTH, height)
    for axes in figure.axes:
        # Labels that fitted a wide axis would run into each other on a narrow one.
        if isinstance(axes.xaxis.get_major_locator(), MaxNLocator):
            axes.xaxis.set_major_locator(MaxNLocator(4))
        legend = axes.get_legend()
        if legend is not None:
            _stack_legend(axes, legend)
    return draw_svg(figure)


def _stack_legend(axes: Axes, legend: Legend) -> None:
    """Set a legend above the axes in as many columns as a phone has room for."""
    labels = [text.get_text() for text in legend.get_texts()]
    # A letter takes about half of its size, and the mark before it as much as three.
    inches = max(len(label) + 6 for label in labels) * 0.55 * FONT_SIZE / 72
    columns = max(1, min(len(labels), int((PHONE_WIDTH - 0.5) / inches)))
    handles = [handle for handle in legend.legend_handles if handle is not None]
    stacked = axes.legend(
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=columns,
        borderaxespad=0.2,
        handlelength=1.6,
        columnspacing=1.0,
    )
    stacked.set_zorder(legend.get_zorder())


def _legend_of_runs(figure: Figure, names: Sequence[str]) -> None:
    handles = [
        Line2D([], [], color=color, linestyle=dash, marker=marker, markersize=4.2)
        for color, dash, marker in map(run_style, range(len(names)))
    ]
    # a label that starts with an underscore would be left out
    labels = [f" {short(name, 26)}" for name in names]
    columns = 2 if len(names) < 7 else 3
    rows = math.ceil(len(names) / columns)
    # The figure grows by the legend's rows, so that twelve names do not squeeze the plot.
    figure.set_size_inches(figure.get_figwidth(), figure.get_figheight() + 0.2 * rows + 0.1)
    figure.legend(handles, labels, loc="outside lower left", ncols=columns, fontsize=SMALL_FONT_SIZE, columnspacing=1.0)
