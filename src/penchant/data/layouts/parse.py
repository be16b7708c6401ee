"""Turn rows into groups: find the layout, read every row, and collect what cannot be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from penchant.data.layouts import registry as formats
from penchant.data.layouts.cells import unfold_turns
from penchant.data.layouts.columns import (
    CONTEXT_COLUMNS,
    TOOL_COLUMNS,
    ReadRow,
    add_system,
    rename_columns,
    text_columns,
    unused_field,
)
from penchant.data.layouts.layout import Layout
from penchant.data.layouts.other_columns import other_columns
from penchant.data.layouts.quality import judging_columns, quality_columns
from penchant.data.layouts.rating_rules import join_ratings
from penchant.data.layouts.trees import unfold_trees
from penchant.data.layouts.unknown import describe_unknown
from penchant.data.options import Columns, RatingRules, ReadOptions
from penchant.data.sources.files import read_rows
from penchant.data.sources.rows import Row, RowProblem
from penchant.data.sources.values import RowError, bulleted, cut
from penchant.errors import InputError
from penchant.types import Prompt, PromptGroup

if TYPE_CHECKING:
    from penchant.data.media_files import MediaReader

SHOWN_PROBLEMS = 20
OF_ALL_ROWS = ("unread", "column")  # kinds of problems that a column causes, in each row alike
PEEKED_ROWS = 1000  # so many rows without a known layout are enough to give up; they are held in memory
EXAMPLE = '{"prompt": "...", "chosen": "...", "rejected": "..."}'


Accept = Callable[[PromptGroup, ReadRow], None]
"""Raises `RowError` for a group that a loader does not take, by the columns of its row."""


@dataclass(frozen=True)
class RowTexts:
    """What a row says in columns that nobody reads: by column, a digest of its text."""

    prompt: Prompt
    source: str
    digests: dict[str, int]


@dataclass
class Parsed:
    """The content of a file: one group per usable row, in the file's order, not yet merged.

    Where rows hold one rated response each, those of one prompt are one group.

    Attributes:
        prescribed: whether somebody named the layout.
        unread: the columns that hold something and are not read, with the number of their rows.
        ratings: how ratings were read, with the number of the rows that have some.
        codes: the values of the column that the layout's `codes` names.
        texts: per usable row, what it holds in unread columns with text of their own.
        system_added: how many prompts were given the system turn of `ReadOptions.system`.
        raters: by the row (`PromptGroup.source`), who rated its response.
        known: of the unread columns those that the layout's reader knows and leaves out, such as `model_a`.
        passed_over: the columns with texts that nobody reads of rows that are refused, with the number of their rows.
        judging: the unread columns that by their names judge what was compared, with the number of their rows.
        keep_columns: groups keep the other columns of their rows.
    """

    layout: Layout
    prescribed: bool = False
    groups: list[PromptGroup] = field(default_factory=list)
    problems: list[RowProblem] = field(default_factory=list)
    unread: Counter[str] = field(default_factory=Counter)
    ratings: Counter[str] = field(default_factory=Counter)
    texts: list[RowTexts] = field(default_factory=list)
    codes: set[object] = field(default_factory=set)
    judging: Counter[str] = field(default_factory=Counter)
    system_added: int = 0
    raters: dict[str, str] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    passed_over: Counter[str] = field(default_factory=Counter)
    keep_columns: bool = False

    @property
    def rows(self) -> int:
        """Count all rows, usable or not."""
        return len(self.texts) + len(self.problems)


class UnknownLayoutError(InputError):
    """Raised where rows are of no layout that a loader reads: of none at all, or of another loader's."""


def parse_source(
    source: str | Path,
    options: ReadOptions,
    *,
    layouts: Sequence[Layout],
    hints: Sequence[Layout] = (),
    refused: Sequence[Layout] = (),
    accept: Accept | None = None,
) -> Parsed:
    """Read a file or hub data set and collect every row that cannot be used instead of stopping at it.

    Args:
        options: of these `layout`, `split`, `columns`, `system`, `score` and `margin` are used here.
        layouts: the ones to choose from, by the first row that looks like one of them.
        hints: layouts of another loader, which the error for an unknown layout then names.
        refused: layouts of another loader that are refused even if the rows look like one of `layouts` as
            well.
        accept: raises `RowError` for a group that this loader does not take.

    Raises:
        InputError: nothing to read (missing, empty, damaged as a whole), or rows of no known or a refused
            layout.
    """
    parsed: Parsed | None = None
    if options.layout:
        prescribed_layout = formats.layout_named(options.layout, layouts)
        parsed = Parsed(prescribed_layout, prescribed=True, keep_columns=options.keep_columns)
    mixable = () if options.layout else layouts  # a prescribed layout is not second-guessed
    reader = _media_reader(source, options)
    waiting: list[Row | RowProblem] = []  # rows before the first that shows the layout
    for item in unfold_trees(_prepared(read_rows(source, options.split), options.columns or {})):
        if parsed is None and isinstance(item, Row):
            # Before the layouts that are taken: a preference file looks like demonstrations as well, and would teach
            # its losing responses.
            if formats.detect(item.values, refused):
                raise UnknownLayoutError(f"{source}: {_why_unknown([item], layouts, refused)}")
            if detected := formats.detect(item.values, layouts):
                parsed = Parsed(detected, keep_columns=options.keep_columns)
                for waiting_item in waiting:
                    _add(parsed, waiting_item, mixable, accept, options.rules, reader)
        if parsed is not None:
            _add(parsed, item, mixable, accept, options.rules, reader)
            continue
        waiting.append(item)
        if len(waiting) == PEEKED_ROWS:
            break
    if not (parsed.rows if parsed else waiting):
        raise InputError(f"{source}: the file is empty; expected one row per line, such as {EXAMPLE}")
    if parsed is None:
        raise UnknownLayoutError(f"{source}: {_why_unknown(waiting, layouts, hints)}")
    _require_ratings(source, parsed, options.rules)
    _require_fields(source, parsed, options.columns or {}, layouts)
    if parsed.layout.joined:
        parsed.groups = join_ratings(parsed.groups, options.rules, parsed.raters)
    if options.system is not None:
        _add_system(parsed, options.system, str(source))
    return parsed


def _require_ratings(source: str | Path, parsed: Parsed, rules: RatingRules) -> None:
    """Refuse a choice of ratings in a file that has none: nobody would learn that it did nothing.

    Raises:
        InputError: `score` or `margin` is set, and no row was read by it.
    """
    if parsed.ratings or not parsed.groups:  # a file without a usable row has its own message
        return
    scored = any(group.scores is not None for group in parsed.groups)
    if rules.score is not None:
        raise InputError(
            f"{source}: data.score={rules.score!r} chooses between ratings, and the rows of the layout "
            f"{parsed.layout.name} have none to choose from; leave it out"
        )
    if rules.margin and not scored:
        raise InputError(f"{source}: data.margin={rules.margin:g} compares ratings, and no row has any; leave it out")


def _require_fields(source: str | Path, parsed: Parsed, columns: Columns, layouts: Sequence[Layout]) -> None:
    """Refuse a map to a field that was read in no row, such as a misspelt one.

    Raises:
        InputError: names the field, and the nearest one.
    """
    rows = len(parsed.groups)
    unread = {name for name, count in parsed.unread.items() if count == rows and name not in parsed.known}
    known_fields = [*CONTEXT_COLUMNS, *TOOL_COLUMNS]
    for layout in (parsed.layout, *layouts):  # the layout of the rows first: of equally near names the first is given
        known_fields += [
            spelling for spellings in layout.required for spelling in spellings if spelling not in known_fields
        ]
    if fault := unused_field(columns, unread, known_fields):
        raise InputError(f"{source}: {fault} (layout {parsed.layout.name}: {parsed.layout.fields})")


def _add_system(parsed: Parsed, text: str, source: str) -> None:
    """Give a system turn to the prompts that have none.

    Raises:
        InputError: there is no prompt in the whole file.
    """
    if parsed.groups and not any(group.prompt for group in parsed.groups):
        raise InputError(
            f"{source}: the layout {parsed.layout.name} has texts without prompts, before which no system turn can "
            "stand; leave `system` out"
        )
    groups = [add_system(group, text) for group in parsed.groups]
    parsed.system_added = sum(new is not old for new, old in zip(groups, parsed.groups, strict=True))
    parsed.groups = groups


def _prepared(items: Iterator[Row | RowProblem], columns: Columns) -> Iterator[Row | RowProblem]:
    """Yield rows with columns under the names of fields, and with turns instead of turns written as text."""
    for item in items:
        if isinstance(item, RowProblem):
            yield item
            continue
        try:
            values = rename_columns(item.values, columns) if columns else item.values
            values = {name: value if value == value else None for name, value in values.items()}  # NaN: a missing cell
            yield Row(item.source, unfold_turns(values))
        except RowError as error:
            yield RowProblem(item.source, error.kind, str(error))


def _media_reader(source: str | Path, options: ReadOptions) -> MediaReader | None:
    """Return what opens the pictures and sounds of rows; None where text alone can be used."""
    if not options.media:
        return None
    # inside: data of text alone is read without what opens pictures
    from penchant.data.media_files import MediaReader

    return MediaReader.for_source(str(source), options.media_folder)


def _add(
    parsed: Parsed,
    item: Row | RowProblem,
    layouts: Sequence[Layout],
    accept: Accept | None,
    rules: RatingRules,
    reader: MediaReader | None,
) -> None:
    if isinstance(item, RowProblem):
        parsed.problems.append(item)
        return
    row = ReadRow(item.values, rules, reader)
    try:
        _refuse_other_layout(parsed.layout, item, layouts)
        group = parsed.layout.parse(row, item.source, prescribed=parsed.prescribed)
        if accept is not None:
            accept(group, row)
    except RowError as error:
        parsed.problems.append(RowProblem(item.source, error.kind, str(error)))
        parsed.passed_over.update(_passed_over(parsed.layout, row))
        return
    except InputError as error:  # a check of the types themselves
        parsed.problems.append(RowProblem(item.source, "value", str(error)))
        return
    # Only now has every reader looked at the row.
    unread = row.unread()
    if parsed.keep_columns:
        # our own layout reads lists (`responses`, `scores`) that are no columns of a row
        cells = unread if parsed.layout.name == "penchant" else item.values
        group = group.replace(columns={**other_columns(cells, group), **group.columns})
    if parsed.layout.codes is not None:
        parsed.codes.add(row[parsed.layout.codes[0]])
    parsed.groups.append(group)
    if row.rating:
        parsed.ratings[row.rating] += 1
    if row.rater:
        parsed.raters[group.source] = row.rater
    parsed.unread.update([*unread, *sorted(row.nested)])
    parsed.known |= row.nested
    if group.comparisons or group.scores is not None:
        parsed.judging.update(judging_columns(unread))
    # A digest instead of the text: unread columns may hold more than all that is read.
    digests = {name: hash(repr(unread[name])) for name in text_columns(unread, group)}
    parsed.texts.append(RowTexts(group.prompt, group.source, digests))


def _passed_over(layout: Layout, row: ReadRow) -> list[str]:
    """Return the columns with texts of a refused row that are no field of the layout: perhaps the responses."""
    fields = {spelling for spellings in layout.required for spelling in spellings}
    return [name for name in text_columns(row.unread()) if name not in fields]


def _refuse_other_layout(layout: Layout, row: Row, layouts: Sequence[Layout]) -> None:
    """Refuse a row of another layout. A row that only lacks a field is a bad row of this one."""
    if layout.matches(row.values):
        return
    other = formats.detect(row.values, layouts)
    if other is None or other is layout:
        return
    # What speaks for the other layout is a field that this one does not know; else the row only has less of it.
    own_fields = {spelling for spellings in layout.required for spelling in spellings}
    other_fields = {s for spellings in other.required for s in spellings if row.values.get(s) is not None}
    if not other_fields <= own_fields:
        raise RowError(
            "mixed", f"layout {other.name} ({other.fields}), but the file is {layout.name} ({layout.fields})"
        )


def _why_unknown(items: list[Row | RowProblem], layouts: Sequence[Layout], hints: Sequence[Layout]) -> str:
    rows = [item for item in items if isinstance(item, Row)]
    if not rows:  # every line is damaged, so nothing is known of the layout
        return listed([item for item in items if isinstance(item, RowProblem)], len(items))
    if (other := formats.detect(rows[0].values, hints)) is not None:
        if other.joined and (rated := quality_columns(ReadRow(rows[0].values))):
            return (
                f"{rows[0].source}: field {cut(rated[0])!r} says how good the response is, and sft would teach the "
                "bad ones: use a method that compares the responses to one prompt, such as dpo, or give each a "
                f"`label` (true or false) for the method kto. data.columns={{{cut(rated[0])}: null}} leaves it out"
            )
        return f"{rows[0].source} has the layout {other.name}, which is for {_purpose(other, rows[0])}"
    return f"{rows[0].source}: {describe_unknown(rows[0].values, layouts)}"


def _purpose(layout: Layout, row: Row) -> str:
    """Return what a layout of another loader is for, with the method that reads it."""
    if layout in formats.UNPAIRED:
        return "responses labelled good or bad: use the method kto (in Python: load_preferences)"
    if layout in formats.PREFERENCES and layout.name != "penchant":
        return (
            "preferences: use a method that learns from them, such as dpo, or preferred_ft to learn from the winners "
            "only (in Python: load_preferences)"
        )
    if rated := quality_columns(ReadRow(row.values)):
        return (
            f"single responses, and the column {cut(rated[0])!r} says how good each is. To compare those to one "
            f"prompt by it, name the columns (data.columns={{prompt: ..., response: ..., rating: {cut(rated[0])}}}), "
            "or write them into one row (`responses`, with `scores` or `ranks`); for the method kto give each a "
            "`label` (true or false)"
        )
    return "demonstrations: use load_demonstrations, or the method sft"


def listed(problems: Sequence[RowProblem], rows: int, limit: int = SHOWN_PROBLEMS) -> str:
    """Return all problems in one message: the first `limit` by name, the others as a number.

    What a column or a layout is not read for is the same in every row, and said once; so is a value that a
    fifth of the rows share.
    """
    counts = Counter(problem.message for problem in problems)
    # An empty cell is a mistake of its row, and named; a spelling that nobody reads is one of the file.
    values = {problem.message for problem in problems if problem.kind == "value"}
    of_all = {problem.message for problem in problems if problem.kind in OF_ALL_ROWS}
    of_all |= {message for message in values if counts[message] > 2 and counts[message] * 5 >= rows}
    once = {problem.message: problem for problem in reversed(problems) if problem.message in of_all}
    single = [problem for problem in problems if once.get(problem.message, problem) is problem]
    repetitions = [counts[problem.message] - 1 if problem.message in of_all else 0 for problem in single]
    entries = [
        f"{problem} (and {count} more rows)" if count > 0 else str(problem)
        for problem, count in zip(single, repetitions, strict=True)
    ]
    return "\n".join([f"{len(problems)} of {rows} rows cannot be used:", *bulleted(entries, limit)])
