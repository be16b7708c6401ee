"""Draw a study of instruction tuning: accuracy per held-out cluster, a dot with an interval per model."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.ticker import FixedLocator, MaxNLocator

from penchant.metrics.estimates import Estimate
from penchant.reports.kit.canvas import Picture, blank, error_arms, export, percent_axis, run_style, style
from penchant.reports.kit.text import short
from penchant.studies.instructions.summary import InstructionsSummary, ModelAccuracies
from penchant.studies.instructions.words import FULL, MAJORITY, MODELS, TRANSFER, UNTUNED, shots_of, shots_words

OFFSET = 0.17  # between models of one cluster, so that intervals do not lie on each other
ROW_HEIGHT = 0.62  # inches of a cluster
MOST_NAME = 16


def instructions_pictures(study: InstructionsSummary) -> dict[str, Picture]:
    """Return a figure for each number of examples."""
    return {f"shots-{shots}": _by_cluster(study, index, shots) for index, shots in enumerate(shots_of(study))}


def of_models(accuracies: ModelAccuracies) -> Mapping[str, Estimate | None]:
    """Return the accuracies by the name of the model in the legend."""
    return {
        MAJORITY: accuracies.majority,
        UNTUNED: accuracies.untuned,
        TRANSFER: accuracies.transfer,
        FULL: accuracies.full,
    }


def _by_cluster(study: InstructionsSummary, index: int, shots: int) -> Picture:
    names = [short(cluster.name, MOST_NAME) for cluster in study.clusters]
    with style():
        figure, axes = blank(5.6, 1.0 + ROW_HEIGHT * len(names))
        for number, model in enumerate(MODELS):
            color, _, marker = run_style(number)
            points = [
                (row + OFFSET * (number - (len(MODELS) - 1) / 2), measured)
                for row, cluster in enumerate(study.clusters)
                if (measured := of_models(cluster.accuracies[index])[model]) is not None
            ]
            # a model that was not measured keeps its place in the legend
            if not points:
                continue
            axes.errorbar(
                [measured.value for _, measured in points],
                [row for row, _ in points],
                xerr=error_arms([measured for _, measured in points]),
                color=color,
                marker=marker,
                markersize=5,
                elinewidth=1.2,
                # clusters have no order, so no line joins them
                linestyle="none",
            )
        axes.yaxis.set_major_locator(FixedLocator(list(range(len(names)))))
        axes.set_yticklabels(names)
        # the first cluster on top, as in the tables
        axes.set_ylim(len(names) - 0.4, -0.6)
        # not from 0: differences between models are small beside what always the same answer reaches
        axes.xaxis.set_major_locator(MaxNLocator(6))
        percent_axis(axes.xaxis)
        axes.set_xlabel("accuracy on the held-out cluster", loc="right")
        return export(figure, f"Held-out clusters, {shots_words(shots)}", MODELS)
