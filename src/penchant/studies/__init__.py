"""Experiments that compare methods: a grid of stages, then a page. Imports no torch.

A study is a folder here with a module `study` that defines `STUDY`, and one line in this list.
"""

STUDIES = (
    "frontier",
    "transfer",
    "noise",
    "annotators",
    "weak_to_strong",
    "win_rates",
    "labels",
    "oversight",
    "instructions",
    "weak_to_strong_generation",
    "hallucination",
    "kinds",
)
"""The folders of all studies, in the order of the command line's help."""
