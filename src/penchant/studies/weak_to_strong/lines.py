"""Draw accuracies of supervisor, students and ceiling against the student's size or layer, as the paper does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter

from penchant.metrics.estimates import Estimate
from penchant.reports.kit.canvas import (
    INK,
    MUTED,
    PHONE_WIDTH,
    SMALL_FONT_SIZE,
    Picture,
    draw_svg,
    error_arms,
    export,
    run_style,
    style,
)
from penchant.reports.kit.text import number, short
from penchant.studies.weak_to_strong.summary import WeakToStrongSummary
from penchant.studies.weak_to_strong.words import legend
from penchant.weak.figures import fitted_percent_axis, plot_curve

MOST_COLUMNS = 2
"""Losses that have a column of their own: the naive way and the one after it."""
MOST_TASKS = 6
"""Tasks that have a row of panels: a page of twenty would begin with nothing but these."""
PANEL_WIDTH, PANEL_HEIGHT = 3.3, 2.7  # inches
NAME = 26  # characters of a supervisor's name in a panel


@dataclass(frozen=True)
class _Axis:
    """The horizontal axis of the panels.

    Attributes:
        students: the place of each strong model. supervisors: that of each supervisor, where it has one.
        finish: sets up an axis once all is drawn.
    """

    students: Mapping[str, float]
    supervisors: Mapping[str, float]
    finish: Callable[[Axes], None]


def sizes_picture(study: WeakToStrongSummary) -> Picture | None:
    """Draw accuracy against the student's size; of several of one size that with the highest ceiling."""
    parameters = {model.label: model.parameters for model in study.strong if model.parameters}
    # reversed, so that of several cells of a model the first one stays, that of the first task
    ceilings = {student.strong: student.recovery.ceiling.value for student in reversed(study.cells)}
    # ascending, so that of one size the last one stays in `best`: the one with the highest ceiling
    labels_by_ceiling = sorted((ceilings[label], label) for label in parameters if label in ceilings)
    best = {parameters[label]: label for _, label in labels_by_ceiling}

    def finish(axes: Axes) -> None:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(sorted(best)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{number(value / 1e6, 1)}M"))
        # a log axis labels its minor ticks too, and these would run into the sizes
        axes.xaxis.set_minor_locator(FixedLocator([]))
        axes.set_xlabel("parameters of the student", loc="right")

    # which size a supervisor has, no stage notes
    sizes = _Axis({label: size for size, label in best.items()}, {}, finish)
    return _panels_picture(study, sizes, "Accuracy against the student's size")


def layers_picture(study: WeakToStrongSummary) -> Picture | None:
    """Draw accuracy against the layer that a probe reads, of the first model with several."""
    layers: dict[str, dict[str, int]] = {}
    # a student of fewer rows is another point, not another layer
    for model in study.strong:
        if model.layer is not None and model.rows is None:
            layers.setdefault(model.reader, {})[model.label] = model.layer
    readers = [(reader, layer_of) for reader, layer_of in layers.items() if len(set(layer_of.values())) > 1]
    if not readers:
        return None
    reader, layer_of = readers[0]
    supervisors = _layers_of_supervisors(study, {label: layer_of[label] for label in layer_of})

    def finish(axes: Axes) -> None:
        axes.xaxis.set_major_locator(FixedLocator(sorted({*layer_of.values(), *supervisors.values()})))
        axes.set_xlabel(f"layer of {short(reader, NAME)}", loc="right")

    return _panels_picture(study, _Axis(layer_of, supervisors, finish), "Accuracy against the layer")


def _layers_of_supervisors(study: WeakToStrongSummary, layer_of: Mapping[str, int]) -> dict[str, float]:
    """Return the layer of each supervisor that is a probe of the model whose layers are drawn, by its label."""
    strong = study.config.get("strong") or []
    models = {spec.get("model") for model, spec in zip(study.strong, strong, strict=False) if model.label in layer_of}
    specs = zip(study.weak, study.config.get("weak") or [], strict=False)
    return {
        label: float(spec["layer"])
        for label, spec in specs
        # a negative layer counts from the last, whose number only students' stages note
        if spec.get("name") == "probe" and spec.get("model") in models and spec.get("layer", -1) >= 0
    }


def _panels_picture(study: WeakToStrongSummary, axis: _Axis, title: str) -> Picture | None:
    """Draw a row of panels for each task, with a column for each of the first losses; None with one place alone."""
    cells = [student for student in study.cells if student.strong in axis.students]
    # one student alone makes no line
    tasks = [
        task.task
        for task in study.tasks
        if len({axis.students[student.strong] for student in cells if student.task == task.task}) > 1
    ][:MOST_TASKS]
    # what students are shown is an experiment of its own
    losses = [loss for loss in study.losses if loss not in study.leaked][:MOST_COLUMNS]
    if not tasks:
        return None
    panels = [(task, loss) for task in tasks for loss in losses]
    with style():
        figure = _draw(study, panels, axis, columns=len(losses), width=max(5.4, PANEL_WIDTH * len(losses)))
        picture = export(figure, title, legend(study), narrow=False)
        # on a phone two columns would be too narrow for their ticks
        narrow = draw_svg(_draw(study, panels, axis, columns=1, width=PHONE_WIDTH))
    return replace(picture, narrow=narrow)


def _draw(
    study: WeakToStrongSummary, panels: list[tuple[str, str]], axis: _Axis, *, columns: int, width: float
) -> Figure:
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(width, 0.4 + PANEL_HEIGHT * rows), layout="constrained")
    FigureCanvasAgg(figure)
    # one scale per task: the losses beside each other are to be compared
    grid = figure.subplots(rows, columns, squeeze=False, sharey="row")
    titles = {task.task: task.title for task in study.tasks}
    # of one task alone the page's first lines have the name
    several_tasks = len({task for task, _ in panels}) > 1
    for axes, (task, loss) in zip(grid.flat, panels, strict=True):
        _draw_panel(axes, study, task, loss, axis)
        name = f"{short(titles[task], NAME)}, {short(loss, NAME)}" if several_tasks else short(loss, NAME)
        axes.set_title(f" {name}", loc="left", fontsize=SMALL_FONT_SIZE + 1, color=INK)
    return figure


def _draw_panel(axes: Axes, study: WeakToStrongSummary, task: str, loss: str, axis: _Axis) -> None:
    """Draw the students of one task and loss, a line for each supervisor, with the ceiling."""
    students = [s for s in study.cells if (s.task, s.loss) == (task, loss) and s.strong in axis.students]
    # students of some supervisors may be missing, but a ceiling is the same under all of them
    of_task = [s for s in study.cells if s.task == task and s.strong in axis.students]
    names = legend(study)
    color, _, marker = run_style(names.index("supervisor"))
    # one colour, that of the loss: where its line begins says whose students they are
    for name in dict.fromkeys(student.weak for student in students):
        of_supervisor = [student for student in students if student.weak == name]
        accuracy = of_supervisor[0].recovery.supervisor
        points: dict[float, Estimate] = {axis.students[s.strong]: s.recovery.student for s in of_supervisor}
        if name in axis.supervisors:
            start = axis.supervisors[name]
            axes.errorbar([start], [accuracy.value], yerr=error_arms([accuracy]), color=color, marker=marker,
                          markersize=5, linestyle="none", zorder=3)  # fmt: skip
            _join(axes, (start, accuracy.value), points, names.index(loss))
        else:
            axes.axhline(accuracy.value, color=color, linewidth=0.9, linestyle=":")
            axes.annotate(f" {short(name, NAME)}", (0, accuracy.value), xycoords=("axes fraction", "data"),
                          xytext=(0, 2), textcoords="offset points", color=MUTED, fontsize=SMALL_FONT_SIZE)  # fmt: skip
        plot_curve(axes, names.index(loss), points)
    plot_curve(axes, names.index("ceiling"), {axis.students[s.strong]: s.recovery.ceiling for s in of_task})
    fitted_percent_axis(axes.yaxis)
    axis.finish(axes)


def _join(axes: Axes, start: tuple[float, float], points: Mapping[float, Estimate], index: int) -> None:
    """Draw a thin line from a supervisor to its first student, so that its students are known by where they begin."""
    color, _, _ = run_style(index)
    first = min(points)
    axes.plot([start[0], first], [start[1], points[first].value], color=color, linewidth=0.8, linestyle=":")
