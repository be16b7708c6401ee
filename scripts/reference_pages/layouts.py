"""The page of layouts: one section for each table of the registry, with a row and an example for every layout."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from penchant.data.layouts.layout import Layout
from penchant.data.layouts.registry import DEMONSTRATIONS, OWN_LAYOUT, PREFERENCES, PROMPTS, UNPAIRED
from penchant.data.sources.files import read_rows
from penchant.data.sources.rows import Row
from penchant.data.sources.values import RowValues

TITLE = """# Layouts

The shapes of rows that Penchant reads. The layout is found from the fields of the rows, and named; `data.layout=NAME`
settles it. [Data](data.md) says what is done about other columns, ratings and ties. This page is written from the
code by `scripts/reference.py`, and the tests read every example.
"""
LONGEST_EXAMPLE = 2_000  # characters of a row; the longest of ours has half of that


def layouts_page() -> str:
    """Return the page as Markdown."""
    compared = [layout for layout in PREFERENCES if layout not in UNPAIRED]
    demonstrations = [layout for layout in DEMONSTRATIONS if layout is not OWN_LAYOUT]
    known = {layout.name for layout in (*PREFERENCES, *DEMONSTRATIONS)}
    parts = {
        "Preferences": compared,
        "Labels, for `kto`": UNPAIRED,
        "Demonstrations, for `sft`": demonstrations,
        "Prompts alone": [layout for layout in PROMPTS if layout.name not in known],
    }
    lines = [TITLE]
    for title, layouts in parts.items():
        lines += [f"## {title}", "", *_table(layouts), *_examples(layouts)]
    return "\n".join(lines).rstrip() + "\n"


def _table(layouts: Sequence[Layout]) -> list[str]:
    rows = dict(_rows(layouts))
    return [
        "| layout | fields | what it is, and what becomes of it |",
        "|---|---|---|",
        *(rows[name] for name in sorted(rows)),
        "",
    ]


def _rows(layouts: Sequence[Layout]) -> Iterator[tuple[str, str]]:
    """Yield a row for each layout, and for each data set that is known by a name of its own."""
    for layout in layouts:
        fields = ", ".join(" or ".join(f"`{name}`" for name in spellings) for spellings in layout.required)
        yield layout.name, _row(layout.name, fields, layout.about)
        for name, about in layout.variants.items():
            yield name, _row(name, f"as `{layout.name}`", about)


def _row(name: str, fields: str, about: str) -> str:
    return f"| [`{name}`](#example-{name}) | {fields} | {about.replace('|', '&#124;')} |"


def _examples(layouts: Sequence[Layout]) -> Iterator[str]:
    examples = {name: path for layout in layouts for name, path in layout.examples.items()}
    for name in sorted(examples):
        rows = [item.values for item in read_rows(examples[name], "train") if isinstance(item, Row)]
        yield from [f"#### Example: {name}", "", "```json", *map(_shown, rows), "```", ""]


def _shown(row: RowValues) -> str:
    text = json.dumps(row, ensure_ascii=False)
    assert len(text) <= LONGEST_EXAMPLE, f"an example of {len(text)} characters is too long for a page: {text[:80]}"
    return text
