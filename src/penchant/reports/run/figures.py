"""Draw panels and the reward-KL plane of runs. No pyplot, no state left."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from penchant.metrics.catalogue import metric
from penchant.metrics.estimates import Estimate
from penchant.reports.kit.canvas import (
    MUTED,
    SMALL_FONT_SIZE,
    Dash,
    Picture,
    blank,
    draw_reference,
    error_arms,
    export,
    legend_above,
    run_style,
    style,
)
from penchant.reports.run.curves import MOST_BASELINES, KlPath, Panel, Series

_ROLES = {"policy": 0, "chosen": 0, "rejected": 1}
SQUARE_ROOT_FROM = 8.0  # KL of the farthest run over the median: beyond, a linear axis would hide the near runs
MOST_STEP_LABELS = 8


def panel_picture(panel: Panel, names: Sequence[str]) -> Picture:
    """Draw a panel; `names` are the runs, for the legend of the PNG (the page has its own)."""
    return _panel_over(panel, names, "optimizer step")


def round_picture(panel: Panel, names: Sequence[str]) -> Picture:
    """Draw a panel over rounds, of which 0 is the start."""
    return _panel_over(panel, names, "round")


def _panel_over(panel: Panel, names: Sequence[str], axis: str) -> Picture:
    with style():
        # As wide as a phone and as a third of a desktop's page: one drawing, whose text has its size on both.
        figure, axes = blank(3.6, 2.5)
        if panel.level is not None:
            axes.axhline(panel.level, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
        for series in panel.series:
            _draw(axes, series)
        axes.set_xlabel(axis, loc="right")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        if len(names) == 1:
            _legend_of_roles(axes, panel.series)
        title = f"{panel.title} ({panel.unit})" if panel.unit else panel.title
        return export(figure, title, names)


def kl_picture(paths: Sequence[KlPath], names: Sequence[str]) -> Picture:
    """Draw the reward-KL plane: evaluated checkpoints with the intervals of both, the reference at 0."""
    with style():
        figure, axes = blank(7.4, 4.1)
        _draw_references(axes, paths)
        for path in paths:
            # Labels of several runs would cover each other's marks: of two or three, the last step has one.
            _draw_path(axes, path, labels=MOST_STEP_LABELS if len(paths) == 1 else int(len(paths) <= 3))
        note, kl = _square_root(axes, paths), metric("kl_nats")
        axes.set_xlabel(f"{kl.title}, {kl.axis_unit}{note}", loc="right")
        axes.yaxis.set_major_locator(MaxNLocator(6))
        return export(figure, "Mean reward against KL", names)


def _look(role: str) -> tuple[str, Dash, str]:
    if role == "reference":
        return MUTED, "--", "D"
    return run_style(_ROLES[role] if role in _ROLES else int(role.removeprefix("run")))


def _draw(axes: Axes, series: Series) -> None:
    color, dash, marker = _look(series.role)
    x, y = np.asarray(series.x), np.asarray(series.y)
    if series.kind == "faint":
        axes.plot(x, y, color=color, linewidth=0.7, alpha=0.35)
    elif series.kind == "line":
        # A line of one point would be invisible.
        axes.plot(x, y, color=color, linewidth=1.2, alpha=0.65, linestyle=dash, marker="." if len(x) == 1 else "")
    elif series.kind == "dashed":
        axes.plot(x, y, color=color, linewidth=1.1, linestyle="--", marker="_" if len(x) == 1 else "")
        # A band for the one reference; those of several baselines would hide each other.
        if series.role == "reference":
            axes.fill_between(x, series.low, series.high, color=color, alpha=0.13, linewidth=0)
    else:
        axes.plot(x, y, color=color, linewidth=1.6, linestyle=dash, marker=marker, markersize=4.2, zorder=3)
        arms = np.nan_to_num(np.array([y - np.asarray(series.low), np.asarray(series.high) - y]))  # no interval, no bar
        axes.errorbar(x, y, yerr=arms, color=color, linewidth=0, elinewidth=1.0, alpha=0.7)


def _legend_of_roles(axes: Axes, series: Sequence[Series]) -> None:
    """Draw a legend of the marks of a single run above the axes."""
    # Points are held-out data; that is said only where a training line of the same name is drawn too.
    kinds = {(s.label, s.kind) for s in series}
    entries: dict[str, Line2D] = {}
    for item in series:
        color, dash, marker = _look(item.role)
        if item.kind == "dashed":
            entries[item.label] = Line2D([], [], color=color, linestyle="--", linewidth=1.1)
        elif item.kind == "points":
            has_training_line = (item.label, "line") in kinds
            held_out_label = "held-out" if item.label == "policy" else f"{item.label}, held-out"
            name = held_out_label if has_training_line else item.label
            entries[name] = Line2D([], [], color=color, linestyle=dash, marker=marker, markersize=4.2)
        elif item.kind == "line":
            name = f"{item.label}, training" if item.label != "policy" else "training"
            entries[name] = Line2D([], [], color=color, linewidth=1.2, alpha=0.65)
    if len(entries) > 1:
        columns = 2 if len(entries) > 3 else len(entries)
        legend_above(axes, entries, columns, handlelength=1.8, columnspacing=1.2)


def _draw_references(axes: Axes, paths: Sequence[KlPath]) -> None:
    seen: dict[Estimate, str] = {}  # runs from one reference have equal estimates of it, which are drawn once
    for path in paths:
        if path.reference is not None:
            seen.setdefault(path.reference, path.role)
    for reference, role in seen.items():
        color = MUTED if len(seen) == 1 else _look(role)[0]
        if len(seen) <= MOST_BASELINES:
            axes.axhline(reference.value, color=color, linewidth=0.9, linestyle=(0, (4, 3)), alpha=0.7)
        draw_reference(axes, reference, color, size=6, zorder=4)
    if seen:
        # Beside the lowest one, below which no other reference's marker lies.
        lowest = min(reference.value for reference in seen)
        axes.annotate(
            "reference" if len(seen) == 1 else "references",
            (0.0, lowest),
            xytext=(9, -4),
            textcoords="offset points",
            color=MUTED,
            va="top",
        )


def _draw_path(axes: Axes, path: KlPath, *, labels: int) -> None:
    color, dash, marker = _look(path.role)
    kls, rewards = [kl for _, kl, _ in path.points], [reward for _, _, reward in path.points]
    x, y = [kl.value for kl in kls], [reward.value for reward in rewards]
    # Every run starts as its reference, at a KL of 0: the path begins there, where that was sampled.
    start = ([0.0], [path.reference.value]) if path.reference is not None else ([], [])
    axes.plot(start[0] + x, start[1] + y, color=color, linewidth=1.3, linestyle=dash, alpha=0.6, zorder=2)
    axes.errorbar(
        x,
        y,
        xerr=error_arms(kls),
        yerr=error_arms(rewards),
        color=color,
        linestyle="none",
        marker=marker,
        markersize=6,
        elinewidth=1.1,
        zorder=3,
    )
    for index in _labelled(len(x), labels):
        axes.annotate(
            f"step {path.points[index][0]:,}",
            (x[index], y[index]),
            xytext=(6, -11),
            textcoords="offset points",
            color=color,
            fontsize=SMALL_FONT_SIZE,
        )


def _labelled(points: int, label_count: int) -> list[int]:
    """Return which checkpoints are labelled with their step: all, or evenly spread ones up to the last."""
    # From the last backwards: where the run ended matters most.
    positions = np.linspace(points - 1, 0, min(points, label_count))
    return sorted({round(float(k)) for k in positions})


def _square_root(axes: Axes, paths: Sequence[KlPath]) -> str:
    """Spread the axis where one run went far beyond the others; says so in the label."""
    ends = [path.points[-1][1].value for path in paths]
    farthest = max(kl.value if kl.high is None else kl.high for path in paths for _, kl, _ in path.points)
    if len(ends) > 1 and farthest > SQUARE_ROOT_FROM * max(float(np.median(ends)), 1e-9):
        # A root, since KL grows with the square of the distance moved, and 0 (the reference) has no logarithm.
        axes.set_xscale("function", functions=(_root, np.square))
        axes.xaxis.set_major_locator(MaxNLocator(8))
        axes.set_xlim(left=-((0.03 * math.sqrt(farthest)) ** 2))  # room for the marker of the reference
        return " (square-root scale)"
    axes.xaxis.set_major_locator(MaxNLocator(7))
    return ""


def _root(values: NDArray[np.float64]) -> NDArray[np.float64]:
    # Signed: Matplotlib asks for places left of 0 as well, where a plain root would be NaN.
    return np.asarray(np.sign(values) * np.sqrt(np.abs(values)))
