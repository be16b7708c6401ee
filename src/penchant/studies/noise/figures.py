"""Figures of a study of wrong labels: accuracy and reward against their share; few comparisons over time."""

from __future__ import annotations

from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator

from penchant.metrics.estimates import Estimate
from penchant.reports.kit.canvas import MUTED, Picture, blank, error_arms, export, percent_axis, run_style, style
from penchant.studies.noise.summary import FewSummary, NoiseSummary
from penchant.studies.noise.words import wrong

SHARE_OFFSET = 0.006  # of the axis between learners at the same share, so that intervals do not lie on each other


def share_picture(
    study: NoiseSummary, key: Literal["accuracy", "reward"], title: str, level: float | None = None
) -> Picture:
    """Draw `accuracy` or `reward` against the share of wrong labels, a line a learner."""
    methods = study.methods
    with style():
        figure, axes = blank(5.6, 3.7)
        if level is not None:
            axes.axhline(level, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
        if key == "reward" and study.reference:
            axes.axhline(study.reference.value, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        for index, method in enumerate(methods):
            measured = [(point.share, point.accuracy if key == "accuracy" else point.reward) for point in method.points]
            points = [(share, estimate) for share, estimate in measured if estimate is not None]
            if points:
                x = np.array([share for share, _ in points]) + SHARE_OFFSET * (index - (len(methods) - 1) / 2)
                _line(axes, x, [estimate for _, estimate in points], index)
        axes.xaxis.set_major_locator(FixedLocator(study.shares))
        percent_axis(axes.xaxis)
        if key == "accuracy":
            percent_axis(axes.yaxis)
        axes.yaxis.set_major_locator(MaxNLocator(6))
        axes.set_xlabel(f"share of the comparisons that were {wrong(study)}", loc="right")
        return export(figure, title, [method.label for method in methods])


def few_picture(summary: FewSummary) -> Picture:
    """Draw the true reward of samples, and the accuracy on the comparisons that are seen again and again."""
    points = summary.points
    x = np.array([point.epoch for point in points])
    with style():
        figure, axes = blank(5.6, 3.7)
        _line(axes, x, [point.reward for point in points], 0)
        axes.set_xlabel("times that each comparison was seen", loc="right")
        axes.set_ylabel("mean true reward", color=run_style(0)[0])
        right = axes.twinx()
        seen = [(index, point.seen_accuracy) for index, point in enumerate(points) if point.seen_accuracy is not None]
        color, _, marker = run_style(1)
        right.plot(
            x[[index for index, _ in seen]], [share for _, share in seen], color=color, marker=marker, linestyle="--"
        )
        right.set_ylim(0.4, 1.02)
        right.grid(visible=False)
        percent_axis(right.yaxis)
        right.set_ylabel("accuracy on what was seen", color=color)
        return export(figure, f"The comparisons of {summary.prompts} prompts, many times over", [])


def _line(axes: Axes, x: np.ndarray, estimates: list[Estimate], index: int) -> None:
    color, dash, marker = run_style(index)
    y = np.array([e.value for e in estimates])
    axes.plot(x, y, color=color, linestyle=dash, linewidth=1.7, marker=marker, markersize=5, zorder=3)
    axes.errorbar(x, y, yerr=error_arms(estimates), color=color, linestyle="none", elinewidth=1.0, alpha=0.7)
