"""The page of raters' agreement. Reads the numbers of `penchant agree` and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penchant.raters.agreement_figures import agreement_pictures
from penchant.raters.breakdown_page import where_findings, where_tables
from penchant.reports.kit.page import Numbers, shared_context, told, write_page
from penchant.reports.kit.render import figure_context
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import DASH, count, listing, number, short

NAME = 40  # characters of a rater's name
MOST_PAIRS = 60  # in the table; all are in the JSON
HEAD = 1200  # characters of a text that are not folded
MOST_TEXT = 20_000  # characters of a text that the page holds
LEANINGS = (
    ("longer", "longer response", "shorter response", "the longer one"),
    ("first_shown", "response shown first", "response shown second", "the first"),
)
CAPTIONS = {
    "kappa": "Beyond chance: 1 is full agreement, 0 what chance alone would give, below it is worse than chance.",
    "raw": "Share of common comparisons of which both say the same (first, second or tie).",
    "lengths": "Every two raters of a comparison, by how many characters its responses differ in length: quarters of "
    "the comparisons that two or more judged.",
    "topics": "Every two raters of a comparison, by what its prompt is about; topics with most comparisons first.",
}


def agreement_page(numbers: Numbers, folder: Path) -> None:
    """Write `report.html` and its figures.

    Raises:
        RunError: the folder cannot be written.
    """
    pictures = agreement_pictures(numbers)
    write_page(agreement_context(numbers, pictures), pictures, folder)


def agreement_context(numbers: Numbers, pictures: dict[str, Any]) -> dict[str, Any]:
    """What the template takes."""
    tables = [_human_study(numbers), _pairs(numbers), _raters(numbers), _leanings(numbers), *where_tables(numbers)]
    return {
        "title": "How far they agree",
        "headline": headline(numbers),
        "section": "Every two raters",
        "figures": [figure_context(key, picture, CAPTIONS[key]) for key, picture in pictures.items()],
        "findings": findings(numbers),
        "tables": [table for table in tables if table is not None],
        "texts": [_texts(one) for one in numbers["disagreements"]],
        "texts_note": "Where raters are most divided, opposite verdicts first. Which response stands on the left has "
        "no meaning.",
        "facts": _facts(numbers),
        **shared_context(numbers["method"], numbers["level"], numbers["provenance"]),
    }


def headline(numbers: Numbers) -> list[str]:
    """Alpha, and of how much."""
    alpha = numbers["alpha"]
    first = f"Krippendorff's alpha of {count(len(numbers['raters']), 'rater')}: {told(alpha)}."
    if alpha["value"] is None:
        first = f"Krippendorff's alpha is undefined: {alpha['reason']}."
    if numbers["alpha_people"] and numbers["alpha_people"]["value"] is not None:
        first += f" Of people alone: {told(numbers['alpha_people'])}."
    shared = count(numbers["shared"], "comparison")
    return [first, f"{shared} of {count(numbers['prompts'], 'prompt')} judged by two or more."]


def findings(numbers: Numbers) -> list[str]:
    """What the numbers mean, and what they cannot."""
    said = [
        "Comparisons are matched by content, and which response is the first of a pair is decided by a digest of its "
        "texts: chance agreement depends neither on who won nor on the file's order.",
        "A tie is a verdict of its own: a tie against a win is a disagreement.",
    ]
    if any(rater["majority"] for rater in numbers["raters"]):
        said.append(
            "Who is part of a majority agrees with itself: the fair number is the one against the majority of the "
            "others. Comparisons on which these are divided have no majority and are left out there, so those left are "
            "the easier ones."
        )
    for rater in numbers["raters"]:
        for key, which, other, held in LEANINGS:
            leaning = rater[key]
            if leaning and leaning["low"] is not None and (leaning["low"] > 0.5 or leaning["high"] < 0.5):
                said.append(
                    f"{short(rater['name'], NAME)} leans to the {which if leaning['low'] > 0.5 else other}: {held} is "
                    f"preferred in {told(leaning, percent=True)} of what is decided."
                )
    return said + where_findings(numbers)


def _pairs(numbers: Numbers) -> Table:
    shown = sorted(numbers["pairs"], key=lambda pair: -pair["raw"]["n"])[:MOST_PAIRS]
    rows = tuple(
        (
            f"{short(pair['one'], NAME)} – {short(pair['other'], NAME)}",
            number(pair["raw"]["n"], 0),
            told(pair["raw"], percent=True),
            told(pair["kappa"]),
        )
        for pair in shown
    )
    hidden = len(numbers["pairs"]) - len(shown)
    more = f" {count(hidden, 'pair')} with fewer in common are in agree.json." if hidden else ""
    return Table(f"Every two raters.{more}", ("raters", "in common", "the same", "Cohen's kappa"), rows)


def _raters(numbers: Numbers) -> Table:
    of_people = bool(numbers["people_files"])
    with_majority = any(rater["majority"] for rater in numbers["raters"])
    heads = ["rater"]
    heads += ["majority: the same", "majority: kappa"] if with_majority else []
    heads += ["others: in common", "others: the same", "others: kappa"]
    rows = []
    for rater in numbers["raters"]:
        cells = [_rater(rater)]
        if with_majority:
            both = rater["majority"] or {"raw": None, "kappa": None}
            cells += [told(both["raw"], percent=True), told(both["kappa"])]
        left_out = rater["left_out"]
        cells += [number(left_out["raw"]["n"], 0), told(left_out["raw"], percent=True), told(left_out["kappa"])]
        rows.append(tuple(cells))
    whose = "people's majority" if of_people else "everybody's majority"
    others = "other people's" if of_people else "others'"
    held = f"against {whose} and against the {others}" if with_majority else f"against the {others}"
    return Table(f"Each rater {held}.", tuple(heads), tuple(rows))


def _leanings(numbers: Numbers) -> Table:
    """What each rater prefers, whatever the others say."""
    with_order = any(rater["first_shown"] for rater in numbers["raters"])
    rows = [
        (
            _rater(rater),
            number(rater["judged"], 0),
            number(rater["ties"], 0),
            told(rater["longer"], percent=True),
            *([told(rater["first_shown"], percent=True)] if with_order else []),
        )
        for rater in numbers["raters"]
    ]
    return Table(
        "Each rater alone: of comparisons that are decided, how often the longer response is preferred where lengths "
        "differ" + (", and the one shown first where that is known." if with_order else "."),
        ("rater", "judged", "ties", "prefers the longer", *(["prefers the first shown"] if with_order else [])),
        tuple(rows),
    )


def _rater(rater: Numbers) -> str:
    return short(rater["name"], NAME) + (" (person)" if rater["kind"] == "person" else "")


def _human_study(numbers: Numbers) -> Table | None:
    """In the form of the DPO paper's: a column a matchup, who wins by whom, who agrees with whom."""
    study = numbers["human_study"]
    if study is None:
        return None
    judges = [short(name, NAME) for name in study["judges"]]
    columns = [
        "everything" if row["models"] is None else " over ".join(short(name, NAME) for name in row["models"])
        for row in study["rows"]
    ]

    def line(head: str, cells: list[str]) -> tuple[str, ...]:
        return (head, *cells)

    rows = [line("comparisons", [number(row["comparisons"], 0) for row in study["rows"]])]
    if any(row["wins"] for row in study["rows"]):
        for place, judge in enumerate(judges):
            cells = [told(row["wins"]["judges"][place], percent=True) if row["wins"] else DASH for row in study["rows"]]
            rows.append(line(f"wins by {judge}", cells))
        cells = [told(row["wins"]["people"], percent=True) if row["wins"] else DASH for row in study["rows"]]
        rows.append(line("wins by people", cells))
    for place, judge in enumerate(judges):
        rows.append(
            line(f"{judge} – people", [told(row["judge_people"][place], percent=True) for row in study["rows"]])
        )
    rows.append(line("people – people", [told(row["people_people"], percent=True) for row in study["rows"]]))
    return Table(
        "Judges and people, in the form of the DPO paper's human study: how often the first model wins (ties half), "
        "and in what share of pairs of verdicts both are the same.",
        ("", *columns),
        tuple(rows),
    )


def _texts(one: Numbers) -> dict[str, Any]:
    cells = []
    for place, side in enumerate(("first", "second")):
        voters = [short(rater, NAME) for rater, verdict in one["said"].items() if verdict == side]
        wrote = f", by {short(one['models'][place], NAME)}" if one["models"] else ""
        who = f"preferred by {listing(voters)}" if voters else "preferred by nobody"
        text = one["responses"][place]
        cells.append({"who": who, "text": _folded(text), "note": f"{count(len(text), 'character')}{wrote}"})
    ties = [short(rater, NAME) for rater, verdict in one["said"].items() if verdict == "tie"]
    return {
        "prompt": _folded(one["prompt"]),
        "cells": cells,
        "ties": f"a tie for {listing(ties)}" if ties else "",
    }


def _folded(text: str) -> tuple[str, str]:
    rest = text[HEAD:MOST_TEXT]
    return text[:HEAD], rest + ("…" if len(text) > MOST_TEXT else "")


def _facts(numbers: Numbers) -> list[tuple[str, str]]:
    facts = [
        ("Files", listing(numbers["files"])),
        ("Files of people", listing(numbers["people_files"])),
        ("Comparisons", f"{number(numbers['comparisons'], 0)}, {number(numbers['shared'], 0)} judged by two or more"),
    ]
    facts += [
        (label, f"{number(numbers[key], 0)} {what}")
        for key, label, what in (
            ("skipped_rows", "Left out", "rows that cannot be used"),
            ("alike", "Left out", "comparisons of responses that differ in white space only"),
            ("contradicted", "Counted as ties", "times that somebody judged one comparison twice and differently"),
        )
        if numbers[key]
    ]
    return [(label, text) for label, text in facts if text]
