"""Draw raters' agreement: heat-maps of each two raters, and agreement by difference in length and by topic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, MaxNLocator

from penchant.metrics.catalogue import metric
from penchant.metrics.estimates import Coefficient, Estimate
from penchant.raters.breakdown_page import length_range, topic_name
from penchant.raters.results import Agreement
from penchant.reports.kit.canvas import (
    FONT_SIZE,
    INK,
    MUTED,
    RUN_COLORS,
    SMALL_FONT_SIZE,
    Picture,
    blank,
    error_arms,
    export,
    percent_axis,
    style,
)
from penchant.reports.kit.text import defined, recorded, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_RATERS = 12  # raters in a heat-map
MOST_NARROW = 3  # raters whose heat-map has room for its numbers on a phone
SAME_VERDICT = "Two raters say the same"
DEEPEST = 0.55  # opacity at full agreement: ink stays readable on it


def agreement_pictures(results: Agreement) -> dict[str, Picture]:
    """Return the figures by key."""
    pictures = {"kappa": _heat(results, "kappa"), "raw": _heat(results, "raw")}
    lengths = [(length_range(row, to="–"), row.group.agreement) for row in results.lengths]
    pictures |= _kinds("lengths", lengths, f"{SAME_VERDICT}, by difference in length")
    if results.topics:
        agreements = [(topic_name(row, results.topics, 28), row.group.agreement) for row in results.topics.rows]
        pictures |= _kinds("topics", agreements, f"{SAME_VERDICT}, by topic")
    return pictures


def _heat(results: Agreement, key: str) -> Picture:
    """Draw each two raters as a cell: deeper is more agreement, another colour is worse than chance."""
    title = metric(key).title
    # Who judged most has the most in common with others; the order of the table stays.
    ranked = sorted(results.raters, key=lambda rater: -rater.judged)[:MOST_RATERS]
    names = [rater.name for rater in results.raters if rater in ranked]
    if len(names) < len(results.raters):
        title += f": the {len(names)} who judged most"
    cells: dict[tuple[str, str], Coefficient] = {
        (pair.one, pair.other): getattr(pair.agreement, key) for pair in results.pairs
    }
    size = min(max(3.2, 0.75 + 0.62 * len(names)), 4.6)  # half a page wide: more cells are smaller ones
    with style():
        figure, axes = blank(size + 1.2, size)
        for row, name in enumerate(names):
            for column, other in enumerate(names):
                # each two raters stand in the results once, in the order of the files
                cell = cells.get((name, other)) or cells.get((other, name))
                if cell is not None:
                    _cell(axes, column, row, cell, percent=metric(key).is_share, small=len(names) > 6)
        axes.set_xlim(-0.5, len(names) - 0.5)
        axes.set_ylim(len(names) - 0.5, -0.5)  # the first rater on top, as in a table
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        labels = [f" {short(name, 18 if len(names) < 7 else 12)}" for name in names]
        is_turned = len(names) > 3  # four names of 18 characters fill the width
        axes.set_xticks(
            range(len(names)), labels, rotation=30 if is_turned else 0, ha="right" if is_turned else "center"
        )
        axes.set_yticks(range(len(names)), labels)
        return export(figure, title, [], narrow=len(names) <= MOST_NARROW)


def _cell(axes: Axes, x: int, y: int, cell: Coefficient, *, percent: bool, small: bool) -> None:
    value = cell.value
    if value is None:
        axes.text(x, y, "–", ha="center", va="center", color=MUTED)
        return
    color = RUN_COLORS[0 if value >= 0 else 1]
    box = Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, facecolor=color, alpha=DEEPEST * min(abs(value), 1), linewidth=0)
    axes.add_patch(box)
    # `recorded` writes "0.41 [0.30, 0.52]"; the interval stands below the number in smaller type
    value_text, _, ends = recorded(cell, percent=percent, decimals=0 if percent else 2).partition(" ")
    is_bare = small or cell.low is None  # a small cell has no room for a second line
    axes.text(
        x,
        y - (0 if is_bare else 0.1),
        value_text,
        ha="center",
        va="center",
        color=INK,
        fontsize=SMALL_FONT_SIZE if small else FONT_SIZE,
    )
    if not is_bare:
        axes.text(x, y + 0.2, ends, ha="center", va="center", color=INK, fontsize=SMALL_FONT_SIZE)


def _kinds(key: str, agreements_by_kind: list[tuple[str, Coefficient]], title: str) -> dict[str, Picture]:
    """Draw the agreement on kinds of comparisons, one below the other; nothing where there are fewer than two."""
    names = [name for name, agreement in agreements_by_kind if agreement.value is not None]
    agreements = [defined(agreement) for _, agreement in agreements_by_kind if agreement.value is not None]
    if len(names) < 2:
        return {}
    with style():
        figure, axes = blank(4.6, max(2.4, 0.9 + 0.24 * len(names)))
        draw_rows(axes, names, agreements)
        axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 4, 5, 10]))  # no 2.5%, which would read 3%
        percent_axis(axes.xaxis)
        return {key: export(figure, title, [])}


def draw_rows(axes: Axes, names: Sequence[str], estimates: Sequence[Estimate]) -> None:
    """Draw estimates with their intervals, one below the other, the first on top."""
    axes.errorbar(
        [estimate.value for estimate in estimates],
        range(len(names)),
        xerr=error_arms(estimates),
        color=RUN_COLORS[0],
        marker="o",
        markersize=5,
        linestyle="none",
    )
    axes.yaxis.set_major_locator(FixedLocator(range(len(names))))
    axes.set_yticklabels([f" {name}" for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)  # downwards, as the rows of the table beside it
