"""The figures of a weak-to-strong study: the ratios, the accuracies, and training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter

from penchant.reports.kit.canvas import (
    INK,
    MUTED,
    PAPER,
    RUN_COLORS,
    Picture,
    blank,
    error_arms,
    export,
    run_style,
    style,
)
from penchant.reports.kit.text import number, recorded, short
from penchant.studies.weak_to_strong.flow import flow_picture
from penchant.studies.weak_to_strong.words import legend, place
from penchant.weak.figures import percent_axis, plot_curve, reliability_picture

Numbers = Mapping[str, Any]
APART = 0.13
NAME, NARROW = 22, 15  # characters of a name at an axis, and of a line of one among several


def weak_pictures(study: Numbers) -> dict[str, Picture]:
    """The figures by key."""
    if not study["cells"]:
        return {}
    found = {"pgr": _ratios(study), "accuracy": _accuracies(study), "size": _sizes(study), "layer": _layers(study)}
    found |= {"agreement": _agreements(study), "little": _little(study)}
    found |= {"curve": _training(study), "reliability": _reliability(study), "flow": flow_picture(study)}
    return {key: picture for key, picture in found.items() if picture is not None}


def _places(study: Numbers) -> list[tuple[str, str, str]]:
    """Of supervisor and student on a task, in order."""
    return list(dict.fromkeys(map(place, study["cells"])))


def _names(study: Numbers, *, beside: bool = False) -> list[str]:
    """A place's name, without what all have in common; in short lines where names stand beside each other."""
    places = _places(study)
    several = [len({place[part] for place in places}) > 1 for part in range(3)]
    several[1] = several[1] or not any(several)

    def lines(text: str) -> list[str]:
        return wrap(short(text, 2 * NARROW), NARROW) if beside else [short(text, NAME)]

    return [
        "\n".join(f" {line}" for text, shown in zip(where, several, strict=True) if shown for line in lines(text))
        for where in places
    ]


def _of(study: Numbers, where: tuple[str, str, str], loss: str) -> Numbers | None:
    return next((one for one in study["cells"] if place(one) == where and one["loss"] == loss), None)


def _ratios(study: Numbers) -> Picture:
    """A map: a row for each supervisor and student, a column for each loss; the darker the more is recovered."""
    places, losses = _places(study), study["losses"]
    with style():
        figure, axes = blank(max(4.2, 1.4 + 1.3 * len(losses)), 0.9 + 0.52 * len(places))
        axes.grid(False)
        for row, where in enumerate(places):
            for column, loss in enumerate(losses):
                one = _of(study, where, loss)
                if one is not None:
                    _square(axes, one["pgr"], row, column)
        axes.set_xlim(-0.5, len(losses) - 0.5)
        axes.set_ylim(len(places) - 0.5, -0.5)
        axes.xaxis.set_major_locator(FixedLocator(range(len(losses))))
        axes.set_xticklabels([f" {short(loss, NAME)}" for loss in losses])
        axes.yaxis.set_major_locator(FixedLocator(range(len(places))))
        axes.set_yticklabels(_names(study))
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        return export(figure, "Performance gap recovered", [])


def _square(axes: Any, found: Numbers, row: int, column: int) -> None:
    defined = found["value"] is not None
    strength = min(1.0, max(0.0, found["value"])) if defined else 0.0
    axes.add_patch(
        Rectangle(
            (column - 0.47, row - 0.45), 0.94, 0.9, facecolor=RUN_COLORS[2][0], alpha=0.06 + 0.6 * strength, linewidth=0
        )
    )
    if not defined:
        axes.text(column, row, found["reason"].partition(":")[0], ha="center", va="center", color=MUTED, fontsize=8)
        return
    value, _, ends = recorded(found, decimals=2).partition(" ")
    axes.text(column, row - 0.12, value, ha="center", va="center", color=INK, fontsize=10)
    axes.text(column, row + 0.24, ends, ha="center", va="center", color=INK, fontsize=6.5)


def _accuracies(study: Numbers) -> Picture:
    places, losses, names = _places(study), study["losses"], legend(study)
    order = ["supervisor", *losses, "ceiling"]  # from left to right
    with style():
        figure, axes = blank(max(6.0, 1.2 + 1.0 * len(places)), 3.9)
        for index, name in enumerate(names):
            color, _, marker = run_style(index)
            key = name if name in ("supervisor", "ceiling") else "student"
            loss = losses[0] if key != "student" else name
            found = [(x, _of(study, where, loss)) for x, where in enumerate(places)]
            shown = [(x, one[key]) for x, one in found if one is not None]
            xs = [x + APART * (order.index(name) - (len(names) - 1) / 2) for x, _ in shown]
            estimates = [one for _, one in shown]
            y = [one["value"] for one in estimates]
            axes.errorbar(xs, y, yerr=error_arms(estimates), color=color, marker=marker, markersize=5, linestyle="none")
        tasks = {task["task"]: task["chance"] for task in study["tasks"]}
        for x, (task, *_) in enumerate(places):
            axes.plot([x - 0.45, x + 0.45], [tasks[task]] * 2, color=MUTED, linewidth=0.9, linestyle=":")
        _columns(axes, study)
        return export(figure, "Accuracy of supervisor, student and ceiling", names)


def _columns(axes: Any, study: Numbers) -> None:
    """A column for each supervisor and student, and shares."""
    names = _names(study, beside=True)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.xaxis.set_major_locator(FixedLocator(range(len(names))))
    axes.set_xticklabels(names)
    percent_axis(axes.yaxis)


def _agreements(study: Numbers) -> Picture:
    """How often students say what their supervisors say: where these are right (full), and where wrong (hollow)."""
    places, losses = _places(study), study["losses"]
    with style():
        figure, axes = blank(max(6.0, 1.2 + 1.0 * len(places)), 3.6)
        for index, loss in enumerate(losses):
            color, _, marker = run_style(index)
            for key, inside in (("where_right", color), ("where_wrong", PAPER)):
                found = [(x, _of(study, where, loss)) for x, where in enumerate(places)]
                shown = [(x, one["agreement"][key]) for x, one in found if one is not None and one["agreement"][key]]
                xs = [x + APART * (index - (len(losses) - 1) / 2) for x, _ in shown]
                estimates = [one for _, one in shown]
                y, arms = [one["value"] for one in estimates], error_arms(estimates)
                dots: dict[str, Any] = {
                    "marker": marker,
                    "markersize": 5,
                    "markerfacecolor": inside,
                    "linestyle": "none",
                }
                axes.errorbar(xs, y, yerr=arms, color=color, **dots)
        _columns(axes, study)
        return export(figure, "Agreement of student and supervisor", losses)


def _sizes(study: Numbers) -> Picture | None:
    """Accuracy against the student's size; of several of one size that with the highest ceiling."""
    parameters = {one["label"]: one["parameters"] for one in study["strong"] if one["parameters"]}
    ceilings = {one["strong"]: one["ceiling"]["value"] for one in reversed(study["cells"])}
    known = sorted((ceilings[label], label) for label in parameters if label in ceilings)
    best = {parameters[label]: label for _, label in known}
    drawn = _naive_against(study, {label: size for size, label in best.items()})
    if drawn is None:
        return None
    figure, axes, names = drawn
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sorted(best)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{number(value / 1e6, 1)}M"))
    axes.xaxis.set_minor_locator(FixedLocator([]))
    axes.set_xlabel("parameters of the student", loc="right")
    return export(figure, "Accuracy against the student's size", names)


def _layers(study: Numbers) -> Picture | None:
    """Accuracy against the layer that a probe reads, of the first model with several."""
    layers: dict[str, dict[str, int]] = {}
    for one in study["strong"]:
        if one["layer"] is not None and one["rows"] is None:
            layers.setdefault(one["reader"], {})[one["label"]] = one["layer"]
    several = [(reader, found) for reader, found in layers.items() if len(set(found.values())) > 1]
    drawn = _naive_against(study, several[0][1]) if several else None
    if drawn is None:
        return None
    figure, axes, names = drawn
    axes.set_xlabel(f"layer of {short(several[0][0], NAME)}", loc="right")
    return export(figure, "Accuracy against the layer", names)


def _naive_against(study: Numbers, x: Mapping[str, float]) -> tuple[Any, Any, list[str]] | None:
    """Accuracy of the first task's naive students, a line a supervisor, with the ceiling; x is by student. None for
    fewer than two places on it."""
    task = study["cells"][0]["task"]
    cells = [c for c in study["cells"] if c["task"] == task and c["over_naive"] is None and c["strong"] in x]
    if len({x[one["strong"]] for one in cells}) < 2:
        return None
    names, supervisors = legend(study), list(dict.fromkeys(one["weak"] for one in cells))
    with style():
        figure, axes = blank(5.4, 3.6)
        for index, name in enumerate(supervisors):
            own = [one for one in cells if one["weak"] == name]
            plot_curve(
                axes, 0, {x[one["strong"]]: one["student"] for one in own}, dash=run_style(index * len(RUN_COLORS))[1]
            )
            color, _, _ = run_style(names.index("supervisor"))  # what it would be without any generalization
            axes.axhline(own[0]["supervisor"]["value"], color=color, linewidth=0.9, linestyle=":")
        plot_curve(axes, names.index("ceiling"), {x[one["strong"]]: one["ceiling"] for one in cells})
        percent_axis(axes.yaxis)
    return figure, axes, names


def _little(study: Numbers) -> Picture | None:
    """PGR against the number of weak labels, first task, naive: a line for each supervisor and student that has seen
    several numbers of them."""
    about = {one["label"]: one for one in study["strong"]}
    lines: dict[str, dict[float, Numbers]] = {}
    for one in study["cells"]:
        if (one["task"], one["over_naive"]) == (study["cells"][0]["task"], None) and one["pgr"]["value"] is not None:
            name = f"{about[one['strong']]['family']} of {one['weak']}"
            lines.setdefault(name, {})[one["weak_labels"]] = one["pgr"]
    lines = {name: found for name, found in lines.items() if len(found) > 1}
    if not lines:
        return None
    with style():
        figure, axes = blank(5.4, 3.6)
        for index, (name, found) in enumerate(lines.items()):
            plot_curve(axes, index, found, label=f" {short(name, 2 * NAME)}")
        axes.legend(fontsize=6.5)  # these are no losses, so the page's own legend does not tell them apart
        axes.axhline(0, color=MUTED, linewidth=0.9, linestyle=":")
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(sorted({size for found in lines.values() for size in found})))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value, 0)))
        axes.xaxis.set_minor_locator(FixedLocator([]))
        axes.set_xlabel("weak labels", loc="right")
        return export(figure, "Performance gap recovered against weak labels", [])


def _reliability(study: Numbers) -> Picture | None:
    """How often the naive students of the first task and student are right where they are so sure."""
    task, _, strong = _places(study)[0]
    cells = [c for c in study["cells"] if (c["task"], c["strong"]) == (task, strong) and c["reliability"]]
    by_loss = {one["loss"]: one for one in reversed(cells)}  # of several supervisors the first
    curves = {loss: by_loss[loss]["reliability"] for loss in study["losses"] if loss in by_loss}
    return reliability_picture(curves, "How often students are right where they are so sure") if curves else None


def _training(study: Numbers) -> Picture | None:
    """Lines of the first task and student that were looked at: a colour a loss, a dash a supervisor."""
    looked_at = [place(one) for one in study["cells"] if one["curve"]]
    if not looked_at:
        return None
    task, _, strong = looked_at[0]
    about = next(one for one in study["strong"] if one["label"] == strong)
    dashes, looks = ("-", "--", ":"), set()
    weak: Sequence[str] = study["weak"]
    with style():
        figure, axes = blank(5.4, 3.4)
        for one in study["cells"]:
            if (one["task"], one["strong"]) != (task, strong) or not one["curve"]:
                continue
            color, _, marker = run_style(study["losses"].index(one["loss"]))
            dash = dashes[weak.index(one["weak"]) % len(dashes)]
            x, y = ([each[key] for each in one["curve"]] for key in ("after", "accuracy"))
            looks |= set(x)
            axes.plot(x, y, color=color, linestyle=dash, marker=marker, markersize=3, linewidth=1.2)
        steps = sorted(looks)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(steps))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(FixedLocator([]))
        axes.set_xlabel(f"{about['curve_unit']} of training", loc="right")
        percent_axis(axes.yaxis)
        return export(figure, "Accuracy on the truth over training", study["losses"])
