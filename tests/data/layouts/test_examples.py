"""Every layout has example rows: recognised, read whole, converted, rendered, and shown in the reference."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from chat_templates import CHATML, renderer
from penchant.data.check import check_preferences
from penchant.data.layouts import registry
from penchant.data.layouts.layout import EXAMPLES, Layout
from penchant.data.load import load_demonstrations, load_preferences, load_prompts, read_preferences
from penchant.data.sources.files import read_rows
from penchant.data.sources.rows import Row
from penchant.data.write import write_groups
from penchant.errors import InputError
from penchant.text_alone import media_of
from penchant.types import PromptGroup, prompt_turns
from repository import REPOSITORY

TEMPLATES = REPOSITORY / "tests" / "templates"
DEMONSTRATED = tuple(layout for layout in registry.DEMONSTRATIONS if layout is not registry.OWN_LAYOUT)
LAYOUTS = {layout.name: layout for layout in chain(registry.PREFERENCES, DEMONSTRATED, registry.PROMPTS)}
ALL = {name: (layout, path) for layout in LAYOUTS.values() for name, path in layout.examples.items()}
COMPARED = {name: pair for name, pair in ALL.items() if pair[0] in registry.PREFERENCES}


def read(layout: Layout, example: Path) -> list[PromptGroup]:
    """The groups of an example, by the loader that the layout is for."""
    if layout in registry.PREFERENCES:
        return load_preferences(example, ties="half", media=True)
    return load_demonstrations(example) if layout in DEMONSTRATED else load_prompts(example)


def rows_of(example: Path) -> list[dict[str, Any]]:
    items = list(read_rows(example, "train"))
    assert all(isinstance(item, Row) for item in items)
    return [item.values for item in items if isinstance(item, Row)]


def test_there_is_no_example_without_a_layout() -> None:
    assert {path.name.split(".")[0] for path in EXAMPLES.glob("*.jsonl")} == set(ALL)


@pytest.mark.parametrize(("layout", "example"), ALL.values(), ids=ALL)
def test_the_example_is_recognised_and_converted(layout: Layout, example: Path, tmp_path: Path) -> None:
    assert all(text.endswith(".") for text in (layout.about, *layout.variants.values()))
    table = (
        registry.PREFERENCES
        if layout in registry.PREFERENCES
        else registry.DEMONSTRATIONS
        if layout in DEMONSTRATED
        else registry.PROMPTS
    )
    for row in rows_of(example):
        detected = registry.detect(row, table)
        assert detected is not None
        assert detected.name == layout.name
    groups = read(layout, example)
    assert groups
    if layout.name == "text":  # its empty prompt is none that our own layout takes
        return
    assert all(group.prompt for group in groups)
    write_groups(groups, tmp_path / "ours.jsonl")
    load = load_prompts if layout in registry.PROMPTS and not groups[0].responses else load_preferences
    again = load(tmp_path / "ours.jsonl", **({} if load is load_prompts else {"ties": "half", "media": True}))
    assert again == groups


@pytest.mark.parametrize(("layout", "example"), COMPARED.values(), ids=COMPARED)
def test_the_example_says_something_and_is_in_order(layout: Layout, example: Path) -> None:
    loaded = read_preferences(example, ties="half", media=True)
    assert loaded.skipped_rows == 0
    compared = sum(len(group.comparisons) for group in loaded.groups)
    assert compared or layout.assumed or all(group.scores for group in loaded.groups)
    report = check_preferences(example, ties="half")
    assert report.layout == layout.name
    # of labels one kind alone teaches nothing, and what nobody compared is refused
    assert layout.assumed or report.media or not report.refusals


@pytest.mark.parametrize(("layout", "example"), ALL.values(), ids=ALL)
def test_the_example_is_rendered(layout: Layout, example: Path) -> None:
    groups = [group for group in read(layout, example) if group.responses]
    has_calls = any(turn.tool_calls for group in groups for turn in prompt_turns(group.prompt))
    has_thoughts = any(response.reasoning for group in groups for response in group.responses)
    template = (TEMPLATES / "qwen3.jinja").read_text(encoding="utf-8") if has_calls or has_thoughts else CHATML
    rendering = renderer(template)
    if layout.name == "text":  # which is no turn of anybody's
        rendering = replace(rendering, template="plain")
    for group in groups:
        if media_of(group):
            with pytest.raises(InputError, match=r"holds a picture \(2331718\.png\)|holds a picture \(the bytes\)"):
                rendering.render(group)
            continue
        rendered = rendering.render(group)
        for response, branch in zip(group.responses, rendered.branches, strict=True):
            scored = [branch.ids[index] for span in branch.spans for index in range(*span)]
            text = "".join(rendering.tokenizer.convert_ids_to_tokens(scored))
            assert response.text.strip() in text


def test_the_page_of_layouts_shows_every_example() -> None:
    page = (REPOSITORY / "docs" / "reference" / "layouts.md").read_text(encoding="utf-8")
    for name, (_, example) in ALL.items():
        assert f"[`{name}`](#example-{name})" in page
        for row in rows_of(example):
            assert json.dumps(row, ensure_ascii=False) in page
