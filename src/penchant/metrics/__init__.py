"""Measurements with their uncertainty: plain arrays in, plain numbers out, no torch."""

from penchant.metrics.efficiency import Evaluations
from penchant.metrics.estimates import Estimate
from penchant.metrics.frontier import MatchedShare, efficiency_difference, matched_efficiency
from penchant.metrics.intervals import cluster_mean, independent_difference, paired_difference
from penchant.metrics.length_controlled import length_controlled
from penchant.metrics.limit import Limit, best_of_n, best_of_n_kl, limit_line
from penchant.metrics.pgr import PGR, pgr
from penchant.metrics.text import distinct_n, repetition
from penchant.metrics.two_way import two_way_mean

__all__ = [
    "PGR",
    "Estimate",
    "Evaluations",
    "Limit",
    "MatchedShare",
    "best_of_n",
    "best_of_n_kl",
    "cluster_mean",
    "distinct_n",
    "efficiency_difference",
    "independent_difference",
    "length_controlled",
    "limit_line",
    "matched_efficiency",
    "paired_difference",
    "pgr",
    "repetition",
    "two_way_mean",
]
