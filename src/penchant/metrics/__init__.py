"""Measurements with their uncertainty: plain arrays in, plain numbers out, no torch."""

from penchant.metrics.frontier import (
    Limit,
    best_of_n,
    best_of_n_kl,
    efficiency,
    efficiency_difference,
    limit_line,
    peak_share,
    reached_share,
)
from penchant.metrics.intervals import Estimate, cluster_mean, independent_difference, paired_difference
from penchant.metrics.length_controlled import length_controlled
from penchant.metrics.pgr import PGR, pgr
from penchant.metrics.text import distinct_n, repetition
from penchant.metrics.two_way import two_way_mean

__all__ = [
    "PGR",
    "Estimate",
    "Limit",
    "best_of_n",
    "best_of_n_kl",
    "cluster_mean",
    "distinct_n",
    "efficiency",
    "efficiency_difference",
    "independent_difference",
    "length_controlled",
    "limit_line",
    "paired_difference",
    "peak_share",
    "pgr",
    "reached_share",
    "repetition",
    "two_way_mean",
]
