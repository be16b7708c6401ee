"""From what lm-eval logs of each document to means with intervals, and to paired differences. Imports no torch."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np

from penchant.metrics.estimates import Coefficient
from penchant.metrics.intervals import cluster_mean, paired_difference
from penchant.runs.evaluations import OutsideScore

UNIT = "document"
NO_MEAN = "no interval: the task's number is no mean over documents"
NO_PAIRS = "no interval: both were not asked the same documents"


@dataclass(frozen=True)
class MetricRows:
    """A metric of a task: the task's own number, and that of each document where the number is their mean.

    Attributes:
        metric, filter: as lm-eval calls them; `filter` is `none` where a task has one way to read answers.
        value: as lm-eval aggregated it.
        values: by document; None where the aggregate is another one than their mean.
    """

    task: str
    metric: str
    filter: str
    value: float
    values: Mapping[Hashable, float] | None
    higher_is_better: bool | None

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from the other metrics of an evaluation."""
        return self.task, self.metric, self.filter


def metric_rows(
    task: str,
    results: Mapping[str, object],
    samples: Sequence[Mapping[str, object]],
    higher_is_better: Mapping[str, object],
) -> list[MetricRows]:
    """Return the metrics of a task.

    Args:
        results: lm-eval's numbers of the task, under `metric,filter`.
        samples: what it logged, one mapping per document and filter.
        higher_is_better: by metric.
    """
    rows = []
    for key, number in results.items():
        metric, comma, filter_name = key.partition(",")
        if not comma or metric.endswith("_stderr") or not _is_number(number):
            continue
        logged = {
            _document(sample): sample[metric]
            for sample in samples
            if sample.get("filter") == filter_name and metric in sample
        }
        value, direction = float(number), higher_is_better.get(metric)  # type: ignore[arg-type]
        rows.append(
            MetricRows(
                task,
                metric,
                filter_name,
                value,
                values_behind(value, logged),
                direction if isinstance(direction, bool) else None,
            )
        )
    return rows


def group_rows(
    task: str, results: Mapping[str, object], members: Sequence[MetricRows], higher_is_better: Mapping[str, object]
) -> list[MetricRows]:
    """Return the metrics of a group of tasks, from those of its members.

    Where the group's number is the mean over the documents of all members, these are its documents.
    """
    samples: list[dict[str, object]] = []
    for row in members:
        documents = row.values or {}
        samples += [
            {"doc_id": (row.task, document), "filter": row.filter, row.metric: value}
            for document, value in documents.items()
        ]
    return metric_rows(task, results, samples, higher_is_better)


def values_behind(number: float, logged: Mapping[Hashable, object]) -> Mapping[Hashable, float] | None:
    """Return the numbers of the documents if the task's number is their mean, else None.

    Perplexities and scores of a whole corpus are no means, and a median would be mistaken for one.
    """
    if not logged or not all(map(_is_number, logged.values())):
        return None
    values = {document: float(value) for document, value in logged.items()}  # type: ignore[arg-type]
    mean = math.fsum(values.values()) / len(values)
    return values if math.isclose(mean, number, rel_tol=1e-9, abs_tol=1e-9) else None


def compare(after: Sequence[MetricRows], before: Sequence[MetricRows] | None, *, seed: int = 0) -> list[OutsideScore]:
    """Return each metric after training, before it, and the difference, paired by document.

    Args:
        before: the same metrics of the other model; None where there is none.
        seed: of the resampling.
    """
    earlier_rows = {row.key: row for row in before or ()}
    return [_score(row, earlier_rows.get(row.key), seed) for row in after]


def _score(row: MetricRows, other: MetricRows | None, seed: int) -> OutsideScore:
    is_share = all(_holds_shares(side) for side in (row, other) if side is not None)
    return OutsideScore(
        task=row.task,
        metric=row.metric if row.filter == "none" else f"{row.metric} ({row.filter})",
        after=_mean(row, seed),
        before=_mean(other, seed) if other else None,
        change=_difference(row, other, seed) if other else None,
        higher_is_better=row.higher_is_better,
        is_share=is_share,
    )


def _holds_shares(row: MetricRows) -> bool:
    return row.values is not None and bool(np.isin(list(row.values.values()), (0.0, 0.5, 1.0)).all())


def _mean(row: MetricRows, seed: int) -> Coefficient:
    if row.values is None:
        return Coefficient(row.value, None, None, 0, 0, NO_MEAN)
    values = list(row.values.values())
    return Coefficient.from_estimate(cluster_mean(values, list(row.values), seed=seed, unit=UNIT))


def _difference(row: MetricRows, other: MetricRows, seed: int) -> Coefficient:
    value = row.value - other.value
    if row.values is None or other.values is None:
        return Coefficient(value, None, None, 0, 0, NO_MEAN)
    if row.values.keys() != other.values.keys():
        return Coefficient(value, None, None, 0, 0, NO_PAIRS)
    documents = list(row.values)
    values, other_values = ([side.values[document] for document in documents] for side in (row, other) if side.values)
    return Coefficient.from_estimate(paired_difference(values, other_values, documents, seed=seed, unit=UNIT))


def digest_samples(samples: Sequence[Mapping[str, object]]) -> str:
    """Return the digest of what a task asked: documents, prompts and targets, in the order of the documents."""
    keys = ("doc_hash", "prompt_hash", "target_hash")
    rows = sorted({(str(sample.get("doc_id")), *(str(sample.get(key)) for key in keys)) for sample in samples})
    return hashlib.sha256("\n".join(" ".join(row) for row in rows).encode()).hexdigest()


def _document(sample: Mapping[str, object]) -> Hashable:
    document = sample.get("doc_id")
    return document if isinstance(document, Hashable) else str(document)


def _is_number(value: object) -> bool:
    return isinstance(value, (Real, np.number, np.bool_)) and math.isfinite(float(value))
