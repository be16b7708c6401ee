"""Draw which rows trained whom in a weak-to-strong study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from penchant.reports.kit.canvas import (
    INK,
    MUTED,
    PHONE_WIDTH,
    RUN_COLORS,
    SMALL_FONT_SIZE,
    Picture,
    blank,
    draw_svg,
    export,
    style,
)
from penchant.reports.kit.text import number, short
from penchant.studies.weak_to_strong.summary import WeakToStrongSummary

Point = tuple[float, float]
Box = tuple[float, float, float, float]
"""Left, bottom, width and height."""


@dataclass(frozen=True)
class Layout:
    """Where things stand on a screen, on a sheet that is 100 wide: the two halves of the rows above their models.

    Attributes:
        inches: width and height of the figure.
        height: of the sheet.
        halves_note, test_name, test_note: the middle of the words above the halves, above and below the test rows.
        truth_note: the middle of the words beside the arrow to the ceiling, which stand upright where it is narrow.
        line: from one line of a box to the next.
        name_length: letters of a name in a box.
        note_length, arrow_length: letters of a line of words above the halves, and of one beside an arrow.
    """

    inches: Point
    height: float
    own_half: Box
    other_half: Box
    test: Box
    weak: Box
    student: Box
    chain: Box
    ceiling: Box
    halves_note: Point
    test_name: Point
    test_note: Point
    truth_note: Point
    is_upright: bool
    line: float
    name_length: int
    note_length: int
    arrow_length: int


BROAD = Layout(
    # 730 CSS pixels: wider than the column of a page, so the figure has a row of its own and keeps its size
    inches=(7.6, 3.9),
    height=60.0,
    own_half=(2.0, 43.0, 32.0, 9.0),
    other_half=(37.0, 43.0, 32.0, 9.0),
    test=(77.0, 43.0, 22.0, 9.0),
    weak=(2.0, 14.0, 32.0, 16.0),
    student=(37.0, 14.0, 32.0, 16.0),
    chain=(2.0, 1.0, 32.0, 9.0),
    ceiling=(37.0, 1.0, 32.0, 9.0),
    halves_note=(35.5, 54.5),
    test_name=(88.0, 54.5),
    test_note=(88.0, 40.5),
    # where the arrow is bent furthest
    truth_note=(77.2, 25.25),
    is_upright=False,
    line=3.4,
    name_length=30,
    note_length=70,
    arrow_length=30,
)
# the test rows below the models: three columns would leave no room for names
PHONE = Layout(
    # a unit is as long down as across, so that bent arrows have the same shape
    inches=(PHONE_WIDTH, 4.6),
    height=133.0,
    own_half=(0.5, 109.0, 43.0, 11.0),
    other_half=(46.5, 109.0, 43.0, 11.0),
    test=(23.5, 15.0, 43.0, 11.0),
    weak=(0.5, 64.0, 43.0, 26.0),
    student=(46.5, 64.0, 43.0, 26.0),
    chain=(0.5, 43.0, 43.0, 15.0),
    ceiling=(46.5, 43.0, 43.0, 15.0),
    halves_note=(45.0, 123.0),
    test_name=(45.0, 29.0),
    test_note=(45.0, 11.0),
    # between the student and the bent arrow, where words only fit upright
    truth_note=(93.5, 82.5),
    is_upright=True,
    line=4.8,
    # by the width of a letter of this size in the fonts of phones
    name_length=18,
    note_length=48,
    arrow_length=11,
)
# one colour per path of labels: green to the supervisor and from it, blue to the student, purple to the ceiling
BLUE, GREEN, PURPLE = RUN_COLORS[0], RUN_COLORS[2], RUN_COLORS[3]
MOST_NAMES = 2  # in a box


def flow_picture(study: WeakToStrongSummary) -> Picture:
    """Draw rows above and models below, of the first task: who learns from what, and what all are measured on."""
    with style():
        picture = export(_flow(study, BROAD), "Which rows train whom", [], narrow=False)
        return replace(picture, narrow=draw_svg(_flow(study, PHONE)))


def _flow(study: WeakToStrongSummary, layout: Layout) -> Figure:
    figure, axes = blank(*layout.inches)
    axes.set_axis_off()
    axes.set_xlim(0, 100)
    axes.set_ylim(0, layout.height)
    # arrows last: they end on the boxes
    _draw_rows(axes, study, layout)
    _draw_models(axes, study, layout)
    _draw_arrows(axes, study, layout)
    return figure


def labels_of_files(study: WeakToStrongSummary) -> set[str]:
    """Return which supervisors are labels of a file: nobody learned to make them from rows of the study."""
    specs = zip(study.weak, study.config.get("weak") or [], strict=False)
    return {label for label, spec in specs if spec.get("name") == "labels"}


def _halves(study: WeakToStrongSummary) -> Point:
    """Return how many rows teach the supervisor, and how many it labels."""
    first = study.cells[0]
    task = next(task for task in study.tasks if task.task == first.task)
    # of the first seed: where rows come in groups, halves of others differ by some rows
    return task.train - first.labelled, first.labelled


def _draw_rows(axes: Axes, study: WeakToStrongSummary, layout: Layout) -> None:
    """Draw the rows to train on and those to test on, as filled boxes."""
    task = next(task for task in study.tasks if task.task == study.cells[0].task)
    supervisor_rows, half = _halves(study)
    note = "\n".join(fill(line, layout.note_length) for line in _training_rows_note(study, task.train).splitlines())
    axes.text(*layout.test_name, "measured on", ha="center", color=MUTED)
    axes.text(*layout.halves_note, note, ha="center", color=MUTED)
    _box(axes, layout.own_half, [f"{number(supervisor_rows, 0)} rows"], GREEN, layout, filled=True)
    _box(axes, layout.other_half, [f"{number(half, 0)} rows"], BLUE, layout, filled=True)
    _box(axes, layout.test, [f"{number(task.test, 0)} rows"], MUTED, layout, filled=True)
    # with `texts: all` test rows were seen without their labels, and the picture has to say so
    read = (study.config.get("generative") or {}).get("texts") == "all"
    test_note = "their texts are read before" if read else "nobody learns from them"
    axes.text(*layout.test_note, f"the same for all;\n{test_note}", ha="center", va="top", color=MUTED)


def _draw_models(axes: Axes, study: WeakToStrongSummary, layout: Layout) -> None:
    """Draw supervisor, student and ceiling, as outlines."""
    # filled boxes are rows, so models have outlines alone
    length = layout.name_length
    _box(axes, layout.weak, ["supervisor", *_shortened(study.weak, length)], GREEN, layout)
    strong = [model.label for model in study.strong]
    _box(axes, layout.student, ["student", *_shortened(strong, length)], BLUE, layout)
    _box(axes, layout.ceiling, ["ceiling", "the same models"], PURPLE, layout)
    if study.chain:
        lines = fill("labelled anew, in turn, by", length).splitlines()
        _box(axes, layout.chain, [*lines, *_shortened(study.chain, length, 1)], GREEN, layout)


def _draw_arrows(axes: Axes, study: WeakToStrongSummary, layout: Layout) -> None:
    """Draw from which rows each model learns."""
    students = [student for student in study.cells if student.task == study.cells[0].task]
    supervisor_rows, half = _halves(study)
    weak, other_half = layout.weak, layout.other_half

    def draw_down(rows: Box, model: Box, text: str, color: str, without_text: str = "learns nothing") -> None:
        middle = rows[0] + rows[2] / 2
        _arrow(axes, (middle, rows[1]), (middle, model[1] + model[3]), text, color, without_text=without_text)

    def used(counts: Sequence[int], total: float, words: str, of_some: str) -> str:
        return _used(counts, total, fill(words, layout.arrow_length), of_some)

    # a file learns nothing, however many rows others learn from
    files = labels_of_files(study)
    learned_from = [student.learned_from for student in students if student.weak not in files]
    if learned_from:
        words = used(learned_from, supervisor_rows, "with the truth", "with the truth\nof {}")
        draw_down(layout.own_half, weak, words, GREEN)
    else:
        draw_down(
            layout.own_half, weak, "", GREEN, fill("unused: the file has its labels", min(layout.arrow_length, 16))
        )
    # from the side of the supervisor, since the arrow that teaches it comes from above
    top_of_weak = weak[1] + weak[3]
    _arrow(axes, (weak[0] + weak[2], top_of_weak - 3), (other_half[0] + 3, other_half[1]), "its labels", GREEN)
    weak_labels = [student.weak_labels for student in students]
    # the only arrow of the truth of labelled rows: it ends at the ceiling
    words = used(weak_labels, half, "with these labels", "with {}\nof these labels")
    draw_down(other_half, layout.student, words, BLUE)
    if words:
        start = (other_half[0] + other_half[2], other_half[1] + 2)
        end = (start[0], layout.ceiling[1] + layout.ceiling[3] / 2)
        _arrow(axes, start, end, "with the truth", PURPLE, bend=-0.35, layout=layout)


def _training_rows_note(study: WeakToStrongSummary, rows: int) -> str:
    """Return the note above the rows to train on."""
    halved = f"{number(rows, 0)} rows to train on, halved anew by each seed"
    if not study.config.get("generative"):
        return halved
    return f"{halved};\nstudents “texts first” begin with their texts, without labels"


def _used(counts: Sequence[int], total: float, all_of_it: str, some_of_it: str) -> str:
    """Return how many of the rows models learn from, in words; empty where none learns anything."""
    low, high = min(counts), max(counts)
    if low == total:
        return all_of_it
    spread = number(low, 0) if low == high else f"{number(low, 0)} to {number(high, 0)}"
    return some_of_it.format(spread) if high else ""


def _shortened(names: Sequence[str], length: int, limit: int = MOST_NAMES) -> list[str]:
    hidden = len(names) - limit
    listed = [short(name, length) for name in names[:limit]]
    return [*listed, f"and {hidden} more"] if hidden > 0 else listed


def _box(axes: Axes, box: Box, lines: Sequence[str], color: str, layout: Layout, *, filled: bool = False) -> None:
    """Draw a box with its first line in bold."""
    left, bottom, width, height = box
    face, alpha = (color, 0.22) if filled else ("none", None)
    shape = "round,pad=0,rounding_size=1.2"
    axes.add_patch(
        FancyBboxPatch((left, bottom), width, height, boxstyle=shape, edgecolor=color, facecolor=face, alpha=alpha)
    )
    # the middle of the lines is the box's
    top = bottom + height / 2 + layout.line / 2 * (len(lines) - 1)
    for row, line in enumerate(lines):
        axes.text(
            left + width / 2,
            top - layout.line * row,
            line,
            ha="center",
            va="center",
            color=INK,
            fontweight="bold" if row == 0 else "normal",
            fontsize=SMALL_FONT_SIZE,
        )


def _arrow(
    axes: Axes,
    start: Point,
    end: Point,
    text: str,
    color: str,
    *,
    bend: float = 0.0,
    layout: Layout | None = None,
    without_text: str = "learns nothing",
) -> None:
    """Draw an arrow with words beside its middle; without words there is none, and `without_text` stands there.

    Args:
        layout: of the arrow whose words have a place of their own there.
    """
    x, y, angle = (start[0] + end[0]) / 2 + 1.2, (start[1] + end[1]) / 2, 0.0
    if layout is not None:
        (x, y), angle = layout.truth_note, 90.0 if layout.is_upright else 0.0
    # upright words are centred on their place, others begin at it
    side = "center" if angle else "left"
    words = text or without_text
    axes.text(x, y, words, ha=side, va="center", rotation=angle, color=color, fontsize=SMALL_FONT_SIZE)
    if text:
        line = {"arrowstyle": "-|>", "color": color, "linewidth": 1.2, "connectionstyle": f"arc3,rad={bend}"}
        axes.annotate("", xy=end, xytext=start, arrowprops=line)
