"""Nothing that a row says in words is lost without a word: it is in the group, or its column is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penchant.data.layouts import registry
from penchant.data.layouts.columns import ReadRow, texts_in
from penchant.data.layouts.parse import parse_source
from penchant.data.options import ReadOptions
from penchant.data.sources.files import read_rows
from penchant.data.sources.rows import Row
from penchant.errors import InputError
from penchant.types import Message, PromptGroup, prompt_turns

EXAMPLES = {
    name: path for layout in registry.PREFERENCES for name, path in layout.examples.items() if layout.name != "text"
}
NAMES = [
    *sorted({name for layout in registry.PREFERENCES for names in layout.required for name in names}),
    *("system", "input", "context", "history", "tools", "images", "note", "title", "Prompt", "source", "judge", "id"),
    *("rationale", "score_chosen", "winner", "comment", "problem", "models", "full_conversation", "annotator", "topic"),
]


def said(group: PromptGroup) -> str:
    """All that a group says, as one text; JSON in it without its escapes too."""
    texts: list[str] = []
    for item in (*prompt_turns(group.prompt), *group.responses):
        texts += [item.text, item.reasoning]
        texts += [part for call in item.tool_calls for part in (call.name, call.arguments, call.id)]
        texts.append(item.name if isinstance(item, Message) else "")
    texts += [comparison.annotator or "" for comparison in group.comparisons]
    # where the prompt is the beginning of both responses
    texts += [group.prompt + response.text for response in group.responses if isinstance(group.prompt, str)]
    return "\n".join(texts)


def words_of_row(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The column and each text in it with a space, which is what people write; names of models and keys have none."""
    for name, value in row.items():
        for text in texts_in(value):
            if " " in text.strip() and name != "winner":  # whose words are verdicts
                yield name, text.strip()


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_texts_of_the_examples_are_in_their_groups_or_named(example: Path) -> None:
    parsed = parse_source(example, ReadOptions(media=True), layouts=registry.PREFERENCES)
    everything = "\n".join(map(said, parsed.groups))
    rows = [item.values for item in read_rows(example, "train") if isinstance(item, Row)]
    for row in rows:
        for name, text in words_of_row(row):
            parts = _parts(text)
            is_read = all(part in everything for part in parts)
            is_named = any(column == name or column.startswith((f"{name}[", f"{name}.")) for column in parsed.unread)
            assert is_read or is_named, (name, text, dict(parsed.unread))


def _parts(text: str) -> list[str]:
    """A text, or what is left of it without the marks of a transcript, or the texts that it lists as JSON."""
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if not isinstance(value, str):
        return [part.strip() for part in texts_in(value)]
    for mark in ("Human:", "Assistant:", "<extra_id_1>User", "<extra_id_1>Assistant", "TL;DR:", "<image>"):
        value = value.replace(mark, "\n")
    return [line.strip() for line in value.splitlines() if line.strip()]


@st.composite
def rows_with_columns(draw: st.DrawFn) -> tuple[dict[str, Any], list[str]]:
    """A row of an example with one to three more columns of text, and their names."""
    example = draw(st.sampled_from(sorted(EXAMPLES)))
    lines = EXAMPLES[example].read_text(encoding="utf-8").splitlines() if EXAMPLES[example].suffix == ".jsonl" else []
    row = json.loads(draw(st.sampled_from(lines))) if lines else {"prompt": "p", "chosen": "a", "rejected": "b"}
    spare = [name for name in NAMES if row.get(name) is None]
    columns = draw(st.lists(st.sampled_from(spare) | st.text("abc _", min_size=1, max_size=6), min_size=1, max_size=3))
    names = [name for name in dict.fromkeys(columns) if name not in row]
    for index, name in enumerate(names):
        text = f"words of column {index}"
        row[name] = draw(st.sampled_from([text, [text], {"key": text}, [{"role": "user", "content": text}]]))
    return row, names


FAST = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@FAST
@given(drawn=rows_with_columns())
def test_columns_of_text_are_read_named_or_refused(drawn: tuple[dict[str, Any], list[str]]) -> None:
    check_columns(*drawn)


@pytest.mark.slow
@settings(FAST, max_examples=1_000)
@given(drawn=rows_with_columns())
def test_many_columns_of_text_are_read_named_or_refused(drawn: tuple[dict[str, Any], list[str]]) -> None:
    check_columns(*drawn)


def check_columns(values: dict[str, Any], names: list[str]) -> None:
    layout = registry.detect(values, registry.PREFERENCES)
    if layout is None:  # an unknown layout names all columns
        return
    row = ReadRow(values)
    try:
        group = layout.parse(row, "rows.jsonl:1")
    except InputError:  # a row that is not read loses nothing
        return
    unread = {*row.unread(), *row.nested}
    for index, name in enumerate(names):
        # a rater is told by the comparisons of rows that have one prompt, which a row alone does not make
        known = f"{said(group)}\n{row.rater}"
        assert f"words of column {index}" in known or name in unread, (layout.name, name, values)
