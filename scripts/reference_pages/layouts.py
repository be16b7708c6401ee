"""The page of layouts: one section for each table of the registry, with a row and an example for every layout."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from penchant.data.layouts.layout import Layout
from penchant.data.layouts.registry import DEMONSTRATIONS, OWN_LAYOUT, PREFERENCES, PROMPTS, UNPAIRED

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
    rows = [
        f"| [`{layout.name}`](#{_anchor(layout)}) | {_fields(layout)} | {layout.about.replace('|', '&#124;')} |"
        for layout in sorted(layouts, key=lambda layout: layout.name)
    ]
    return ["| layout | fields | what it is, and what becomes of it |", "|---|---|---|", *rows, ""]


def _fields(layout: Layout) -> str:
    return ", ".join(" or ".join(f"`{name}`" for name in spellings) for spellings in layout.required)


def _anchor(layout: Layout) -> str:
    return f"example-{layout.name}"


def _examples(layouts: Sequence[Layout]) -> Iterator[str]:
    for layout in sorted(layouts, key=lambda layout: layout.name):
        rows = layout.example.read_text(encoding="utf-8").splitlines()
        yield from [f"#### Example: {layout.name}", "", "```json", *map(_shown, rows), "```", ""]


def _shown(row: str) -> str:
    text = json.dumps(json.loads(row), ensure_ascii=False)
    assert len(text) <= LONGEST_EXAMPLE, f"an example of {len(text)} characters is too long for a page: {text[:80]}"
    return text
