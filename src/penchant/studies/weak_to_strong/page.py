"""The page of a weak-to-strong study. Reads its numbers and nothing else."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

from penchant.models.builtin import ORIGINS, described
from penchant.reports.kit.render import figure_context
from penchant.reports.kit.study_page import cell, shared_context, shared_facts
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import DASH, count, listing, number, short
from penchant.studies.core.definition import StudyPage
from penchant.studies.weak_to_strong.figures import weak_pictures
from penchant.studies.weak_to_strong.words import CAPTIONS, findings, headline, legend, ratio

TITLE = "From weak to strong: how much of the gap is recovered"
INTERVALS = (
    "Intervals are 95%, for new test items and new seeds together, paired across supervisor, student and ceiling; "
    "those of shares among the supervisor's right or wrong answers are for new items only."
)
GROUPED = "Test rows that belong together, such as those of one question, are drawn together."
__all__ = ["weak_context", "weak_files", "weak_pictures"]
Numbers = Mapping[str, Any]
HEADS = ("task", "supervisor", "student", "loss")


def weak_context(study: Numbers, pictures: Mapping[str, Any]) -> dict[str, Any]:
    """What the template takes."""
    return {
        "title": TITLE,
        "headline": headline(study),
        **shared_context(
            study["config"], study["provenance"], [(one["stage"], one["reason"]) for one in study["failures"]]
        ),
        "intervals": f"{INTERVALS} {GROUPED}" if any(one.get("groups") for one in study["tasks"]) else INTERVALS,
        "section": "Supervisor, student and ceiling",
        "methods": legend(study),
        "figures": [figure_context(key, picture, CAPTIONS[key]) for key, picture in pictures.items()],
        "findings": findings(study),
        "tables": [_main(study), _agreement(study), _little(study), *_stopping(study), _rows(study)],
        "legend_tables": [],
        "facts": _facts(study),
    }


def weak_files(study: Numbers) -> dict[str, str]:
    """The main table for a spreadsheet and for a paper, by file name."""
    table = _main(study)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([table.columns, *map(_no_formula, table.rows)])
    lines = [" & ".join(map(_tex, row)) + r" \\" for row in (table.columns, *table.rows)]
    columns = "l" * len(HEADS) + "r" * (len(table.columns) - len(HEADS))
    body = "\n".join([lines[0], r"\midrule", *lines[1:]])
    latex = f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{body}\n\\bottomrule\n\\end{{tabular}}\n"
    return {"table.csv": text.getvalue(), "table.tex": latex}


def _no_formula(row: Iterable[str]) -> list[str]:
    """A spreadsheet runs what begins like a formula; a number with a sign is none."""
    return [f"'{text}" if text[:1] in "=+-@" and not text[1:2].isdigit() else text for text in row]


def _tex(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": "$-$", "–": "--"}
    return "".join(special.get(letter, f"\\{letter}" if letter in "&%$#_{}" else letter) for letter in text)


def _main(study: Numbers) -> Table:
    rows = [
        (
            *_names(study, one),
            *(cell(one[key], percent=True) for key in ("supervisor", "student", "ceiling")),
            ratio(one),
            cell(one["over_naive"], percent=True, sign=True),
            cell(one["noise"], percent=True),
        )
        for one in study["cells"]
    ]
    heads = (*HEADS, "supervisor's accuracy", "student's", "ceiling", "PGR", "more than naive", "errors at random")
    caption = (
        f"Accuracy on the test rows. The last column is the control: the same student, naive, on {_control(study)}."
    )
    return Table(caption, heads, tuple(rows))


def _control(study: Numbers) -> str:
    """Return what the students of errors at random learned from."""
    if study.get("control") is None:  # version 0.3 did not write it
        return "the truth with as many errors as the supervisor makes, at random, as hard labels"
    return (
        "the supervisor's labels dealt out to the rows at random, so that there are as many errors, each as sure, but "
        "on other rows"
    )


def _agreement(study: Numbers) -> Table:
    reworded = any(one["consistency"] is not None for one in study["cells"])
    keys = ("overall", "where_right", "where_wrong", "fixed", "inherited", "new")
    rows = [
        (
            *_names(study, one),
            *(cell(one["agreement"][key], percent=True) for key in keys),
            number(100 * one["calibration_error"], 1) + "%",
            cell(one["brier"]),
            *([cell(one["consistency"], percent=True)] if reworded else []),
        )
        for one in study["cells"]
    ]
    heads = (
        *HEADS,
        "agree",
        "… where it is right",
        "… where it is wrong",
        "fixed",
        "inherited",
        "new",
        "calibration error",
        "Brier score",
        *(["the same in other words"] if reworded else []),
    )
    caption = (
        "Agreement of student and supervisor on the test rows. Errors of the supervisor that the student fixed or "
        "inherited, and errors of its own (new), as shares of all rows."
    )
    if reworded:
        caption += " In other words: how often a student gives a row the same class in each pair of wordings."
    return Table(caption, heads, tuple(rows))


def _little(study: Numbers) -> Table:
    """How few labels and steps, and how small a change of the weights, drew out what naive students recover."""
    about = {one["label"]: one for one in study["strong"]}
    rows = [
        (
            *_names(study, one),
            number(one["learned_from"], 0),
            number(one["weak_labels"], 0),
            ratio(one),
            DASH if (after := _most_of(one)) is None else f"{after:g} {about[one['strong']]['curve_unit']}",
            DASH if one["moved"] is None else number(100 * one["moved"], 2) + "%",
        )
        for one in study["cells"]
        if one["over_naive"] is None
    ]
    caption = (
        "How little it takes, naive students: true labels that the supervisor learned from or was shown, weak labels "
        "of other rows that the student learned from, the first look at which they had nine tenths of what they gained "
        "over their supervisor in the end, on the same rows, and how far fine-tuning moved the weights, relative to "
        "their length (means over seeds; a probe moves none)."
    )
    heads = (*HEADS, "supervisor's rows", "weak labels", "PGR", "nine tenths of the gain after", "weights moved by")
    return Table(caption, heads, tuple(rows))


def _most_of(one: Numbers) -> float | None:
    """None where nothing was gained, or nobody looked."""
    gains = [(each["after"], each["accuracy"] - one["curve_from"]) for each in one["curve"] or ()]
    if not gains:
        return None
    whole = gains[-1][1] if one["early"] is None else one["early"] - one["curve_from"]
    return next((float(after) for after, gain in gains if gain >= 0.9 * whole), None) if whole > 0 else None


def _stopping(study: Numbers) -> list[Table]:
    """Where training might have stopped."""
    found = [one for one in study["cells"] if one["oracle"]]
    if not found:
        return []
    units = {one["label"]: one["curve_unit"] for one in study["strong"]}
    rows = []
    for one in found:
        best = f"{one['oracle']['after']:g} {units[one['strong']]}"
        early = DASH if one["early"] is None else _percent(one["early"])
        rows.append(
            (*_names(study, one), _percent(one["oracle"]["last"]), early, _percent(one["oracle"]["accuracy"]), best)
        )
    heads = (*HEADS, "at the end", "stopped by weak labels", "stopped by an oracle", "that is after")
    caption = (
        "Accuracy on the truth at the end of training, where the loss on weak labels that were kept back was lowest, "
        "and at its best, which takes the truth to know and is no result. Means over seeds; fine-tuned students were "
        "looked at on the first 200 test rows."
    )
    return [Table(caption, heads, tuple(rows))]


def _percent(share: float) -> str:
    return f"{number(100 * share, 1)}%"


def _rows(study: Numbers) -> Table:
    """Which rows trained whom."""
    rows = [
        (
            one["title"],
            ", ".join(one["classes"]) or "options of each row's own",
            number(one["train"], 0),
            number(one["test"], 0),
            _percent(one["chance"]),
            "; ".join(f"{number(size, 0)} {why}" for why, size in one["dropped"].items() if size) or DASH,
            one["source"],
        )
        for one in study["tasks"]
    ]
    heads = ("task", "classes", "rows to train", "rows to test", "chance", "left out", "source")
    caption = (
        "Rows. Chance is the share of the largest class, or that of one option among a row's own. Of the rows to train "
        "on, each seed gives one random half to the supervisor to learn from; it labels the other half, and student, "
        "ceiling and controls learn from that. The same test rows for all."
    )
    return Table(caption, heads, tuple(rows))


def _names(study: Numbers, one: Numbers) -> tuple[str, ...]:
    titles = {task["task"]: task["title"] for task in study["tasks"]}
    return str(titles.get(one["task"], one["task"])), one["weak"], one["strong"], one["loss"]


def _facts(study: Numbers) -> list[tuple[str, str]]:
    strong = [
        one["label"] + (f" ({number(one['parameters'] / 1e6, 1)} million parameters)" if one["parameters"] else "")
        for one in study["strong"]
    ]
    config = study["config"]
    return [
        ("Supervisors", "; ".join(study["weak"])),
        ("Students", "; ".join(strong)),
        ("Losses", "; ".join(study["losses"])),
        (
            "Probes",
            f"{_shrinkage(study)}; {config['steps']} steps; standardized activations: a language model's at the last "
            "token, an encoder's on average over tokens",
        ),
        *_texts_first(study),
        *_origins(study),
        *shared_facts(study["seeds"], study["provenance"], study["cost"]["seconds"]),
    ]


def _origins(study: Numbers) -> list[tuple[str, str]]:
    """What built-in models of the study really are, where their names leave that open."""
    named = " ".join([*study["weak"], *(one["label"] for one in study["strong"])])
    found = [described(name) for name in ORIGINS if name in named]
    return [("Models", "; ".join(found))] if found else []


def _shrinkage(study: Numbers) -> str:
    """Return how the probes' l2 was fixed, what was chosen, and how many fits that took."""
    if study["config"]["l2"] != "auto":
        return f"l2 {study['config']['l2']:g}"
    chosen, tried = study["l2"]["chosen"], study["l2"]["tried"]
    if not chosen:
        return "l2 auto"
    often = listing([f"{value} for {count(size, 'set of labels', 'sets of labels')}" for value, size in chosen.items()])
    return (
        f"l2 chosen among {listing([f'{value:g}' for value in tried])} by cross-entropy on a fifth of the labels that "
        f"a probe learns from (of students the weak ones), seed by seed: {often}; that took "
        f"{count(study['l2']['fits'], 'more fit')}"
    )


def _texts_first(study: Numbers) -> list[tuple[str, str]]:
    """What models read before they learned from labels."""
    told = [
        f"{short(one['model'], 40)} on {one['task']}: {number(one['texts'], 0)} texts in "
        f"{number(one['pieces'], 0)} pieces, {number(one['held_out'], 0)} of these held out"
        + (f", {number(one['dropped'], 0)} too long" if one["dropped"] else "")
        for one in study["texts_first"]
    ]
    return [("Texts first", "; ".join(told))] if told else []


PAGE = StudyPage(
    expected=frozenset({"cells", "tasks", "weak", "strong", "losses", "failures"}),
    pictures=weak_pictures,
    context=weak_context,
    files=weak_files,
)
