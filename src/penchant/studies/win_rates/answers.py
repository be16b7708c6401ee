"""Read prompts with the one response that others are compared with: the preferred or the demonstrated one."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from penchant.data.layouts import registry as formats
from penchant.data.layouts.parse import parse_source
from penchant.data.merge import merge_groups
from penchant.data.options import ReadKeywords, ReadOptions
from penchant.data.settle import settle_bad_rows
from penchant.errors import InputError
from penchant.types import PromptGroup, Response

# The first that fits is taken, and a file of preferences looks like demonstrations as well.
# `text` is left out, as a plain text has no prompt to answer.
PREFERRED = tuple(layout for layout in formats.PREFERENCES if layout not in formats.UNPAIRED)
PREFERENCE_NAMES = {layout.name for layout in PREFERRED}
LAYOUTS = (*PREFERRED, *(layout for layout in formats.DEMONSTRATIONS if layout.name not in (*PREFERENCE_NAMES, "text")))


def load_answers(source: str | Path, **options: Unpack[ReadKeywords]) -> list[PromptGroup]:
    """Return the prompts of a file of preferences or demonstrations, each with one response.

    That is the response that wins most of its comparisons (wins less losses, by weight; a tie is neither), and among
    equals the first; where nothing was compared, the first one.

    Raises:
        InputError: as `load_preferences`; no row has a response.
    """
    reading = ReadOptions(**options)
    parsed = parse_source(source, reading, layouts=LAYOUTS)
    settle_bad_rows(source, parsed, reading.bad_rows)
    groups = merge_groups(parsed.groups, counts_add=parsed.layout.counts_add).groups
    # The scores go too: only one response is left, and nothing compares it here.
    groups_with_answer = [
        group.replace(responses=(_best(group),), comparisons=(), scores=None) for group in groups if group.responses
    ]
    if not groups_with_answer:
        raise InputError(f"{source}: no row has a response; expected at least one to measure others by")
    return groups_with_answer


def _best(group: PromptGroup) -> Response:
    points = [0.0] * len(group.responses)
    # Wins less losses and not wins alone: a response that was shown more often would win more often.
    for comparison in group.comparisons:
        if not comparison.tie:
            points[comparison.winner] += comparison.weight
            points[comparison.loser] -= comparison.weight
    # `max` keeps the first of equals, so the order of the file decides, and the same file gives the same response.
    return group.responses[max(range(len(points)), key=lambda index: points[index])]
