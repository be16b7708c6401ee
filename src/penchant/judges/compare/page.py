"""Who won, by a judge: its page. Reads the numbers of `penchant judge` and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from matplotlib.ticker import FixedLocator, FuncFormatter

from penchant.judges.compare.figures import Point, win_rate_picture
from penchant.judges.compare.words import NAME, findings, headline, runs
from penchant.reports.kit.canvas import MUTED, RUN_COLORS, Picture, blank, error_arms, export, style
from penchant.reports.kit.page import shared_context, write_page
from penchant.reports.kit.render import figure_context
from penchant.reports.kit.study_page import cell
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import count, duration, folded, listing, number, p_words, short

RESULTS = {"a": "won", "b": "lost", "tie": "tie", "unparseable": "no verdict"}
CAPTIONS = {
    "wins": "Wins and half of the ties, of all pairs; the lighter end is what pairs without a verdict would allow. "
    "Beside the judge stand one that takes the longer response and a coin. The dotted line is one half.",
    "temperatures": "Wins and half of the ties, of all pairs, by the judge; bands are intervals. Dotted: one half.",
    "equal-lengths": "What the judge's win rate would be, had both responses as many characters.",
    "longest": "The same pairs by a judge that takes the longer response.",
}
Numbers = Mapping[str, Any]


def judge_page(numbers: Numbers, folder: Path) -> None:
    """Write `report.html` and its figures.

    Raises:
        RunError: the folder cannot be written.
    """
    pictures = judge_pictures(numbers)
    write_page(judge_context(numbers, pictures), pictures, folder)


def judge_pictures(numbers: Numbers) -> dict[str, Picture]:
    """Figures by key: over temperatures where responses were drawn at some, else a bar each."""
    if not _temperatures(numbers):
        return {"wins": _bars(numbers)}
    pictures = {
        "temperatures": _over(numbers, lambda _, one: one["win_rate"]["rate"], "Win rate against temperature"),
        "equal-lengths": _over(numbers, lambda _, one: one["length_controlled"], "At equal lengths"),
    }
    if longest := numbers["baselines"].get("longest"):
        pictures["longest"] = _over(numbers, lambda name, _: longest[name]["rate"], "By who takes the longer")
    return pictures


def judge_context(numbers: Numbers, pictures: Mapping[str, Picture]) -> dict[str, Any]:
    """What the template takes."""
    tables = [_shares(numbers), _habits(numbers), *([_tests(numbers)] if numbers["tests"] else [])]
    return {
        "title": f"Who wins against {short(numbers['against'], NAME)}",
        "headline": headline(numbers),
        "warnings": [
            {"about": short(name, NAME), "text": warning}
            for name, one in numbers["methods"].items()
            for warning in one["warnings"]
        ],
        "section": "Win rates",
        "legend": [short(name, NAME) for name in runs(numbers)] if _temperatures(numbers) else [],
        "figures": [figure_context(key, picture, CAPTIONS[key]) for key, picture in pictures.items()],
        "findings": findings(numbers),
        "tables": tables,
        "texts_title": "Wins and losses to read",
        "texts_note": "The first pairs of each outcome in the order of the prompts; none was picked otherwise.",
        "texts": [_texts(numbers, name, row) for name, rows in numbers["examples"].items() for row in rows],
        "facts": _facts(numbers),
        "settings": yaml.safe_dump(numbers["config"], sort_keys=False, allow_unicode=True, width=100),
        **shared_context(numbers),
    }


def _temperatures(numbers: Numbers) -> bool:
    return any(one["temperature"] is not None for one in numbers["methods"].values())


def _over(numbers: Numbers, of: Callable[[str, Numbers], Numbers | None], title: str) -> Picture:
    """One estimate of each run over temperatures; where it is undefined there is no point."""
    rows: dict[str, list[Point]] = {run: [] for run in runs(numbers)}
    for name, one in numbers["methods"].items():
        found = of(name, one)
        if found is not None and found["value"] is not None:
            rows[one["run"]].append((one["temperature"], found["value"], found["low"], found["high"]))
    return win_rate_picture(rows, title)


def _rows(numbers: Numbers) -> list[tuple[str, Numbers]]:
    """A name and a win rate: the judge's, then the baselines', method by method."""
    rows = []
    for name, one in numbers["methods"].items():
        rows.append((name, one["win_rate"]))
        rows += [(f"{name}, by {baseline}", of[name]) for baseline, of in numbers["baselines"].items()]
    return rows


def _bars(numbers: Numbers) -> Picture:
    rows = _rows(numbers)
    judged = set(numbers["methods"])
    with style():
        figure, axes = blank(6.4, 0.8 + 0.32 * len(rows))
        for place, (name, rate) in enumerate(rows):
            color = RUN_COLORS[0][0] if name in judged else MUTED
            if rate["rate"]["value"] is None:
                continue
            axes.barh(place, rate["high"]["value"], color=color, height=0.55, alpha=0.25)
            axes.barh(place, rate["rate"]["value"], color=color, height=0.55, alpha=0.7)
        shown = {place: rate["rate"] for place, (_, rate) in enumerate(rows) if rate["rate"]["value"] is not None}
        values, arms = [one["value"] for one in shown.values()], error_arms(list(shown.values()))
        axes.errorbar(values, list(shown), xerr=arms if shown else None, color=RUN_COLORS[1][0], linestyle="none")
        axes.axvline(0.5, color=MUTED, linewidth=0.9, linestyle=":")
        axes.set_xlim(0, 1)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.yaxis.set_major_locator(FixedLocator(range(len(rows))))
        axes.set_yticklabels([f" {short(name, 34)}" for name, _ in rows])
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{number(100 * value, 0)}%"))
        return export(figure, "How often each wins", [])


def _shares(numbers: Numbers) -> Table:
    keys = ("rate", "wins", "ties", "losses", "unparseable", "high")
    rows = tuple(
        (short(name, NAME), *(cell(one["win_rate"][key], percent=True) for key in keys))
        for name, one in numbers["methods"].items()
    )
    heads = ("responses", "win rate", "wins", "ties", "losses", "no verdict", "at most")
    return Table("Shares of all pairs. At most: had all pairs without a verdict been won.", heads, rows)


def _habits(numbers: Numbers) -> Table:
    """What else than quality the verdicts may have to do with."""
    baselines = numbers["baselines"]
    rows = tuple(
        (
            short(name, NAME),
            cell(one["length_controlled"], percent=True),
            *(cell(of[name]["rate"], percent=True) for of in baselines.values()),
            cell(one["flipped"], percent=True),
            cell(one["first_place"], percent=True),
        )
        for name, one in numbers["methods"].items()
    )
    beside = {"longest": "by who takes the longer", "random": "by a coin"}
    heads = (
        "responses",
        "at equal lengths",
        *(beside[name] for name in baselines),
        "winner changed with the order",
        "first response named",
    )
    return Table("Win rates beside the judge's own, and its habits.", heads, rows)


def _tests(numbers: Numbers) -> Table:
    rows = tuple(
        (
            f"{short(test['one'], NAME)} less {short(test['other'], NAME)}",
            cell(test["difference"], percent=True, sign=True),
            p_words(test["p"]),
            p_words(test["p_holm"]),
        )
        for test in numbers["tests"]
    )
    caption = "Differences of win rates on the same prompts."
    return Table(caption, ("responses", "difference", "by itself", "by Holm"), rows)


def _texts(numbers: Numbers, name: str, row: Numbers) -> dict[str, Any]:
    """A pair side by side, with what the judge said of it."""
    sides = ((f"{short(name, NAME)}: {RESULTS[row['outcome']]}", row["a"]), (short(numbers["against"], NAME), row["b"]))
    cells = [
        {"who": who, "text": folded(text or "(empty)"), "note": count(len(text), "character")} for who, text in sides
    ]
    words = (
        ("The judge, of the left one as A", row["said"]),
        ("The judge, of the right one as A", row["said_swapped"]),
    )
    said = [(label, folded(text)) for label, text in words if text]
    return {"prompt": folded(row["prompt"]), "cells": cells, "ties": "", "said": said}


def _facts(numbers: Numbers) -> list[tuple[str, str]]:
    config, methods = numbers["config"], numbers["methods"].values()
    judge = ", ".join(f"{key} {value}" for key, value in config["judge"].items() if value is not None)
    tokens, seconds = (sum(one[key] for one in methods) for key in ("tokens", "seconds"))
    asked = f"{count(tokens, 'token')}, {duration(seconds)} of waiting, calls at once added up" if tokens else ""
    facts = [
        ("Responses", listing(config["responses"])),
        ("Against", config["against"]),
        ("Drawn at", listing(f"{one:g}" for one in config["temperatures"])),
        ("Prompts", f"{numbers['prompts']:,}"),
        ("Judge", judge),
        ("Asked", asked),
    ]
    return [(label, text) for label, text in facts if text]
