"""Mark rows of a data set as training renders them: for `penchant data show`, and for the report of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from penchant.data.rendering.marked import MarkedRow, RefusedRow, mark_row
from penchant.data.rendering.renderer import Rendered, Renderer
from penchant.errors import InputError
from penchant.runs.marked_rows import MARKED_FILE, write_marked_rows
from penchant.runs.run_folder import RunFolder
from penchant.train.mixture import split_sources
from penchant.train.recipe import Prepared
from penchant.train.scan import prompt_keys
from penchant.types import PromptGroup

ROWS_OF_RUN = 4  # rows that a run keeps of those it trains on
TRAINED, HELD_OUT, LEFT_OUT = "trained on", "held out", "left out"


@dataclass(frozen=True)
class ShownPart:
    """A source of the data, and which of its rows are marked.

    Attributes:
        groups: all of its rows, since the side of a prompt depends on the others.
        indices: which of them are marked, in the order wanted.
        renderer: of this source.
        evaluation: the source is held out as a whole.
    """

    groups: Sequence[PromptGroup]
    indices: Sequence[int]
    renderer: Renderer
    evaluation: bool = False


def mark_rows(parts: Sequence[ShownPart], *, held_out: float, seed: int) -> list[MarkedRow | RefusedRow]:
    """Render and mark rows of each source of a data set.

    Args:
        held_out, seed: as training splits by them. The split is that of training unless training drops rows.
    """
    keys = prompt_keys([part.groups for part in parts], seed)
    sides = split_sources(keys, [part.evaluation for part in parts], held_out)
    names = dict.fromkeys(sides.train, TRAINED) | dict.fromkeys(sides.held, HELD_OUT)
    rows: list[MarkedRow | RefusedRow] = []
    first = 0  # the number of the source's first group over all sources
    for part in parts:
        chosen = [part.groups[index] for index in part.indices]
        for index, group, outcome in zip(part.indices, chosen, part.renderer.render_many(chosen), strict=True):
            if isinstance(outcome, Rendered):
                # a prompt that a source for evaluation has too is on neither side
                rows.append(mark_row(part.renderer, group, outcome, side=names.get(first + index, LEFT_OUT)))
            else:
                rows.append(RefusedRow(group.source, _reason(outcome)))
        first += len(part.groups)
    return rows


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
