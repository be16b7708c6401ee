"""Draw a study of hallucinations: false captions against recall, each captioner a mark, each world a figure."""

from __future__ import annotations

from penchant.reports.kit.canvas import Picture, blank, error_arms, export, percent_axis, run_style, style
from penchant.studies.hallucination.summary import HallucinationSummary, WorldResult


def hallucination_pictures(study: HallucinationSummary) -> dict[str, Picture]:
    """Return a figure per world; none where nothing was measured."""
    return {world.name: _world(world) for world in study.worlds if world.captioners}


def _world(world: WorldResult) -> Picture:
    """Draw the share of false captions against recall: down and to the right is better in both."""
    with style():
        figure, axes = blank(5.6, 3.7)
        for index, result in enumerate(world.captioners):
            # by the place in the legend, so that a captioner has one colour in all worlds
            color, _, marker = run_style(index)
            false, recall = result.greedy["false_caption"].value, result.greedy["recall"].value
            axes.errorbar(
                [recall.value],
                [false.value],
                xerr=error_arms([recall]),
                yerr=error_arms([false]),
                color=color,
                marker=marker,
                markersize=6,
                linestyle="none",
            )
        # both are shares, and both axes say so
        percent_axis(axes.xaxis)
        percent_axis(axes.yaxis)
        axes.set_xlabel("recall of true objects", loc="right")
        return export(
            figure,
            f"Captions with a false object: {world.label}",
            [result.label for result in world.captioners],
        )
