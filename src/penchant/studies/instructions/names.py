"""Clusters of tasks: which tasks ask for the same thing, so that all are held out together. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping

from penchant.extension.door import is_extension
from penchant.extension.user_code import suggest
from penchant.studies.instructions.sentences import SENTENCES, sentence_problem
from penchant.tasks.load import NAMES, is_pairs
from penchant.tasks.own_file import is_data_file

CLUSTERS: Mapping[str, tuple[str, ...]] = {
    "sentiment": ("amazon_polarity", "imdb", "sst2", "twitter_sentiment"),
    "inference": ("anli_r2",),
    "wording": ("cola", "paws", "wic"),
    "tone": ("emotion", "subjectivity"),
    "ethics": ("ethics_deontology", "ethics_justice"),
    "reading": ("boolq", "cosmos_qa", "dream", "mc_taco", "multirc", "quail", "quartz"),
    "common sense": ("hellaswag", "piqa", "social_i_qa"),
    "questions": ("openbookqa", "sciq"),
}
"""The built-in tasks on texts by what they ask for, much as FLAN groups its own (Wei et al. 2022, figure 3)."""
EMBEDDED: dict[str, tuple[str, ...]] = {
    "opinion": (f"{SENTENCES}film_opinion", f"{SENTENCES}meal_opinion"),
    "topic": (f"{SENTENCES}topic", f"{SENTENCES}is_animal"),
    "form": (f"{SENTENCES}is_several", f"{SENTENCES}is_we"),
}
"""Tasks that need no file."""


def unknown_task(name: str) -> str:
    """Return why a name is no task of texts; empty where it is one."""
    if name.startswith(SENTENCES):
        return sentence_problem(name)
    if name in NAMES or is_pairs(name) or is_data_file(name) or is_extension(name):
        return ""
    return (
        f"`clusters` has the task {name!r}, which is none: there are {', '.join(NAMES)}{suggest(name, NAMES)}; a file "
        "of your own is named with its ending, such as reviews.csv"
    )
