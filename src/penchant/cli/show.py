"""`penchant data show`: rows as a model is given them, with what is taught of them marked."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from penchant.cli.arguments import Arguments, Command
from penchant.cli.early_imports import import_early
from penchant.cli.marked_lines import print_rows
from penchant.cli.outputs import add_overwrite_flag, check_file
from penchant.config.limits import Rows, Seed, Text
from penchant.data.settings import DataConfig
from penchant.errors import InputError
from penchant.files import write_text

if TYPE_CHECKING:
    from penchant.data.rendering.renderer import Renderer
    from penchant.train.marked_rows import ShownPart
    from penchant.types import PromptGroup

WOULD_REFUSE = 2


class DataShow(DataConfig):
    """Show rows of a file as a model is given them: what is context, what is scored, and where responses part.

    The settings of the file are those of `data` in a training run.
    """

    method: ClassVar[str] = "data show"

    model: Text
    """The model that is trained: its tokenizer and chat template render the rows. Its weights are not loaded."""
    n: Rows = 3
    """How many rows are shown, of each source."""
    row: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    """The line of the file to begin with; the first one if not given."""
    order: Literal["file", "random"] = "file"
    """Which rows are shown: those that follow each other in the file, or some that `seed` draws."""
    seed: Seed = 0
    """Fixes which rows are held out, as in training, and which ones `order=random` draws."""
    kind: Literal["auto", "preferences", "demonstrations"] = "auto"
    """What the file is read as; `auto` takes demonstrations where a file has no preferences."""
    turns: Literal["last", "every"] = "last"
    """What a conversation teaches, as for `sft`: its last assistant turn, or every one."""
    characters: Annotated[int, Field(ge=20, le=100_000_000)] = 4_000
    """Characters of a piece that are shown at most; the middle of a longer one is left out and counted."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model. Only for a source that you trust as much as your own code."""
    out: Text | None = None
    """Write the rows as a page here too: .html."""


def _show(arguments: Arguments) -> int:
    config = arguments.load(DataShow)
    if config.out is not None and not config.out.endswith((".html", ".htm")):
        raise InputError(f"out={config.out}: the rows are written as a page; give a name that ends in .html")
    if config.out is not None:
        check_file(config.out, arguments.flags, page=True)
    import_early("penchant.train.inputs.sources", "transformers")
    from penchant.data.rendering.marked import RefusedRow
    from penchant.reports.run.marked import marked_page
    from penchant.train.marked_rows import mark_rows

    rows = mark_rows(_parts(config), held_out=config.held_out, seed=config.seed)
    print_rows(rows, characters=config.characters)
    if config.out is not None:
        write_text(Path(config.out), marked_page(rows, _title(config), config.model, config.characters))
        print(f"page: {config.out}")
    # as `data check`: a script that trains next must stop here
    return WOULD_REFUSE if any(isinstance(row, RefusedRow) for row in rows) else 0


def _title(config: DataShow) -> str:
    return " + ".join(Path(part.path).name for part in config.parts)


def _parts(config: DataShow) -> list[ShownPart]:
    """Read each source, and choose the rows to show of it.

    Raises:
        InputError: a source cannot be read, or has no such row.
    """
    from penchant.train.inputs.kinds import read_rows
    from penchant.train.marked_rows import ShownPart

    # of several files nobody knows which line is meant
    if config.sources and config.row is not None:
        raise InputError(f"row={config.row} is a line of one file: give that file instead of sources")
    evaluation = [source.evaluation for source in config.sources] or [False]
    shown_parts = []
    for part, is_evaluation in zip(config.parts, evaluation, strict=True):
        groups = read_rows(part, part.kind).groups
        chosen = _chosen(groups, part)
        # as `sft` and `kto`: what the file says of earlier turns decides, but for comparisons, which are of responses
        switches = not any(groups[index].comparisons for index in chosen)
        renderer = replace(_renderer(part), switches=switches)
        shown_parts.append(ShownPart(groups, chosen, renderer, is_evaluation))
    return shown_parts


def _chosen(groups: Sequence[PromptGroup], config: DataShow) -> list[int]:
    """Return the indices of the rows to show.

    Raises:
        InputError: no prompt begins in the line that was asked for.
    """
    first = 0
    if config.row is not None:
        # reversed: of two groups from one line the first is shown
        lines = {line: index for index, group in reversed(list(enumerate(groups))) if (line := _line(group))}
        if config.row not in lines:
            # merged rows stand under their first line, so the asked one may be near
            nearest = sorted(lines, key=lambda line: (abs(line - (config.row or 0)), line))[:3]
            raise InputError(
                f"{config.path}: no prompt begins in row {config.row}"
                + (f" (the nearest: {', '.join(map(str, sorted(nearest)))})" if nearest else "")
                + ". Rows of one prompt stand under the first of them; merge=false shows each"
            )
        first = lines[config.row]
    later = list(range(first, len(groups)))
    if config.order == "random":
        # from `row` on here too, so that both settings mean what they say
        later = random.Random(config.seed).sample(later, min(config.n, len(later)))
    return later[: config.n]


def _line(group: PromptGroup) -> int | None:
    """Return the line that a group comes from; None where its source has none."""
    _, colon, line = group.source.rpartition(":")
    return int(line) if colon and line.isdecimal() else None


def _renderer(config: DataShow) -> Renderer:
    from penchant.models.bounded import load_bounded_renderer

    renderer = load_bounded_renderer(
        config.model, rendering=config.rendering, trust_remote_code=config.trust_remote_code
    )
    return replace(renderer, every_turn=config.turns == "every")


SHOW = Command(
    "show",
    DataShow,
    _show,
    help="show rows as a model is given them, with what is taught marked",
    positionals={"path": "FILE"},
    add_flags=add_overwrite_flag,
    example="prefs.jsonl model=penchant-0.5m n=3",
)
