"""Draw which rows trained whom in a weak-to-strong study."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from penchant.reports.kit.canvas import INK, MUTED, RUN_COLORS, SMALL_FONT_SIZE, Picture, blank, export, style
from penchant.reports.kit.text import number, short
from penchant.studies.weak_to_strong.summary import WeakToStrongSummary

Box = tuple[float, float, float, float]
"""Left, bottom, width and height, on a page of 100 by 60."""
OWN_HALF, OTHER_HALF, TEST = (2.0, 43.0, 32.0, 9.0), (37.0, 43.0, 32.0, 9.0), (77.0, 43.0, 22.0, 9.0)
WEAK, STUDENT = (2.0, 14.0, 32.0, 16.0), (37.0, 14.0, 32.0, 16.0)
CHAIN, CEILING = (2.0, 1.0, 32.0, 9.0), (37.0, 1.0, 32.0, 9.0)
# one colour per path of labels: green to the supervisor and from it, blue to the student, purple to the ceiling
BLUE, GREEN, PURPLE = RUN_COLORS[0], RUN_COLORS[2], RUN_COLORS[3]
MOST_NAMES, NAME_LENGTH = 2, 30  # names in a box, and letters of one


def flow_picture(study: WeakToStrongSummary) -> Picture:
    """Draw rows above and models below, of the first task: who learns from what, and what all are measured on."""
    first = study.cells[0]
    students = [student for student in study.cells if student.task == first.task]
    task = next(task for task in study.tasks if task.task == first.task)
    # of the first seed: where rows come in groups, halves of others differ by some rows
    half, supervisor_rows = first.labelled, task.train - first.labelled
    with style():
        figure, axes = blank(7.0, 3.6)
        axes.set_axis_off()
        axes.set_xlim(0, 100)
        axes.set_ylim(0, 60)
        axes.text(88, 54.5, "measured on", ha="center", color=MUTED)
        axes.text(35.5, 54.5, _training_rows_note(study, task.train), ha="center", color=MUTED)
        # rows above, filled
        _box(axes, OWN_HALF, [f"{number(supervisor_rows, 0)} rows"], GREEN, filled=True)
        _box(axes, OTHER_HALF, [f"{number(half, 0)} rows"], BLUE, filled=True)
        _box(axes, TEST, [f"{number(task.test, 0)} rows"], MUTED, filled=True)
        # with `texts: all` test rows were seen without their labels, and the picture has to say so
        read = (study.config.get("generative") or {}).get("texts") == "all"
        test_note = "their texts are read before" if read else "nobody learns from them"
        axes.text(88, 40.5, f"the same for all;\n{test_note}", ha="center", va="top", color=MUTED)
        # models below them, as outlines
        _box(axes, WEAK, ["supervisor", *_shortened(study.weak)], GREEN)
        _box(axes, STUDENT, ["student", *_shortened([model.label for model in study.strong])], BLUE)
        _box(axes, CEILING, ["ceiling", "the same models"], PURPLE)
        truth = _used(
            [student.learned_from for student in students], supervisor_rows, "with the truth", "with the truth\nof {}"
        )
        _arrow(axes, (18, 43), (18, 30), truth, GREEN)
        _arrow(axes, (34, 27), (40, 43), "its labels", GREEN)
        if study.chain:
            _box(axes, CHAIN, ["labelled anew, in turn, by", *_shortened(study.chain, 1)], GREEN)
        labels = _used(
            [student.weak_labels for student in students], half, "with these labels", "with {}\nof these labels"
        )
        _arrow(axes, (54, 43), (54, 30), labels, BLUE)
        # the only arrow of the truth of labelled rows: it ends at the ceiling
        if labels:
            _arrow(axes, (69, 45), (69, 5.5), "with the truth", PURPLE, bend=-0.35)
        return export(figure, "Which rows train whom", [], narrow=False)


def _training_rows_note(study: WeakToStrongSummary, rows: int) -> str:
    """Return the note above the rows to train on."""
    halved = f"{number(rows, 0)} rows to train on, halved anew by each seed"
    if not study.config.get("generative"):
        return halved
    return f"{halved};\nstudents “texts first” begin with their texts, without labels"


def _used(counts: Sequence[int], total: int, all_of_it: str, some_of_it: str) -> str:
    """Return how many of the rows models learn from, in words; empty where none learns anything."""
    low, high = min(counts), max(counts)
    if low == total:
        return all_of_it
    spread = number(low, 0) if low == high else f"{number(low, 0)} to {number(high, 0)}"
    return some_of_it.format(spread) if high else ""


def _shortened(names: Sequence[str], limit: int = MOST_NAMES) -> list[str]:
    hidden = len(names) - limit
    listed = [short(name, NAME_LENGTH) for name in names[:limit]]
    return [*listed, f"and {hidden} more"] if hidden > 0 else listed


def _box(axes: Axes, box: Box, lines: Sequence[str], color: str, *, filled: bool = False) -> None:
    """Draw a box with its first line in bold."""
    left, bottom, width, height = box
    face, alpha = (color, 0.22) if filled else ("none", None)
    shape = "round,pad=0,rounding_size=1.2"
    axes.add_patch(
        FancyBboxPatch((left, bottom), width, height, boxstyle=shape, edgecolor=color, facecolor=face, alpha=alpha)
    )
    # lines are 3.4 units apart, and their middle is the box's
    top = bottom + height / 2 + 1.7 * (len(lines) - 1)
    for row, line in enumerate(lines):
        weight = "bold" if row == 0 else "normal"
        axes.text(
            left + width / 2,
            top - 3.4 * row,
            line,
            ha="center",
            va="center",
            color=INK,
            fontweight=weight,
            fontsize=SMALL_FONT_SIZE,
        )


def _arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], text: str, color: str, *, bend: float = 0.0
) -> None:
    """Draw an arrow with words beside its middle; without words there is none, and it says that nothing is learned."""
    # the middle of a bent arrow lies beside the straight line, and its words beside that
    x, y = (start[0] + end[0]) / 2 + abs(bend) * 20 + 1.2, (start[1] + end[1]) / 2
    axes.text(x, y, text or "learns nothing", va="center", color=color, fontsize=SMALL_FONT_SIZE)
    if text:
        line = {"arrowstyle": "-|>", "color": color, "linewidth": 1.2, "connectionstyle": f"arc3,rad={bend}"}
        axes.annotate("", xy=end, xytext=start, arrowprops=line)
