"""From what lm-eval logs of each document to means with intervals, and to paired differences. Imports no torch."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np

from penchant.metrics.estimates import FEWEST_CLUSTERS, Coefficient, no_interval
from penchant.metrics.intervals import cluster_mean, paired_difference
from penchant.metrics.resampling import Numbers, percentile_interval, resampled_counts
from penchant.runs.evaluations import OutsideScore

UNIT = "document"
NO_MEAN = "no interval: the task's number is not made of numbers of its documents"
RESAMPLES, LEVEL = 2000, 0.95
AGGREGATES: Mapping[str, Callable[[Numbers], Numbers]] = {
    "mean": lambda mean: mean,
    # of log-likelihoods in nats, per word, byte or document
    "perplexity": lambda mean: np.exp(-mean),
    "bits": lambda mean: -mean / math.log(2),
}
"""How a task's number is made of the weighted mean over its documents."""
NO_PAIRS = "no interval: both were not asked the same documents"


@dataclass(frozen=True)
class MetricRows:
    """A metric of a task: the task's own number, and that of each document where the number is their mean.

    Attributes:
        metric, filter: as lm-eval calls them; `filter` is `none` where a task has one way to read answers.
        value: as lm-eval aggregated it.
        aggregate: a key of `AGGREGATES`: how it is made of the documents' weighted mean.
        values: by document; None where the aggregate is another one.
        weights: by document, such as its words; None where all weigh the same.
    """

    task: str
    metric: str
    filter: str
    value: float
    values: Mapping[Hashable, float] | None
    higher_is_better: bool | None
    aggregate: str = "mean"
    weights: Mapping[Hashable, float] | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """The task, metric and filter that tell it from the other metrics of an evaluation."""
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
        aggregate, values, weights = documents_behind(value, logged)
        better = direction if isinstance(direction, bool) else None
        rows.append(MetricRows(task, metric, filter_name, value, values, better, aggregate, weights))
    return rows


def group_rows(
    task: str, results: Mapping[str, object], members: Sequence[MetricRows], higher_is_better: Mapping[str, object]
) -> list[MetricRows]:
    """Return the metrics of a group of tasks, from those of its members.

    Where the group's number is the mean over the documents of all members, these are its documents.
    """
    samples: list[dict[str, object]] = []
    for row in members:
        samples += [
            {
                "doc_id": (row.task, document),
                "filter": row.filter,
                row.metric: (value * row.weights[document], row.weights[document]) if row.weights else value,
            }
            for document, value in (row.values or {}).items()
        ]
    return metric_rows(task, results, samples, higher_is_better)


def documents_behind(
    number: float, logged: Mapping[Hashable, object]
) -> tuple[str, Mapping[Hashable, float] | None, Mapping[Hashable, float] | None]:
    """Return how a task's number is made of its documents: the aggregate, their numbers and their weights.

    It is found out by trying: a median would be mistaken for a mean otherwise. Of a perplexity lm-eval logs each
    document's log-likelihood with its words or bytes; the number here is then per word or byte.
    """
    pairs = {document: _pair(value) for document, value in logged.items()}
    known_pairs = {document: pair for document, pair in pairs.items() if pair is not None}
    if not known_pairs or len(known_pairs) < len(pairs):
        return "mean", None, None
    values = {document: total / weight for document, (total, weight) in known_pairs.items()}
    weights = {document: weight for document, (_, weight) in known_pairs.items()}
    mean = math.fsum(total for total, _ in known_pairs.values()) / math.fsum(weights.values())
    is_weighted = any(isinstance(value, Sequence) for value in logged.values())
    for name, transform in AGGREGATES.items():
        with np.errstate(over="ignore"):
            rebuilt = float(transform(np.float64(mean)))  # type: ignore[arg-type]
        if math.isclose(rebuilt, number, rel_tol=1e-9, abs_tol=1e-9):
            return name, values, weights if is_weighted else None
    return "mean", None, None


def _pair(value: object) -> tuple[float, float] | None:
    """Return a document's number and weight; None for anything else."""
    if _is_number(value):
        return float(value), 1.0  # type: ignore[arg-type]
    if isinstance(value, Sequence) and len(value) == 2 and all(map(_is_number, value)) and value[1] > 0:
        return float(value[0]), float(value[1])
    return None


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
    is_plain = row.aggregate == "mean" and row.weights is None
    return row.values is not None and is_plain and bool(np.isin(list(row.values.values()), (0.0, 0.5, 1.0)).all())


def _mean(row: MetricRows, seed: int) -> Coefficient:
    if row.values is None:
        return Coefficient(row.value, None, None, 0, 0, NO_MEAN)
    if row.aggregate != "mean" or row.weights is not None:
        return _resampled(row.value, _resamples(row, list(row.values), seed), len(row.values))
    values = list(row.values.values())
    return Coefficient.from_estimate(cluster_mean(values, list(row.values), seed=seed, unit=UNIT))


def _difference(row: MetricRows, other: MetricRows, seed: int) -> Coefficient:
    value = row.value - other.value
    if row.values is None or other.values is None:
        return Coefficient(value, None, None, 0, 0, NO_MEAN)
    # another limit or another version of the data: a difference of unlike documents says nothing of the models
    if row.values.keys() != other.values.keys():
        return Coefficient(value, None, None, 0, 0, NO_PAIRS)
    documents = list(row.values)
    if row.aggregate != "mean" or row.weights is not None:
        # the same draws on both sides, so that the documents are paired
        differences = _resamples(row, documents, seed) - _resamples(other, documents, seed)
        return _resampled(value, differences, len(documents))
    values, other_values = ([side.values[document] for document in documents] for side in (row, other) if side.values)
    return Coefficient.from_estimate(paired_difference(values, other_values, documents, seed=seed, unit=UNIT))


def _resamples(row: MetricRows, documents: Sequence[Hashable], seed: int) -> Numbers:
    """Return the task's number of each resample of the documents, in this order of them."""
    assert row.values is not None
    values = np.array([row.values[document] for document in documents])
    weights = np.array([row.weights[document] if row.weights else 1.0 for document in documents])
    count = len(documents)
    draws = np.concatenate(list(resampled_counts(count, RESAMPLES, seed, width=count)))
    return AGGREGATES[row.aggregate]((draws @ (values * weights)) / (draws @ weights))


def _resampled(value: float, resamples: Numbers, count: int) -> Coefficient:
    if count < FEWEST_CLUSTERS:
        return Coefficient(value, None, None, count, count, no_interval(count, UNIT))
    return Coefficient(value, *percentile_interval(resamples, value, LEVEL, count), count, count)


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
