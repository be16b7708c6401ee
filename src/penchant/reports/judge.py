"""Who won, by a judge: lines and a page. Reads its numbers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.ticker import FixedLocator, FuncFormatter

from penchant.reports.canvas import MUTED, RUN_COLORS, Picture, blank, error_arms, export, style
from penchant.reports.plain_study import TEMPLATE, cell, shared_context
from penchant.reports.render import figure_context, render_page
from penchant.reports.tables import Table
from penchant.reports.words import count, number, short

INTERVALS = "Intervals are 95% and resample prompts."
READ = 600  # characters of a text to read
RESULTS = {"a": "won", "b": "lost", "tie": "tie", "unparseable": "no verdict"}
CAPTION = (
    "Wins and half of the ties, of all pairs; the lighter end is what pairs without a verdict would allow. Beside the "
    "judge stand one that takes the longer response and a coin. The dotted line is one half."
)
Numbers = Mapping[str, Any]


def said(numbers: Numbers) -> list[str]:
    """The result as lines."""
    lines = []
    for name, one in numbers["methods"].items():
        rate = one["win_rate"]
        lines.append(
            f"{name}: wins {cell(rate['rate'], percent=True)} against {numbers['against']} "
            f"({count(rate['rate']['n'], 'pair')}, {count(numbers['prompts'], 'prompt')}; a tie is half a win)"
        )
        parts = (f"{key} {cell(rate[key], percent=True)}" for key in ("wins", "ties", "losses", "unparseable"))
        lines.append(f"  {', '.join(parts)}")
        if rate["unparseable"]["value"]:
            lines.append(f"  at most {cell(rate['high'], percent=True)}, had all unparseable ones been wins")
        lines.append(f"  at equal lengths {cell(one['length_controlled'], percent=True)}")
        lines.append(
            f"  the judge: winner changed with the order in {cell(one['flipped'], percent=True)}, named the first "
            f"response in {cell(one['first_place'], percent=True)}"
        )
        lines += [
            f"  {baseline} {cell(of[name]['rate'], percent=True)}" for baseline, of in numbers["baselines"].items()
        ]
        lines += [f"  warning: {warning}" for warning in one["warnings"]]
    lines += [
        f"{test['one']} less {test['other']}: {cell(test['difference'], percent=True, sign=True)}, p {test['p']:.4f}, "
        f"{test['p_holm']:.4f} by Holm"
        for test in numbers["tests"]
    ]
    return lines


def judge_page(numbers: Numbers) -> str:
    """The content of `report.html`."""
    lines = _with_names(said(numbers))
    warnings = [warning for one in numbers["methods"].values() for warning in one["warnings"]]
    against, judge = numbers["against"], numbers["config"]["judge"]
    context = {
        **shared_context({"failures": [{"stage": "the judge", "reason": warning} for warning in warnings], **numbers}),
        "brand": "Penchant",
        "title": f"Who wins against {against}",
        "settings_file": "settings",
        "numbers_file": "judge.json",
        "folder": "",
        "intervals": INTERVALS,
        "headline": [line for line in lines if " wins " in line][:3],
        "section": "Win rates",
        "methods": [],
        "figures": [figure_context("wins", _picture(numbers), CAPTION)],
        "findings": lines,
        "tables": [_table(numbers), *_examples(numbers)],
        "legend_tables": [],
        "facts": [("Judge", ", ".join(f"{key} {value}" for key, value in judge.items() if value is not None))],
    }
    return render_page(TEMPLATE, context)


def _with_names(lines: Sequence[str]) -> list[str]:
    """Each line that belongs to another, with whom it is about."""
    told, about = [], ""
    for line in lines:
        if line.startswith("  "):
            told.append(f"{about}: {line.strip()}")
        else:
            about = line.partition(": ")[0]
            told.append(line)
    return told


def _rows(numbers: Numbers) -> list[tuple[str, Mapping[str, Any]]]:
    """A name and a win rate: the judge's, then the baselines', method by method."""
    rows = []
    for name, one in numbers["methods"].items():
        rows.append((name, one["win_rate"]))
        rows += [(f"{name}, by {baseline}", of[name]) for baseline, of in numbers["baselines"].items()]
    return rows


def _picture(numbers: Numbers) -> Picture:
    rows = _rows(numbers)
    judged = set(numbers["methods"])
    with style():
        figure, axes = blank(6.4, 0.9 + 0.4 * len(rows))
        for place, (name, rate) in enumerate(rows):
            color = RUN_COLORS[0 if name in judged else 3][0]
            axes.barh(place, rate["high"]["value"], color=color, height=0.55, alpha=0.25)
            axes.barh(place, rate["rate"]["value"], color=color, height=0.55, alpha=0.8)
        shown = [rate["rate"] for _, rate in rows]
        values = [one["value"] for one in shown]
        axes.errorbar(values, range(len(rows)), xerr=error_arms(shown), color=RUN_COLORS[1][0], linestyle="none")
        axes.axvline(0.5, color=MUTED, linewidth=0.9, linestyle=":")
        axes.set_xlim(0, 1)
        axes.invert_yaxis()
        axes.yaxis.set_major_locator(FixedLocator(range(len(rows))))
        axes.set_yticklabels([f" {short(name, 34)}" for name, _ in rows])
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{number(100 * value, 0)}%"))
        return export(figure, "How often each wins", [])


def _table(numbers: Numbers) -> Table:
    keys = ("rate", "wins", "ties", "losses", "unparseable")
    rows = [(name, *(cell(rate[key], percent=True) for key in keys)) for name, rate in _rows(numbers)]
    return Table("Shares of all pairs.", ("responses", "win rate", "wins", "ties", "losses", "no verdict"), tuple(rows))


def _examples(numbers: Numbers) -> list[Table]:
    """Pairs to read, a table a method."""
    heads = ("prompt", "result", "its response", "the other", "what the judge said")
    against = numbers["against"]
    return [
        Table(
            f"Some pairs of {name} against {against}.",
            heads,
            tuple(
                (
                    short(row["prompt"], READ),
                    RESULTS[row["outcome"]],
                    *(short(row[key], READ) for key in ("a", "b", "said")),
                )
                for row in examples
            ),
        )
        for name, examples in numbers["examples"].items()
        if examples
    ]
