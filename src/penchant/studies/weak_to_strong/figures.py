"""Draw a weak-to-strong study: the ratios, the accuracies, and training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from textwrap import wrap

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter

from penchant.metrics.catalogue import metric
from penchant.metrics.estimates import Measure
from penchant.reports.kit.canvas import (
    INK,
    MUTED,
    PAPER,
    PHONE_WIDTH,
    SMALL_FONT_SIZE,
    Dash,
    Picture,
    blank,
    draw_svg,
    error_arms,
    export,
    run_style,
    style,
)
from penchant.reports.kit.text import number, recorded, short
from penchant.studies.weak_to_strong.flow import flow_picture
from penchant.studies.weak_to_strong.lines import layers_picture, sizes_picture
from penchant.studies.weak_to_strong.salience import salience_picture
from penchant.studies.weak_to_strong.summary import Pairing, Ratio, StudentResult, WeakToStrongSummary
from penchant.studies.weak_to_strong.words import legend
from penchant.weak.figures import fitted_percent_axis, plot_curve, reliability_picture

# of a column's width, so that the intervals of markers side by side do not lie on each other
MARKER_SHIFT = 0.13
CURVES = ("accuracy on the truth", "agreement with the supervisor")
MOST_NARROW = 5  # pairs of supervisor and student whose names fit beside each other on a phone; more scroll
NAME, NARROW = 22, 15  # characters of a name at an axis, and of a line of one among several


def weak_pictures(study: WeakToStrongSummary) -> dict[str, Picture]:
    """Return the figures by key."""
    if not study.cells:
        return {}
    pictures = {
        # the paper's main figure first: accuracies, of which the ratio is made
        "size": sizes_picture(study),
        "layer": layers_picture(study),
        "accuracy": _accuracies(study),
        "pgr": _ratios(study),
        "agreement": _agreements(study),
        "little": _few_labels(study),
        "salience": salience_picture(study),
        "curve": _training(study),
        "reliability": _reliability(study),
        "flow": flow_picture(study),
    }
    # figures over sizes, layers or numbers of labels are None where the study has only one of them
    return {key: picture for key, picture in pictures.items() if picture is not None}


def _pairings(study: WeakToStrongSummary) -> list[Pairing]:
    """Return the pairings of the students, in order."""
    return list(dict.fromkeys(student.pairing for student in study.cells))


def _names(study: WeakToStrongSummary, *, wrapped: bool = False) -> list[str]:
    """Return each pairing's name, without what all have in common.

    Args:
        wrapped: in short lines, for names that stand side by side.
    """
    pairings = _pairings(study)
    is_shown = [len({pairing[part] for pairing in pairings}) > 1 for part in range(3)]
    # one pairing alone has all in common, and still needs a name: its supervisor
    is_shown[1] = is_shown[1] or not any(is_shown)

    endings = [_shared_ending([pairing[part] for pairing in pairings]) for part in range(3)]
    beginnings = [_shared_beginning([pairing[part] for pairing in pairings]) for part in range(3)]

    def lines(text: str) -> list[str]:
        return wrap(short(text, 2 * NARROW), NARROW) if wrapped else [short(text, NAME)]

    return [
        "\n".join(
            f" {line}"
            for text, part_is_shown, beginning, ending in zip(where, is_shown, beginnings, endings, strict=True)
            if part_is_shown
            for line in lines(text.removeprefix(beginning).removesuffix(ending))
        )
        for where in pairings
    ]


def _shared_beginning(names: Sequence[str]) -> str:
    """Return the model that all of several names begin with, such as "smollm2-135m, " before a layer."""
    distinct = set(names)
    # labels of a model cut after a layer are written with a comma, and no other
    model, comma, _ = names[0].partition(", ")
    beginning = f"{model}{comma}"
    return beginning if comma and len(distinct) > 1 and all(name.startswith(beginning) for name in distinct) else ""


def _shared_ending(names: Sequence[str]) -> str:
    """Return the words that all of several names end in, such as " on 300 rows": cut short, the rest would be lost."""
    distinct = list(dict.fromkeys(names))
    if len(distinct) < 2:
        return ""
    reversed_words = [name.split(" ")[::-1] for name in distinct]
    # at least one word of each is left
    count = 0
    while all(len(words) > count + 1 and words[count] == reversed_words[0][count] for words in reversed_words):
        count += 1
    return "".join(f" {word}" for word in reversed_words[0][:count][::-1])


def _student(study: WeakToStrongSummary, pairing: Pairing, loss: str) -> StudentResult | None:
    return next((student for student in study.cells if student.pairing == pairing and student.loss == loss), None)


def _ratios(study: WeakToStrongSummary) -> Picture:
    """Draw a map: a row for each supervisor and student, a column for each loss; the darker the more is recovered."""
    rows, losses = _pairings(study), study.losses
    with style():
        # inches per cell and not per figure: a cell must hold its value and interval however many there are
        figure, axes = blank(max(4.2, 1.4 + 1.3 * len(losses)), 0.9 + 0.52 * len(rows))
        axes.grid(False)
        for row, pairing in enumerate(rows):
            for column, loss in enumerate(losses):
                student = _student(study, pairing, loss)
                if student is not None:
                    _square(axes, student.pgr, row, column)
        axes.set_xlim(-0.5, len(losses) - 0.5)
        axes.set_ylim(len(rows) - 0.5, -0.5)  # the first row on top
        axes.xaxis.set_major_locator(FixedLocator(range(len(losses))))
        axes.set_xticklabels([f" {short(loss, NAME)}" for loss in losses])
        axes.yaxis.set_major_locator(FixedLocator(range(len(rows))))
        axes.set_yticklabels(_names(study))
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        picture = export(figure, metric("pgr").title, [], narrow=False)
    return replace(picture, narrow=_ratio_list(study))


def _ratio_list(study: WeakToStrongSummary) -> str:
    """Draw the map for a phone, as SVG: the losses of each supervisor and student below each other."""
    pairings, losses, names = _pairings(study), study.losses, _names(study)
    # a line per loss, and one for the name above them
    rows = len(pairings) * (len(losses) + 1)
    with style():
        figure, axes = blank(PHONE_WIDTH, 0.2 + 0.36 * rows)
        axes.set_axis_off()
        # the cell takes the right half: its value stands beside its interval there
        axes.set_xlim(-1.4, 0.5)
        axes.set_ylim(rows - 0.5, -0.5)
        for index, (pairing, name) in enumerate(zip(pairings, names, strict=True)):
            top = index * (len(losses) + 1)
            axes.text(-1.4, top + 0.1, ", ".join(name.split("\n ")).strip(), va="center", fontweight="bold")
            for row, loss in enumerate(losses, top + 1):
                # left of the cells, where a map has them below
                axes.text(-1.4, row, short(loss, NAME), va="center", color=MUTED)
                student = _student(study, pairing, loss)
                if student is not None:
                    _square(axes, student.pgr, row, 0, one_line=True)
        return draw_svg(figure)


def _square(axes: Axes, ratio: Ratio, row: int, column: int, *, one_line: bool = False) -> None:
    """Draw a cell: the ratio with its interval, or why there is none.

    Args:
        one_line: for cells that are too low for two lines.
    """
    # a ratio may lie outside of 0 and 1, a colour may not
    strength = 0.0 if ratio.value is None else min(1.0, max(0.0, ratio.value))
    # grey, since a colour would be that of a loss in the legend
    # a tint even at 0, so that a cell without a ratio is still seen to be a cell
    axes.add_patch(
        Rectangle((column - 0.47, row - 0.45), 0.94, 0.9, facecolor=MUTED, alpha=0.06 + 0.6 * strength, linewidth=0)
    )
    if ratio.value is None:
        # the reason up to its colon: the numbers after it do not fit a cell, and the page gives them
        axes.text(
            column, row, ratio.reason.partition(":")[0], ha="center", va="center", color=MUTED, fontsize=SMALL_FONT_SIZE
        )
        return
    if one_line:
        axes.text(column, row, recorded(ratio, decimals=2), ha="center", va="center", color=INK)
        return
    # on two lines: a cell is too narrow for a value beside its interval
    value, _, ends = recorded(ratio, decimals=2).partition(" ")
    axes.text(column, row - 0.12, value, ha="center", va="center", color=INK, fontsize=10)
    axes.text(column, row + 0.24, ends, ha="center", va="center", color=INK, fontsize=SMALL_FONT_SIZE)


def _accuracies(study: WeakToStrongSummary) -> Picture:
    pairings, losses, names = _pairings(study), study.losses, legend(study)
    order = ["supervisor", *losses, "ceiling"]  # from left to right
    with style():
        figure, axes = blank(max(6.0, 1.2 + 1.0 * len(pairings)), 3.9)
        for index, name in enumerate(names):
            color, _, marker = run_style(index)
            # supervisor and ceiling are the same whatever the loss: those of the first are drawn
            key = name if name in ("supervisor", "ceiling") else "student"
            loss = losses[0] if key != "student" else name
            students = [(x, _student(study, pairing, loss)) for x, pairing in enumerate(pairings)]
            accuracies = [(x, getattr(student.recovery, key)) for x, student in students if student is not None]
            xs = [x + MARKER_SHIFT * (order.index(name) - (len(names) - 1) / 2) for x, _ in accuracies]
            estimates = [accuracy for _, accuracy in accuracies]
            y = [accuracy.value for accuracy in estimates]
            axes.errorbar(xs, y, yerr=error_arms(estimates), color=color, marker=marker, markersize=5, linestyle="none")
        # chance by task, for several stand in one figure
        tasks = {task.task: task.chance for task in study.tasks}
        for x, (task, *_) in enumerate(pairings):
            axes.plot([x - 0.45, x + 0.45], [tasks[task]] * 2, color=MUTED, linewidth=0.9, linestyle=":")
        _columns(axes, study)
        return export(figure, "Accuracy of supervisor, student and ceiling", names, narrow=len(pairings) <= MOST_NARROW)


def _columns(axes: Axes, study: WeakToStrongSummary) -> None:
    """Label a column for each supervisor and student, and shares."""
    names = _names(study, wrapped=True)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.xaxis.set_major_locator(FixedLocator(range(len(names))))
    axes.set_xticklabels(names)
    fitted_percent_axis(axes.yaxis)


def _agreements(study: WeakToStrongSummary) -> Picture:
    """Draw how often students say what their supervisors say: where these are right (full), and wrong (hollow)."""
    pairings, losses = _pairings(study), study.losses
    with style():
        figure, axes = blank(max(6.0, 1.2 + 1.0 * len(pairings)), 3.6)
        for index, loss in enumerate(losses):
            color, _, marker = run_style(index)
            # apart, since agreement where the supervisor is wrong is imitation of its errors
            for key, fill in (("where_right", color), ("where_wrong", PAPER)):
                students = [(x, _student(study, pairing, loss)) for x, pairing in enumerate(pairings)]
                shares = [(x, getattr(student.agreement, key)) for x, student in students if student is not None]
                defined_shares = [(x, share) for x, share in shares if share is not None]
                xs = [x + MARKER_SHIFT * (index - (len(losses) - 1) / 2) for x, _ in defined_shares]
                estimates = [share for _, share in defined_shares]
                y, arms = [share.value for share in estimates], error_arms(estimates)
                axes.errorbar(
                    xs, y, yerr=arms, color=color, marker=marker, markersize=5, markerfacecolor=fill, linestyle="none"
                )
        _columns(axes, study)
        return export(figure, "Agreement of student and supervisor", losses, narrow=len(pairings) <= MOST_NARROW)


def _few_labels(study: WeakToStrongSummary) -> Picture | None:
    """Draw PGR against the number of weak labels, of the naive students of the first task.

    There is a line for each supervisor and student that has seen several numbers of labels.
    """
    models = {model.label: model for model in study.strong}
    lines: dict[str, dict[float, Measure]] = {}
    for student in study.cells:
        # an undefined ratio is left out: drawn as 0 it would claim that nothing was recovered
        if student.task == study.cells[0].task and student.is_naive and student.pgr.value is not None:
            name = f"{models[student.strong].family} of {student.weak}"
            lines.setdefault(name, {})[student.weak_labels] = student.pgr
    lines = {name: ratios for name, ratios in lines.items() if len(ratios) > 1}
    if not lines:
        return None
    with style():
        figure, axes = blank(5.4, 3.6)
        for index, (name, ratios) in enumerate(lines.items()):
            plot_curve(axes, index, ratios, label=f" {short(name, 2 * NAME)}")
        axes.legend(fontsize=SMALL_FONT_SIZE)  # these are no losses, so the page's own legend does not tell them apart
        axes.axhline(0, color=MUTED, linewidth=0.9, linestyle=":")
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(sorted({size for ratios in lines.values() for size in ratios})))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value, 0)))
        axes.xaxis.set_minor_locator(FixedLocator([]))
        axes.set_xlabel("weak labels", loc="right")
        return export(figure, f"{metric('pgr').title} against weak labels", [])


def _reliability(study: WeakToStrongSummary) -> Picture | None:
    """Draw accuracy against confidence, for the students of the first task and strong model."""
    task, _, strong = _pairings(study)[0]
    points = {
        student.loss: {point.confidence: point.accuracy for point in student.calibration.reliability}
        for student in reversed(study.cells)  # of several supervisors the first one's student stays
        if (student.task, student.strong) == (task, strong) and student.calibration.reliability
    }
    curves = {loss: points[loss] for loss in study.losses if loss in points}
    return reliability_picture(curves, "Accuracy of students and supervisor by confidence") if curves else None


def _training(study: WeakToStrongSummary) -> Picture | None:
    """Draw accuracy over training, on the truth and below it against the supervisor's answers, of the first task.

    A colour per loss, a dash per supervisor; of a fine-tuned student where there is one.
    """
    observed = [student.pairing for student in study.cells if student.training.curve]
    if not observed:
        return None
    models = {model.label: model for model in study.strong}
    # lines of several tasks or models would not be told apart; a probe hardly overfits, a fine-tuned model does
    task, _, strong = next((pair for pair in observed if models[pair[2]].learning == "fine-tuned"), observed[0])
    cells = [s for s in study.cells if (s.task, s.strong) == (task, strong) and s.training.curve]
    parts = [lambda look: look.accuracy, lambda look: look.agreement]
    # which answers agree is not known of more than two classes
    parts = parts if all(look.agreement is not None for s in cells for look in s.training.curve or ()) else parts[:1]
    dashes: tuple[Dash, ...] = ("-", "--", ":")
    # ticks stand where somebody looked, for all lines together
    looks = sorted({look.after for student in cells for look in student.training.curve or ()})
    with style():
        figure = Figure(figsize=(5.4, 0.6 + 2.8 * len(parts)), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(len(parts), squeeze=False, sharex=True)[:, 0]
        for axes, part, title in zip(panels, parts, CURVES, strict=False):
            for student in cells:
                color, _, marker = run_style(study.losses.index(student.loss))
                # a figure of more than three supervisors repeats dashes; the tables tell them apart
                dash = dashes[study.weak.index(student.weak) % len(dashes)]
                curve = student.training.curve or ()
                x, y = [look.after for look in curve], [part(look) for look in curve]
                axes.plot(x, y, color=color, linestyle=dash, marker=marker, markersize=3, linewidth=1.2)
            axes.set_title(f" {title}", loc="left", fontsize=SMALL_FONT_SIZE + 1, color=INK)
            fitted_percent_axis(axes.yaxis)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(looks))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(FixedLocator([]))
        axes.set_xlabel(f"{models[strong].curve_unit} of training, {short(strong, 2 * NAME)}", loc="right")
        return export(figure, "Accuracy over training", study.losses)
