"""A whole data set as token ids: tokenized in large batches, and kept on disk where that is worth it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from penchant.data.render import Renderer, TooLong
from penchant.data.rendered import Arrays, Rendered, RenderedRows, joined, packed
from penchant.data.token_cache import TokenFile
from penchant.errors import InputError
from penchant.types import PromptGroup

BATCH = 512  # groups tokenized in one go: enough work for every core, little enough to hold as Python objects
WORTH_KEEPING = 5_000  # responses; fewer are tokenized in less than about half a second


@dataclass(frozen=True)
class RenderReport:
    """What rendering a data set did: counts over groups (dropped, truncated) and responses (unstable)."""

    dropped_too_long: int = 0
    truncated: int = 0
    unstable_boundaries: int = 0


def render_all(
    groups: Iterable[PromptGroup], renderer: Renderer, *, cache: Path | None = None
) -> tuple[list[PromptGroup], RenderedRows, RenderReport]:
    """Render a data set under the renderer's policy.

    Args:
        cache: a folder where the ids of large data sets are kept, by content, for the next run; None for none.

    Returns:
        The groups that were kept, their renderings (same order), and counts of what was dropped or cut.

    Raises:
        InputError: rows that cannot be rendered, or are too long under `overflow=error`: all of them, by name.
    """
    groups = list(groups)
    large = sum(len(group.responses) for group in groups) >= WORTH_KEEPING
    file = TokenFile.of(groups, renderer, cache) if cache is not None and large else None
    arrays = file.load() if file else None
    if arrays is None:
        arrays = _render(groups, renderer)
        if file:
            file.keep(arrays)
    kept = [groups[place] for place in arrays["kept"].tolist()]
    report = RenderReport(len(groups) - len(kept), int(arrays["truncated"].sum()), int(arrays["unstable"].sum()))
    return kept, RenderedRows(arrays, [group.source for group in kept]), report


def _render(groups: list[PromptGroup], renderer: Renderer) -> Arrays:
    """The packed renderings, and as `kept` which groups they are of."""
    kept: list[int] = []
    parts: list[Arrays] = []
    problems: list[str] = []
    for start in range(0, len(groups), BATCH):
        rows: list[Rendered] = []
        for place, outcome in enumerate(renderer.render_many(groups[start : start + BATCH]), start):
            if isinstance(outcome, Rendered):
                kept.append(place)
                rows.append(outcome)
            elif not (isinstance(outcome, TooLong) and renderer.overflow == "drop"):
                problems.append(str(outcome))
        parts.append(packed(rows))
    if problems:
        more = f"\n  (+{len(problems) - 20} more)" if len(problems) > 20 else ""
        raise InputError(f"{len(problems)} rows cannot be used:\n  " + "\n  ".join(problems[:20]) + more)
    return {**joined(parts), "kept": np.array(kept, np.int32)}
