"""Fit strengths to comparisons or rankings: `penchant rank`."""
