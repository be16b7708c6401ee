"""Draw a study of wrong labels: accuracy and reward against their share; few comparisons over time."""

from __future__ import annotations

from typing import Literal

import numpy as np
from matplotlib.ticker import FixedLocator, MaxNLocator

from penchant.metrics.catalogue import metric
from penchant.reports.kit.canvas import INK, MUTED, Picture, blank, draw_line, error_arms, export, percent_axis, style
from penchant.studies.noise.summary import FewSummary, NoiseSummary
from penchant.studies.noise.words import wrong

SHARE_OFFSET = 0.006  # of the axis between learners at the same share, so that intervals do not lie on each other


def share_picture(study: NoiseSummary, key: Literal["accuracy", "reward"], title: str) -> Picture:
    """Draw `accuracy` or `reward` against the share of wrong labels, a line per learner."""
    methods = study.methods
    with style():
        figure, axes = blank(5.6, 3.7)
        # What guessing reaches, for metrics that have such a level.
        if (level := metric(key).level) is not None:
            axes.axhline(level, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
        if key == "reward" and study.reference:
            axes.axhline(study.reference.value, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        for index, method in enumerate(methods):
            # In the legend's order, and a method without points keeps its place, so that colours agree.
            measured = [(point.share, point.accuracy if key == "accuracy" else point.reward) for point in method.points]
            # The reward model samples nothing, so it has no reward.
            points = [(share, estimate) for share, estimate in measured if estimate is not None]
            if points:
                x = np.array([share for share, _ in points]) + SHARE_OFFSET * (index - (len(methods) - 1) / 2)
                draw_line(axes, x, [estimate for _, estimate in points], index)
        axes.xaxis.set_major_locator(FixedLocator(study.shares))
        percent_axis(axes.xaxis)
        if metric(key).is_share:
            percent_axis(axes.yaxis)
        axes.yaxis.set_major_locator(MaxNLocator(6))
        axes.set_xlabel(f"share of the comparisons that were {wrong(study)}", loc="right")
        return export(figure, title, [method.label for method in methods])


def few_picture(summary: FewSummary) -> Picture:
    """Draw the true reward of samples, and the accuracy on the comparisons that are seen again and again."""
    points = summary.points
    # Two axes in one figure: overfitting is that the one goes on rising where the other falls.
    with style():
        figure, axes = blank(5.6, 3.7)
        rewards = [point.reward for point in points]
        # the page's legend gives its colours to methods, so these two lines have none: ink and grey
        axes.errorbar(
            [point.epoch for point in points],
            [reward.value for reward in rewards],
            yerr=error_arms(rewards),
            color=INK,
            marker="o",
            markersize=5,
        )
        axes.set_xlabel("times that each comparison was seen", loc="right")
        axes.set_ylabel(f"mean {metric('true_reward').label}", color=INK)
        # shares have their own scale: they rise to 1 whatever the reward does
        right = axes.twinx()
        seen = [(point.epoch, point.seen_accuracy) for point in points if point.seen_accuracy is not None]
        times, accuracies = zip(*seen, strict=True) if seen else ((), ())
        right.plot(times, accuracies, color=MUTED, marker="D", linestyle="--")
        right.set_ylim(0.4, 1.02)  # from below chance to all right, whatever the run did
        # Its lines would run between those of the left axis.
        right.grid(visible=False)
        percent_axis(right.yaxis)
        right.set_ylabel(f"{metric('accuracy').label} on what was seen", color=MUTED)
        return export(figure, f"The comparisons of {summary.prompts} prompts, many times over", [])
