"""Say what to do with rows of no known layout: the nearest one, and the columns that may be meant by its fields."""

from __future__ import annotations

import re
from collections.abc import Sequence

from penchant.data.layouts.columns import SYSTEM_COLUMNS, ReadRow, text_columns
from penchant.data.layouts.layout import Layout
from penchant.data.layouts.pair_guess import guess_pair
from penchant.data.layouts.published import PUBLISHED
from penchant.data.layouts.quality import quality_columns
from penchant.data.layouts.recognition import PROMPT_LIKE, which_prompt
from penchant.data.layouts.registry import DEMONSTRATIONS, PREFERENCES
from penchant.data.sources.values import RowError, RowValues, cut
from penchant.errors import InputError, near_names

MOST_COLUMNS = 20  # in a message
LONGEST_NAME = 100  # characters of a column's name that is compared with others
OTHER_WORDS = {
    "prompt": ("problem", "task", "request", "ask", "user", "human", "query_text"),
    "chosen": ("good", "better", "best", "preferred", "winner", "winning", "win", "accepted", "positive"),
    "rejected": ("bad", "worse", "worst", "dispreferred", "loser", "losing", "lose", "refused", "negative"),
}
"""By field, words that people name a column of it by. A guess is offered, and never made."""


def describe_unknown(row: RowValues, layouts: Sequence[Layout]) -> str:
    """Return what an unknown row has, the nearest layout, what it lacks for it, and which column may be meant."""
    names = [name or "(unnamed)" for name, value in row.items() if value is not None]
    nearest = max(layouts, key=lambda layout: _nearness(layout, row, names))
    missing = ", ".join(map(" or ".join, nearest.missing(row)))
    lacks = f"lacks {missing}" if missing else "has fields of another kind"
    remainder = f" (+{len(names) - MOST_COLUMNS} more)" if len(names) > MOST_COLUMNS else ""
    rows_have = f"unknown layout. The rows have {', '.join(map(cut, names[:MOST_COLUMNS])) or '(none)'}{remainder}"
    table = ", ".join(layout.name for layout in layouts)
    if renamed := guess_pair(names, row, layouts):
        columns = "{" + ", ".join(f"{field}: {column}" for field, column in renamed.items()) + "}"
        return (
            f"{rows_have}, which may be two responses and who won. If so, set columns='{columns}', for training "
            "data.columns with the same"
        )
    if prompts := _only_text(row, layouts):
        return (
            f"{rows_have}, and {cut(prompts)!r} is the only text. If it holds the prompts, set "
            f"data.columns={{prompt: {cut(prompts)}}} (columns.prompt={cut(prompts)} for `penchant data`)"
        )
    return (
        f"{rows_have}. The nearest known layout is {nearest.name} ({nearest.fields}), for which the row {lacks}; "
        f"{_advice(row, nearest, names)}"
        f"\nKnown layouts (their fields: docs/reference/layouts.md): {table}"
    )


def _only_text(row: RowValues, layouts: Sequence[Layout]) -> str | None:
    """Return the only column with text, where prompts alone will do; None where there are several, or it has a name."""
    if not any(layout.name == "prompts" for layout in layouts):
        return None
    columns = text_columns(row)
    return columns[0] if len(columns) == 1 and not _guess(("prompt",), columns) else None


def _advice(row: RowValues, layout: Layout, names: Sequence[str]) -> str:
    """Return the columns to rename, if the row can be read then; else to convert the file."""
    layout_fields = {spelling for spellings in layout.required for spelling in spellings}
    spare = [name for name in names if name not in layout_fields]
    guesses = {spellings[0]: _guess(spellings, spare) for spellings in layout.missing(row)}
    renamed = {field: column for field, column in guesses.items() if column is not None}
    # A column that judges makes the nearest layout of demonstrations the wrong advice: it would be refused next.
    has_verdicts = layout in DEMONSTRATIONS and layout not in PREFERENCES and quality_columns(ReadRow(row))
    if has_verdicts or len(renamed) < len(guesses):
        renamed = {}
    if renamed:
        values = {name: value for name, value in row.items() if name not in renamed.values()}
        values |= {field: row[column] for field, column in renamed.items()}
        try:
            layout.parse(values, "")  # tried here, so that the advice is not followed by another error
        except InputError as error:  # another column may want a word too, and will be told so
            renamed = renamed if isinstance(error, RowError) and error.kind == "unread" else {}
    if "prompt" in renamed:
        likely = [name for name in spare if name.strip().lower() in PROMPT_LIKE and name not in SYSTEM_COLUMNS]
        if len(likely) > 1:
            return which_prompt(likely) + "."
    if not renamed:
        return (
            "convert the file to a known layout (data.columns={FIELD: COLUMN} renames columns; for `penchant data` "
            "columns.FIELD=COLUMN)."
        )
    words = "; ".join(f"rename {cut(column)!r} to {field!r}" for field, column in renamed.items())
    columns = ", ".join(f"{field}: {cut(column)}" for field, column in renamed.items())
    return f"{words}, or set data.columns={{{columns}}} (columns.FIELD=COLUMN for `penchant data`)."


def _nearness(layout: Layout, row: RowValues, names: list[str]) -> tuple[float, bool, bool, bool]:
    """Return the share of required fields that are there, similar names counting half.

    Among equals the layout that renaming columns leads to is nearer, then one that is not of a single data set, then
    ours.
    """
    absent = layout.missing(row)
    if not absent:  # all there, but of another kind, such as pairs whose prompt has an unknown name
        return 0.7 if len(layout.required) > 1 else 0.4, False, False, False
    similar = sum(bool(_guess(spellings, names)) for spellings in absent)
    share = 1 - (len(absent) - 0.5 * similar) / len(layout.required)
    return share, similar == len(absent), layout not in PUBLISHED, layout.name == "penchant"


def _guess(spellings: Sequence[str], spare: Sequence[str]) -> str | None:
    """Return a column that may be meant by a missing field: a similar name, or another word for the prompt."""
    short = [name for name in spare if len(name) <= LONGEST_NAME]  # likeness takes the product of both lengths
    if spellings[0] == "prompt" and (
        prompt_like := [column for column in short if column.strip().lower() in PROMPT_LIKE]
    ):
        return prompt_like[0]
    short = [column for column in short if column not in SYSTEM_COLUMNS]  # beside a prompt, and never one
    for name in spellings:
        similar = near_names(name, short, cutoff=0.7)
        similar = similar or [column for column in short if column.strip().lower() == name]
        similar = similar or [column for column in short if name in re.split(r"[_\-. ]", column.lower())]
        if similar:
            return similar[0]
    words = OTHER_WORDS.get(spellings[0], ())
    return next((column for column in short if {*words} & {*re.split(r"[_\-. ]", column.strip().lower())}), None)
