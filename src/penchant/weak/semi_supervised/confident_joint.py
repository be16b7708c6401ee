"""How often a class's rows have another class's label: the confident joint, and which labels it holds to be wrong.

Source: Northcutt et al. 2021 (arXiv:1911.00068), with the choices of their code, cleanlab 2.9: its estimates and its
issues (`filter_by="confident_learning"`) on the same probabilities are these.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penchant.metrics.estimates import FEWEST_CLUSTERS, Coefficient, no_interval
from penchant.metrics.resampling import Clusters, cluster_codes, percentile_interval

Numbers = NDArray[np.float64]
Classes = NDArray[np.int64]
ROUNDING = 1e-6
"""A probability that falls short of its class's threshold by less reaches it, as in cleanlab."""


@dataclass(frozen=True)
class ConfidentJoint:
    """Labels against the classes that confident predictions give their rows.

    Attributes:
        thresholds: mean probability of each class among the rows with its label, (classes,).
        joint: share of rows with label i (row) and true class j (column), (classes, classes).
        is_suspect: which labels are held to be wrong, (rows,).
    """

    thresholds: Numbers
    joint: Numbers
    is_suspect: NDArray[np.bool_]

    @property
    def noise_rate(self) -> float:
        """Share of labels that are wrong."""
        return float(1 - np.trace(self.joint))

    @property
    def noise_matrix(self) -> Numbers:
        """Probability of each label (column) given the true class (row); a class that no row has keeps its label."""
        by_truth = self.joint.T
        totals = by_truth.sum(1, keepdims=True)
        return np.where(totals > 0, by_truth / np.maximum(totals, 1e-300), np.eye(len(by_truth)))


def confident_joint(labels: Classes, probabilities: Numbers) -> ConfidentJoint:
    """Count labels against confident predictions.

    A row counts for a class whose threshold its probability reaches, and for the most probable one where it reaches
    several. Counts are scaled so that each label is as frequent as it is.

    Args:
        labels: shape (rows,). probabilities: out of sample, shape (rows, classes).
    """
    classes = probabilities.shape[1]
    counts = np.bincount(labels, minlength=classes)
    label_probabilities = probabilities[np.arange(len(labels)), labels]
    # a class without a label has no threshold that could be reached
    sums = np.bincount(labels, weights=label_probabilities, minlength=classes)
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    is_reached = probabilities >= thresholds - ROUNDING
    # of several thresholds reached, the first class would win by its number
    guesses = np.where(is_reached.sum(1) > 1, probabilities.argmax(1), is_reached.argmax(1))
    is_confident = is_reached.any(1)
    table = np.zeros((classes, classes))
    np.add.at(table, (labels[is_confident], guesses[is_confident]), 1)
    # every class has a right label, as in cleanlab: without one its row could not be scaled
    np.fill_diagonal(table, np.maximum(table.diagonal(), 1))
    # confident rows are no fair sample of the labels: each row of the table gets its share back
    joint = table / table.sum(1, keepdims=True) * counts[:, None] / len(labels)
    # where the label is the most probable class after all, nothing speaks against it
    is_suspect = is_confident & (guesses != labels) & (probabilities.argmax(1) != labels)
    return ConfidentJoint(thresholds, joint, is_suspect)


def noise_rate(
    labels: Classes, probabilities: Numbers, clusters: Clusters, *, resamples: int = 500, seed: int = 0
) -> Coefficient:
    """Return the share of wrong labels, with an interval that resamples clusters of related rows.

    The probabilities stay as they are: how another training would have them is not in the interval.
    """
    value = confident_joint(labels, probabilities).noise_rate
    codes = cluster_codes(clusters)
    count = int(codes.max()) + 1
    # so few resamples of clusters differ too little to span an interval
    if count < FEWEST_CLUSTERS:
        return Coefficient(value, None, None, len(labels), count, no_interval(count, "row"))
    # once for all resamples: a search for each cluster would take most of the time
    rows_by_cluster = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    generator = np.random.default_rng(seed)
    rates = []
    for _ in range(resamples):
        rows = np.concatenate([rows_by_cluster[cluster] for cluster in generator.integers(count, size=count)])
        rates.append(confident_joint(labels[rows], probabilities[rows]).noise_rate)
    low, high = percentile_interval(np.array(rates), value, 0.95, count)
    # an interval without a width would claim what nobody knows
    if high - low < ROUNDING:
        return Coefficient(value, None, None, len(labels), count, no_interval(count, "row", all_agree=True))
    return Coefficient(value, low, high, len(labels), count)
