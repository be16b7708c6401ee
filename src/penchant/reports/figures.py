"""Panels as pictures: SVG for the page, light and dark, and PNG beside it. No pyplot, no state left."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from penchant.metrics.intervals import Estimate
from penchant.reports.curves import MOST_BASELINES, KlPath, Panel, Series
from penchant.reports.words import short

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
_INK, _MUTED, _GRID, _PAPER = "#1f2530", "#667080", "#e6e9ee", "#fefefe"
_DARK = dict(RUN_COLORS) | {_INK: "#e8ebf0", _MUTED: "#a0a9b8", _GRID: "#2c333f", _PAPER: "#181d26"}
Dash = Literal["-", "--", ":"]
_DASHES: tuple[Dash, ...] = ("-", "--", ":")
_MARKERS = "oDs^vP"
_ROLES = {"policy": 0, "chosen": 0, "rejected": 1}
_RC: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8.0,
    "text.color": _INK,
    "text.parse_math": False,  # a run may be called $\frac{
    "axes.edgecolor": _MUTED,
    "axes.labelcolor": _MUTED,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.7,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "svg.fonttype": "none",  # the page's own font, sharp at any size
    "svg.hashsalt": "penchant",  # equal runs give equal bytes
    "figure.facecolor": _PAPER,
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}
_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
SQUARE_ROOT_FROM = 8.0  # KL of the farthest run over the median: beyond, a linear axis would hide the near runs
MOST_STEP_LABELS = 8


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
    """Colour, dash and marker of the run at this place: 18 combinations before one comes back."""
    turn, place = divmod(index, len(RUN_COLORS))
    return RUN_COLORS[place][0], _DASHES[turn % len(_DASHES)], _MARKERS[(place + turn) % len(_MARKERS)]


def panel_picture(panel: Panel, names: Sequence[str]) -> Picture:
    """Draw a panel; `names` are the runs, for the legend of the PNG (the page has its own)."""
    with _style():
        figure, axes = _blank(4.2, 2.55)
        if panel.level is not None:
            axes.axhline(panel.level, color=_MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
        for series in panel.series:
            _draw(axes, series)
        axes.set_xlabel("optimizer step", loc="right")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        if len(names) == 1:
            _legend_of_roles(axes, panel.series)
        title = f"{panel.title} ({panel.unit})" if panel.unit else panel.title
        return _export(figure, axes, title, names)


def kl_picture(paths: Sequence[KlPath], names: Sequence[str]) -> Picture:
    """Draw the reward-KL plane: evaluated checkpoints with the intervals of both, the reference at 0."""
    with _style():
        figure, axes = _blank(6.2, 3.9)
        _draw_references(axes, paths)
        for path in paths:
            _draw_path(axes, path, annotate=len(paths) <= 3)
        note = _square_root(axes, paths)
        axes.set_xlabel(f"KL from the reference, nats per response{note}", loc="right")
        axes.yaxis.set_major_locator(MaxNLocator(6))
        return _export(figure, axes, "Mean reward against KL", names)


@contextmanager
def _style() -> Iterator[None]:
    """Matplotlib's defaults and ours, whatever the user's own style is, and theirs again afterwards."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Gg]lyph.*")  # a run may be named in any script
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        yield


def _blank(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _look(role: str) -> tuple[str, Dash, str]:
    if role == "reference":
        return _MUTED, "--", "D"
    return run_style(_ROLES.get(role, 0) if role in _ROLES else int(role.removeprefix("run")))


def _draw(axes: Axes, series: Series) -> None:
    color, dash, marker = _look(series.role)
    x, y = np.asarray(series.x), np.asarray(series.y)
    if series.kind == "faint":
        axes.plot(x, y, color=color, linewidth=0.7, alpha=0.35)
    elif series.kind == "line":
        alone = "." if len(x) == 1 else ""
        axes.plot(x, y, color=color, linewidth=1.2, alpha=0.65, linestyle=dash, marker=alone)
    elif series.kind == "dashed":
        axes.plot(x, y, color=color, linewidth=1.1, linestyle="--", marker="_" if len(x) == 1 else "")
        if series.role == "reference":
            axes.fill_between(x, series.low, series.high, color=color, alpha=0.13, linewidth=0)
    else:
        axes.plot(x, y, color=color, linewidth=1.6, linestyle=dash, marker=marker, markersize=4.2, zorder=3)
        axes.errorbar(x, y, yerr=_arms(y, series.low, series.high), color=color, linewidth=0, elinewidth=1.0, alpha=0.7)


def _arms(y: np.ndarray, low: Sequence[float], high: Sequence[float]) -> np.ndarray:
    """Lengths of the error bars; no interval, no bar."""
    return np.nan_to_num(np.array([y - np.asarray(low), np.asarray(high) - y]), nan=0.0)


def _legend_of_roles(axes: Axes, series: Sequence[Series]) -> None:
    """What the marks of a single run mean, above the axes."""
    kinds = {(s.label, s.kind) for s in series}
    entries: dict[str, Line2D] = {}
    for item in series:
        color, dash, marker = _look(item.role)
        if item.kind == "dashed":
            entries[item.label] = Line2D([], [], color=color, linestyle="--", linewidth=1.1)
        elif item.kind == "points":
            both = (item.label, "line") in kinds
            ours = "held-out" if item.label == "policy" else f"{item.label}, held-out"
            name = ours if both else item.label
            entries[name] = Line2D([], [], color=color, linestyle=dash, marker=marker, markersize=4.2)
        elif item.kind == "line":
            name = f"{item.label}, training" if item.label != "policy" else "training"
            entries[name] = Line2D([], [], color=color, linewidth=1.2, alpha=0.65)
    if len(entries) > 1:
        axes.legend(
            list(entries.values()),
            list(entries),
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            ncols=2 if len(entries) > 3 else len(entries),
            borderaxespad=0.2,
            handlelength=1.8,
            columnspacing=1.2,
        )


def _draw_references(axes: Axes, paths: Sequence[KlPath]) -> None:
    seen: dict[str, tuple[Estimate, str]] = {}
    for path in paths:
        if path.reference is not None:
            seen.setdefault(str(path.reference), (path.reference, path.role))
    for reference, role in seen.values():
        color = _MUTED if len(seen) == 1 else _look(role)[0]
        if len(seen) <= MOST_BASELINES:
            axes.axhline(reference.value, color=color, linewidth=0.9, linestyle=(0, (4, 3)), alpha=0.7)
        arms = _estimate_arms(reference)
        axes.errorbar(
            [0.0],
            [reference.value],
            yerr=arms,
            color=color,
            marker="D",
            markersize=6,
            markerfacecolor=_PAPER,
            elinewidth=1.2,
            zorder=4,
        )
    if seen:
        lowest = min(reference.value for reference, _ in seen.values())
        axes.annotate(
            "reference" if len(seen) == 1 else "references",
            (0.0, lowest),
            xytext=(9, -4),
            textcoords="offset points",
            color=_MUTED,
            va="top",
        )


def _estimate_arms(*estimates: Estimate) -> np.ndarray:
    value = np.array([e.value for e in estimates])
    low = [math.nan if e.low is None else e.low for e in estimates]
    high = [math.nan if e.high is None else e.high for e in estimates]
    return _arms(value, low, high)


def _draw_path(axes: Axes, path: KlPath, *, annotate: bool) -> None:
    color, dash, marker = _look(path.role)
    kls, rewards = [kl for _, kl, _ in path.points], [reward for _, _, reward in path.points]
    x, y = [kl.value for kl in kls], [reward.value for reward in rewards]
    start = ([0.0], [path.reference.value]) if path.reference is not None else ([], [])
    axes.plot(start[0] + x, start[1] + y, color=color, linewidth=1.3, linestyle=dash, alpha=0.6, zorder=2)
    axes.errorbar(
        x,
        y,
        xerr=_estimate_arms(*kls),
        yerr=_estimate_arms(*rewards),
        color=color,
        linestyle="none",
        marker=marker,
        markersize=6,
        elinewidth=1.1,
        zorder=3,
    )
    for at in _labelled(len(x)) if annotate else ():
        axes.annotate(
            f"step {path.points[at][0]:,}",
            (x[at], y[at]),
            xytext=(6, -11),
            textcoords="offset points",
            color=color,
            fontsize=7.5,
        )


def _labelled(points: int) -> list[int]:
    """Which checkpoints get their step written beside them: all, or evenly spread ones up to the last."""
    kept = np.linspace(points - 1, 0, min(points, MOST_STEP_LABELS))
    return sorted({round(float(k)) for k in kept})


def _square_root(axes: Axes, paths: Sequence[KlPath]) -> str:
    """Spread the axis where one run went far beyond the others; says so in the label."""
    ends = [path.points[-1][1].value for path in paths]
    farthest = max(kl.value if kl.high is None else kl.high for path in paths for _, kl, _ in path.points)
    if len(ends) > 1 and farthest > SQUARE_ROOT_FROM * max(float(np.median(ends)), 1e-9):
        axes.set_xscale("function", functions=(_root, np.square))
        axes.xaxis.set_major_locator(MaxNLocator(8))
        axes.set_xlim(left=-((0.03 * math.sqrt(farthest)) ** 2))  # room for the marker of the reference
        return " (square-root scale)"
    axes.xaxis.set_major_locator(MaxNLocator(7))
    return ""


def _root(values: np.ndarray) -> np.ndarray:
    return np.sign(values) * np.sqrt(np.abs(values))


def _export(figure: Figure, axes: Axes, title: str, names: Sequence[str]) -> Picture:
    """SVG without title and runs (the page has them as text), then the PNG, which stands alone, with both."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    light = _own_fonts(buffer.getvalue())
    width, height = (round(float(size) * 96) for size in figure.get_size_inches())
    if len(names) > 1:
        _legend_of_runs(figure, names)
    figure.suptitle(title, x=0.02, ha="left", fontsize=8.5 if figure.get_figwidth() < 5 else 10, fontweight="bold")
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=200, facecolor=_PAPER, metadata={"Software": None})
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
