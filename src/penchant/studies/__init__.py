"""Experiments that compare methods: a grid of runs, then a report."""
