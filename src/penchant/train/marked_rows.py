"""Mark rows of a data set as training renders them: for `penchant data show`, and for the report of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
    indices = chosen_rows(len(prepared.train_side), prepared.train_sources)
    rendered = prepared.rendered.pick([prepared.train_side[index] for index in indices])
    rows = [
        mark_row(renderer, prepared.train_groups[index], row, side=TRAINED)
        for index, row in zip(indices, rendered, strict=True)
    ]
    write_marked_rows(folder, rows)


def chosen_rows(count: int, sources: Sequence[int]) -> list[int]:
    """Return which training rows a run keeps: the first ones, of a mixture the first ones of every source in turn.

    Args:
        count: of the training rows. sources: of each the number of its source; empty for plain data.
    """
    # the order of the file, never a draw: a reader finds them again at its top
    if not sources:
        return list(range(min(ROWS_OF_RUN, count)))
    first: dict[int, list[int]] = {}
    for index, source in enumerate(sources):
        first.setdefault(source, []).append(index)
    # each source may have a template of its own: one that is not shown may be the one that is wrong
    turns = sorted(
        (turn, source, index) for source, indices in first.items() for turn, index in enumerate(indices[:ROWS_OF_RUN])
    )
    return sorted(index for _, _, index in turns[: max(ROWS_OF_RUN, len(first))])


def keep_marked_samples(
    folder: RunFolder, renderer: Renderer, groups: Sequence[PromptGroup], rendered: Sequence[Rendered]
) -> None:
    """Write the first samples that a run draws and learns from, marked, with their rewards; later ones are passed over.

    Args:
        groups: the samples with their rewards as scores. rendered: as the loss takes them.
    """
    if not folder.writes or (folder.path / MARKED_FILE).exists():
        return
    pairs = zip(groups[:ROWS_OF_RUN], rendered, strict=False)
    write_marked_rows(folder, [_mark_samples(renderer, group, row) for group, row in pairs])


def _mark_samples(renderer: Renderer, group: PromptGroup, rendered: Rendered) -> MarkedRow:
    """Mark samples of a prompt; each has its reward as its label, which rewards of 0 and 1 would not have as scores."""
    row = mark_row(renderer, group.replace(scores=None), rendered, side=TRAINED)
    scores = group.scores or ()
    responses = [
        replace(response, label=f"reward {score:g}") for response, score in zip(row.responses, scores, strict=False)
    ]
    return replace(row, responses=tuple(responses))
