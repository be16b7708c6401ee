"""A student of weak labels, without any truth: its diagnostics as lines and as a page. Reads its numbers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.ticker import FixedLocator

from penchant.metrics.estimates import Estimate, Measure
from penchant.reports.kit.canvas import RUN_COLORS, Picture, blank, error_arms, export, percent_axis, style
from penchant.reports.kit.render import figure_context, render_page
from penchant.reports.kit.study_page import TEMPLATE, shared_context
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import duration, format_estimate, listing, percent, recorded, short
from penchant.weak.figures import reliability_picture

INTERVALS = "Intervals are 95% and resample rows; related rows stay together."
NO_TRUTH = "there is no truth here: agreement is not accuracy, and none of this measures it"
CAPTIONS = {
    "agreement": "A student that agrees far more on rows that it learned from has learned its supervisor's errors by "
    "heart; one that generalizes departs where it was unsure.",
    "reliability": "On held-out rows. Above the dotted line they agree more often than the student's confidence says.",
}
READ = 400  # characters of a text to read
Numbers = Mapping[str, Any]
PARTS = {
    "learned_from": "rows it learned from",
    "held_out": "held-out rows",
    "where_sure": "where the supervisor was more sure",
    "where_unsure": "where it was less sure",
}


def weak_train_page(numbers: Numbers) -> str:
    """Return the content of `report.html`.

    Args:
        numbers: those of `result.json`, with `config` and `provenance` beside them.
    """
    reliability_title = "How often the two agree where the student is so sure"
    pictures = {
        "agreement": (_agreement(numbers), CAPTIONS["agreement"]),
        "reliability": (
            reliability_picture({"student": _reliability(numbers)}, reliability_title),
            CAPTIONS["reliability"],
        ),
    }
    headline, *lines = console_lines(numbers)
    context = {
        **shared_context(numbers["config"], numbers["provenance"]),
        "brand": "Penchant",
        "title": "A student of weak labels",
        "settings_file": "config.yaml",
        "numbers_file": "result.json",
        "folder": "",
        "intervals": INTERVALS,
        "headline": [_sentence(lines[0]), _sentence(lines[-1])],
        "section": "What can be said without any truth",
        "methods": [],
        "figures": [figure_context(key, picture, words) for key, (picture, words) in pictures.items()],
        "findings": [_sentence(line) for line in lines],
        "tables": [_disagreements(numbers)] if numbers["disagreements"] else [],
        "legend_tables": [],
        "facts": [
            ("Rows", headline.removeprefix("weak: ").rpartition(",")[0]),
            ("Task", "which of two responses is preferred" if numbers["task"] == "comparisons" else "classes of texts"),
            ("Classes", listing(numbers["classes"])),
            *([("Probe", _shrinkage(numbers["l2"]))] if numbers.get("l2") else []),
            ("Time", duration(numbers["seconds"])),
        ],
    }
    return render_page(TEMPLATE, context)


def _shrinkage(l2: float) -> str:
    """Return how a probe was shrunk."""
    return f"l2 {l2:g}, chosen by cross-entropy on a fifth of its weak labels (fewer than 100 choose nothing: 0.3)"


def console_lines(numbers: Numbers) -> list[str]:
    """Return the diagnostics of a student as lines."""
    rows, agreement, misfit = numbers["rows"], numbers["agreement"], numbers["misfit"]
    lines = [
        f"weak: learned from {rows['learned_from']} weak labels, {rows['held_out']} held out, "
        f"{numbers['seconds']:.0f} s",
        f"  agrees with its supervisor: {_share(agreement['held_out'])} of held-out rows, "
        f"{_share(agreement['learned_from'])} of those it learned from",
    ]
    if agreement["where_unsure"] and agreement["where_sure"]:
        lines.append(
            f"  where the supervisor was less sure: {_share(agreement['where_unsure'])}, "
            f"more sure: {_share(agreement['where_sure'])}"
        )
    lines += [
        f"  misfit to the weak labels: {_nats(misfit['held_out'])} nats held out, "
        f"{_nats(misfit['learned_from'])} where it learned",
        f"  its confidence that it agrees is off by {100 * numbers['calibration_error']:.0f} points on average",
        _preferences(numbers) if numbers["task"] == "comparisons" else _classes(numbers),
    ]
    if rows["undecided"]:
        lines.append(f"  left out of all this: {rows['undecided']} held-out rows whose weak label is a tie")
    if "consistency" in numbers:
        lines.append(
            f"  says the same of a row in other words: {_share(numbers['consistency'])} of the pairs of wordings"
        )
    if "test" in numbers:
        tested = numbers["test"]
        ties = f" ({tested['undecided']} more are ties)" if tested["undecided"] else ""
        lines.append(f"  accuracy on {tested['rows']} rows with the truth{ties}: {_share(tested['accuracy'])}")
    else:
        lines.append(f"  {NO_TRUTH}")
    return lines


def _classes(numbers: Numbers) -> str:
    shares = numbers["shares"]
    return (
        f"  classes ({', '.join(numbers['classes'])}): {_list(shares['student'])} by the student, "
        f"{_list(shares['weak_labels'])} by the weak labels"
    )


def _preferences(numbers: Numbers) -> str:
    """Length is what reward models learn first where it tells winners apart."""
    student, weak = numbers["longer"]["student"], numbers["longer"]["weak_labels"]
    if student is None:
        return "  all responses are as long as the ones beside them"
    return f"  prefers the longer response in {_share(student)} of the held-out pairs, its supervisor in {_share(weak)}"


def _sentence(line: str) -> str:
    text = line.strip()
    return f"{text[:1].upper()}{text[1:]}."


def _agreement(numbers: Numbers) -> Picture:
    labelled_estimates = [(PARTS[key], numbers["agreement"][key]) for key in PARTS if numbers["agreement"][key]]
    if "consistency" in numbers:
        labelled_estimates.append(("with itself, in other words", numbers["consistency"]))
    if "test" in numbers:
        labelled_estimates.append(("with the truth, on test rows", numbers["test"]["accuracy"]))
    with style():
        figure, axes = blank(5.4, 0.8 + 0.42 * len(labelled_estimates))
        positions = range(len(labelled_estimates))
        estimates = [Estimate.from_dict(estimate) for _, estimate in labelled_estimates]
        values = [estimate.value for estimate in estimates]
        axes.barh(positions, values, color=RUN_COLORS[0][0], height=0.55, alpha=0.75)
        axes.errorbar(values, positions, xerr=error_arms(estimates), color=RUN_COLORS[1][0], linestyle="none")
        axes.set_xlim(0, 1)
        axes.invert_yaxis()
        axes.yaxis.set_major_locator(FixedLocator(positions))
        axes.set_yticklabels([name for name, _ in labelled_estimates])
        percent_axis(axes.xaxis)
        return export(figure, "How often the student agrees with its supervisor", [])


def _reliability(numbers: Numbers) -> dict[float, Measure]:
    return {point["confidence"]: Estimate.from_dict(point["accuracy"]) for point in numbers["reliability"]}


def _disagreements(numbers: Numbers) -> Table:
    rows = [
        (
            short(disagreement["text"], READ),
            *(f"{name} ({100 * p:.0f}%)" for name, p in (disagreement["weak_label"], disagreement["student"])),
        )
        for disagreement in numbers["disagreements"]
    ]
    caption = "Held-out rows to read: where the two disagree and the student is surest. At most one of them is right."
    return Table(caption, ("text", "weak label", "student"), tuple(rows))


def _share(estimate: Numbers) -> str:
    return format_estimate(estimate, percent=True)


def _nats(estimate: Numbers) -> str:
    return recorded(estimate, decimals=3)


def _list(shares: Sequence[float]) -> str:
    return " / ".join(map(percent, shares))
