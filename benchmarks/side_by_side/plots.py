"""Worker: the plots of the results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, NullLocator

from side_by_side.curves import TITLES
from side_by_side.recording import read_job

COLOURS = {"penchant": "#1b6ca8", "trl-precomputed": "#d1762c"}
NAMES = {"penchant": "Penchant", "trl-precomputed": "TRL, precomputed reference"}
GREY = "#555555"


def main() -> None:
    """Draw what there is; leave the names of the files."""
    job, result = read_job()
    folder = Path(job["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for name, draw in (("curves", draw_curves), ("targets", draw_targets)):
        content = job["curves" if name == "curves" else "ratios"]
        if content:
            figure = draw(content)
            figure.savefig(folder / f"{name}.png", dpi=110)
            drawn.append(f"{name}.png")
    Path(result).write_text(json.dumps({"files": drawn}))


def draw_curves(curves: dict[str, list[dict[str, Any]]]) -> plt.Figure:
    """A column a curve: speed above, memory below; medians with their ranges, and the ratio at each point."""
    figure, axes = plt.subplots(
        2,
        len(curves),
        figsize=(4.2 * len(curves), 6.6),
        sharex="col",
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    for column, (name, points) in enumerate(curves.items()):
        for panel, measure in zip(axes[:, column], ("pairs_per_s", "peak_mib"), strict=True):
            for side, colour in COLOURS.items():
                spans = [point[side][measure] for point in points]
                low, middle, high = ([of[which] for of in spans] for which in ("low", "median", "high"))
                xs = [point["x"] for point in points]
                panel.plot(xs, middle, "o-", color=colour, label=NAMES[side], markersize=5)
                panel.fill_between(xs, low, high, color=colour, alpha=0.2)
            _ratios(panel, points, measure)
            panel.set_xscale("log")
            panel.set_xticks([point["x"] for point in points], [f"{point['x']:,}" for point in points])
            panel.xaxis.set_minor_locator(NullLocator())
            panel.tick_params(labelsize=8, which="both")
            panel.margins(0.12, 0.1)
            panel.grid(alpha=0.25, which="both")
        axes[1][column].set_xlabel(TITLES[name])
    speed, memory = axes[0][0], axes[1][0]
    speed.set(yscale="log", ylabel="pairs a second")
    speed.yaxis.set_major_formatter(FuncFormatter(_round))
    speed.yaxis.set_minor_formatter(FuncFormatter(_round))
    memory.set(ylabel="peak memory, MiB", ylim=(0, None))
    memory.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    figure.legend(*speed.get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    return figure


def _ratios(panel: plt.Axes, points: list[dict[str, Any]], measure: str) -> None:
    """Penchant over TRL, written between the lines."""
    for point in points:
        ours, theirs = (point[side][measure]["median"] for side in COLOURS)
        between = (ours * theirs) ** 0.5 if measure == "pairs_per_s" else (ours + theirs) / 2
        panel.annotate(
            f"{ours / theirs:.2g}x",
            (point["x"], between),
            ha="center",
            va="center",
            fontsize=8,
            color=GREY,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )


def _round(value: float, _: object) -> str:
    """Labels at 1, 2 and 5 of each decade."""
    return f"{value:,g}" if f"{value:.3e}"[:5] in ("1.000", "2.000", "5.000") else ""


def draw_targets(ratios: list[dict[str, Any]]) -> plt.Figure:
    """Ratio and target of each row: speed left (more is better), memory right (less is better)."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 1.4 + 0.55 * len(ratios)), sharey=True, layout="constrained")
    titles = {"speed": "pairs/s, times TRL's: more is better", "memory": "peak memory, times TRL's: less is better"}
    places = list(range(len(ratios)))[::-1]
    for panel, (target, title) in zip(axes, titles.items(), strict=True):
        there = [(place, of) for place, of in zip(places, ratios, strict=True) if f"{target}_ratio" in of]
        for place, of in there:
            ratio = of[f"{target}_ratio"]
            panel.barh(place, ratio["median"], color=COLOURS["penchant"], height=0.55)
            panel.plot([ratio["low"], ratio["high"]], [place, place], color="black", linewidth=1.5)
            panel.plot([of[target]] * 2, [place - 0.4, place + 0.4], color="#b03030", linewidth=2)
            end = max(ratio["high"], of[target])
            label = f"{ratio['median']:.2f}x"
            panel.annotate(label, (end, place), (6, 0), textcoords="offset points", va="center", fontsize=9)
        panel.axvline(1, color=COLOURS["trl-precomputed"], linewidth=1.5, linestyle="--")
        panel.set_title(title, fontsize=10)
        panel.set_xlim(0, 1.15 * max(1.0, *(max(of[f"{target}_ratio"]["high"], of[target]) for _, of in there)))
        panel.set_yticks(places, [of["row"] for of in ratios])
    figure.supxlabel("red: target; dashed: TRL with precomputed reference; black: range over the repeats", fontsize=8)
    return figure


if __name__ == "__main__":
    main()
