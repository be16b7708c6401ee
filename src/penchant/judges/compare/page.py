"""Draw the page of a comparison by a judge from its results alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml
from matplotlib.ticker import FixedLocator

from penchant.judges.compare.figures import Point, win_rate_picture
from penchant.judges.compare.results import JudgedPair, JudgeResults
from penchant.judges.compare.words import NAME, findings, headline
from penchant.judges.shown_media import MARK
from penchant.metrics.catalogue import metric
from penchant.metrics.estimates import Measure
from penchant.metrics.win_rate import WinRate
from penchant.reports.kit.canvas import INK, MUTED, RUN_COLORS, Picture, blank, error_arms, export, percent_axis, style
from penchant.reports.kit.page import shared_context, write_page
from penchant.reports.kit.render import figure_context
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import count, defined, duration, folded, listing, p_words, recorded, short

RESULTS = {"a": "won", "b": "lost", "tie": "tie", "unparseable": "no verdict"}
CAPTIONS = {
    "wins": "Wins and half of the ties, as a share of all pairs. The lighter end is what the rate could be, had all "
    "pairs without a verdict been won. For comparison: a judge that takes the longer response, and a coin. The dotted "
    "line is one half.",
    "temperatures": "Wins and half of the ties, as a share of all pairs. Bands are intervals; the dotted line is one "
    "half.",
    "equal-lengths": "What the win rate would be if both responses had as many characters.",
    "longest": "The same pairs, judged by a rule that takes the longer response.",
}


def judge_page(results: JudgeResults, folder: Path) -> None:
    """Write `report.html` and its figures.

    Raises:
        RunError: the folder cannot be written.
    """
    pictures = judge_pictures(results)
    write_page(judge_context(results, pictures), pictures, folder)


def judge_pictures(results: JudgeResults) -> dict[str, Picture]:
    """Return the figures by key: over temperatures where responses were drawn at some, else one of bars."""
    if not results.has_temperatures:
        return {"wins": _bars(results)}
    methods = results.methods
    pictures = {
        "temperatures": _over_temperatures(
            results, {name: result.win_rate.rate for name, result in methods.items()}, "Win rate against temperature"
        ),
        "equal-lengths": _over_temperatures(
            results,
            {name: result.summary.length_controlled for name, result in methods.items()},
            metric("length_controlled").title,
        ),
    }
    if longest := results.baselines.get("longest"):
        pictures["longest"] = _over_temperatures(
            results, {name: longest[name].rate for name in methods}, metric("longest").title
        )
    return pictures


def judge_context(results: JudgeResults, pictures: Mapping[str, Picture]) -> dict[str, object]:
    """Return what the template is filled with."""
    tables = [_shares(results), _habits(results), *([_tests(results)] if results.tests else [])]
    return {
        "title": f"Who wins against {short(results.against, NAME)}",
        "headline": headline(results),
        "warnings": [
            {"about": short(name, NAME), "text": warning}
            for name, result in results.methods.items()
            for warning in result.summary.warnings
        ],
        "section": "Win rates",
        "legend": [short(name, NAME) for name in results.by_run] if results.has_temperatures else [],
        "figures": [figure_context(key, picture, CAPTIONS[key]) for key, picture in pictures.items()],
        "findings": findings(results),
        "tables": tables,
        "texts_title": "Wins and losses to read",
        "texts_note": "The first pairs of each outcome in the order of the prompts; none was picked otherwise.",
        "texts": [_pair_context(results, name, pair) for name, pairs in results.examples.items() for pair in pairs],
        "facts": _facts(results),
        "settings": yaml.safe_dump(results.config, sort_keys=False, allow_unicode=True, width=100),
        **shared_context(results.method, results.level, results.provenance),
    }


def _over_temperatures(results: JudgeResults, measures: Mapping[str, Measure | None], title: str) -> Picture:
    """Draw one measure of each source over temperatures; where it is undefined there is no point."""
    points: dict[str, list[Point]] = {run: [] for run in results.by_run}
    for name, result in results.methods.items():
        measure = measures[name]
        if measure is not None and measure.value is not None and result.temperature is not None:
            points[result.run].append((result.temperature, measure.value, measure.low, measure.high))
    return win_rate_picture(points, title)


def _judged_and_baselines(results: JudgeResults) -> list[tuple[str, WinRate]]:
    """Return names and win rates: each source's by the judge, then by the baselines."""
    rows = []
    for name, result in results.methods.items():
        rows.append((name, result.win_rate))
        rows += [(f"{name}, by {baseline}", rates[name]) for baseline, rates in results.baselines.items()]
    return rows


def _bars(results: JudgeResults) -> Picture:
    rows = _judged_and_baselines(results)
    with style():
        figure, axes = blank(6.4, 0.8 + 0.32 * len(rows))
        for row, (name, rate) in enumerate(rows):
            # the lighter end is what pairs without a verdict would allow, had all of them been won
            color = RUN_COLORS[0] if name in results.methods else MUTED
            if rate.rate.value is None or rate.high.value is None:
                continue
            axes.barh(row, rate.high.value, color=color, height=0.55, alpha=0.25)
            axes.barh(row, rate.rate.value, color=color, height=0.55, alpha=0.7)
        rates = {row: defined(rate.rate) for row, (_, rate) in enumerate(rows) if rate.rate.value is not None}
        values, arms = [rate.value for rate in rates.values()], error_arms(list(rates.values()))
        # in ink: with temperatures, the second colour is that of the second file
        axes.errorbar(values, list(rates), xerr=arms if rates else None, color=INK, linestyle="none")
        axes.axvline(0.5, color=MUTED, linewidth=0.9, linestyle=":")
        axes.set_xlim(0, 1)
        axes.set_ylim(len(rows) - 0.5, -0.5)  # the first on top
        axes.yaxis.set_major_locator(FixedLocator(range(len(rows))))
        axes.set_yticklabels([f" {short(name, 34)}" for name, _ in rows])
        percent_axis(axes.xaxis)
        return export(figure, "How often each wins", [])


def _shares(results: JudgeResults) -> Table:
    keys = ("rate", "wins", "ties", "losses", "unparseable", "high")
    rows = tuple(
        (short(name, NAME), *(recorded(getattr(result.win_rate, key), percent=True) for key in keys))
        for name, result in results.methods.items()
    )
    heads = ("responses", *(metric(key).column for key in keys))
    return Table("Shares of all pairs. At most: had all pairs without a verdict been won.", heads, rows)


def _habits(results: JudgeResults) -> Table:
    """Return the table of what the verdicts may depend on besides quality: length, order, place."""
    rows = tuple(
        (
            short(name, NAME),
            recorded(result.summary.length_controlled, percent=True),
            *(recorded(rates[name].rate, percent=True) for rates in results.baselines.values()),
            recorded(result.summary.flipped, percent=True),
            recorded(result.summary.first_place, percent=True),
        )
        for name, result in results.methods.items()
    )
    heads = (
        "responses",
        metric("length_controlled").column,
        *(metric(baseline).column for baseline in results.baselines),
        metric("flipped").column,
        metric("first_place").column,
    )
    return Table(
        "The win rate at equal lengths and by simple rules, and what else the verdicts may depend on.", heads, rows
    )


def _tests(results: JudgeResults) -> Table:
    rows = tuple(
        (
            f"{short(test.first, NAME)} minus {short(test.second, NAME)}",
            recorded(test.difference, percent=True, sign=True),
            p_words(test.p),
            p_words(test.p_holm),
        )
        for test in results.tests
    )
    caption = "Differences of win rates on the same prompts."
    return Table(caption, ("responses", "difference", "p", "p by Holm"), rows)


def _pair_context(results: JudgeResults, name: str, pair: JudgedPair) -> dict[str, object]:
    """Return a pair as the template takes it: side by side, with what the judge said of it."""
    sides = ((f"{short(name, NAME)}: {RESULTS[pair.outcome]}", pair.a), (short(results.against, NAME), pair.b))
    cells = [
        {
            "who": title,
            "text": folded(text or "(empty)"),
            "note": count(len(text), "character"),
            "pictures": _pictures_in(text, results),
        }
        for title, text in sides
    ]
    transcripts = (
        ("The judge, of the left one as A", pair.transcript),
        ("The judge, of the right one as A", pair.transcript_swapped),
    )
    judge_words = [(label, folded(text)) for label, text in transcripts if text]
    pictures = _pictures_in(pair.prompt, results)
    return {"prompt": folded(pair.prompt), "pictures": pictures, "cells": cells, "ties": "", "said": judge_words}


def _pictures_in(text: str, results: JudgeResults) -> list[str]:
    """Return the thumbnails of the pictures whose marks stand in a text, in their order."""
    thumbnails = results.thumbnails or {}
    return [thumbnails[mark] for mark in MARK.findall(text) if mark in thumbnails]


def _judge_name(settings: Mapping[str, object]) -> str:
    """Return the kind of a judge with the settings that were given: `endpoint, model m`."""
    # "name endpoint, model m" would read as if the judge were called "endpoint"
    other_settings = [
        f"{key.replace('_', ' ')} {value}" for key, value in settings.items() if key != "name" and value is not None
    ]
    return ", ".join([str(settings["name"]), *other_settings])


def _facts(results: JudgeResults) -> list[tuple[str, str]]:
    config, summaries = results.config, [result.summary for result in results.methods.values()]
    tokens, seconds = sum(summary.tokens for summary in summaries), sum(summary.seconds for summary in summaries)
    cost = f"{count(tokens, 'token')}, {duration(seconds)} of waiting, calls at once added up" if tokens else ""
    facts = [
        ("Task", "ask a judge whose responses win"),
        ("Responses", listing(config["responses"])),
        ("Against", config["against"]),
        ("Drawn at", listing(f"{temperature:g}" for temperature in config["temperatures"])),
        ("Prompts", f"{results.prompts:,}"),
        ("Judge", _judge_name(config["judge"])),
        ("Asked", cost),
    ]
    return [(label, text) for label, text in facts if text]
