"""Render a whole data set as token ids: in large batches, and kept on disk where that is worth it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from penchant.data.group_table import GroupRows, pick_groups
from penchant.data.rendering.media_prompt import MediaPrompts
from penchant.data.rendering.rendered import Arrays, Rendered, RenderedRows, joined, packed
from penchant.data.rendering.renderer import Renderer, TooLong
from penchant.data.rendering.token_cache import TokenFile
from penchant.errors import InputError
from penchant.types import PromptGroup

BATCH = 512  # groups tokenized in one go: enough work for every core, little enough to hold as Python objects
WORTH_KEEPING = 5_000  # responses; fewer are tokenized in less than about half a second


@dataclass(frozen=True)
class RenderReport:
    """Counts of what rendering a data set dropped and cut.

    Attributes:
        dropped_too_long, truncated: groups. unstable_boundaries: responses.
        moved_boundaries: groups whose responses are scored from their texts on, since the template writes another
            header before them than the one that asks for an answer.
        stripped_thoughts: groups with an earlier turn whose thoughts the template takes out.
        equal_pairs: comparisons whose two responses became the same tokens, and so say nothing; they were dropped.
    """

    dropped_too_long: int = 0
    truncated: int = 0
    unstable_boundaries: int = 0
    moved_boundaries: int = 0
    stripped_thoughts: int = 0
    equal_pairs: int = 0


def render_all(
    groups: Iterable[PromptGroup],
    renderer: Renderer,
    *,
    cache: Path | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[Sequence[PromptGroup], RenderedRows, RenderReport]:
    """Render a data set under the renderer's policy.

    Args:
        cache: a folder where the ids of large data sets are kept, by content, for the next run; None for none.
        progress: called with a number of groups that are done.

    Returns:
        The groups that were kept, their renderings (same order), and counts of what was dropped or cut.

    Raises:
        InputError: rows that cannot be rendered, or are too long under `overflow=error`: all of them, by name.
    """
    if not isinstance(groups, GroupRows):
        groups = list(groups)
    large = isinstance(groups, GroupRows) or sum(len(group.responses) for group in groups) >= WORTH_KEEPING
    file = TokenFile.of(groups, renderer, cache) if cache is not None and large else None
    arrays = file.load() if file else None
    if arrays is None:
        arrays = _render(groups, renderer, progress)
        if file:
            file.keep(arrays)
    fitting_indices = arrays["kept"].tolist()
    fitting = groups if len(fitting_indices) == len(groups) else pick_groups(groups, fitting_indices)
    sources = _Sources(fitting) if isinstance(fitting, GroupRows) else [group.source for group in fitting]
    media = None if renderer.media is None else MediaPrompts(fitting, renderer.media)
    rendered = RenderedRows(arrays, sources, media=media)
    distinct, indices, equal_pairs = _without_equal(fitting, rendered)
    report = RenderReport(
        dropped_too_long=len(groups) - len(fitting),
        truncated=int(arrays["truncated"].sum()),
        unstable_boundaries=int(arrays["unstable"].sum()),
        moved_boundaries=int(arrays["moved_boundary"].sum()),
        stripped_thoughts=int(arrays["stripped_thoughts"].sum()),
        equal_pairs=equal_pairs,
    )
    return distinct, rendered if len(indices) == len(fitting) else rendered.pick(indices), report


class _Sources(Sequence[str]):
    """Where the groups of a table came from, read as they are asked for."""

    def __init__(self, groups: GroupRows) -> None:
        self._groups = groups

    def __len__(self) -> int:
        return len(self._groups)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self._groups[index].source


def _without_equal(
    groups: Sequence[PromptGroup], rendered: RenderedRows
) -> tuple[Sequence[PromptGroup], list[int], int]:
    """Drop comparisons of responses that are the same tokens.

    A group that had no other comparison is left out.

    Returns:
        The groups, their indices, and how many comparisons were dropped.
    """
    changes: dict[int, PromptGroup] = {}
    emptied: set[int] = set()
    equal_pairs = 0
    # all other groups are not even built
    for index in rendered.with_twins:
        group, branches = groups[index], rendered[index].branches
        different = tuple(pair for pair in group.comparisons if branches[pair.winner] != branches[pair.loser])
        equal_pairs += len(group.comparisons) - len(different)
        if different != group.comparisons:
            changes[index] = group.replace(comparisons=different)
            if not different:
                emptied.add(index)
    indices = [index for index in range(len(groups)) if index not in emptied]
    if not changes:
        return groups, indices, 0
    if isinstance(groups, GroupRows):
        return groups.changed(changes).pick(indices), indices, equal_pairs
    return [changes.get(index, groups[index]) for index in indices], indices, equal_pairs


def _render(groups: Sequence[PromptGroup], renderer: Renderer, progress: Callable[[int], None]) -> Arrays:
    """Return the packed renderings, and as `kept` which groups they are of."""
    indices: list[int] = []
    parts: list[Arrays] = []
    problems: list[InputError] = []
    for start in range(0, len(groups), BATCH):
        rows: list[Rendered] = []
        for index, outcome in enumerate(renderer.render_many(list(groups[start : start + BATCH])), start):
            if isinstance(outcome, Rendered):
                indices.append(index)
                rows.append(outcome)
            elif not (isinstance(outcome, TooLong) and renderer.overflow == "drop"):
                problems.append(outcome)
        parts.append(packed(rows))
        progress(min(BATCH, len(groups) - start))
    if problems:
        raise InputError(_listed(problems))
    return {**joined(parts), "kept": np.array(indices, np.int32)}


def _listed(problems: Sequence[InputError], limit: int = 20, per_cause: int = 3) -> str:
    """Return all problems in one message: the first by name, and of those with one cause the first few."""
    causes: Counter[str] = Counter()
    lines = [f"{len(problems)} rows cannot be used:"]
    for problem in problems:
        # A template that refuses one conversation refuses most of them in the same words, and would fill the message.
        cause = str(problem.__cause__)  # without the row's name
        causes[cause] += 1
        if causes[cause] <= per_cause and len(lines) <= limit:
            lines.append(f"  {problem}")
    if len(lines) <= len(problems):
        lines.append(f"  (+{len(problems) + 1 - len(lines)} more)")
    return "\n".join(lines)
