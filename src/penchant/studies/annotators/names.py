"""Who compared: the annotators of a study's data. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable

from penchant.errors import InputError
from penchant.types import PromptGroup


def annotator_names(groups: Iterable[PromptGroup], path: str) -> list[str]:
    """Return the names of all annotators in the data, in alphabetical order.

    Args:
        path: of the data, for the error.

    Raises:
        InputError: there are fewer than two, so that nobody is left to learn from.
    """
    # comparisons without a name are passed over: they could be anyone's, the one's who is left out too
    comparisons = (comparison for group in groups for comparison in group.comparisons)
    names = sorted({comparison.annotator for comparison in comparisons if comparison.annotator is not None})
    if len(names) < 2:
        raise InputError(f"{path} has comparisons of {len(names)} named annotators, expected at least two")
    return names
