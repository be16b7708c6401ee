"""A student of weak labels, without any truth: its diagnostics as lines and as a page. Reads its numbers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.ticker import FixedLocator

from penchant.metrics.catalogue import metric
from penchant.metrics.estimates import Coefficient, Estimate, Measure
from penchant.reports.kit.canvas import INK, RUN_COLORS, Picture, blank, error_arms, export, percent_axis, style
from penchant.reports.kit.render import figure_context, render_page
from penchant.reports.kit.study_page import TEMPLATE, shared_context
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import duration, format_estimate, listing, percent, recorded, short
from penchant.typed_json import JsonObject
from penchant.weak.figures import reliability_picture
from penchant.weak.results import LongerPreference, StudentResult, UnlabeledUse
from penchant.weak.semi_supervised.report import Division, NoiseReport

INTERVALS = "Intervals are 95% and resample rows; related rows stay together."
NO_TRUTH = "no true labels were given: agreement is not accuracy, and nothing here measures accuracy"
CAPTIONS = {
    "agreement": "If a student agrees far more on the rows that it learned from, it has memorized its supervisor's "
    "errors. One that generalizes disagrees where its supervisor was unsure.",
    "reliability": "On held-out rows. Above the dotted line, student and supervisor agree more often than the "
    "student's confidence says.",
}
CONTROL = "  the control has"
"""How the line of a student beside its control begins."""
READ = 400  # characters of a text to read


def weak_train_page(result: StudentResult, config: JsonObject, provenance: Mapping[str, object]) -> str:
    """Return the page of a student, `report.html`.

    Args:
        config: the recorded settings. provenance: the recorded machine and versions.
    """
    # what the picture of several reads, here with one student
    curve: dict[float, Measure] = {point.confidence: point.accuracy for point in result.diagnostics.reliability}
    pictures = {
        "agreement": _agreement(result),
        "reliability": reliability_picture({"student": curve}, "Agreement by the student's confidence"),
    }
    # the page's sentences are the console's: one place decides on words and digits
    headline, *lines = console_lines(result)
    context = {
        **shared_context(config, provenance),
        "brand": "Penchant",
        "title": "A student trained on weak labels",
        "settings_file": "config.yaml",
        "numbers_file": "result.json",
        "folder": "",
        "intervals": INTERVALS,
        "headline": [_sentence(line) for line in _headline(lines, result)],
        "section": "What can be measured without true labels",
        "methods": [],
        "figures": [figure_context(key, picture, CAPTIONS[key]) for key, picture in pictures.items()],
        "findings": [_sentence(line) for line in lines],
        "tables": [
            *([_noise_matrix(result, result.confident)] if result.confident else []),
            *([_disagreements(result)] if result.diagnostics.disagreements else []),
        ],
        "legend_tables": [],
        "facts": [
            ("Task", "say which of two responses is preferred" if result.task == "comparisons" else "classify texts"),
            *_recorded_names(config),
            ("Rows", headline.removeprefix("weak: ").rpartition(",")[0]),
            ("Classes", listing(result.classes)),
            *([("Probe", _shrinkage(result.l2))] if result.l2 else []),
            ("Time", duration(result.seconds)),
        ],
    }
    return render_page(TEMPLATE, context)


def _headline(lines: Sequence[str], result: StudentResult) -> list[str]:
    """Return the lines that answer first: agreement, a gain over the control where it was measured, and the truth."""
    gain = [line for line in lines if line.startswith(CONTROL)] if result.unlabeled and result.unlabeled.gain else []
    return [lines[0], *gain, lines[-1]]


def _recorded_names(config: JsonObject) -> list[tuple[str, str]]:
    """Return student and data as the settings name them."""
    student, data = config.get("student"), config.get("data")
    parts = [student.get("name"), student.get("model")] if isinstance(student, Mapping) else []
    algorithm = student.get("algorithm") if isinstance(student, Mapping) else None
    if isinstance(algorithm, Mapping) and algorithm.get("name") != "supervised":
        parts.append(algorithm.get("name"))
    path = data.get("path") if isinstance(data, Mapping) else data
    lines = [("Student", ", ".join(str(part) for part in parts if part)), ("Data", str(path or ""))]
    return [(label, text) for label, text in lines if text]


def _shrinkage(l2: float) -> str:
    """Return a probe's shrinkage and how it was chosen."""
    return f"l2 {l2:g}, chosen by cross-entropy on a fifth of its weak labels (fewer than 100 choose nothing: 0.3)"


def console_lines(result: StudentResult) -> list[str]:
    """Return the diagnostics of a student as lines."""
    rows, measured = result.rows, result.diagnostics
    agreement, misfit = measured.agreement, measured.misfit
    lines = [
        f"weak: learned from {rows.learned_from} weak labels, {rows.held_out} held out, {result.seconds:.0f} s",
        f"  agrees with its supervisor: {_share(agreement.held_out)} of held-out rows, "
        f"{_share(agreement.learned_from)} of those it learned from",
    ]
    if agreement.where_unsure and agreement.where_sure:
        lines.append(
            f"  where the supervisor was less sure: {_share(agreement.where_unsure)}, "
            f"more sure: {_share(agreement.where_sure)}"
        )
    lines += [
        f"  misfit to the weak labels: {_nats(misfit.held_out)} nats held out, "
        f"{_nats(misfit.learned_from)} where it learned",
        f"  its confidence differs from its agreement by {100 * measured.calibration_error:.0f} points on average",
        _preferences(result.longer) if result.longer else _classes(result),
    ]
    # a table of rows that do not add up would look like a mistake
    if rows.undecided:
        lines.append(f"  left out of all this: {rows.undecided} held-out rows whose weak label is a tie")
    if rows.without_weight:
        lines.append(f"  left out: {rows.without_weight} rows with a weight of 0")
    if result.consistency:
        lines.append(f"  answers two wordings of a row alike: {_share(result.consistency)} of the pairs of wordings")
    if result.label_noise:
        lines.append(_noise(result.label_noise))
    if result.unlabeled:
        lines += _unlabeled(result.unlabeled)
    if result.confident:
        lines += _confident(result.confident)
    # the truth last: it is what all lines above stand in for
    if test := result.test:
        ties = f" ({test.undecided} more are ties)" if test.undecided else ""
        lines.append(f"  {metric('accuracy').label} on {test.rows} rows with the truth{ties}: {_share(test.accuracy)}")
    else:
        lines.append(f"  {NO_TRUTH}")
    return lines


def _noise(noise: Coefficient) -> str:
    """Return how many of the weak labels are wrong, with what has to hold for that."""
    if noise.value is None:
        return f"  how many of the weak labels are wrong cannot be estimated: {noise.reason}"
    # a student that learned a supervisor's habits agrees with it where both are wrong
    return (
        f"  about {recorded(noise, percent=True, decimals=0)} of the weak labels are wrong, if the student errs as on "
        "the test rows and no more often where a label does; one that repeats its supervisor's errors hides some"
    )


def _unlabeled(use: UnlabeledUse) -> list[str]:
    """Return what became of rows without labels, and how the student stands beside its supervised control."""
    report, left_out = use.report, f" ({use.left_out} more have a label)" if use.left_out else ""
    lines = [
        f"  {use.algorithm} learned from {use.rows} rows without labels{left_out}: {percent(report.mask_rate)} of them "
        f"counted in the last steps, as {_list(report.class_shares)} of the classes ({_list(report.label_shares)} of "
        f"the labels); the student differed from what it was to say by {report.gap:.3f}"
        if report.division is None
        else _division(use.algorithm, report.division, report.class_shares),
        *(f"  warning: {warning}" for warning in report.warnings),
        f"  its control, the same network on the labels alone: agrees with {_share(use.control_agreement)} of held-out "
        "rows",
    ]
    if use.control_accuracy and use.gain:
        # only an interval on one side of zero is a gain or a loss
        verdict = "a gain" if use.gain.above(0) else "a loss" if use.gain.below(0) else "no difference that can be told"
        lines.append(
            f"{CONTROL} {_share(use.control_accuracy)} of the test rows right; the difference, row by row, is "
            f"{_share(use.gain)}: {verdict}"
        )
    return lines


def _confident(noise: NoiseReport) -> list[str]:
    """Return how many labels cross-validation holds to be wrong, and what became of them."""
    treatment = "left out" if noise.treatment == "drop" else "counted less"
    return [
        f"  confident learning holds {noise.suspects} of {noise.rows} labels to be wrong, which were {treatment} "
        f"(suspects.jsonl); by its estimate about {recorded(noise.rate, percent=True, decimals=0)} are wrong",
        *(f"  warning: {warning}" for warning in noise.warnings),
    ]


def _noise_matrix(result: StudentResult, noise: NoiseReport) -> Table:
    rows = [(name, *map(percent, shares)) for name, shares in zip(result.classes, noise.matrix, strict=True)]
    caption = "How often rows of a class have each label, as cross-validated predictions estimate it."
    return Table(caption, ("true class", *(f"label {name}" for name in result.classes)), tuple(rows))


def _division(algorithm: str, division: Division, class_shares: Sequence[float]) -> str:
    """Return how many labels were taken for right, overall and of each class."""
    # the control: two networks that divide nothing
    if not division.count:
        return f"  {algorithm}: learned from the labels as they are"
    return (
        f"  {algorithm} took {percent(division.clean_share)} of the labels for right in its last division "
        f"({_list(division.class_shares)} of those of each class); the classes that it guessed for the others are "
        f"{_list(class_shares)}"
    )


def _classes(result: StudentResult) -> str:
    shares = result.diagnostics.shares
    return (
        f"  classes ({', '.join(result.classes)}): {_list(shares.student)} by the student, "
        f"{_list(shares.weak_labels)} by the weak labels"
    )


def _preferences(preference: LongerPreference) -> str:
    """Return how often the longer response is preferred; length is what reward models learn first."""
    # a share of no pairs has no interval, and no meaning
    if preference.student is None or preference.weak_labels is None:
        return "  all responses are as long as the ones beside them"
    return (
        f"  prefers the longer response in {_share(preference.student)} of the held-out pairs, its supervisor in "
        f"{_share(preference.weak_labels)}"
    )


def _sentence(line: str) -> str:
    text = line.strip()
    return f"{text[:1].upper()}{text[1:]}."


def _agreement(result: StudentResult) -> Picture:
    agreement = result.diagnostics.agreement
    bars = [
        ("rows it learned from", agreement.learned_from),
        ("held-out rows", agreement.held_out),
        ("supervisor more sure", agreement.where_sure),
        ("supervisor less sure", agreement.where_unsure),
        ("two wordings of a row", result.consistency),
        ("truth of test rows", result.test and result.test.accuracy),
    ]
    names, estimates = zip(*((name, estimate) for name, estimate in bars if estimate), strict=True)
    values, positions = [estimate.value for estimate in estimates], range(len(estimates))
    with style():
        figure, axes = blank(5.4, 0.8 + 0.42 * len(estimates))
        axes.barh(positions, values, color=RUN_COLORS[0], height=0.55, alpha=0.75)
        # in ink, as a second colour would be that of a second student
        axes.errorbar(values, positions, xerr=error_arms(estimates), color=INK, linestyle="none")
        axes.set_xlim(0, 1)
        # matplotlib counts from below, and the first bar should stand on top
        axes.invert_yaxis()
        axes.yaxis.set_major_locator(FixedLocator(positions))
        axes.set_yticklabels(names)
        percent_axis(axes.xaxis)
        return export(figure, "How often the student agrees with its supervisor", [])


def _disagreements(result: StudentResult) -> Table:
    rows = [
        (short(row.text, READ), *(f"{name} ({100 * p:.0f}%)" for name, p in (row.weak_label, row.student)))
        for row in result.diagnostics.disagreements
    ]
    caption = "Held-out rows to read: where the two disagree and the student is surest. At most one of them is right."
    return Table(caption, ("text", "weak label", "student"), tuple(rows))


def _share(estimate: Estimate) -> str:
    return format_estimate(estimate, percent=True)


def _nats(estimate: Estimate) -> str:
    return recorded(estimate, decimals=3)


def _list(shares: Sequence[float]) -> str:
    return " / ".join(map(percent, shares))
