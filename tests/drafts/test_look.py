"""What a file is taken for, by every layout that is known, and what is said of others."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from penchant.data.layouts import registry
from penchant.drafts.look import ShowsMediaError, look_at
from penchant.errors import InputError

DEMONSTRATED = {layout.name for layout in registry.DEMONSTRATIONS} - {layout.name for layout in registry.PREFERENCES}
EXAMPLES = {
    name: (layout.name, path)
    for layout in (*registry.PREFERENCES, *registry.DEMONSTRATIONS)
    for name, path in layout.examples.items()
}


def write(path: Path, *rows: Any) -> str:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_every_layout_is_for_a_method_or_refused_with_what_to_do(name: str) -> None:
    layout, path = EXAMPLES[name]
    try:
        look = look_at(str(path))
    except InputError as error:
        assert len(str(error)) > 60  # noqa: PT017 - what it says differs by layout
        return
    assert look.units > 0
    if layout in DEMONSTRATED:
        assert look.method == "sft"
    elif layout in {unpaired.name for unpaired in registry.UNPAIRED}:
        assert look.method == "kto"
    else:
        assert look.method in ("dpo", "sft")


def test_most_examples_are_for_a_method() -> None:
    usable = 0
    for _, path in EXAMPLES.values():
        try:
            usable += bool(look_at(str(path)).units)
        except InputError:
            continue
    assert usable > 0.8 * len(EXAMPLES)


def test_comparisons_are_for_dpo_and_what_is_spoiled_is_counted(tmp_path: Path) -> None:
    path = write(
        tmp_path / "prefs.jsonl",
        {"prompt": "a", "chosen": "good", "rejected": "bad"},
        {"prompt": "b", "chosen": "good", "rejected": "bad"},
        {"prompt": "c", "chosen": "same", "rejected": "same"},
    )
    look = look_at(path)
    assert (look.method, look.units, len(look.groups), len(look.bad_rows)) == ("dpo", 2, 2, 1)
    assert "prefs.jsonl:3" in look.bad_rows[0]


def test_labels_are_for_kto_and_demonstrations_for_sft(tmp_path: Path) -> None:
    labels = [{"prompt": "a", "completion": f"text {n}", "label": n % 2 == 0} for n in range(4)]
    assert look_at(write(tmp_path / "labels.jsonl", *labels)).method == "kto"
    demonstrations = [{"prompt": f"a {n}", "completion": "text"} for n in range(4)]
    assert look_at(write(tmp_path / "demonstrations.jsonl", *demonstrations)).method == "sft"


def test_prompts_alone_are_answered_with_the_steps_to_responses(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("How are you?\nWho?\n")
    with pytest.raises(
        InputError, match=r"2 prompts and no responses(.|\n)*penchant sample penchant-0.5m .*prompts.txt"
    ):
        look_at(str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "empty"), ('{"prompt": "a", "chosen": \n', "JSON"), ('{"left": 1, "right": 2}\n', "left")],
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        look_at(str(path))


def test_only_ties_teach_nothing(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "response_a": "x", "response_b": "y", "winner": "tie"}]
    with pytest.raises(InputError, match=r"all comparisons \(1\) are ties: nothing can be learned"):
        look_at(write(tmp_path / "ties.jsonl", *rows))


def test_readers_warn_as_before_afterwards(tmp_path: Path) -> None:
    logger = logging.getLogger("penchant.data")
    before = logger.level
    with pytest.raises(InputError):
        look_at(str(tmp_path / "missing.jsonl"))
    assert logger.level == before


def test_a_file_that_shows_pictures_is_refused_by_what_it_shows() -> None:
    with pytest.raises(ShowsMediaError, match=r"has 1 prompts with images, and drafts are for models of text"):
        look_at(str(EXAMPLES["trl-vision"][1]))
