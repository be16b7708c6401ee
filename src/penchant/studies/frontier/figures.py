"""Draw the frontier, and how much each method depends on its setting and seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from penchant.metrics.catalogue import metric
from penchant.metrics.estimates import Estimate
from penchant.reports.kit.canvas import (
    INK,
    MUTED,
    Picture,
    blank,
    draw_reference,
    error_arms,
    export,
    legend_above,
    percent_axis,
    run_style,
    style,
)
from penchant.studies.frontier.summary import FrontierSummary, MethodSummary

LINEAR_TO = 8.0  # nats: where anything is beyond, the axis bends from linear to logarithmic
BEND = 0.5  # nats where it does
TICKS = (0, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
DENSE = 600  # places at which a straight line is drawn on a bent axis


def frontier_picture(study: FrontierSummary) -> Picture:
    """Draw true reward against KL: a curve per method, the limit line with its trusted range, the reference."""
    methods = study.methods
    with style():
        figure, axes = blank(8.6, 5.0)
        # Over all points: a run that went far decides on the axis even where its KL is not compared.
        farthest = max([point.kl_nats.value for method in methods for point in method.points], default=1.0)
        _scale(axes, farthest)
        _limit(axes, study)
        for index, method in enumerate(methods):
            _method(axes, method, index, study)
        start = study.reference.reward
        draw_reference(axes, start, MUTED, size=6.5, zorder=7)
        origin = (0.0, start.value)
        axes.annotate("reference", origin, xytext=(8, -5), textcoords="offset points", color=MUTED, va="top")
        axes.set_ylabel(f"mean {metric('true_reward').label}")
        axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
        axes.margins(y=0.1)
        return export(figure, "Mean true reward against exact sequence KL", [method.label for method in methods])


def spread_picture(study: FrontierSummary) -> Picture:
    """Draw efficiency over the KLs that all share: with its interval, of each setting alone, and of each seed."""
    methods = [(method, method.efficiency) for method in study.methods if method.efficiency is not None]
    order = [method.name for method in study.methods]
    with style():
        figure, axes = blank(8.6, 0.9 + 0.46 * max(1, len(methods)))
        for index, (method, share) in enumerate(methods):
            # Colours go by the place among all methods; rows count from below, so the first one is on top.
            _spread(axes, method, share, order.index(method.name), len(methods) - 1 - index)
        # 0 is the reference and 1 the limit line.
        axes.axvline(0, color=MUTED, linewidth=0.9)
        axes.axvline(1, color=INK, linewidth=1.2)
        axes.set_ylim(-0.6, max(1, len(methods)) - 0.4)
        axes.yaxis.set_major_locator(FixedLocator(range(len(methods))))
        axes.set_yticklabels([method.label for method, _ in reversed(methods)], color=INK)
        axes.grid(visible=False, axis="y")
        percent_axis(axes.xaxis)
        axes.set_xlabel("share of the possible gain in reward", loc="right")
        _legend(axes, any(len(method.by_seed) > 1 for method, _ in methods))
        return export(figure, "Efficiency of each method, and how much it depends on the setting", [])


# -- the frontier -------------------------------------------------------------------------------------------------


def _scale(axes: Axes, farthest: float) -> None:
    if farthest <= LINEAR_TO:
        axes.set_xlim(-0.02 * farthest, 1.05 * farthest)
        axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
        note = ""
    else:
        # Not a logarithm: the reference lies at 0, and matched KLs begin at some tenths of a nat.
        axes.set_xscale("asinh", linear_width=BEND)
        axes.set_xlim(-0.04, 1.25 * farthest)
        axes.xaxis.set_major_locator(FixedLocator([tick for tick in TICKS if tick <= 1.25 * farthest]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        note = " (logarithmic beyond about 1)"
    kl = metric("kl_nats")
    axes.set_xlabel(f"exact {kl.title}, {kl.axis_unit}{note}", loc="right")


def _limit(axes: Axes, study: FrontierSummary) -> None:
    """Draw the line up to where it is trusted, a dashed rest, and the KLs at which methods are compared."""
    limit = study.limit
    for matched in study.matched.kl_nats:
        axes.axvline(matched, color=MUTED, linewidth=0.8, linestyle=(0, (1, 3)), zorder=1)
    kl, reward = np.asarray(limit.kl_nats), np.asarray(limit.reward)
    end = limit.trusted_kl
    # Many places: between two of them a straight line would be drawn, which a bent axis does not have.
    trusted_grid = np.linspace(0, end, DENSE)
    axes.plot(trusted_grid, np.interp(trusted_grid, kl, reward), color=INK, linewidth=2.2, zorder=4)
    untrusted_kl = kl[kl >= end]
    axes.plot(untrusted_kl, reward[kl >= end], color=INK, linewidth=1.2, linestyle=(0, (3, 2)), alpha=0.6, zorder=4)
    axes.annotate(
        "estimated limit",
        (end, float(np.interp(end, kl, reward))),
        xytext=(0, 9),
        textcoords="offset points",
        color=INK,
        fontweight="bold",
        ha="right",
        va="bottom",
    )


def _method(axes: Axes, method: MethodSummary, index: int, study: FrontierSummary) -> None:
    """Draw every evaluation small, those of one setting joined; large, with intervals, what stands at matched KLs."""
    color, dash, marker = run_style(index)
    points, start = method.points, study.reference.reward.value  # every run starts as the reference, at KL 0
    x = np.array([point.kl_nats.value for point in points])
    y = np.array([point.reward.value for point in points])
    settings = [(point.value, point.rate) for point in points]
    # Best-of-N has no cost and no course of training, so its points are not joined.
    for setting in dict.fromkeys(settings) if method.cost is not None else ():
        rows = [row for row, row_setting in enumerate(settings) if row_setting == setting]
        axes.plot(np.append(0.0, x[rows]), np.append(start, y[rows]), color=color, linewidth=0.8, alpha=0.3, zorder=2)
    axes.plot(x, y, color=color, linestyle="none", marker=marker, markersize=3.4, alpha=0.5, zorder=3)
    # Drawn as rewards, though shares are what is interpolated: the axis is of rewards.
    matched = matched_rewards(method, study)
    if matched:
        axes.errorbar(
            [kl for kl, _ in matched],
            [reward.value for _, reward in matched],
            yerr=error_arms([reward for _, reward in matched]),
            color=color,
            linestyle=dash,
            linewidth=2.0,
            marker=marker,
            markersize=6.5,
            elinewidth=1.2,
            zorder=6,
        )


def matched_rewards(method: MethodSummary, study: FrontierSummary) -> list[tuple[float, Estimate]]:
    """Return a method's efficiency at each matched KL as (KL in nats, reward there with its interval)."""
    limit, start = study.limit, study.reference.reward.value
    rewards = []
    for row in method.matched:
        if share := row.share:
            # A share is one of the limit's gain at the same KL (decision 17), so this turns it back into a reward.
            gain = float(np.interp(row.kl_nats, limit.kl_nats, limit.reward)) - limit.reward[0]
            # The limit is drawn as a line without an interval, so what varies is the share of its gain alone.
            low, high = (None if end is None else start + gain * end for end in (share.low, share.high))
            rewards.append((row.kl_nats, replace(share, value=start + gain * share.value, low=low, high=high)))
    return rewards


# -- the spread ---------------------------------------------------------------------------------------------------


def _spread(axes: Axes, method: MethodSummary, share: Estimate, index: int, row: int) -> None:
    color, _, marker = run_style(index)
    if share.low is not None and share.high is not None:
        axes.plot([share.low, share.high], [row, row], color=color, linewidth=5, alpha=0.25, zorder=2)
    settings = [setting_share.efficiency for setting_share in method.by_value if setting_share.efficiency is not None]
    # With one setting its mark would lie on the method's own.
    for efficiency in settings if len(settings) > 1 else ():
        axes.plot([efficiency], [row], color=color, marker="|", markersize=11, markeredgewidth=1.4, zorder=3)
    seeds = [seed.efficiency for seed in method.by_seed if seed.efficiency is not None]
    for efficiency in seeds if len(method.by_seed) > 1 else ():
        # A little lower, or the dots of seeds would lie on the marks of settings.
        axes.plot([efficiency], [row - 0.24], color=color, marker=".", markersize=5, alpha=0.8, zorder=3)
    axes.plot([share.value], [row], color=color, marker=marker, markersize=7, zorder=4)


def _legend(axes: Axes, seeds: bool) -> None:
    entries = {
        "all settings together": Line2D([], [], color=MUTED, linestyle="none", marker="o", markersize=6),
        "its 95% interval": Line2D([], [], color=MUTED, linewidth=5, alpha=0.3),
        "one setting alone": Line2D([], [], color=MUTED, linestyle="none", marker="|", markersize=10),
    }
    if seeds:
        entries["one seed alone"] = Line2D([], [], color=MUTED, linestyle="none", marker=".", markersize=6)
    legend_above(axes, entries, len(entries), handlelength=1.6, columnspacing=1.4)
