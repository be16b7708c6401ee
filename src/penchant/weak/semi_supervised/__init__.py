"""Algorithms that learn from few labels, from wrong ones, and from rows without any: one file each."""
