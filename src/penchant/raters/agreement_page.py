"""Write the page of raters' agreement from its results alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from penchant.metrics.agreement import Pair
from penchant.metrics.catalogue import metric
from penchant.metrics.estimates import Measure
from penchant.raters.agreement_figures import agreement_pictures
from penchant.raters.breakdown_page import where_findings, where_tables
from penchant.raters.files_to_page import count_facts
from penchant.raters.results import Agreement, Disagreement, RaterResult
from penchant.reports.kit.canvas import Picture
from penchant.reports.kit.page import format_measure, shared_context, write_page
from penchant.reports.kit.render import figure_context
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import DASH, NAME, count, listing, number, short

MOST_PAIRS = 60  # in the table; all are in the JSON
HEAD = 1200  # characters of a text that are not folded
MOST_TEXT = 20_000  # characters of a text that the page holds
LEANINGS = (
    ("longer", "longer response", "shorter response", "the longer one"),
    ("first_shown", "response shown first", "response shown second", "the first"),
)
BOTH_ORDERS = " (one half is what never changing one's mind between the two orders gives, 100% is always the first)."
CAPTIONS = {
    "kappa": "Agreement beyond chance: 1 is full agreement, 0 is chance, below 0 is worse than chance.",
    "raw": "Share of the comparisons judged by both on which both say the same (first, second or tie).",
    "lengths": "Every two raters of a comparison, by how many characters its responses differ in length: quarters of "
    "the comparisons that two or more judged.",
    "topics": "Every two raters of a comparison, by what its prompt is about; topics with most comparisons first.",
}


def agreement_page(results: Agreement, provenance: Mapping[str, object], folder: Path) -> None:
    """Write `report.html` and its figures.

    Raises:
        RunError: the folder cannot be written.
    """
    pictures = agreement_pictures(results)
    write_page(agreement_context(results, provenance, pictures), pictures, folder)


def agreement_context(
    results: Agreement, provenance: Mapping[str, object], pictures: Mapping[str, Picture]
) -> dict[str, object]:
    """Return the values that fill the template."""
    tables = [_human_study(results), _pairs(results), _raters(results), _leanings(results), *where_tables(results)]
    return {
        "title": f"Agreement of {count(len(results.raters), 'rater')}",
        "headline": headline(results),
        "section": "Every two raters",
        "figures": [figure_context(key, picture, CAPTIONS[key]) for key, picture in pictures.items()],
        "findings": findings(results),
        "tables": [table for table in tables if table is not None],
        "texts": [_texts(disagreement) for disagreement in results.disagreements],
        "texts_note": "Where raters are most divided, opposite verdicts first. Which response stands on the left has "
        "no meaning.",
        "facts": _facts(results),
        **shared_context(results.method, results.level, provenance),
    }


def headline(results: Agreement) -> list[str]:
    """Return the sentences at the top: Krippendorff's alpha, and what it was measured on."""
    alpha = results.alpha
    first = f"{count(len(results.raters), 'rater')} agree with a Krippendorff's alpha of {format_measure(alpha)}."
    if alpha.value is None:  # everybody says the same of everything, so nothing can be agreed on beyond chance
        first = f"Krippendorff's alpha is undefined: {alpha.reason}."
    if results.alpha_people and results.alpha_people.value is not None:
        first += f" Of people alone: {format_measure(results.alpha_people)}."
    shared = count(results.shared, "comparison")
    return [first, f"{shared} of {count(results.prompts, 'prompt')} judged by two or more."]


def findings(results: Agreement) -> list[str]:
    """Return sentences on what the numbers mean, and on what they cannot mean."""
    sentences = [
        "Comparisons are matched by their texts. A digest of the texts decides which response is called the first, so "
        "chance agreement depends neither on who won nor on the order of the file.",
        "A tie is a verdict of its own: a tie and a win disagree.",
    ]
    if any(rater.majority for rater in results.raters):
        sentences.append(
            "A rater who is part of a majority agrees with itself. The fair number is the agreement with the majority "
            "of the others. Comparisons on which the others are divided are left out there, so the easier ones remain."
        )
    for rater in results.raters:
        for key, response, other, short_form in LEANINGS:
            leaning = getattr(rater, key)
            # Hardly any share is one half, so only an interval that lies on one side of it is called a leaning.
            if leaning and (leaning.above(0.5) or leaning.below(0.5)):
                sentences.append(
                    f"{short(rater.name, NAME)} leans to the {response if leaning.above(0.5) else other}: {short_form} "
                    f"is preferred in {format_measure(leaning, percent=True)} of the decided comparisons."
                )
    return sentences + where_findings(results)


def _pairs(results: Agreement) -> Table:
    # 20 raters are 190 pairs; those with most in common have the narrowest intervals
    table_pairs = sorted(results.pairs, key=lambda pair: -pair.agreement.raw.n)[:MOST_PAIRS]
    rows = tuple(
        (
            f"{short(pair.one, NAME)} – {short(pair.other, NAME)}",
            number(pair.agreement.raw.n, 0),
            *_raw_and_kappa(pair.agreement),
        )
        for pair in table_pairs
    )
    hidden = len(results.pairs) - len(table_pairs)
    hidden_note = f" {count(hidden, 'pair')} with fewer in common are in agree.json." if hidden else ""
    return Table(
        f"Every two raters.{hidden_note}", ("raters", "in common", metric("raw").column, metric("kappa").column), rows
    )


def _raw_and_kappa(pair: Pair | None) -> tuple[str, str]:
    if pair is None:
        return DASH, DASH
    return format_measure(pair.raw, percent=True), format_measure(pair.kappa)


def _raters(results: Agreement) -> Table:
    of_people = bool(results.people_files)
    with_majority = any(rater.majority for rater in results.raters)
    heads = ["rater"]
    heads += ["majority: the same", "majority: kappa"] if with_majority else []
    heads += ["others: in common", "others: the same", "others: kappa"]
    rows = []
    for rater in results.raters:
        cells = [_rater(rater)]
        if with_majority:
            cells += _raw_and_kappa(rater.majority)
        cells += [number(rater.left_out.raw.n, 0), *_raw_and_kappa(rater.left_out)]
        rows.append(tuple(cells))
    majority_name = "people's majority" if of_people else "everybody's majority"
    others_name = "other people's" if of_people else "others'"
    reference = (
        f"against {majority_name} and against the {others_name}" if with_majority else f"against the {others_name}"
    )
    return Table(f"Each rater {reference}.", tuple(heads), tuple(rows))


def _leanings(results: Agreement) -> Table:
    """Return the table of what each rater prefers, whatever the others say."""
    # known where somebody judged a pair in both orders, where `penchant collect` recorded it, or by `order=row`
    with_order = any(rater.first_shown for rater in results.raters)
    rows = [
        (
            _rater(rater),
            number(rater.judged, 0),
            number(rater.ties, 0),
            format_measure(rater.longer, percent=True),
            *([format_measure(rater.first_shown, percent=True)] if with_order else []),
        )
        for rater in results.raters
    ]
    return Table(
        "Each rater alone: of comparisons that are decided, how often the longer response is preferred where lengths "
        "differ" + (f", and the one shown first where that is known{BOTH_ORDERS}" if with_order else "."),
        ("rater", "judged", "ties", "prefers the longer", *(["prefers the first shown"] if with_order else [])),
        tuple(rows),
    )


def _rater(rater: RaterResult) -> str:
    return short(rater.name, NAME) + (" (person)" if rater.kind == "person" else "")


def _human_study(results: Agreement) -> Table | None:
    """Return the table of the DPO paper's human study: a column per matchup, who wins by whom, who agrees with whom."""
    study = results.human_study
    if study is None:
        return None
    judges = [short(name, NAME) for name in study.judges]
    columns = [
        "everything" if row.models is None else " over ".join(short(name, NAME) for name in row.models)
        for row in study.rows
    ]

    def line(head: str, measures: Iterable[Measure | None]) -> tuple[str, ...]:
        return (head, *(format_measure(measure, percent=True) for measure in measures))

    rows, wins = study.rows, [row.wins for row in study.rows]
    lines = [("comparisons", *(number(row.comparisons, 0) for row in rows))]
    if any(wins):  # "everything" has no first model, and shows a dash
        for index, judge in enumerate(judges):
            lines.append(line(f"wins by {judge}", (row_wins.judges[index] if row_wins else None for row_wins in wins)))
        lines.append(line("wins by people", (row_wins.people if row_wins else None for row_wins in wins)))
    for index, judge in enumerate(judges):
        lines.append(line(f"{judge} – people", (row.judge_people[index] for row in rows)))
    lines.append(line("people – people", (row.people_people for row in rows)))
    return Table(
        "Judges and people, in the form of the DPO paper's human study: how often the first model wins (ties half), "
        "and in what share of pairs of verdicts both are the same.",
        ("measured", *columns),
        tuple(lines),
    )


def _texts(disagreement: Disagreement) -> dict[str, object]:
    cells = []
    for index, side in enumerate(("first", "second")):
        voters = [short(rater, NAME) for rater, verdict in disagreement.said.items() if verdict == side]
        author = f", by {short(disagreement.models[index], NAME)}" if disagreement.models else ""
        voter_words = f"preferred by {listing(voters)}" if voters else "preferred by nobody"
        text = disagreement.responses[index]
        cells.append({"who": voter_words, "text": _folded(text), "note": f"{count(len(text), 'character')}{author}"})
    ties = [short(rater, NAME) for rater, verdict in disagreement.said.items() if verdict == "tie"]
    return {
        "prompt": _folded(disagreement.prompt),
        "cells": cells,
        "ties": f"a tie for {listing(ties)}" if ties else "",
    }


def _folded(text: str) -> tuple[str, str]:
    rest = text[HEAD:MOST_TEXT]
    return text[:HEAD], rest + ("…" if len(text) > MOST_TEXT else "")


def _facts(results: Agreement) -> list[tuple[str, str]]:
    facts = [
        ("Task", "measure how far raters agree on comparisons"),
        ("Files", listing(results.files)),
        ("Files of people", listing(results.people_files)),
        ("Comparisons", f"{number(results.comparisons, 0)}, {number(results.shared, 0)} judged by two or more"),
    ]
    contradicted = "times that somebody judged one comparison twice and differently"
    facts += count_facts(
        ("Left out", results.skipped_rows, "rows that cannot be used"),
        ("Left out", results.alike, "comparisons of responses that differ in white space only"),
        ("Counted as ties", results.contradicted, contradicted),
    )
    # without files of people their line is empty
    return [(label, text) for label, text in facts if text]
