"""Measurements with their uncertainty: plain arrays in, plain numbers out, no torch."""

from penchant.metrics.intervals import Estimate, cluster_mean, paired_difference
from penchant.metrics.text import distinct_n, repetition

__all__ = ["Estimate", "cluster_mean", "distinct_n", "paired_difference", "repetition"]
