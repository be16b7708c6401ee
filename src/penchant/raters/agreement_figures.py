"""Draw raters' agreement: heat-maps of each two raters, and agreement by difference in length and by topic."""

from __future__ import annotations

from typing import Any

from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, MaxNLocator

from penchant.metrics.catalogue import metric
from penchant.metrics.estimates import Coefficient
from penchant.raters.breakdown_page import topic_name
from penchant.raters.results import Agreement, LengthGroup
from penchant.reports.kit.canvas import INK, MUTED, RUN_COLORS, Picture, blank, error_arms, export, percent_axis, style
from penchant.reports.kit.text import defined, number, recorded, short

MOST_RATERS = 12  # raters in a heat-map
SAME_VERDICT = "Two raters say the same"
MARKS: dict[str, Any] = {"color": RUN_COLORS[0][0], "marker": "o", "markersize": 5, "linestyle": "none"}
DEEPEST = 0.55  # opacity at full agreement: ink stays readable on it


def agreement_pictures(results: Agreement) -> dict[str, Picture]:
    """Return the figures by key."""
    pictures = {
        "kappa": _heat(results, "kappa"),
        "raw": _heat(results, "raw"),
    }
    lengths = [(_range(row), row.group.agreement) for row in results.lengths]
    pictures |= _kinds("lengths", lengths, f"{SAME_VERDICT}, by difference in length")
    if results.topics:
        rows = results.topics.rows
        agreements = [(topic_name(row, results.topics, 28), row.group.agreement) for row in rows]
        pictures |= _kinds("topics", agreements, f"{SAME_VERDICT}, by topic")
    return pictures


def _heat(results: Agreement, key: str) -> Picture:
    """Each cell with its number and interval; the deeper, the more agreement; worse than chance in another colour."""
    title = metric(key).title
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
                cell = cells.get((name, other)) or cells.get((other, name))
                if cell is not None:
                    _cell(axes, column, row, cell, percent=metric(key).is_share, small=len(names) > 6)
        axes.set_xlim(-0.5, len(names) - 0.5)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        labels = [f" {short(name, 18 if len(names) < 7 else 12)}" for name in names]
        is_turned = len(names) > 3
        axes.set_xticks(
            range(len(names)), labels, rotation=30 if is_turned else 0, ha="right" if is_turned else "center"
        )
        axes.set_yticks(range(len(names)), labels)
        return export(figure, title, [])


def _cell(axes: Any, x: int, y: int, cell: Coefficient, *, percent: bool, small: bool) -> None:
    value = cell.value
    if value is None:
        axes.text(x, y, "–", ha="center", va="center", color=MUTED)
        return
    color = RUN_COLORS[0 if value >= 0 else 1][0]
    box = Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, facecolor=color, alpha=DEEPEST * min(abs(value), 1), linewidth=0)
    axes.add_patch(box)
    value_text, _, ends = recorded(cell, percent=percent, decimals=0 if percent else 2).partition(" ")
    is_bare = small or cell.low is None
    axes.text(
        x, y - (0 if is_bare else 0.1), value_text, ha="center", va="center", color=INK, fontsize=6.5 if small else 9
    )
    if not is_bare:
        axes.text(x, y + 0.2, ends, ha="center", va="center", color=INK, fontsize=6.5)


def _kinds(key: str, agreements_by_kind: list[tuple[str, Coefficient]], title: str) -> dict[str, Picture]:
    """Draw the agreement on kinds of comparisons, one below the other; nothing where there are fewer than two."""
    defined_agreements = [
        (name, defined(agreement)) for name, agreement in agreements_by_kind if agreement.value is not None
    ]
    if len(defined_agreements) < 2:
        return {}
    agreements = [agreement for _, agreement in defined_agreements]
    with style():
        figure, axes = blank(4.6, max(2.4, 0.9 + 0.24 * len(defined_agreements)))
        axes.errorbar(
            [agreement.value for agreement in agreements],
            range(len(defined_agreements)),
            xerr=error_arms(agreements),
            **MARKS,
        )
        axes.yaxis.set_major_locator(FixedLocator(range(len(defined_agreements))))
        axes.set_yticklabels([f" {name}" for name, _ in defined_agreements])
        axes.set_ylim(len(defined_agreements) - 0.5, -0.5)
        axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 4, 5, 10]))  # no 2.5%, which would read 3%
        percent_axis(axes.xaxis)
        return {key: export(figure, title, [])}


def _range(row: LengthGroup) -> str:
    shortest, longest = number(row.least, 0), number(row.most, 0)
    return shortest if shortest == longest else f"{shortest}–{longest}"
