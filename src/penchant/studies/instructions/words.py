"""Say in sentences what tuning on other tasks did to a cluster, never more than the intervals support."""

from __future__ import annotations

from collections.abc import Sequence

from penchant.metrics.estimates import Estimate
from penchant.reports.kit.text import count, estimate, format_share, listing, percent
from penchant.studies.instructions.summary import ClusterResult, InstructionsSummary, ModelAccuracies

MAJORITY, UNTUNED, TRANSFER, FULL = "majority answer", "untuned", "tuned without it", "tuned with it"
MODELS = (MAJORITY, UNTUNED, TRANSFER, FULL)
"""The models of the legend, in the order of their marks."""


def shots_words(shots: int) -> str:
    """Return a number of examples: `zero-shot`, `4 examples`."""
    return "zero-shot" if not shots else count(shots, "example")


def direction(gap: Estimate | None) -> str:
    """Return `above`, `below` or `undecided`, as the interval of a difference says."""
    if gap is None:
        return "not measured"
    return "above" if gap.above(0) else "below" if gap.below(0) else "undecided"


def by_direction(items: Sequence[tuple[str, Estimate | None]]) -> dict[str, list[str]]:
    """Return names by what the intervals of their differences say."""
    # in the order of the page
    groups: dict[str, list[str]] = {}
    for name, gap in items:
        groups.setdefault(direction(gap), []).append(name)
    return groups


def headline(study: InstructionsSummary) -> list[str]:
    """Say for each number of examples on which clusters tuning on the others helped."""
    sentences = []
    # the wide intervals: a headline picks from several clusters
    for index, shots in enumerate(shots_of(study)):
        gains = [(cluster.name, cluster.accuracies[index].gain_of_many) for cluster in study.clusters]
        sentences.append(f"Tuned on other clusters, {shots_words(shots)}, against the untuned model: {_tally(gains)}.")
    if not sentences:
        return ["Nothing was measured yet."]
    runs = f"{count(len(study.seeds), 'seed')}; intervals are for new rows"
    return [*sentences, f"{runs} and new seeds." if len(study.seeds) > 1 else f"{runs}, not for new seeds."]


def shots_of(study: InstructionsSummary) -> list[int]:
    """Return the numbers of examples, as they were measured."""
    return [item.shots for item in study.clusters[0].accuracies] if study.clusters else []


def _tally(gaps: Sequence[tuple[str, Estimate | None]]) -> str:
    """Return `above on a and b; below on c; not to be told apart on d`."""
    groups = by_direction(gaps)
    words = {"above": "above", "below": "below", "undecided": "not to be told apart", "not measured": "not measured"}
    parts = [f"{words[name]} on {listing(groups[name])}" for name in words if name in groups]
    return "; ".join(parts)


def findings(study: InstructionsSummary) -> list[str]:
    """Compare with the majority answer and with tuning on the cluster itself; say what holds over tasks."""
    sentences = []
    for index, shots in enumerate(shots_of(study)):
        words = shots_words(shots)
        for cluster in study.clusters:
            sentences += _of_cluster(cluster, cluster.accuracies[index], words)
        sentences += _over_tasks(study.over_tasks[index], words, sum(len(item.tasks) for item in study.clusters))
    return sentences + _left_out(study)


def _of_cluster(cluster: ClusterResult, accuracies: ModelAccuracies, words: str) -> list[str]:
    if accuracies.transfer is None or accuracies.gain is None:
        return []
    text = (
        f"{cluster.name}, {words}: {format_share(accuracies.transfer)} tuned without it, "
        f"{_points(accuracies.gain)} against the untuned model ({direction(accuracies.gain_of_many)})"
    )
    # above a model that says nothing is little worth where always the same answer does as well
    if accuracies.over_majority is not None:
        text += (
            f", {_points(accuracies.over_majority)} against the majority answer ({direction(accuracies.over_majority)})"
        )
    if accuracies.added is not None:
        text += f"; tuning on the cluster too adds {_points(accuracies.added)} ({direction(accuracies.added)})"
    return [f"{text}."]


def _points(gap: Estimate) -> str:
    return estimate(gap, percent=True, sign=True)


def _over_tasks(means: ModelAccuracies, words: str, tasks: int) -> list[str]:
    # of one task there is no mean to speak of
    if means.gain is None or tasks < 2:
        return []
    return [
        f"Over {count(tasks, 'held-out task')} as the unit, {words}: {_points(means.gain)} against the untuned model "
        f"({direction(means.gain)}). That interval is for other tasks like these, and {tasks} are few."
    ]


def _left_out(study: InstructionsSummary) -> list[str]:
    """Say how many rows left the mixtures because what is measured has them too."""
    # the worst case stands for all: which rows they are hangs on the cluster alone
    by_mixture = [(item, sum(item.left_out.values())) for item in study.mixtures]
    worst = max(by_mixture, key=lambda pair: pair[1], default=None)
    if worst is None or not worst[1]:
        return []
    mixture, rows = worst
    share = rows / (rows + sum(mixture.tasks.values()))
    name = f"without {mixture.left_out_cluster}" if mixture.left_out_cluster else "with all clusters"
    return [
        f"Up to {count(rows, 'row')} of a mixture ({name}: {percent(share)}) stood in what is measured, too, and were "
        "left out of it."
    ]
