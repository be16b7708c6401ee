"""Mark rows of a data set as training renders them: for `penchant data show`, and for the report of a run."""

from __future__ import annotations

from collections.abc import Sequence

from penchant.data.rendering.marked import MarkedRow, RefusedRow, mark_row
from penchant.data.rendering.renderer import Rendered, Renderer
from penchant.errors import InputError
from penchant.runs.marked_rows import MARKED_FILE, write_marked_rows
from penchant.runs.run_folder import RunFolder
from penchant.train.plan import split_by_prompt
from penchant.train.recipe import Prepared
from penchant.types import PromptGroup

ROWS_OF_RUN = 4  # rows that a run keeps of those it trains on
TRAINED, HELD_OUT = "trained on", "held out"


def mark_rows(
    groups: Sequence[PromptGroup], indices: Sequence[int], renderer: Renderer, *, held_out: float, seed: int
) -> list[MarkedRow | RefusedRow]:
    """Render and mark some groups of a data set.

    Args:
        groups: all of the data, since the side of a prompt depends on the others.
        indices: which of them, in the order wanted.
        held_out, seed: as training splits by them.
    """
    _, held_side = split_by_prompt(groups, held_out, seed) if held_out and len(groups) > 1 else ([], [])
    sides = dict.fromkeys(held_side, HELD_OUT)
    outcomes = renderer.render_many([groups[index] for index in indices])
    return [
        mark_row(renderer, groups[index], outcome, side=sides.get(index, TRAINED))
        if isinstance(outcome, Rendered)
        else RefusedRow(groups[index].source, _reason(outcome))
        for index, outcome in zip(indices, outcomes, strict=True)
    ]


def _reason(error: InputError) -> str:
    # the row's name stands before it in any case
    return str(error.__cause__ or error)


def keep_marked_rows(folder: RunFolder, prepared: Prepared, renderer: Renderer) -> None:
    """Write the first rows that a run trains on, marked, into its directory; a resumed run keeps those that it has."""
    if not folder.writes or (folder.path / MARKED_FILE).exists():
        return
    rendered = prepared.rendered.pick(prepared.train_side[:ROWS_OF_RUN])
    rows = [
        mark_row(renderer, group, row, side=TRAINED)
        for group, row in zip(prepared.train_groups, rendered, strict=False)
    ]
    write_marked_rows(folder, rows)
