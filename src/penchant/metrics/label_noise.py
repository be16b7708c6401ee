"""Estimate how many labels are wrong, by a classifier that was measured on other rows with the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penchant.errors import InputError
from penchant.metrics.estimates import FEWEST_CLUSTERS, Coefficient, no_interval
from penchant.metrics.resampling import Clusters, Numbers, cluster_codes, percentile_interval, resampled_counts

LARGEST_LACKING_SHARE = 0.01  # of the resamples may lack a value; where more do, the data are too thin for an interval
LEAST_SEPARATION = 0.1
"""Smallest singular value of the classifier's confusion matrix, as rows that sum to 1, below which it tells the classes
apart too badly: 0 is a classifier that says the same of two classes, 1 one that is always right."""


@dataclass(frozen=True)
class ClassPairs:
    """Rows with a given class and the class that a classifier predicts.

    Attributes:
        given: (rows,) class of each row, counted from 0: its label, or the truth.
        predicted: (rows,) what the classifier says, which must not have learned from the row.
        clusters: (rows,) what related rows share.
    """

    given: NDArray[np.int64]
    predicted: NDArray[np.int64]
    clusters: Clusters

    def tables(self, classes: int) -> Numbers:
        """Count given and predicted classes per cluster, (clusters, classes * classes).

        Raises:
            InputError: other lengths, no rows, or a class outside of 0 to `classes` - 1.
        """
        indices = np.concatenate([self.given, self.predicted])
        if not len(self.given) == len(self.predicted) == len(self.clusters) or not len(indices):
            raise InputError(
                f"a given class, a predicted one and a cluster per row are needed, got {len(self.given)}, "
                f"{len(self.predicted)} and {len(self.clusters)}"
            )
        if indices.min() < 0 or indices.max() >= classes:
            raise InputError(
                f"classes are counted from 0 and there are {classes}, got {indices.min()} to {indices.max()}"
            )
        codes = cluster_codes(self.clusters)
        tables = np.zeros((int(codes.max()) + 1, classes * classes))
        np.add.at(tables, (codes, self.given * classes + self.predicted), 1)
        return tables


def label_noise(
    labelled: ClassPairs,
    tested: ClassPairs,
    *,
    classes: int,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Coefficient:
    """Estimate the share of wrong labels.

    J[i, k] is the share of rows with the label i of which the classifier says k, and C[j, k] the probability that it
    says k where the truth is j, as it is measured on the test rows. Where, given the truth, what it says is independent
    of the label, J = Q C with Q[i, j] the share of rows with the label i and the truth j. So Q = J C^-1, and the share
    of wrong labels is 1 - trace Q: the correction of Rogan and Gladen (1978) for an imperfect test, label by label. Of
    two classes and symmetric errors, an accuracy a and an agreement g, it is (a - g) / (2a - 1).

    A classifier that makes the labels' own mistakes agrees with them too often, and the estimate is too low. In
    simulations of independent mistakes (two and three classes, 200 to 400 rows, half as many test rows, 300 trials of
    each) the interval held the share in 92% to 95%.

    Args:
        labelled: rows with the labels in question. tested: other rows, with the truth.
        classes: how many there are.
        level, resamples, seed: of the interval, which resamples the clusters of both kinds of rows.

    Returns:
        The share, from 0 to 1; undefined where a class has no test row, or the classifier cannot tell classes apart.

    Raises:
        InputError: what `ClassPairs.tables` raises.
    """
    tables, test_tables = labelled.tables(classes), tested.tables(classes)
    n, count = len(labelled.given), min(len(tables), len(test_tables))
    if (test_tables.sum(0).reshape(classes, classes).sum(1) == 0).any():
        return Coefficient(None, None, None, n, count, "a class has no test row")
    value = float(_wrong_shares(tables.sum(0)[None], test_tables.sum(0)[None], classes)[0])
    if np.isnan(value):
        return Coefficient(None, None, None, n, count, "the student hardly tells the classes of the test rows apart")
    if count < FEWEST_CLUSTERS:
        return Coefficient(value, None, None, n, count, no_interval(count, "row"))
    # rows and test rows are drawn apart from each other, as they were gathered
    draws = [
        np.concatenate(
            [counts @ part for counts in resampled_counts(len(part), resamples, part_seed, width=classes**2)]
        )
        for part, part_seed in ((tables, seed), (test_tables, seed + 1))
    ]
    shares = _wrong_shares(draws[0], draws[1], classes)
    defined = shares[~np.isnan(shares)]
    if (lacking := len(shares) - len(defined)) > LARGEST_LACKING_SHARE * len(shares):
        reason = f"no interval: undefined in {lacking} of {len(shares)} resamples, so few test rows tell classes apart"
        return Coefficient(value, None, None, n, count, reason)
    low, high = percentile_interval(defined, value, level, count)
    if high - low < 1e-12:
        return Coefficient(value, None, None, n, count, no_interval(count, "row", all_agree=True))
    return Coefficient(value, low, high, n, count)


def _wrong_shares(tables: Numbers, test_tables: Numbers, classes: int) -> Numbers:
    """Return the share of wrong labels of each pair of tables, (tables,); NaN where it is undefined."""
    joint = tables.reshape(-1, classes, classes) / tables.sum(1)[:, None, None]
    confusion = test_tables.reshape(-1, classes, classes)
    totals = confusion.sum(2, keepdims=True)
    confusion = confusion / np.maximum(totals, 1)
    # a class without a row is a row of zeros here, whose smallest singular value is 0
    separable = np.linalg.svd(confusion, compute_uv=False)[:, -1] >= LEAST_SEPARATION
    shares = np.full(len(joint), np.nan)
    truth_joint = joint[separable] @ np.linalg.inv(confusion[separable])
    # the inverse knows no bounds, and chance alone may lead beyond them
    shares[separable] = np.clip(1 - np.trace(truth_joint, axis1=1, axis2=2), 0, 1)
    return shares
