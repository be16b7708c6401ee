"""Rows to groups: finds the layout, reads every row, and collects what cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from penchant.data import formats
from penchant.data.containers import Row, RowProblem, read_rows
from penchant.data.fields import RowError
from penchant.data.formats import Layout
from penchant.errors import InputError
from penchant.types import PromptGroup

SHOWN_PROBLEMS = 20
PEEKED_ROWS = 1000  # so many rows without a known layout are enough to give up
EXAMPLE = '{"prompt": "...", "chosen": "...", "rejected": "..."}'
BadRows = Literal["error", "skip"]


@dataclass
class Parsed:
    """What a file holds. One group a usable row, in the file's order, not yet merged."""

    layout: Layout
    groups: list[PromptGroup] = field(default_factory=list)
    problems: list[RowProblem] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """All rows, usable or not."""
        return len(self.groups) + len(self.problems)


def parse_source(
    source: str | Path,
    *,
    split: str,
    layouts: Sequence[Layout],
    layout: str | None,
    hints: Sequence[Layout] = (),
    refused: Sequence[Layout] = (),
) -> Parsed:
    """Read a file or hub data set and collect every row that cannot be used instead of stopping at it.

    Args:
        layouts: the ones to choose from, by the first row that looks like one of them.
        layout: the name of the one to use, whatever the rows look like.
        hints: layouts of another loader, which the error for an unknown layout then names.
        refused: layouts of another loader that are refused even if the rows look like one of `layouts` as
            well.

    Raises:
        InputError: nothing to read (missing, empty, damaged as a whole), or rows of no known or a refused
            layout.
    """
    parsed = Parsed(formats.layout_named(layout, layouts)) if layout else None
    mixable = () if layout else layouts  # a prescribed layout is not second-guessed
    waiting: list[Row | RowProblem] = []  # rows before the first that shows the layout
    for item in read_rows(source, split):
        if parsed is None and isinstance(item, Row):
            if formats.detect(item.values, refused):
                raise InputError(f"{source}: {_why_unknown([item], layouts, refused)}")
            found = formats.detect(item.values, layouts)
            if found:
                parsed = Parsed(found)
                for earlier in waiting:
                    _add(parsed, earlier, mixable)
        if parsed is not None:
            _add(parsed, item, mixable)
            continue
        waiting.append(item)
        if len(waiting) == PEEKED_ROWS:
            break
    if not (parsed.rows if parsed else waiting):
        raise InputError(f"{source}: the file is empty; expected one row a line, such as {EXAMPLE}")
    if parsed is None:
        raise InputError(f"{source}: {_why_unknown(waiting, layouts, hints)}")
    return parsed


def _add(parsed: Parsed, item: Row | RowProblem, layouts: Sequence[Layout]) -> None:
    if isinstance(item, RowProblem):
        parsed.problems.append(item)
        return
    try:
        _refuse_other_layout(parsed.layout, item, layouts)
        parsed.groups.append(parsed.layout.parse(item.values, item.source))
    except RowError as error:
        parsed.problems.append(RowProblem(item.source, error.kind, str(error)))
    except InputError as error:  # a check of the types themselves
        parsed.problems.append(RowProblem(item.source, "value", str(error)))


def _refuse_other_layout(layout: Layout, row: Row, layouts: Sequence[Layout]) -> None:
    """A row with another layout's fields is no bad row of this one; a row that only lacks a field is."""
    if layout.matches(row.values):
        return
    other = formats.detect(row.values, layouts)
    if other is None or other is layout:
        return
    ours = {spelling for spellings in layout.required for spelling in spellings}
    theirs = {s for spellings in other.required for s in spellings if row.values.get(s) is not None}
    if not theirs <= ours:
        raise RowError(
            "mixed", f"layout {other.name} ({other.fields}), but the file is {layout.name} ({layout.fields})"
        )


def _why_unknown(items: list[Row | RowProblem], layouts: Sequence[Layout], hints: Sequence[Layout]) -> str:
    rows = [item for item in items if isinstance(item, Row)]
    if not rows:
        return listed([item for item in items if isinstance(item, RowProblem)], len(items))
    hint = formats.detect(rows[0].values, hints)
    if hint is not None:
        kind = "demonstrations: use load_demonstrations, or the method sft"
        if hint.name == formats.UNPAIRED.name:
            kind = "responses labelled good or bad: use load_preferences, or the method kto"
        elif hint in formats.PREFERENCES:
            kind = "preferences: use load_preferences, or the method preferred_ft to learn from the winners only"
        return f"{rows[0].source} has the layout {hint.name}, which is for {kind}"
    return f"{rows[0].source}: {formats.describe_unknown(rows[0].values, layouts)}"


def listed(problems: Sequence[RowProblem], rows: int, shown: int = SHOWN_PROBLEMS) -> str:
    """All problems in one message: the first `shown` by name, the others as a number."""
    lines = [f"{len(problems)} of {rows} rows cannot be used:"]
    lines += [f"  {problem}" for problem in problems[:shown]]
    if len(problems) > shown:
        lines.append(f"  (+{len(problems) - shown} more)")
    return "\n".join(lines)
